//! Everything that can go wrong, sorted by what kind of thing it is, with the store's error named and nothing secret.
//! What may be tried again and what may be bridged by an old value is decided here, once for all providers.

use std::{ops::Range, time::Duration};

use chrono::{DateTime, Utc};

use serde::{Deserialize, Serialize};

use super::ProviderType;

/// Any error of this crate. `Display` names paths, versions and the store's error code, never a value or a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SecretsError {
    /// The configuration, or what was asked, cannot be.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The store does not accept who asks.
    #[error(transparent)]
    Authentication(#[from] AuthenticationError),
    /// There is no such secret or version.
    #[error(transparent)]
    NotFound(#[from] SecretNotFoundError),
    /// There is one, and it may not be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A rotation was not begun.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// The store does not answer as it should.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Text that does not mean what it should.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The store was not reached.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl SecretsError {
    /// Whether asking once more, after a while, may help. Says nothing of logging in again, which providers do
    /// themselves, once.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Provider(error) => matches!(
                error,
                ProviderError::RateLimited { .. }
                    | ProviderError::InternalError { .. }
                    | ProviderError::ProviderUnavailable { .. }
            ),
            Self::Network(_) | Self::Authentication(AuthenticationError::NoCredentials { .. }) => true,
            Self::Parse(ParseError::InvalidReference { cause: Some(cause), .. }) => cause.is_retryable(),
            _ => false,
        }
    }

    /// Whether it is a passing state, of the store or of what gives out credentials for it, so that an old value may be
    /// given out meanwhile. It is never so for what is gone, denied, disabled or out of its validity: that is an answer.
    pub fn is_transient(&self) -> bool {
        self.is_retryable() || matches!(self, Self::Provider(ProviderError::CircuitOpen { .. }))
    }

    /// Whether it is the store's verdict on the secret or on who asks for it, after which no value that it gave before
    /// may be given out: it is gone, denied, disabled, out of its validity or of this client's scope.
    pub fn is_definitive(&self) -> bool {
        match self {
            Self::NotFound(_) | Self::Access(_) => true,
            Self::Authentication(error) => matches!(
                error,
                AuthenticationError::InvalidCredentials { .. }
                    | AuthenticationError::InsufficientPermissions { .. }
            ),
            _ => false,
        }
    }

    /// Whether the store's policies forbid it. They may allow another question about the same secret: most stores have a
    /// right to read a value, and another to see what is known of it.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(
            self,
            Self::Access(
                AccessError::AccessDenied { .. }
                    | AccessError::ResourcePolicyDenied { .. }
                    | AccessError::KmsAccessDenied { .. }
            )
        )
    }

    /// Whether the store said that there is nothing of the kind, which may be remembered for a short while.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// How long the store asks to be left alone, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider(
                ProviderError::RateLimited { retry_after, .. }
                | ProviderError::ProviderUnavailable { retry_after, .. },
            ) => *retry_after,
            Self::Provider(ProviderError::CircuitOpen { retry_after, .. }) => Some(*retry_after),
            _ => None,
        }
    }

    /// A stable name for metrics and logs: the kind and the case, as in `provider_rate_limited`.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Configuration(error) => error.error_type(),
            Self::Authentication(error) => error.error_type(),
            Self::NotFound(error) => error.error_type(),
            Self::Access(error) => error.error_type(),
            Self::Rotation(error) => error.error_type(),
            Self::Provider(error) => error.error_type(),
            Self::Cache(error) => error.error_type(),
            Self::Parse(error) => error.error_type(),
            Self::Network(error) => error.error_type(),
        }
    }
}

/// The configuration, or what was asked, cannot be. Whoever configures or calls must act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ConfigurationError {
    /// A provider that is not there, is there twice, or cannot do what was asked.
    #[error("the provider cannot be used: {detail}")]
    InvalidProvider {
        /// Which, and why.
        detail: String,
    },
    /// A provider without an address, region or project.
    #[error("an address is missing: {detail}")]
    MissingEndpoint {
        /// Whose.
        detail: String,
    },
    /// Cache settings that contradict each other.
    #[error("the cache settings cannot be: {detail}")]
    InvalidCacheConfig {
        /// Which.
        detail: String,
    },
    /// A path, a prefix or a mapping's pattern that the provider cannot have.
    #[error("the path cannot be: {detail}")]
    InvalidPathPattern {
        /// Which, and why.
        detail: String,
    },
    /// A setting that is unknown, missing or of the wrong form.
    #[error("{place}: {detail}")]
    InvalidSetting {
        /// Where it stands: a line and a column, or a variable's name.
        place: String,
        /// What is wrong; no value.
        detail: String,
    },
    /// The store did not understand what it was asked.
    #[error("{provider} refused the request as wrong: {detail}")]
    InvalidRequest {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
    },
}

