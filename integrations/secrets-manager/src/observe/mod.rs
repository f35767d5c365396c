//! What can be seen of the client from outside: metrics, and events for auditors. Nothing here ever holds a value; what
//! is recorded are paths, versions, and the stable names of errors.

mod audit;
mod event;
mod metrics;
mod sinks;

pub use audit::{AuditError, AuditSink};
pub(crate) use audit::{Auditor, Seen};
pub use event::{SecretAccessEvent, SecretOperation};
pub(crate) use metrics::{StoreMetrics, cache_sizes};
pub use sinks::{ChannelSink, FileSink, TracingSink};
