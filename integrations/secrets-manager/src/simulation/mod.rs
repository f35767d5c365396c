//! A store that is none, for tests and rehearsals: mock secrets, another provider's answers recorded and replayed, dry
//! runs, and faults at the calls that a schedule names. Knows nothing of HTTP; what each store answers over HTTP when
//! something is wrong is listed in `wire`, for tests that let it go through a provider's own reading of errors.

mod access;
mod config;
mod fault;
mod mock;
mod provider;
mod recording;
mod scrub;
mod wire;

pub use access::{Question, SecretAccessRecord};
pub use config::{SimulationConfig, SimulationMode};
pub use fault::{Fault, ScheduledFault};
pub use provider::SimulationProvider;
pub use recording::Recording;
pub use wire::WireAnswer;

#[cfg(test)]
mod tests;
