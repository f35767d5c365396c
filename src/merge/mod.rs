//! The histories of secrets: the document that each is, and how the records that it is made of come from node to
//! node. The one room that knows automerge and negentropy; no type of them leaves here.
//!
//! The document is a pure function of the secret's records:
//!
//! ```text
//!   first change            one change per record
//!   actor = secret id       actor = record id, depends on the changes of its parents
//!   makes map "records" ◄── puts the signed record under its id
//! ```
//!
//! Keeps H1 (`change`: the same record, the same change), H2 (`document`: twice is once, nothing is
//! replaced) and H3 (the outcome follows from the set of records). Neither of the two knows anything of disk,
//! peers or clocks. Document bytes come from this node's own disk only, never from a peer.
//!
//! Records move by `records` (push, and answers), `search` (what is lacked), `rounds` (when), and come in by
//! `intake`, which keeps X1 to X5; issues of mappings by `issued`, on their way in an `outbox`, and before the voters
//! change by `turnover`. `message` has the bytes,
//! `index` and `lacking` the two questions; `following` has the index follow what is written.

mod change;
mod document;
mod following;
pub mod index;
mod intake;
mod issued;
mod lacking;
pub mod message;
mod outbox;
mod records;
mod rounds;
mod search;
mod stretches;
#[cfg(test)]
mod tests;
mod turnover;

pub use change::{change_hash_of, change_of, first_change_hash};
pub use document::{DOCUMENT_BYTES_MAX, Document, Inserted, LoadError, Unfit};
pub use intake::{Intake, IntakeError, Taken};
pub use records::{Neighbours, Records};
pub use rounds::{Pace, Rounds};
pub use search::SearchError;
