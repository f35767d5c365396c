//! The one interface: which store a path belongs to, what this client may ask for, and the way of a question through
//! cache, breaker and retries to its store. Knows nothing of any store's wire.

mod builder;
mod config;
mod environment;
mod fetch;
mod pattern;
mod reader;
mod references;
mod scope;
mod secrets_client;
mod shared;
mod store;

pub use builder::ClientBuilder;
pub use config::{PathMapping, SecretsConfig};
pub use pattern::PathPattern;
pub use reader::Client;
pub use scope::ScopeConfig;
pub use secrets_client::SecretsClient;
pub(crate) use shared::Shared;
