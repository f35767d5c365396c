//! Requests as a Vault wants them: under `/v1`, with its headers, following a standby's one redirect. Knows nothing of
//! what is asked or how to log in.

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;
use url::Url;

use super::VaultConfig;
use crate::{
    transport::{Answer, Http},
    types::{
        AuthenticationError, ConfigurationError, ProviderError, ProviderType, SecretString, SecretsError,
    },
};

/// One Vault.
pub(super) struct Door {
    http: Http,
    base: Url,
    namespace: Option<HeaderValue>,
}

/// What is asked of a Vault.
pub(super) struct Request<'a> {
    pub method: Method,
    /// Below `/v1`, each segment on its own.
    pub path: Vec<&'a str>,
    pub query: Option<(&'a str, &'a str)>,
    pub token: Option<&'a SecretString>,
    pub body: Option<serde_json::Value>,
}

impl<'a> Request<'a> {
    /// A GET with this token.
    pub fn get(path: Vec<&'a str>, token: &'a SecretString) -> Self {
        Self { method: Method::GET, path, query: None, token: Some(token), body: None }
    }
}

impl Door {
    pub fn new(config: &VaultConfig) -> Result<Self, ConfigurationError> {
        let base = config.address.clone();
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            let detail = format!("vault has the address {base}, which is not of the form https://host:port");
            return Err(ConfigurationError::MissingEndpoint { detail });
        }
        let namespace = config.namespace.as_deref().map(HeaderValue::from_str).transpose().map_err(|_| {
            ConfigurationError::InvalidProvider {
                detail: "vault has a namespace that no header can carry".into(),
            }
        })?;
        Ok(Self { http: Http::new(&config.transport)?, base, namespace })
    }

    /// Where it is, without `/v1`.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Asks once, and once more where a standby sends on to.
    pub async fn ask(&self, request: Request<'_>) -> Result<Answer, SecretsError> {
        let mut headers = self.headers(request.token)?;
        if let Some(namespace) = &self.namespace {
            headers.insert(HeaderName::from_static("x-vault-namespace"), namespace.clone());
        }
        let mut url = self.url(&request.path);
        if let Some((name, value)) = request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let body = request.body.map(|body| body.to_string().into_bytes());
        let answer =
            self.http.send(request.method.clone(), url.clone(), headers.clone(), body.clone()).await?;
        if answer.status != 307 {
            return Ok(answer);
        }
        let onward = onward(&url, &request.path, answer.header("location"))?;
        self.http.send(request.method, onward, headers, body).await
    }

    /// How the node itself is, which no namespace and no token has a part in.
    pub async fn health(&self) -> Result<Answer, SecretsError> {
        let headers = self.headers(None)?;
        self.http.send(Method::GET, self.url(&["sys", "health"]), headers, None).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("an http URL with a host has a path")
            .pop_if_empty()
            .push("v1")
            .extend(path);
        url
    }

    fn headers(&self, token: Option<&SecretString>) -> Result<HeaderMap, SecretsError> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
                AuthenticationError::NoCredentials {
                    provider: ProviderType::Vault,
                    detail: "the token has characters that no header can carry".into(),
                }
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-vault-token"), value);
        }
        Ok(headers)
    }
}

/// Where a standby sends on to: another node, at its own address, and there to the same `path`. It may not be out of TLS, and
/// whoever sends on to another path is no standby: a page to log in at must not be shown a token.
fn onward(from: &Url, path: &[&str], location: Option<&str>) -> Result<Url, SecretsError> {
    let onward = location.and_then(|location| from.join(location).ok());
    let below = format!("/{}", path.join("/"));
    match onward {
        Some(mut onward)
            if onward.scheme() == from.scheme() && decoded(onward.path()).ends_with(below.as_bytes()) =>
        {
            onward.set_query(from.query());
            Ok(onward)
        }
        _ => Err(ProviderError::ProviderUnavailable {
            provider: ProviderType::Vault,
            detail: format!("it sends on to no node, or away from {}", from.scheme()),
            retry_after: None,
        }
        .into()),
    }
}

/// A path's bytes, in whichever way it is written: Vault and this crate do not escape the same ones.
fn decoded(path: &str) -> Vec<u8> {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(digits.unwrap_or(b'%'));
        bytes.extend_from_slice(&part.as_bytes()[if digits.is_some() { 2 } else { 0 }..]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_never_leaves_tls() {
        let from = Url::parse("https://a.example:8200/v1/secret/data/x?version=1").unwrap();
        let onward = |location| onward(&from, &["secret", "data", "x"], location);
        assert!(onward(Some("http://b.example:8200/v1/secret/data/x")).is_err());
        assert!(onward(None).is_err());
        let to = onward(Some("https://b.example:8200/v1/secret/data/x?version=1")).unwrap();
        assert_eq!(to.as_str(), "https://b.example:8200/v1/secret/data/x?version=1");
    }

    #[test]
    fn a_redirect_leads_to_what_was_asked_for() {
        let path = ["secret", "data", "a!b", "c?d"];
        let from = Url::parse("https://gate.example/vault/v1/secret/data/a!b/c%3Fd?version=1").unwrap();
        let onward = |location| onward(&from, &path, Some(location));
        let to = onward("https://b.example/v1/secret/data/a%21b/c%3fd").unwrap();
        assert_eq!(to.as_str(), "https://b.example/v1/secret/data/a%21b/c%3fd?version=1");
        for elsewhere in
            ["https://b.example/login", "/v1/secret/data/a!b", "https://b.example/v1/secret/data/a!b/c?d"]
        {
            assert!(onward(elsewhere).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn a_path_is_read_however_it_is_escaped() {
        assert_eq!(decoded("/a%20b%2fc%zz%"), b"/a b/c%zz%");
        assert_eq!(decoded("/%C3%BC%\u{e4}x"), "/ü%äx".as_bytes());
    }

    #[test]
    fn what_a_path_has_stays_in_its_segment() {
        let config = serde_json::json!({"address": "https://a.example/vault/", "auth": {"token": "t"}});
        let door = Door::new(&serde_json::from_value(config).unwrap()).unwrap();
        let url = door.url(&["secret", "data", "a?b#c", "%2e%2e", "ü"]);
        assert_eq!(url.as_str(), "https://a.example/vault/v1/secret/data/a%3Fb%23c/%252e%252e/%C3%BC");
    }
}
