//! Credentials of an EC2 instance's role, by version 2 of its metadata service: with a session token, which a request that
//! was tricked out of a program does not have. Version 1 is not asked. Knows nothing of containers and profiles.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderValue},
};
use url::Url;

use super::{AwsCredentials, CredentialProvider, Surroundings, given, none};
use crate::{
    providers::environment::Environment,
    transport::{Answer, Http},
    types::SecretsError,
};

const WHO: &str = "the instance metadata service";
const ADDRESS: &str = "http://169.254.169.254";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";
/// How long a session's token is good, in seconds; each look needs it for two requests.
const SESSION: &str = "300";

/// The metadata service of EC2, or where `AWS_EC2_METADATA_SERVICE_ENDPOINT` says that it is.
#[derive(Debug)]
pub(super) struct Instance {
    environment: Environment,
    http: Http,
    may_be_missing: bool,
    was_there: AtomicBool,
}

impl Instance {
    pub(super) fn new(around: &Surroundings) -> Self {
        Self {
            environment: around.environment.clone(),
            http: around.metadata.clone(),
            may_be_missing: false,
            was_there: AtomicBool::new(false),
        }
    }

    /// One that has nothing if it never answered: the machine is no instance then.
    pub(super) fn that_may_be_missing(around: &Surroundings) -> Self {
        Self { may_be_missing: true, ..Self::new(around) }
    }

    fn address(&self) -> Result<Url, SecretsError> {
        let address = self.environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let mut url = Url::parse(address.as_deref().unwrap_or(ADDRESS))
            .map_err(|_| none("AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL"))?;
        url.set_path("/");
        Ok(url)
    }

    async fn session(&self, base: &Url) -> Result<HeaderValue, SecretsError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-aws-ec2-metadata-token-ttl-seconds", HeaderValue::from_static(SESSION));
        let answer = self.http.send(Method::PUT, at(base, "latest/api/token")?, headers, None).await?;
        if answer.status != 200 {
            return Err(given::refused(&answer, WHO));
        }
        let mut token = HeaderValue::from_bytes(&answer.body)
            .map_err(|_| none("the instance metadata service gave a token that is no header"))?;
        token.set_sensitive(true);
        Ok(token)
    }

    async fn ask(&self, url: Url, session: &HeaderValue) -> Result<Answer, SecretsError> {
        let headers = HeaderMap::from_iter([(
            reqwest::header::HeaderName::from_static("x-aws-ec2-metadata-token"),
            session.clone(),
        )]);
        self.http.send(Method::GET, url, headers, None).await
    }
}

#[async_trait]
impl CredentialProvider for Instance {
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError> {
        let off = self.environment.get("AWS_EC2_METADATA_DISABLED");
        if off.is_some_and(|off| off.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let base = self.address()?;
        let session = match self.session(&base).await {
            Err(SecretsError::Network(_)) if self.may_be_missing && !self.was_there.load(Relaxed) => {
                return Ok(None);
            }
            session => session?,
        };
        self.was_there.store(true, Relaxed);
        let roles = self.ask(at(&base, ROLES)?, &session).await?;
        if roles.status == 404 {
            // An instance without a role.
            return Ok(None);
        }
        if roles.status != 200 {
            return Err(given::refused(&roles, WHO));
        }
        let role = std::str::from_utf8(&roles.body).unwrap_or_default().lines().next().unwrap_or_default();
        let answer = self.ask(at(&base, &format!("{ROLES}{}", role.trim()))?, &session).await?;
        given::read(&answer, WHO).map(Some)
    }
}

fn at(base: &Url, path: &str) -> Result<Url, SecretsError> {
    base.join(path).map_err(|_| none("the instance metadata service names a role that cannot be"))
}
