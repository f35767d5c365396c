//! The audit log: the append-only, hash-chained record of every operation. Keeps U1 and U2.
//! Knows nothing of values, of HTTP, of the store, or of the clock: times are arguments, and it starts
//! no thread of its own.
//!
//! One JSON object a line, in segments of at most 64 MiB:
//!
//! ```text
//! DATA/audit/000001.jsonl   {"seq":1,…,"prev":"000…0","hash":"a41…"}
//!                           {"seq":2,…,"prev":"a41…","hash":"77e…"}
//! DATA/audit/000002.jsonl   {"seq":3,…,"prev":"77e…","hash":"0c9…"}
//! ```
//!
//! A line's hash covers its bytes up to the comma before `"hash"`, and the hash of the line before it.
//! So an edit, a removal, a swap or an insertion breaks the chain at that line. Only its end could be
//! cut unseen; the [`Anchor`] of the newest synced line, kept outside, shows that too.
//!
//! Read in this order: [`Entry`] says what is recorded, `line` its bytes, `chain` the hashes, `segment` and `files`
//! the files, `promises`, `waiting` and [`AuditLog`] how lines are added, `open` how a log is taken up again, [`verify`](fn@verify)
//! how it is checked.

mod chain;
mod entry;
mod files;
mod line;
mod log;
mod open;
mod promises;
mod segment;
mod verify;
mod waiting;

#[cfg(test)]
mod tests;

pub use chain::{Anchor, Finding, Problem};
pub use entry::{Action, CODE_BYTES_MAX, Entry, Outcome, RequestId, Subject, VersionRef};
pub use line::LINE_BYTES_MAX;
pub use log::{AuditLog, AuditUnavailable, Line, Ticket};
pub use open::OpenError;
pub use segment::{SEGMENT_BYTES_MAX, total_bytes};
pub use verify::{Report, Stamp, VerifyError, verify};
