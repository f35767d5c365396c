//! The tokenization API's own part: it finds the fields of a document, computes what their tokens are under the
//! epoch key that the vault lends it, and writes documents with tokens, or values, in their places. It decides
//! neither which epoch is active nor whether a token exists: it proposes mappings, and the vault says.
//! Pure. Knows nothing of HTTP, tables or who asks.

mod document;
mod proposal;
#[cfg(test)]
mod tests;

pub use document::{Document, FieldFault, Found, Part, Shown, Why};
pub use proposal::{Placed, Proposal, Sought, json_of, propose};
