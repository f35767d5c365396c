//! Hostile peers with a key: somebody who has stolen the key of one node, and speaks to the others as that node. He reads
//! what nodes read of each other, and pushes records that do not hold: forged, tampered with, put under another secret, with
//! a payload of another, with false parents, or from far in the future. Those that he signs carry a label that nobody else
//! sets. What is well signed and does not hold all the same is the pretender's. He does not vote in the node's name: against
//! a member who votes twice no cluster of this kind stands.

use std::time::Duration;

use bytes::Bytes;
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
    let lie = *desk.chance.one(&Lie::OF_RECORDS);
    let liar = Liar { key, endpoint: &endpoint, victim: &victim };
    if let Some((channel, message)) = liar.put(desk, lie).await {
        let told = liar.tell(channel, message).await;
        let (taken, told) = (told.is_ok(), told.err().unwrap_or_default());
        office.journal.note(What::Lied { node: victim.place, lie, taken, told });
    }
    endpoint.close().await;
}

/// Somebody with a stolen key who speaks to a node.
pub struct Liar<'a> {
    /// The key.
    pub key: &'a NodeKey,
    /// From where.
    pub endpoint: &'a Endpoint,
    /// To whom.
    pub victim: &'a Victim,
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
        let Sent(_, last, _) = self.records(&path).await?.pop()?;
        let sent = match lie {
            Lie::Forged => of(path, flipped(&last, last.len() - 1)),
            Lie::Tampered => of(path, flipped(&last, desk.chance.below(last.len() as u64) as usize)),
            _ => self.signed(path, &Record::from_untrusted_bytes(&last).ok()?, lie)?,
        };
        Some((Channel::Records, write(&Ask::Push(vec![sent]))))
    }

    /// Says something as the node does whose key it is; gives the answer, or why there is none.
    pub async fn tell(&self, channel: Channel, message: Vec<u8>) -> Result<Bytes, String> {
        let told = self.endpoint.call(self.victim.node, channel, message.into(), PATIENCE).await;
        told.map_err(|error| error.to_string())
    }

    /// The records of a secret, as the node gives them to its peers.
    pub async fn records(&self, path: &SecretPath) -> Option<Vec<Sent>> {
        let nothing = Known { path: path.clone(), has: Vec::new(), awaits: Vec::new() };
        let told = self.tell(Channel::Records, write(&Ask::Lacking(vec![nothing]))).await.ok()?;
        let Told::Records(records, _) = Told::read(&told).ok()? else { return None };
        Some(records)
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
            _ => return None,
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

/// What a record says of a version with this payload.
pub fn version_of(payload: &[u8]) -> VersionBody {
    VersionBody {
        payload: PayloadHash::of(payload),
        payload_len: payload.len() as u32,
        content_type: None,
        expires_at: None,
        restores: None,
    }
}
