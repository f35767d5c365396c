//! The vault service: authoritative operations, for a caller who has been identified.

mod answer;
mod request;

pub use answer::*;
pub use request::*;
