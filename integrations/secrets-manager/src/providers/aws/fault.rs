//! What Secrets Manager says when it does not do what it was asked, as an error of ours. It is told by the type in the
//! answer: the status varies for the same type. Knows nothing of how the store is asked.

use std::time::Duration;

use serde::Deserialize;

use super::wire::CURRENT;
use crate::{
    transport::Answer,
    types::{
        AccessError, AuthenticationError, ConfigurationError, ProviderError, ProviderType, RotationError,
        SecretNotFoundError, SecretsError,
    },
};

/// What the store was asked for, as far as an error tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) operation: &'static str,
    pub(super) path: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) stage: Option<&'a str>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(operation: &'static str, path: &'a str) -> Self {
        Self { operation, path, version: None, stage: None }
    }
}

/// A refusal: its type, its words, and what came with it.
#[derive(Debug)]
pub(super) struct Fault {
    /// The type's bare name; empty if the answer names none.
    pub(super) kind: String,
    words: String,
    status: u16,
    retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "__type", alias = "code")]
    kind: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// What a type means, where its words do not say more.
enum Meaning {
    Missing,
    WrongRequest,
    Expired,
    NotAccepted,
    Denied,
    Key,
    TooOften,
    Quota,
    Unavailable,
    Internal,
}

impl Fault {
    /// What an answer says that is no success.
    pub(super) fn of(answer: &Answer) -> Self {
        let body: Option<Body> = answer.json();
        let (kind, words) = body.map_or((None, None), |body| (body.kind, body.message));
        let kind = kind.or_else(|| answer.header("x-amzn-errortype").map(str::to_owned)).unwrap_or_default();
        // `com.amazonaws.secretsmanager#Kind`, or `Kind:http://…`.
        let kind = kind.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
        Self {
            kind: answer.quoted(kind),
            words: answer.quoted(&words.unwrap_or_default()),
            status: answer.status,
            retry_after: answer.retry_after(),
        }
    }

    /// Whether other credentials, had anew, may be accepted.
    pub(super) fn is_about_credentials(&self) -> bool {
        matches!(self.meaning(), Meaning::Expired | Meaning::NotAccepted)
    }

