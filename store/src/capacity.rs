//! How much room there is, before a write begins. Keeps D3: a write that might not fit is refused while
//! refusing is clean. Knows nothing of what is written.

use heed::{Env, WithoutTls};
use rustix::{
    fs::{StatVfs, statvfs},
    io::Errno,
};

use crate::{error::StoreError, log::SET_ASIDE, open::Store};

/// The room a store has, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Pages in use, of the map.
    pub map_used: u64,
    /// The most the map may use.
    pub map_max: u64,
    /// What the file system has left for this user.
    pub disk_free: u64,
    /// Bytes that were written and are not committed yet.
    pub unsettled: u64,
}

/// What is always kept free on the disk, so that Raft's own small writes and a restart find room, and the log
/// can set bytes aside: one and a quarter MiB.
const DISK_RESERVE: u64 = (1 << 20) + SET_ASIDE;
/// A disk with less than this left is full: 16 pages.
const FULL_BELOW: u64 = 16 * 4096;
/// What is always kept free in the map: 1 MiB and a sixteenth of the map, 16 MiB at the most.
const MAP_RESERVE_MAX: u64 = 16 << 20;
/// A write is kept twice (in the log and in its table), and moves pages around it.
const WRITE_AMPLIFICATION: u64 = 4;

impl Room {
    /// Whether a write of `bytes` fits and leaves the reserve.
    pub fn fits(&self, bytes: u64) -> bool {
        let wanted = bytes.saturating_add(self.unsettled).saturating_mul(WRITE_AMPLIFICATION);
        let map_reserve = ((1 << 20) + self.map_max / 16).min(MAP_RESERVE_MAX);
        let map_free = self.map_max.saturating_sub(self.map_used);
        wanted.saturating_add(map_reserve) <= map_free
            && wanted.saturating_add(DISK_RESERVE) <= self.disk_free
    }
}

/// Why a commit failed. Of a write of which only the first part found room LMDB says that it was an error of the disk;
/// after it there is next to no room left, which a disk that is broken has.
pub(crate) fn why_not_committed(env: &Env<WithoutTls>, error: heed::Error) -> StoreError {
    let is_of_disk =
        matches!(&error, heed::Error::Io(io) if io.raw_os_error() == Some(Errno::IO.raw_os_error()));
    let free = |space: StatVfs| space.f_bavail.saturating_mul(space.f_frsize);
    if is_of_disk && statvfs(env.path()).is_ok_and(|space| free(space) < FULL_BELOW) {
        return StoreError::Full;
    }
    error.into()
}

impl Store {
    /// The room there is now.
    pub fn room(&self) -> Result<Room, StoreError> {
        let txn = self.env().read_txn()?;
        let mut pages = 0;
        let mut page_size = 4096;
        for table in self.tables().all() {
            let stat = table.stat(&txn)?;
            pages += stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
            page_size = u64::from(stat.page_size);
        }
        let space = statvfs(self.path()).map_err(|errno| StoreError::from(heed::Error::Io(errno.into())))?;
        Ok(Room {
            map_used: pages as u64 * page_size,
            map_max: self.map_bytes() as u64,
            disk_free: space.f_bavail.saturating_mul(space.f_frsize),
            unsettled: self.unsettled_bytes(),
        })
    }
}
