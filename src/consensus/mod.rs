//! Agreement: thin adaptors that join the store to Raft, and the proposer that batches.
//! The one room that knows openraft. Knows nothing of HTTP, sealing or callers' rights.

mod brevity;
mod engine;
mod leader;
mod log;
mod machine;
mod message;
mod network;
mod news;
mod proposer;
mod shared;
mod silence;
mod snapshot;
mod succession;
#[cfg(test)]
mod tests;
mod thread;
mod types;

pub use engine::{Consensus, ConsensusConfig, Me, Member, Standing, StartError};
pub use log::unapplied;
#[cfg(test)]
pub use message::brings_snapshot;
pub use network::Peers;
pub use succession::{Legacy, legacy, take_in_log};
