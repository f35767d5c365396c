//! Durable state of one node, in LMDB: one typed list of tables, one writer with group commit, histories, and
//! views that can be rebuilt; and beside it the raft log as bytes by index, in files of its own.
//!
//! Synchronous. Knows nothing of plaintext, sockets, async or openraft; what is agreed arrives as
//! `covault_model` commands, and what Raft keeps as bytes.

mod backup;
mod capacity;
mod changes;
mod error;
mod filer;
mod history;
mod keys;
mod log;
mod looks;
mod mappings;
mod open;
mod pages;
mod pile;
mod rebuild;
mod registry;
mod rows;
mod snapshot;
mod tables;
mod txn;
mod unfiled;
mod unsettled;
mod unspread;
mod view;
mod writer;

pub use backup::{BackupError, Manifest, RestoreAs, make_scratch, restore, verify_backup};
pub use capacity::Room;
pub use changes::{Change, Newest};
pub use error::{OpenError, StoreError};
pub use log::{LogEntry, LogRest, LogScan, RaftLog, scan_log};
pub use mappings::IssueDigest;
pub use open::{Options, PILE_MAX, Store};
pub use rebuild::{Difference, RebuildReport};
pub use registry::Applied;
pub use rows::{Counts, HeadRow, LineRow, SecretView};
pub use tables::{Meta, TABLES, TableInfo};
pub use txn::Txn;
pub use unspread::Unspread;
pub use view::{Current, Rows, View};
pub use writer::{SETTLES_WITHIN, Writer, WriterMode};
