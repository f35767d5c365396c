//! The history document of a secret: an automerge document that is a pure function of the secret's records.
//! The one room that knows automerge; no type of it leaves here.
//!
//! ```text
//!   first change            one change per record
//!   actor = secret id       actor = record id, depends on the changes of its parents
//!   makes map "records" ◄── puts the signed record under its id
//! ```
//!
//! Keeps H1 (`change`: the same record, the same change), H2 (`document`: twice is once, nothing is
//! replaced) and H3 (the outcome follows from the set of records).
//! Knows nothing of disk, peers or clocks. Records come in with their signatures verified already; document
//! bytes come from this node's own disk only, never from a peer.

mod change;
mod document;
#[cfg(test)]
mod tests;

pub use change::{change_hash_of, change_of, first_change_hash};
pub use document::{DOCUMENT_BYTES_MAX, Document, Inserted, LoadError, Unfit};
