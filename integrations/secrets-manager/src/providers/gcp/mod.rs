//! Google Cloud Secret Manager over REST: tokens, names, checksums, errors. Knows nothing of caches, retries and the other
//! stores; asks through no SDK.

mod config;
mod credentials;
mod fault;
mod provider;
mod resource;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{GcpCredentialSource, GcpSecretManagerConfig};
pub use provider::GcpSecretManagerProvider;
