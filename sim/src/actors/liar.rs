//! Hostile peers with a key: somebody who has stolen the key of one node, and speaks to the others as that node. He reads
//! what nodes read of each other, and pushes records that do not hold: forged, tampered with, put under another secret, with
//! a payload of another, with false parents, or from far in the future. Those that he signs carry a label that nobody else
//! sets. He does not vote in the node's name: against a member who votes twice no cluster of this kind stands.

use std::time::Duration;

use covault::merge::{
    change_hash_of,
    message::{Ask, Known, Sent, Told, write},
};
use covault_model::{
    hlc::{Hlc, Millis},
    id::{ChangeHash, PayloadHash},
    key::NodeKey,
    marks::Mark,
    name::{CallerName, LabelKey, LabelValue, SecretName, SecretPath},
    record::{Body, Header, Parent, Record, VersionBody},
};
use covault_net::{Channel, Endpoint};

use serde_bytes::ByteBuf;

use crate::{
    desk::Desk,
    outsider::{Victim, garbage},
    story::{Lie, What},
};

/// The label of every record that the liar signs.
pub const LABEL: &str = "lied";
const PATIENCE: Duration = Duration::from_secs(2);
/// Further ahead than any run lasts.
const AHEAD_MS: u64 = 24 * 3600 * 1000;

/// Tells a node one lie.
pub async fn lie(desk: &mut Desk) {
    let office = desk.office.clone();
    let Some(key) = office.stolen.get() else { return };
    let Some(victim) = Victim::any(desk).await else { return };
    let Some(endpoint) = victim.door(desk, key, victim.cluster) else { return };
    let lie = *desk.chance.one(&Lie::ALL);
    let liar = Liar { key, endpoint: &endpoint, victim: &victim };
    if let Some((channel, message)) = liar.put(desk, lie).await {
        let told = endpoint.call(victim.node, channel, message.into(), PATIENCE).await;
        let (taken, told) = (told.is_ok(), told.map_or_else(|error| error.to_string(), |_| String::new()));
        office.journal.note(What::Lied { node: victim.place, lie, taken, told });
    }
    endpoint.close().await;
}

struct Liar<'a> {
    key: &'a NodeKey,
    endpoint: &'a Endpoint,
    victim: &'a Victim,
}

impl Liar<'_> {
    /// A lie as a message; none if the node has told nothing to make it of.
    async fn put(&self, desk: &mut Desk, lie: Lie) -> Option<(Channel, Vec<u8>)> {
        if lie == Lie::Garbage {
            let channels = [Channel::Raft, Channel::Forward, Channel::Records, Channel::Control];
            return Some((*desk.chance.one(&channels), garbage(&mut desk.chance, 400)));
        }
        let path = SecretPath {
            owner: CallerName::parse(&desk.caller).ok()?,
            name: SecretName::parse(&desk.name()).ok()?,
        };
        let last = self.last_record(&path).await?;
        let sent = match lie {
            Lie::Forged => of(path, flipped(&last, last.len() - 1)),
            Lie::Tampered => of(path, flipped(&last, desk.chance.below(last.len() as u64) as usize)),
            _ => self.signed(path, &Record::from_untrusted_bytes(&last).ok()?, lie)?,
        };
        Some((Channel::Records, write(&Ask::Push(vec![sent]))))
    }

    /// The last of a secret's records, as the node gives them to its peers.
    async fn last_record(&self, path: &SecretPath) -> Option<Vec<u8>> {
        let nothing = Known { path: path.clone(), has: Vec::new(), awaits: Vec::new() };
        let asked = write(&Ask::Lacking(vec![nothing]));
        let told =
            self.endpoint.call(self.victim.node, Channel::Records, asked.into(), PATIENCE).await.ok()?;
        let Told::Records(mut records, _) = Told::read(&told).ok()? else { return None };
        records.pop().map(|Sent(_, record, _)| record.into_vec())
    }

    /// A record that follows on another, signed with the stolen key, of which one thing does not hold.
    fn signed(&self, path: SecretPath, last: &Record, lie: Lie) -> Option<Sent> {
        let label = Mark::Label(LabelKey::parse(LABEL).ok()?, LabelValue::parse("yes").ok());
        let mut header = Header {
            parents: vec![Parent(last.id(), change_hash_of(last))],
            depth: last.header().depth + 1,
            time: last.header().time.next(),
            author: self.key.node_id(),
            idempotency: None,
            body: Body::Marks(vec![label]),
            ..last.header().clone()
        };
        let mut payload = None;
        match lie {
            Lie::Misplaced => header.secret.0[0] ^= 1,
            Lie::FalseParents => header.parents[0].1 = ChangeHash([5; 32]),
            Lie::FromTheFuture => {
                header.time = Hlc::start_of(Millis(last.header().time.millis().0 + AHEAD_MS));
            }
            Lie::OtherPayload => {
                header.body = Body::Version(version_of(b"one thing"));
                payload = Some(ByteBuf::from("another"));
            }
            Lie::Garbage | Lie::Forged | Lie::Tampered => return None,
        }
        Some(Sent(path, Record::sign(header, self.key).to_bytes().into(), payload))
    }
}

fn of(path: SecretPath, record: Vec<u8>) -> Sent {
    Sent(path, record.into(), None)
}

fn flipped(record: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = record.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn version_of(payload: &[u8]) -> VersionBody {
    VersionBody {
        payload: PayloadHash::of(payload),
        payload_len: payload.len() as u32,
        content_type: None,
        expires_at: None,
        restores: None,
    }
}
