//! Hostile peers with a key: as the liar, somebody who has stolen the key of one node. What he says is signed well, most of
//! it, and he has no right to it: a version of a name that nobody created, a destroyed version with the payload that he
//! took before, issues of tokens of epochs that are not there, another node's version or address to be ordered for him.

use covault::merge::message::{self, Sent, Told, write};
use covault_model::{
    command::{Action, Command, NewVersion, SealedVersion},
    decode, encode,
    epoch::Epoch,
    hlc::{Hlc, Millis},
    id::{CommandId, MappingId, RecordId},
    issue::{Issue, IssueHeader, Mapping, Scope},
    limits::TOKEN_SEAL_BYTES,
    name::{CallerName, SecretName, SecretPath},
    record::{Body, Header, Record},
    roster::NodeAddress,
};
use covault_net::Channel;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use super::liar::{Liar, version_of};
use crate::{
    desk::Desk,
    journal,
    machine::EPOCH_MS,
    outsider::{Victim, address},
    story::{Ask, Lie, What},
};

/// How names begin that nobody creates.
pub const GHOST: &str = "ghost/";
/// The token, as a mapping names it, of every issue that he makes.
pub const LIED_MAPPING: MappingId = MappingId([0xee; MappingId::LEN]);
/// Later than any epoch of a run.
const NO_EPOCH: u64 = 1_000_000;
/// Further ahead than any run lasts.
const AHEAD_MS: u64 = 24 * 3600 * 1000;

/// As nodes ask whoever leads; the format marker stands before it.
#[derive(Serialize)]
enum LeaderAsk {
    Order(Vec<Command>),
}

/// The one answer in which nothing was ordered.
#[derive(Deserialize)]
enum LeaderTold {
    NotProposed(IgnoredAny),
}

const LEADER_FORMAT: u8 = 1;

/// Claims one thing.
pub async fn pretend(desk: &mut Desk) {
    let office = desk.office.clone();
    let Some(key) = office.stolen.get() else { return };
    let Some(victim) = Victim::any(desk).await else { return };
    let Some(endpoint) = victim.door(desk, key, victim.cluster) else { return };
    let lie = *desk.chance.one(&Lie::OF_CLAIMS);
    let pretender = Pretender { liar: Liar { key, endpoint: &endpoint, victim: &victim } };
    if let Some((channel, message)) = pretender.put(desk, lie).await {
        let told = pretender.liar.tell(channel, message).await;
        let taken = told.as_ref().is_ok_and(|told| is_taken(lie, told));
        let told = told.err().unwrap_or_default();
        office.journal.note(What::Lied { node: victim.place, lie, taken, told });
        if lie == Lie::Nameless {
            let (name, quorum) = (ghost(desk), desk.chance.percent(50));
            desk.ask_node(victim.place, Ask::Read { name, version: None, quorum, owner: None }, None).await;
        }
    }
    endpoint.close().await;
}

/// Whether an answer says that what was claimed counts.
fn is_taken(lie: Lie, told: &[u8]) -> bool {
    match lie {
        Lie::Anothers | Lie::Moved => {
            !matches!(decode(told), Ok((LEADER_FORMAT, LeaderTold::NotProposed(_))))
        }
        Lie::Nameless | Lie::Revived => true,
        _ => !matches!(Told::read(told), Ok(Told::Kept(0))),
    }
}

struct Pretender<'a> {
    liar: Liar<'a>,
}

