//! What each store answers over HTTP when something is wrong, as its documentation and its users' reports have it. Knows
//! nothing of who reads it: a test serves it to a provider, whose own reading of errors has to make of it what
//! [`Fault::error`] says.

use super::fault::Fault;
use crate::types::ProviderType;

/// A store's answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Headers beside the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl WireAnswer {
    fn json(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: vec![("content-type", "application/json".into())], body: body.into() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Fault {
    /// What `provider` answers to a question for a secret when this goes wrong; none where it is no answer (no
    /// connection, no answer in time, a late one), where the store knows nothing of the kind, or has no HTTP.
    pub fn wire_answer(self, provider: ProviderType) -> Option<WireAnswer> {
        let answer = match provider {
            ProviderType::Aws => self.aws(),
            ProviderType::Vault => self.vault(),
            ProviderType::Azure => self.azure(),
            ProviderType::Gcp => self.gcp(),
            ProviderType::Covault => self.covault(),
            ProviderType::Local | ProviderType::Simulation => None,
        }?;
        let waits = match self {
            Self::Throttled { retry_after } | Self::Unavailable { retry_after } => retry_after,
            _ => None,
        };
        Some(match waits {
            Some(wait) => answer.with("retry-after", wait.as_secs().to_string()),
            None => answer,
        })
    }

    /// Secrets Manager tells errors by type, most of them with status 400.
    fn aws(self) -> Option<WireAnswer> {
        let (status, name, message) = match self {
            Self::Throttled { .. } => (400, "ThrottlingException", "Rate exceeded"),
            Self::Unavailable { .. } => (503, "ServiceUnavailable", "Service is unable to handle request."),
            Self::Internal => (500, "InternalServiceError", "An error occurred on the server side."),
            Self::Denied => (
                400,
                "AccessDeniedException",
                "User: arn:aws:iam::123456789012:user/app is not authorized to perform: \
                 secretsmanager:GetSecretValue because no identity-based policy allows the action",
            ),
            Self::NotFound => {
                (400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
            }
            Self::Deleted => (
                400,
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            ),
            Self::ExpiredCredentials => {
                (400, "ExpiredTokenException", "The security token included in the request is expired")
            }
            Self::Malformed => return Some(WireAnswer::json(200, r#"{"ARN":"arn:aws:secretsm"#)),
            Self::Timeout | Self::Disconnected | Self::Disabled | Self::Slow { .. } => return None,
        };
        let body = format!(r#"{{"__type":"{name}","Message":"{message}"}}"#);
        let answer = WireAnswer { headers: Vec::new(), ..WireAnswer::json(status, body) };
        Some(answer.with("content-type", "application/x-amz-json-1.1"))
    }

    /// Vault says the same of a token that has expired and of a policy that is missing.
    fn vault(self) -> Option<WireAnswer> {
        let (status, body) = match self {
            Self::Throttled { .. } => {
                (429, r#"{"errors":["request path \"secret/data/a\": rate limit quota exceeded"]}"#)
            }
            Self::Unavailable { .. } => (503, r#"{"errors":["Vault is sealed"]}"#),
            Self::Internal => (500, r#"{"errors":["internal error"]}"#),
            Self::Denied | Self::ExpiredCredentials => (403, r#"{"errors":["permission denied"]}"#),
            Self::NotFound => (404, r#"{"errors":[]}"#),
            Self::Deleted => (
                404,
                r#"{"request_id":"6e1ae3ba-7b9c-4a2e-9f83-0c7f6e0a4c1d","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":null,"metadata":{"created_time":"2025-01-01T00:00:00Z","custom_metadata":null,"deletion_time":"2025-01-02T00:00:00Z","destroyed":false,"version":1}},"wrap_info":null,"warnings":null,"auth":null}"#,
            ),
            Self::Malformed => (200, r#"{"data":{"data":{"#),
            Self::Timeout | Self::Disconnected | Self::Disabled | Self::Slow { .. } => return None,
        };
        Some(WireAnswer::json(status, body))
    }

    fn azure(self) -> Option<WireAnswer> {
        let (status, code, inner, message) = match self {
            Self::Throttled { .. } => (
                429,
                "Throttled",
                None,
                "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
            ),
            Self::Unavailable { .. } => (503, "ServiceUnavailable", None, "The service is unavailable."),
            Self::Internal => (500, "InternalServerError", None, "An unexpected error occurred."),
            Self::Denied => (
                403,
                "Forbidden",
                Some("ForbiddenByRbac"),
                "Caller is not authorized to perform action on resource.",
            ),
            Self::NotFound | Self::Deleted => (
                404,
                "SecretNotFound",
                None,
                "A secret with (name/id) a was not found in this key vault. If you recently deleted this secret you may be \
                 able to recover it using the correct recovery command.",
            ),
            Self::Disabled => (
                403,
                "Forbidden",
                Some("SecretDisabled"),
                "Operation get is not allowed on a disabled secret.",
            ),
            Self::ExpiredCredentials => (
                401,
                "Unauthorized",
                None,
                "AKV10046: Unable to resolve the key used for signature validation.",
            ),
            Self::Malformed => return Some(WireAnswer::json(200, r#"{"value":"#)),
            Self::Timeout | Self::Disconnected | Self::Slow { .. } => return None,
        };
        let inner = inner.map_or_else(String::new, |inner| format!(r#","innererror":{{"code":"{inner}"}}"#));
        Some(WireAnswer::json(
            status,
            format!(r#"{{"error":{{"code":"{code}","message":"{message}"{inner}}}}}"#),
        ))
    }

    fn gcp(self) -> Option<WireAnswer> {
        let (code, status, message) = match self {
            Self::Throttled { .. } => (
                429,
                "RESOURCE_EXHAUSTED",
                "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute'.",
            ),
            Self::Unavailable { .. } => (503, "UNAVAILABLE", "The service is currently unavailable."),
            Self::Internal => (500, "INTERNAL", "Internal error encountered."),
            Self::Denied => (
                403,
                "PERMISSION_DENIED",
                "Permission 'secretmanager.versions.access' denied for resource 'projects/p/secrets/a/versions/latest' (or it may not exist).",
            ),
            Self::NotFound => {
                (404, "NOT_FOUND", "Secret [projects/1/secrets/a] not found or has no versions.")
            }
            Self::Deleted => (
                400,
                "FAILED_PRECONDITION",
                "Secret Version [projects/1/secrets/a/versions/1] is in DESTROYED state.",
            ),
            Self::Disabled => (
                400,
                "FAILED_PRECONDITION",
                "Secret Version [projects/1/secrets/a/versions/1] is in DISABLED state.",
            ),
            Self::ExpiredCredentials => {
                (401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
            }
            Self::Malformed => return Some(WireAnswer::json(200, r#"{"name":"projects/1"#)),
            Self::Timeout | Self::Disconnected | Self::Slow { .. } => return None,
        };
        let details = match self {
            Self::ExpiredCredentials => {
                r#","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_TOKEN_EXPIRED","domain":"googleapis.com"}]"#
            }
            _ => "",
        };
        let body =
            format!(r#"{{"error":{{"code":{code},"message":"{message}","status":"{status}"{details}}}}}"#);
        Some(WireAnswer::json(code, body))
    }

    /// Covault does not tell a token that has expired from one that was never known.
    fn covault(self) -> Option<WireAnswer> {
        let (status, code, detail) = match self {
            Self::Throttled { .. } => {
                (429, "rate_limited", "The caller asks for more values in a second than it may.")
            }
            Self::Unavailable { .. } => (503, "unconfirmed", "A majority could not confirm it."),
            Self::Internal => (500, "internal", "The log says why."),
            Self::Denied => (403, "forbidden", "This caller may not do that."),
            Self::NotFound => (404, "not_found", "It does not exist, or this caller may not see it."),
            Self::Deleted => (410, "version_deleted", "It can be brought back by undelete."),
            Self::ExpiredCredentials => (401, "unauthenticated", "The token is not known, or no longer."),
            Self::Malformed => return Some(WireAnswer::json(200, r#"{"name":"a","value":"#)),
            Self::Timeout | Self::Disconnected | Self::Disabled | Self::Slow { .. } => return None,
        };
        let body = format!(
            r#"{{"type":"urn:covault:problem:{code}","title":"{code}","status":{status},"code":"{code}","detail":"{detail}"}}"#
        );
        let answer = WireAnswer { headers: Vec::new(), ..WireAnswer::json(status, body) };
        Some(answer.with("content-type", "application/problem+json"))
    }
}