/// The store does not accept who asks. Whoever hands out credentials must act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationError {
    /// None that can be used were found, or where they should be could not be read, nor a metadata service be reached.
    /// Nobody was asked who could have refused them.
    #[error("there are no credentials for {provider}: {detail}")]
    NoCredentials {
        /// Which store.
        provider: ProviderType,
        /// Where was looked, and what was wrong there.
        detail: String,
    },
    /// They are wrong.
    #[error("{provider} does not accept the credentials: {detail}")]
    InvalidCredentials {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
    },
    /// They were right once.
    #[error("the credentials for {provider} have expired: {detail}")]
    ExpiredCredentials {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
    },
    /// They are right, and may not log in this way.
    #[error("{provider} does not let these credentials log in: {detail}")]
    InsufficientPermissions {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
    },
    /// A new token was not given.
    #[error("{provider} gave no new token: {detail}")]
    TokenRefreshFailed {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
    },
}

/// There is no such secret or version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SecretNotFoundError {
    /// Nothing of this name.
    #[error("there is no secret {path:?}")]
    SecretDoesNotExist {
        /// As asked.
        path: String,
    },
    /// The secret is there, this version is not.
    #[error("secret {path:?} has no version {version:?}")]
    VersionNotFound {
        /// As asked.
        path: String,
        /// As asked.
        version: String,
    },
    /// The secret is there, no version has this label.
    #[error("no version of secret {path:?} has the stage {stage:?}")]
    StageNotFound {
        /// As asked.
        path: String,
        /// As asked.
        stage: String,
    },
    /// It was there and is deleted, or is to be.
    #[error("secret {path:?} is deleted")]
    Deleted {
        /// As asked.
        path: String,
    },
    /// The version was erased for good.
    #[error("version {version:?} of secret {path:?} is destroyed")]
    Destroyed {
        /// As asked.
        path: String,
        /// The version; empty where the store does not tell.
        version: String,
    },
}

/// There is one, and it may not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum AccessError {
    /// The store's policy for who asks. Some stores say this of secrets that do not exist.
    #[error("access to {path:?} is denied: {detail}")]
    AccessDenied {
        /// As asked.
        path: String,
        /// The store's code and words.
        detail: String,
    },
    /// The policy on the secret itself, or on its network.
    #[error("the policy of {path:?} denies access: {detail}")]
    ResourcePolicyDenied {
        /// As asked.
        path: String,
        /// The store's code and words.
        detail: String,
    },
    /// The key that the value is encrypted with may not be used.
    #[error("the key of {path:?} may not be used: {detail}")]
    KmsAccessDenied {
        /// As asked.
        path: String,
        /// The store's code and words.
        detail: String,
    },
    /// Somebody turned the version off.
    #[error("{path:?} is disabled")]
    Disabled {
        /// As asked.
        path: String,
    },
    /// Its time has not come.
    #[error("{path:?} is not valid before {from}")]
    NotYetValid {
        /// As asked.
        path: String,
        /// When it comes.
        from: DateTime<Utc>,
    },
    /// Its time is over.
    #[error("{path:?} was valid until {until}")]
    Expired {
        /// As asked.
        path: String,
        /// When it ended.
        until: DateTime<Utc>,
    },
    /// This client's own scope leaves it out; the store was not asked.
    #[error("{path:?} is outside of what this client may ask for: {detail}")]
    OutOfScope {
        /// As asked.
        path: String,
        /// Which prefix or tag it lacks.
        detail: String,
    },
}

/// A rotation was not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum RotationError {
    /// Another one runs.
    #[error("{path:?} is being rotated already")]
    RotationInProgress {
        /// As asked.
        path: String,
    },
    /// The store tried.
    #[error("{path:?} was not rotated: {detail}")]
    RotationFailed {
        /// As asked.
        path: String,
        /// The store's code and words.
        detail: String,
    },
    /// Nothing is set up that could.
    #[error("nothing is set up to rotate {path:?}: {detail}")]
    RotationNotConfigured {
        /// As asked.
        path: String,
        /// What the store lacks.
        detail: String,
    },
}

/// The store does not answer as it should. Whoever runs it must act, or time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ProviderError {
    /// It is down, sealed, or standing by.
    #[error("{provider} is not available: {detail}")]
    ProviderUnavailable {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It has been asked too often.
    #[error("{provider} has been asked too often: {detail}")]
    RateLimited {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// A limit that waiting does not lift.
    #[error("a quota of {provider} is used up: {detail}")]
    QuotaExceeded {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
    },
    /// Its own fault, or an answer that nobody understands.
    #[error("{provider} failed: {detail}")]
    InternalError {
        /// Which store.
        provider: ProviderType,
        /// Its code and words.
        detail: String,
    },
    /// It failed so often that it is not asked for a while.
    #[error("{provider} failed too often and is not asked for {} s", retry_after.as_secs())]
    CircuitOpen {
        /// Which store.
        provider: ProviderType,
        /// When it is asked again.
        retry_after: Duration,
    },
}

/// The cache cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum CacheError {
    /// A file of the disk cache is not what was written.
    #[error("the disk cache is damaged: {detail}")]
    CacheCorrupted {
        /// Which file, and what is wrong.
        detail: String,
    },
    /// An entry could not be renewed or kept.
    #[error("the cache was not renewed: {detail}")]
    RefreshFailed {
        /// Which, and why.
        detail: String,
    },
}

