//! AWS Secrets Manager over its JSON protocol: credentials, signatures, regions, errors. Knows nothing of caches, retries
//! and the other stores; asks through no SDK.

mod api;
mod caller;
mod config;
mod credentials;
mod endpoint;
mod fault;
mod provider;
mod regions;
mod rotations;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use caller::Caller;
pub use config::{AwsCredentialSource, AwsRegion, AwsSecretsManagerConfig};
pub use credentials::{AwsCredentials, CredentialProvider, WebIdentity};
pub use provider::AwsSecretsManagerProvider;
