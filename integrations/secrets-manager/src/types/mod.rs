//! The words that client, providers and callers share: values, metadata, options, errors. Knows nothing of where
//! secrets live or how they are fetched.

mod clock;
mod error;
mod exposed;
mod json_key;
mod options;
mod provider_type;
mod reference;
mod secret;
mod secret_string;
mod version;

pub use clock::WallClock;
pub use error::{
    AccessError, AuthenticationError, CacheError, ConfigurationError, NetworkError, ParseError,
    ProviderError, RotationError, SecretNotFoundError, SecretsError,
};
pub(crate) use exposed::ExposedValue;
pub use options::{GetSecretOptions, ListOptions};
pub use provider_type::{ProviderType, UnknownProvider};
pub use reference::SecretReference;
pub use secret::{RotationResult, RotationStatus, SecretMetadata, SecretPage, SecretValue};
pub use secret_string::SecretString;
pub use version::{SecretVersion, VersionStatus};
