//! Credentials that ECS, or EKS Pod Identity, gives to a container at an address of the machine itself. Knows nothing of
//! instances and profiles.

use std::{net::IpAddr, path::Path};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::{AwsCredentials, CredentialProvider, Surroundings, given, none};
use crate::{
    providers::environment::Environment,
    secret_file,
    transport::Http,
    types::{SecretString, SecretsError},
};

const WHO: &str = "the container's credential endpoint";
/// Where ECS answers; a relative address goes there.
const ECS: &str = "http://169.254.170.2";
/// Where credentials may be asked for in plain beside this machine itself: ECS, and EKS Pod Identity.
const IN_PLAIN: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// What `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `AWS_CONTAINER_CREDENTIALS_FULL_URI` points at.
#[derive(Debug)]
pub(super) struct Container {
    environment: Environment,
    http: Http,
    metadata: Http,
}

impl Container {
    pub(super) fn new(around: &Surroundings) -> Self {
        Self {
            environment: around.environment.clone(),
            http: around.http.clone(),
            metadata: around.metadata.clone(),
        }
    }

    fn address(&self) -> Result<Option<Url>, SecretsError> {
        let relative = self.environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let full = self.environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let text = match (relative, full) {
            (Some(relative), _) if relative.starts_with('/') => format!("{ECS}{relative}"),
            (Some(_), _) => return Err(none("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI begins with no /")),
            (None, Some(full)) => full,
            (None, None) => return Ok(None),
        };
        let url = Url::parse(&text).map_err(|_| none("AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL"))?;
        if url.scheme() != "https" && !may_be_plain(&url) {
            let detail =
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is asked over TLS, on this machine or at ECS and EKS";
            return Err(none(detail));
        }
        Ok(Some(url))
    }

    /// What the endpoint knows the container by. A file is read each time, since others renew it.
    async fn token(&self) -> Result<Option<SecretString>, SecretsError> {
        match self.environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(file) => secret_file::token_aside(Path::new(&file)).await.map(Some).map_err(none),
            None => Ok(self.environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(SecretString::from)),
        }
    }
}

#[async_trait]
impl CredentialProvider for Container {
    async fn credentials(&self) -> Result<Option<AwsCredentials>, SecretsError> {
        let Some(url) = self.address()? else { return Ok(None) };
        let mut headers = HeaderMap::new();
        if let Some(token) = self.token().await? {
            let mut value = HeaderValue::from_str(token.expose_secret().trim())
                .map_err(|_| none("the container's authorization token is no header"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = if url.scheme() == "https" { &self.http } else { &self.metadata };
        let answer = http.send(Method::GET, url, headers, None).await?;
        given::read(&answer, WHO).map(Some)
    }
}

fn may_be_plain(url: &Url) -> bool {
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        Some(Host::Domain(name)) => return name == "localhost",
        None => return false,
    };
    address.is_loopback() || IN_PLAIN.iter().any(|known| known.parse() == Ok(address))
}
