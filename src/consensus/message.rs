//! What nodes ask each other about agreement, as bytes: a format marker and CBOR. Bounded by the frames it
//! comes in. Knows nothing of how it travels.

use covault_model::{DecodeError, command::Command, id::NodeId, refusal::Refusal, roster::Roster};
use covault_store::Applied;
use openraft::{
    Vote,
    error::{Fatal, RaftError},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use super::types::{SnapshotMeta, Types};

const MESSAGE_FORMAT: u8 = 1;

/// Raft's own questions.
#[derive(Serialize, Deserialize)]
pub enum RaftAsk {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<NodeId>),
    /// The next rows of a snapshot.
    Snapshot(SnapshotPart),
}

/// A piece of a snapshot: what all pieces say, and some of its bytes.
#[derive(Clone, Serialize, Deserialize)]
pub struct SnapshotPart {
    pub vote: Vote<NodeId>,
    pub meta: SnapshotMeta,
    /// Where in the snapshot these bytes belong.
    pub offset: u64,
    pub bytes: ByteBuf,
    /// Whether they are the last.
    pub last: bool,
}

pub type AppendTold = Result<AppendEntriesResponse<NodeId>, RaftError<NodeId>>;
pub type VoteTold = Result<VoteResponse<NodeId>, RaftError<NodeId>>;
/// What becomes of a piece of a snapshot.
#[derive(Serialize, Deserialize)]
pub enum SnapshotTold {
    /// So many bytes have come; go on there.
    Received(u64),
    /// That was all of it.
    Installed(Box<Result<SnapshotResponse<NodeId>, Fatal<NodeId>>>),
}

/// What a node asks of the one that leads, and in one case the one that leads of another.
#[derive(Serialize, Deserialize)]
pub enum LeaderAsk {
    /// To have these commands agreed, in this order.
    Order(Vec<Command>),
    /// Up to where the log must be applied for a read that sees everything agreed so far.
    ReadIndex,
    /// To have the members changed.
    Change(Change),
    /// Asked by the one that leads: to stand for election at once, because it is about to stop.
    Stand,
}

/// A change of the members.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Change {
    /// This node, which peers reach at this address, becomes a member.
    Admit(NodeId, String),
    /// This node is one no longer.
    Expel(NodeId),
}

impl Change {
    /// Whether it does what the registry has agreed on.
    pub fn follows(&self, roster: &Roster) -> bool {
        match self {
            Self::Admit(node, _) => roster.is_member(node),
            Self::Expel(node) => roster.is_removed(node),
        }
    }
}

/// What it is told.
#[derive(Serialize, Deserialize)]
pub enum LeaderTold {
    /// The commands' entry has this index; what each came to.
    Ordered(u64, Vec<Applied>),
    /// The index to wait for.
    ReadIndex(u64),
    /// The members are changed.
    Changed,
    /// The node stands for election.
    Stands,
    /// Nothing was done, for this reason; `None` when the node does not lead, or will not.
    NotProposed(Option<Refusal>),
    /// It may have been proposed, and may still be agreed.
    Unknown,
}

/// Marker and CBOR of `message`.
pub fn write<T: Serialize>(message: &T) -> Vec<u8> {
    covault_model::encode(&(MESSAGE_FORMAT, message))
}

/// Reads what [`write`] wrote, and nothing after it.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match covault_model::decode(bytes)? {
        (MESSAGE_FORMAT, message) => Ok(message),
        (format, _) => Err(DecodeError::UnknownFormat(format)),
    }
}

/// Whether a question of Raft's brings a piece of a snapshot.
#[cfg(test)]
pub fn brings_snapshot(ask: &[u8]) -> bool {
    matches!(read(ask), Ok(RaftAsk::Snapshot(_)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use covault_model::{
        command::Action,
        hlc::Millis,
        id::{CommandId, NodeId, hex},
        name::CallerName,
        registry::Outcome,
    };
    use openraft::{Vote, raft::VoteRequest};

    use super::*;

    fn remove_caller() -> Command {
        let by = CallerName::parse("ann").unwrap();
        let action = Action::RemoveCaller(CallerName::parse("bob").unwrap());
        Command { id: CommandId([0x61; 16]), by, at: Millis(1), idempotency: None, action }
    }

    /// As `tests/golden` of the other rooms: lines are added, never changed, once a release has sent them.
    #[test]
    fn messages_are_written_as_ever() {
        let node = NodeId([2; 32]);
        let applied = Applied { outcome: Ok(Outcome::Done), replayed: false };
        let vote = RaftAsk::Vote(VoteRequest::new(Vote::new(3, node), None));
        let change = LeaderAsk::Change(Change::Admit(node, "[::1]:8401".into()));
        let lines = [
            ("vote", hex(&write(&vote))),
            ("order", hex(&write(&LeaderAsk::Order(vec![remove_caller()])))),
            ("read index", hex(&write(&LeaderAsk::ReadIndex))),
            ("change", hex(&write(&change))),
            ("ordered", hex(&write(&LeaderTold::Ordered(7, vec![applied])))),
            ("not proposed", hex(&write(&LeaderTold::NotProposed(None)))),
            ("stand", hex(&write(&LeaderAsk::Stand))),
            ("stands", hex(&write(&LeaderTold::Stands))),
        ];
        let text: String = lines.iter().map(|(name, bytes)| format!("{name}: {bytes}\n")).collect();
        assert_eq!(text, include_str!("golden/messages.txt"));
    }

    #[test]
    fn what_is_no_message_of_this_release_is_refused() {
        let whole = write(&LeaderAsk::ReadIndex);
        assert!(matches!(read::<LeaderAsk>(&whole), Ok(LeaderAsk::ReadIndex)));
        for at in 0..whole.len() {
            assert!(read::<LeaderAsk>(&whole[..at]).is_err(), "{at} bytes of it");
        }
        assert_eq!(
            read::<LeaderAsk>(&[whole.as_slice(), &[0]].concat()).err(),
            Some(DecodeError::TrailingBytes)
        );
        let newer = covault_model::encode(&(2, LeaderAsk::ReadIndex));
        assert_eq!(read::<LeaderAsk>(&newer).err(), Some(DecodeError::UnknownFormat(2)));
    }
}