    /// Whether a clock that is off may be to blame.
    pub(super) fn may_be_the_clock(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "RequestTimeTooSkewed"
                | "RequestExpired"
                | "RequestInTheFuture"
                | "InvalidSignatureException"
                | "SignatureDoesNotMatch"
                | "AuthFailure"
        )
    }

    /// The error that it is for who asked.
    pub(super) fn error(self, asked: Asked<'_>) -> SecretsError {
        let (provider, retry_after) = (ProviderType::Aws, self.retry_after);
        if let Some(error) = self.told_by_words(asked) {
            return error;
        }
        let detail = self.detail();
        let path = asked.path.to_owned();
        match self.meaning() {
            Meaning::Missing => self.missing(asked).into(),
            Meaning::WrongRequest => ConfigurationError::InvalidRequest { provider, detail }.into(),
            Meaning::Expired => AuthenticationError::ExpiredCredentials { provider, detail }.into(),
            Meaning::NotAccepted => AuthenticationError::InvalidCredentials { provider, detail }.into(),
            Meaning::Denied => AccessError::AccessDenied { path, detail }.into(),
            Meaning::Key => AccessError::KmsAccessDenied { path, detail }.into(),
            Meaning::TooOften => ProviderError::RateLimited { provider, detail, retry_after }.into(),
            Meaning::Quota => ProviderError::QuotaExceeded { provider, detail }.into(),
            Meaning::Unavailable => {
                ProviderError::ProviderUnavailable { provider, detail, retry_after }.into()
            }
            Meaning::Internal => ProviderError::InternalError { provider, detail }.into(),
        }
    }

    fn detail(&self) -> String {
        match (self.kind.as_str(), self.words.as_str()) {
            ("", _) => format!("status {} without a type", self.status),
            (kind, "") => kind.to_owned(),
            (kind, words) => format!("{kind}: {words}"),
        }
    }

    fn meaning(&self) -> Meaning {
        match self.kind.as_str() {
            "ResourceNotFoundException" => Meaning::Missing,
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => Meaning::Expired,
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "RequestTimeTooSkewed"
            | "RequestInTheFuture"
            | "AuthFailure" => Meaning::NotAccepted,
            "AccessDeniedException"
            | "AccessDenied"
            | "NotAuthorized"
            | "UnauthorizedOperation"
            | "OptInRequired" => Meaning::Denied,
            "DecryptionFailure"
            | "DecryptionFailureException"
            | "EncryptionFailure"
            | "EncryptionFailureException" => Meaning::Key,
            "LimitExceededException" => Meaning::Quota,
            "InternalServiceError"
            | "InternalServiceErrorException"
            | "InternalFailure"
            | "InternalServerError" => Meaning::Internal,
            "ServiceUnavailable"
            | "ServiceUnavailableException"
            | "RequestTimeout"
            | "RequestTimeoutException" => Meaning::Unavailable,
            kind if kind.starts_with("KMS") => Meaning::Key,
            kind if is_throttling(kind) => Meaning::TooOften,
            _ => self.meaning_of_status(),
        }
    }

    /// For a type that is not known here, or an answer without one.
    fn meaning_of_status(&self) -> Meaning {
        match self.status {
            429 => Meaning::TooOften,
            502..=504 => Meaning::Unavailable,
            400..=499 if !self.kind.is_empty() => Meaning::WrongRequest,
            401 | 403 => Meaning::Denied,
            _ => Meaning::Internal,
        }
    }

    /// What stands in the words and not in the type.
    fn told_by_words(&self, asked: Asked<'_>) -> Option<SecretsError> {
        let path = || asked.path.to_owned();
        let says = |words: &str| self.words.contains(words);
        match self.kind.as_str() {
            "InvalidRequestException" | "InvalidParameterException" => {
                if ["marked for deletion", "marked deleted", "scheduled for deletion"].into_iter().any(says) {
                    return Some(SecretNotFoundError::Deleted { path: path() }.into());
                }
                if says("VersionStage that is not associated") {
                    let stage = asked.stage.unwrap_or(CURRENT).to_owned();
                    return Some(SecretNotFoundError::StageNotFound { path: path(), stage }.into());
                }
                self.told_of_rotation(asked)
            }
            "AccessDeniedException" if says("Lambda") && asked.operation == ROTATE => {
                Some(RotationError::RotationFailed { path: path(), detail: self.detail() }.into())
            }
            "AccessDeniedException" if says("Access to KMS") || says("perform: kms:") => {
                Some(AccessError::KmsAccessDenied { path: path(), detail: self.detail() }.into())
            }
            "AccessDeniedException" if says("resource-based policy") || says("VPC endpoint policy") => {
                Some(AccessError::ResourcePolicyDenied { path: path(), detail: self.detail() }.into())
            }
            "ResourceNotFoundException" if says("Lambda") && asked.operation == ROTATE => {
                Some(RotationError::RotationFailed { path: path(), detail: self.detail() }.into())
            }
            _ => None,
        }
    }

    fn told_of_rotation(&self, asked: Asked<'_>) -> Option<SecretsError> {
        if asked.operation != ROTATE || self.kind != "InvalidRequestException" {
            return None;
        }
        let path = asked.path.to_owned();
        if self.words.contains("previous rotation") {
            return Some(RotationError::RotationInProgress { path }.into());
        }
        let detail = self.detail();
        if ["Lambda function ARN", "No Lambda rotation function"]
            .iter()
            .any(|words| self.words.contains(words))
        {
            return Some(RotationError::RotationNotConfigured { path, detail }.into());
        }
        Some(RotationError::RotationFailed { path, detail }.into())
    }

    /// The store has the secret if it misses a version or a label of it only.
    fn missing(&self, asked: Asked<'_>) -> SecretNotFoundError {
        let path = asked.path.to_owned();
        if self.words.contains("staging label") {
            let stage = asked.stage.unwrap_or(CURRENT).to_owned();
            return SecretNotFoundError::StageNotFound { path, stage };
        }
        match asked.version {
            Some(version) if self.words.contains("VersionId") => {
                SecretNotFoundError::VersionNotFound { path, version: version.to_owned() }
            }
            _ => SecretNotFoundError::SecretDoesNotExist { path },
        }
    }
}

/// The operation that begins a rotation.
pub(super) const ROTATE: &str = "RotateSecret";

/// The types by which AWS's SDKs know that they ask too often; its limits that waiting does not lift have another.
fn is_throttling(kind: &str) -> bool {
    matches!(
        kind,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "TransactionInProgressException"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "PriorRequestNotComplete"
            | "SlowDown"
            | "EC2ThrottledException"
    )
}
