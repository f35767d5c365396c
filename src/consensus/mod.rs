//! Agreement: thin adaptors that join the store to Raft, and the proposer that batches.
//! The one room that knows openraft. Knows nothing of HTTP, sealing or callers' rights.

mod types;
mod log;
mod machine;
mod snapshot;
mod network;
mod proposer;
mod engine;

pub use engine::{Consensus, ConsensusConfig, Member, Standing, StartError};
