//! Credentials of a role, from AWS's token service: for a token of another identity provider, or for other credentials.
//! Knows nothing of where those are found.

use std::{fmt, path::PathBuf};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use roxmltree::Document;
use secrecy::ExposeSecret;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{AwsCredentials, CredentialProvider, Surroundings, WebIdentity, none, not_given};
use crate::{
    providers::aws::{endpoint, regions::is_away, sign},
    secret_file,
    transport::Answer,
    types::{AuthenticationError, ProviderError, ProviderType, SecretsError},
};

/// What a session is called in AWS's logs unless somebody says otherwise.
const SESSION: &str = "secrets-manager";

/// A role that other credentials may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) duration_seconds: Option<String>,
}

/// What shows who asks.
#[derive(Clone, Copy)]
enum Proof<'a> {
    /// The signature with these.
    Signature(&'a AwsCredentials),
    /// A token, which the form has.
    Token(&'a str),
}

/// A role's credentials, for a token of another identity provider.
pub(super) struct FromWebIdentity {
    identity: WebIdentity,
    around: Surroundings,
}

impl fmt::Debug for FromWebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}

impl FromWebIdentity {
    pub(super) fn new(identity: WebIdentity, around: &Surroundings) -> Self {
        Self { identity, around: around.clone() }
    }

    /// What `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` say, if they are set.
    pub(super) fn of_environment(around: &Surroundings) -> Option<Self> {
        let identity = WebIdentity {
            token_file: PathBuf::from(around.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE")?),
            role_arn: around.environment.get("AWS_ROLE_ARN")?,
            session_name: around.environment.get("AWS_ROLE_SESSION_NAME"),
        };
        Some(Self::new(identity, around))
    }
}

#[async_trait]
impl CredentialProvider for FromWebIdentity {
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError> {
        let token = secret_file::token_aside(&self.identity.token_file).await.map_err(none)?;
        let form = form(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", &self.identity.role_arn),
            ("RoleSessionName", self.identity.session_name.as_deref().unwrap_or(SESSION)),
            ("WebIdentityToken", token.expose_secret()),
        ]);
        ask(&self.around, &form, Proof::Token(token.expose_secret())).await.map(Some)
    }
}

/// A role's credentials, for others.
pub(super) async fn assume(
    role: &Role,
    as_whom: &AwsCredentials,
    around: &Surroundings,
) -> Result<AwsCredentials, SecretsError> {
    let mut fields = vec![
        ("Action", "AssumeRole"),
        ("RoleArn", &role.arn),
        ("RoleSessionName", role.session_name.as_deref().unwrap_or(SESSION)),
    ];
    fields.extend(role.external_id.as_deref().map(|id| ("ExternalId", id)));
    fields.extend(role.duration_seconds.as_deref().map(|seconds| ("DurationSeconds", seconds)));
    ask(around, &form(&fields), Proof::Signature(as_whom)).await
}

fn form(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let mut form = form_urlencoded::Serializer::new(String::from("Version=2011-06-15"));
    Zeroizing::new(form.extend_pairs(fields).finish())
}

/// Asks the regions' token services one after another while they are away, as secrets are asked for: where a region is
/// away, both are.
async fn ask(around: &Surroundings, form: &str, proof: Proof<'_>) -> Result<AwsCredentials, SecretsError> {
    let mut failure = None;
    for region in &around.regions {
        match ask_in(region, around, form, proof).await {
            Err(error) if is_away(&error) => failure = failure.or(Some(error)),
            answered => return answered,
        }
    }
    Err(failure.unwrap_or_else(|| not_given("no region's STS was asked")))
}

async fn ask_in(
    region: &str,
    around: &Surroundings,
    form: &str,
    proof: Proof<'_>,
) -> Result<AwsCredentials, SecretsError> {
    let url = match around.environment.get("AWS_ENDPOINT_URL_STS") {
        Some(url) => Url::parse(&url).map_err(|_| none("AWS_ENDPOINT_URL_STS is no URL"))?,
        None => endpoint::of("sts", region, endpoint::Kind::default())?,
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    if let Proof::Signature(credentials) = proof {
        let scope = sign::Scope { region, service: "sts", at: around.clock.now() };
        sign::add_signature(&mut headers, &Method::POST, &url, form.as_bytes(), credentials, scope)?;
    }
    let mut answer = around.http.send(Method::POST, url, headers, Some(form.as_bytes().to_vec())).await?;
    if let Proof::Token(token) = proof {
        answer = answer.after_sending([token]);
    }
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    // A document type, with which XML can be made to grow or to read files, is refused by the parser.
    let document = Document::parse(text).ok();
    let found = document.as_ref().filter(|_| answer.status == 200).and_then(read);
    found.ok_or_else(|| refusal(&answer, document.as_ref()))
}

fn read(document: &Document<'_>) -> Option<AwsCredentials> {
    Some(AwsCredentials {
        access_key_id: text(document, "AccessKeyId")?.to_owned(),
        secret_access_key: text(document, "SecretAccessKey")?.into(),
        session_token: Some(text(document, "SessionToken")?.into()),
        expires_at: Some(text(document, "Expiration")?.parse().ok()?),
    })
}

fn text<'a>(document: &'a Document<'_>, name: &str) -> Option<&'a str> {
    document.descendants().find(|node| node.tag_name().name() == name)?.text()
}

fn refusal(answer: &Answer, document: Option<&Document<'_>>) -> SecretsError {
    let code = document.and_then(|document| text(document, "Code")).unwrap_or_default();
    let words = document.and_then(|document| text(document, "Message")).unwrap_or("an answer that is none");
    let detail =
        format!("STS answers with status {}: {}", answer.status, answer.quoted(&format!("{code}: {words}")));
    let (provider, retry_after) = (ProviderType::Aws, answer.retry_after());
    match code {
        "ExpiredToken" | "ExpiredTokenException" => {
            AuthenticationError::ExpiredCredentials { provider, detail }.into()
        }
        "AccessDenied" | "RegionDisabledException" => {
            AuthenticationError::InsufficientPermissions { provider, detail }.into()
        }
        "InvalidIdentityToken" | "IDPRejectedClaim" | "InvalidClientTokenId" | "SignatureDoesNotMatch" => {
            AuthenticationError::InvalidCredentials { provider, detail }.into()
        }
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" => {
            ProviderError::RateLimited { provider, detail, retry_after }.into()
        }
        "IDPCommunicationError" => {
            ProviderError::ProviderUnavailable { provider, detail, retry_after }.into()
        }
        _ if answer.status == 429 => ProviderError::RateLimited { provider, detail, retry_after }.into(),
        _ if answer.status >= 500 => {
            ProviderError::ProviderUnavailable { provider, detail, retry_after }.into()
        }
        _ => not_given(detail),
    }
}
