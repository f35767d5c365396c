//! openraft's parameters, fixed once. Knows nothing of how they are stored or sent.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use covault_model::{
    command::{BATCH_FORMAT, Command},
    id::NodeId,
};
use covault_store::Applied;
use openraft::BasicNode;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use super::snapshot::RegistrySnapshot;

openraft::declare_raft_types!(
    /// The types Raft runs on here.
    pub Types:
        D = Batch,
        R = Vec<Applied>,
        NodeId = NodeId,
        Node = BasicNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = RegistrySnapshot,
);

pub type Raft = openraft::Raft<Types>;
pub type Entry = openraft::Entry<Types>;
pub type LogId = openraft::LogId<NodeId>;
pub type StorageError = openraft::StorageError<NodeId>;
pub type SnapshotMeta = openraft::SnapshotMeta<NodeId, BasicNode>;
pub type StoredMembership = openraft::StoredMembership<NodeId, BasicNode>;

/// Commands that share one log entry; each is decided by itself, in order. They are written as one string of bytes, which
/// is kept: what is sent to each follower and what each node's log holds are the same bytes, encoded once.
#[derive(Clone)]
pub struct Batch {
    pub commands: Arc<Vec<Command>>,
    written: Arc<OnceLock<Vec<u8>>>,
}

impl Batch {
    /// These commands, in this order.
    pub fn of(commands: Arc<Vec<Command>>) -> Self {
        Self { commands, written: Arc::default() }
    }

    fn read<E: Error>((format, commands): (u8, Vec<Command>)) -> Result<Self, E> {
        match format {
            BATCH_FORMAT => Ok(Self::of(Arc::new(commands))),
            _ => Err(E::custom(format_args!("batch format {format} is newer than this release"))),
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch of {}", self.commands.len())
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.written.get_or_init(|| encode(&(BATCH_FORMAT, self.commands.as_slice()))))
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(BatchVisitor)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Batch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of commands")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Batch, E> {
        let batch = Batch::read(covault_model::decode(bytes).map_err(E::custom)?)?;
        Ok(Batch { written: Arc::new(bytes.to_vec().into()), ..batch })
    }

    /// As the logs of 0.1.0 have it.
    fn visit_seq<A: SeqAccess<'de>>(self, batch: A) -> Result<Batch, A::Error> {
        Batch::read(Deserialize::deserialize(SeqAccessDeserializer::new(batch))?)
    }
}

/// A storage failure in openraft's words. It stops the engine for good: the process must end.
pub fn failed(error: impl std::error::Error + 'static) -> StorageError {
    StorageError::IO { source: openraft::StorageIOError::write(&error) }
}

/// CBOR, for openraft's own types.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    covault_model::encode(value)
}

/// Reads what [`encode`] wrote.
pub fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageError> {
    covault_model::decode(bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use covault_model::{command::Action, hlc::Millis, id::CommandId, name::CallerName};

    use super::*;

    fn commands() -> Vec<Command> {
        let remove = |name: &str| Action::RemoveCaller(CallerName::parse(name).unwrap());
        let by = CallerName::parse("ann").unwrap();
        let command = |name| Command {
            id: CommandId([7; 16]),
            by: by.clone(),
            at: Millis(1),
            idempotency: None,
            action: remove(name),
        };
        ["bob", "carl"].map(command).to_vec()
    }

    #[test]
    fn a_batch_is_read_as_it_was_written_and_written_as_it_was_read() {
        let batch = Batch::of(Arc::new(commands()));
        let written = encode(&batch);
        let read: Batch = decode(&written).unwrap();
        assert_eq!(*read.commands, commands());
        assert!(read.written.get().is_some(), "it is not encoded once more");
        assert_eq!(encode(&read), written);
    }

    #[test]
    fn a_batch_of_an_older_log_is_read() {
        let older = encode(&(BATCH_FORMAT, commands()));
        assert_eq!(*decode::<Batch>(&older).unwrap().commands, commands());
    }

    #[test]
    fn what_is_no_batch_of_this_release_is_refused() {
        let newer = (BATCH_FORMAT + 1, commands());
        let bytes = |of: &[u8]| encode(&serde_bytes::Bytes::new(of));
        let whole = encode(&(BATCH_FORMAT, commands()));
        assert!(decode::<Batch>(&bytes(&whole)).is_ok());
        for refused in [
            encode(&newer),
            bytes(&encode(&newer)),
            bytes(&whole[1..]),
            bytes(&[whole.clone(), vec![0]].concat()),
            encode(&7),
        ] {
            assert!(decode::<Batch>(&refused).is_err());
        }
    }
}