/// Text that does not mean what it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ParseError {
    /// A value that is not of the kind it is said to be.
    #[error("the value of {path:?} has the wrong form: {detail}")]
    InvalidSecretFormat {
        /// As asked.
        path: String,
        /// What is wrong; no part of the value.
        detail: String,
    },
    /// A key was asked of a value that is no JSON, or does not have it.
    #[error("no key of {path:?} could be read: {detail}")]
    JsonParseError {
        /// As asked.
        path: String,
        /// What is wrong; no part of the value.
        detail: String,
    },
    /// A document that is not what it should be.
    #[error("the document has the wrong form: {detail}")]
    InvalidDocument {
        /// Which, and what is wrong; no part of a value.
        detail: String,
    },
    /// A reference that is malformed, or whose secret was not had.
    #[error("reference {reference:?} at bytes {}..{}: {detail}", span.start, span.end)]
    InvalidReference {
        /// As written.
        reference: String,
        /// Where it stands in the text, in bytes.
        span: Range<usize>,
        /// What is wrong.
        detail: String,
        /// Why its secret was not had, if it is well-formed.
        #[source]
        cause: Option<Box<SecretsError>>,
    },
}

/// The store was not reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NetworkError {
    /// No connection, or one that broke.
    #[error("no connection: {detail}")]
    ConnectionFailed {
        /// To where, and why.
        detail: String,
    },
    /// No answer in time.
    #[error("no answer in time: {detail}")]
    Timeout {
        /// From where, after how long.
        detail: String,
    },
    /// A connection that is not to whom it should be.
    #[error("the connection cannot be trusted: {detail}")]
    TlsError {
        /// To where, and why.
        detail: String,
    },
}

/// Gives each case of an error its stable name.
macro_rules! error_types {
    ($($error:ident { $($case:ident => $name:literal),+ $(,)? })+) => {$(
        impl $error {
            /// The stable name of the case.
            pub fn error_type(&self) -> &'static str {
                match self { $(Self::$case { .. } => $name),+ }
            }
        }
    )+};
}

error_types! {
    ConfigurationError {
        InvalidProvider => "configuration_invalid_provider",
        MissingEndpoint => "configuration_missing_endpoint",
        InvalidCacheConfig => "configuration_invalid_cache_config",
        InvalidPathPattern => "configuration_invalid_path_pattern",
        InvalidSetting => "configuration_invalid_setting",
        InvalidRequest => "configuration_invalid_request",
    }
    AuthenticationError {
        NoCredentials => "authentication_no_credentials",
        InvalidCredentials => "authentication_invalid_credentials",
        ExpiredCredentials => "authentication_expired_credentials",
        InsufficientPermissions => "authentication_insufficient_permissions",
        TokenRefreshFailed => "authentication_token_refresh_failed",
    }
    SecretNotFoundError {
        SecretDoesNotExist => "not_found_secret",
        VersionNotFound => "not_found_version",
        StageNotFound => "not_found_stage",
        Deleted => "not_found_deleted",
        Destroyed => "not_found_destroyed",
    }
    AccessError {
        AccessDenied => "access_denied",
        ResourcePolicyDenied => "access_resource_policy_denied",
        KmsAccessDenied => "access_kms_denied",
        Disabled => "access_disabled",
        NotYetValid => "access_not_yet_valid",
        Expired => "access_expired",
        OutOfScope => "access_out_of_scope",
    }
    RotationError {
        RotationInProgress => "rotation_in_progress",
        RotationFailed => "rotation_failed",
        RotationNotConfigured => "rotation_not_configured",
    }
    ProviderError {
        ProviderUnavailable => "provider_unavailable",
        RateLimited => "provider_rate_limited",
        QuotaExceeded => "provider_quota_exceeded",
        InternalError => "provider_internal_error",
        CircuitOpen => "provider_circuit_open",
    }
    CacheError {
        CacheCorrupted => "cache_corrupted",
        RefreshFailed => "cache_refresh_failed",
    }
    ParseError {
        InvalidSecretFormat => "parse_invalid_secret_format",
        JsonParseError => "parse_json",
        InvalidDocument => "parse_invalid_document",
        InvalidReference => "parse_invalid_reference",
    }
    NetworkError {
        ConnectionFailed => "network_connection_failed",
        Timeout => "network_timeout",
        TlsError => "network_tls",
    }
}
