//! The registry as a snapshot: this node's own is its tables, read when it is sent; another's is bytes, which come in
//! pieces. Knows nothing of how they travel.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use covault_store::{Store, StoreError};

use super::{machine::meta_of, message::SnapshotPart, types::SnapshotMeta};

/// A snapshot of the registry.
pub enum RegistrySnapshot {
    /// The tables of this node.
    Ours(Arc<Store>),
    /// Rows as another node exported them.
    Received(Vec<u8>),
}

impl RegistrySnapshot {
    /// The rows, exported, and what they are of. Our own are of now, which is later than `meta`, of when Raft had a
    /// snapshot built: whoever installs rows goes on from what they are said to be of, and would carry out again what
    /// came in between.
    pub fn export(self, meta: SnapshotMeta) -> Result<(SnapshotMeta, Vec<u8>), StoreError> {
        match self {
            Self::Received(bytes) => Ok((meta, bytes)),
            Self::Ours(store) => {
                let view = store.view()?;
                let rows = view.rows();
                Ok((meta_of(&rows)?, rows.export_registry()?))
            }
        }
    }
}

/// The largest registry that is taken from another node, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 1 << 30;

/// What has come so far of a snapshot that another node sends. A piece at offset zero begins anew.
#[derive(Default)]
pub struct Arriving(Mutex<Vec<u8>>);

impl Arriving {
    /// Takes in a piece. Gives the whole once the last one has come, else how many bytes there are: none
    /// when the piece did not follow on what came before, or would be too much.
    pub fn take_in(&self, part: &SnapshotPart) -> Result<Vec<u8>, u64> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if part.offset == 0 {
            bytes.clear();
        }
        let fits = bytes.len() + part.bytes.len() <= SNAPSHOT_BYTES_MAX;
        if part.offset != bytes.len() as u64 || !fits {
            *bytes = Vec::new();
            return Err(0);
        }
        bytes.extend_from_slice(&part.bytes);
        if part.last { Ok(mem::take(&mut *bytes)) } else { Err(bytes.len() as u64) }
    }
}

#[cfg(test)]
mod tests {
    use openraft::Vote;
    use serde_bytes::ByteBuf;

    use super::{Arriving, SnapshotPart};

    fn part(offset: u64, bytes: &[u8], last: bool) -> SnapshotPart {
        let (vote, meta) = (Vote::default(), Default::default());
        SnapshotPart { vote, meta, offset, bytes: ByteBuf::from(bytes), last }
    }

    #[test]
    fn pieces_join_in_order_and_a_first_one_begins_anew() {
        let arriving = Arriving::default();
        assert_eq!(arriving.take_in(&part(0, b"stale", false)), Err(5));
        assert_eq!(arriving.take_in(&part(0, b"ab", false)), Err(2));
        assert_eq!(arriving.take_in(&part(2, b"c", false)), Err(3));
        assert_eq!(arriving.take_in(&part(3, b"d", true)), Ok(b"abcd".to_vec()));
        assert_eq!(arriving.take_in(&part(0, b"", true)), Ok(Vec::new()));
    }

    #[test]
    fn a_piece_that_does_not_follow_spoils_what_came_before() {
        let arriving = Arriving::default();
        assert_eq!(arriving.take_in(&part(0, b"ab", false)), Err(2));
        assert_eq!(arriving.take_in(&part(5, b"c", true)), Err(0));
        assert_eq!(arriving.take_in(&part(2, b"c", true)), Err(0));
        assert_eq!(arriving.take_in(&part(u64::MAX, b"c", true)), Err(0));
    }
}