impl Pretender<'_> {
    /// A claim as a message; none if there is nothing to make it of.
    async fn put(&self, desk: &mut Desk, lie: Lie) -> Option<(Channel, Vec<u8>)> {
        let owner = CallerName::parse(&desk.caller).ok()?;
        match lie {
            Lie::Nameless => Some(pushed(self.nameless(owner, &ghost(desk))?)),
            Lie::Revived => Some(pushed(self.revived(desk, owner).await?)),
            Lie::Anothers => {
                let name = SecretName::parse(&desk.name()).ok()?;
                let action = self.anothers(SecretPath { owner: owner.clone(), name }).await?;
                Some(ordered(desk, owner, action))
            }
            Lie::Moved => {
                let (node, elsewhere) = (self.liar.victim.node, address(desk.any_node()));
                let action = Action::Reach(node, NodeAddress(elsewhere));
                (node != self.liar.key.node_id()).then(|| ordered(desk, owner, action))
            }
            _ => {
                let issue = self.issue(desk, owner, lie).await?;
                Some((Channel::Records, write(&message::Ask::PushIssues(vec![issue.into()]))))
            }
        }
    }

    fn nameless(&self, owner: CallerName, name: &str) -> Option<Sent> {
        let path = SecretPath { owner, name: SecretName::parse(name).ok()? };
        let payload = b"of nothing";
        let header = Header {
            secret: path.id(),
            parents: Vec::new(),
            depth: 1,
            time: now(),
            author: self.liar.key.node_id(),
            caller: path.owner.clone(),
            idempotency: None,
            body: Body::Version(version_of(payload)),
        };
        let record = Record::sign(header, self.liar.key).to_bytes();
        Some(Sent(path, record.into(), Some(payload.to_vec().into())))
    }

    /// An old version as the node had it, after it was destroyed. The last one stays, so that names stay readable.
    async fn revived(&self, desk: &mut Desk, owner: CallerName) -> Option<Sent> {
        let name = desk.name();
        let path = SecretPath { owner, name: SecretName::parse(&name).ok()? };
        let told = desk.ask_node(self.liar.victim.place, Ask::History { name: name.clone() }, None).await;
        let rows = told.body()["versions"].as_array().map_or(&[][..], Vec::as_slice);
        let old = rows.iter().skip(1).find(|row| row["number"].is_u64() && row["state"] != "destroyed")?;
        let (number, id) = (old["number"].as_u64()?, RecordId::parse(old["id"].as_str()?).ok()?);
        let is_it = |sent: &Sent| Record::from_trusted_bytes(&sent.1).is_ok_and(|record| record.id() == id);
        let stolen = self.liar.records(&path).await?.into_iter().find(is_it)?;
        desk.ask(Ask::Destroy { name, versions: vec![number] }).await;
        stolen.2.is_some().then_some(stolen)
    }

    /// The last version that another node made.
    async fn anothers(&self, path: SecretPath) -> Option<Action> {
        let records = self.liar.records(&path).await?.into_iter().rev();
        let (record, payload) = records
            .filter_map(|Sent(_, record, payload)| {
                Some((Record::from_trusted_bytes(&record).ok()?, payload?.into_vec()))
            })
            .find(|(record, _)| record.header().author != self.liar.key.node_id())?;
        let version = SealedVersion { record, payload };
        Some(Action::Agree(Box::new(NewVersion { path, version, condition: None, marks: None })))
    }

    /// An issue of a mapping of which one thing does not hold.
    async fn issue(&self, desk: &mut Desk, owner: CallerName, lie: Lie) -> Option<Vec<u8>> {
        let told = desk.ask_node(self.liar.victim.place, Ask::Epochs, None).await;
        let epochs = told.body();
        let epoch = match lie {
            Lie::IssueOfNoEpoch => NO_EPOCH,
            Lie::IssueOfOldEpoch => destroyed(epochs)?,
            _ => epochs["active"].as_u64()?,
        };
        let time = match lie {
            Lie::EarlyIssue => Hlc::start_of(Millis(now().millis().0 + AHEAD_MS)),
            _ => now(),
        };
        let header = IssueHeader {
            scope: Scope { owner, epoch: Epoch(epoch.try_into().ok()?) },
            time,
            author: self.liar.key.node_id(),
            idempotency: None,
            mappings: vec![Mapping(LIED_MAPPING, vec![0; TOKEN_SEAL_BYTES + 4])],
        };
        let mut issue = Issue::sign(header, self.liar.key).to_bytes();
        if lie == Lie::ForgedIssue {
            *issue.last_mut()? ^= 1;
        }
        Some(issue)
    }
}

fn ghost(desk: &Desk) -> String {
    format!("{GHOST}{}", desk.client)
}

/// The time that a sound node would stamp.
fn now() -> Hlc {
    Hlc::start_of(Millis(EPOCH_MS + journal::now().as_millis() as u64))
}

/// The last epoch that is listed as destroyed.
fn destroyed(epochs: &Value) -> Option<u64> {
    let listed = epochs["epochs"].as_array().map_or(&[][..], Vec::as_slice);
    listed.iter().filter(|row| !row["destroyed_at"].is_null()).filter_map(|row| row["epoch"].as_u64()).max()
}

fn pushed(sent: Sent) -> (Channel, Vec<u8>) {
    (Channel::Records, write(&message::Ask::Push(vec![sent])))
}

fn ordered(desk: &mut Desk, by: CallerName, action: Action) -> (Channel, Vec<u8>) {
    let mut id = CommandId::default();
    desk.chance.fill(&mut id.0);
    let command = Command { id, by, at: now().millis(), idempotency: None, action };
    (Channel::Forward, encode(&(LEADER_FORMAT, LeaderAsk::Order(vec![command]))))
}
