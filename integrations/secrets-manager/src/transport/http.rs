//! The door to the HTTP library.

use std::{env, error::Error, path::PathBuf, time::Duration};

use reqwest::{Client, Method, NoProxy, Proxy, header::HeaderMap, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Host, Url, form_urlencoded::byte_serialize};
use zeroize::Zeroizing;

use super::quote::quoted;
use crate::{
    secret_file,
    types::{ConfigurationError, NetworkError, SecretString, SecretsError},
};

/// The largest answer that is read, in bytes. Stores bound values at 25 KiB (Azure) to 1 MiB (Vault).
const LARGEST_ANSWER: usize = 4 << 20;
/// The largest file of certificate authorities that is read, in bytes; a system has some 250,000.
const LARGEST_CA_FILE: u64 = 4 << 20;
/// The variables that name a proxy for TLS, those that count first in front.
const PROXIES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// How a store is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransportConfig {
    /// How long a connection may take to come about.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long an exchange may take, connection included.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// A PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Lets secrets and credentials go over plain HTTP to other machines. To this one they may without.
    pub allow_plain_http: bool,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            ca_file: None,
            allow_plain_http: false,
        }
    }
}

/// What a store answered. The body is wiped when it is dropped.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Zeroizing<Vec<u8>>,
    /// The credentials that were asked with.
    sent: Vec<SecretString>,
}

impl Answer {
    /// Words of the answer as an error may have them: in one line, not too many, and without the credentials that were
    /// asked with.
    pub(crate) fn quoted(&self, words: &str) -> String {
        quoted(words, &self.sent)
    }

    /// The answer to a request that had these credentials in its body.
    pub(crate) fn after_sending<'s>(mut self, secrets: impl IntoIterator<Item = &'s str>) -> Self {
        for secret in secrets {
            self.sent.push(secret.into());
            // As a form has it.
            self.sent.push(byte_serialize(secret.as_bytes()).collect::<String>().into());
        }
        self
    }

    /// The body as JSON; none if it is not of this form.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// An answer to a request without credentials.
    #[cfg(test)]
    pub(crate) fn of(status: u16, headers: HeaderMap, body: &str) -> Self {
        Self { status, headers, body: Zeroizing::new(body.as_bytes().to_vec()), sent: Vec::new() }
    }

    /// A header's text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long `Retry-After` asks to wait, where it says so in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Sends requests to one store.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    allow_plain_http: bool,
}

impl Http {
    /// Connections as `config` says, those with TLS through the proxy that `HTTPS_PROXY` or `ALL_PROXY` names, unless
    /// `NO_PROXY` excepts the host. What goes in plain goes straight: a proxy would read it.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidProvider`] if the file of authorities cannot be read or used, or the proxy is none.
    pub fn new(config: &TransportConfig) -> Result<Self, ConfigurationError> {
        Self::with(config, proxy_for_tls()?)
    }

    /// Connections to a cloud's metadata service, which is one hop away or not there: soon given up, never through a
    /// proxy, and in plain, since it has no certificate. Only what such a service may see goes through these.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidProvider`] if the system has no HTTP client.
    pub fn metadata() -> Result<Self, ConfigurationError> {
        let config = TransportConfig {
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            allow_plain_http: true,
            ..TransportConfig::default()
        };
        Self::with(&config, None)
    }

    fn with(config: &TransportConfig, proxy: Option<Proxy>) -> Result<Self, ConfigurationError> {
        let mut builder = Client::builder()
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .redirect(Policy::none())
            .tcp_nodelay(true);
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy);
        }
        if let Some(file) = &config.ca_file {
            let wrong = |why: &dyn std::fmt::Display| ConfigurationError::InvalidProvider {
                detail: format!("certificate authorities of {}: {why}", file.display()),
            };
            let pem = secret_file::read(file, LARGEST_CA_FILE).map_err(|error| wrong(&error))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
            builder = authorities.into_iter().fold(builder, |builder, one| builder.add_root_certificate(one));
        }
        let client = builder.build().map_err(|error| {
            let trusting = config.ca_file.as_ref().map(|file| format!(" that trusts {}", file.display()));
            let detail = format!("no HTTP client{}: {}", trusting.unwrap_or_default(), chain(&error));
            ConfigurationError::InvalidProvider { detail }
        })?;
        Ok(Self { client, allow_plain_http: config.allow_plain_http })
    }

    /// One exchange. Whatever the store answers is an answer, errors included. What headers are credentials is told by
    /// [`HeaderValue::set_sensitive`](reqwest::header::HeaderValue::set_sensitive).
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidProvider`] if it would go in plain to another machine, a [`NetworkError`] if there
    /// is no whole answer.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, SecretsError> {
        if url.scheme() != "https" && !self.allow_plain_http && !is_this_machine(&url) {
            let detail = format!("{} would be asked without TLS", place(&url));
            return Err(ConfigurationError::InvalidProvider { detail }.into());
        }
        let (place, sent) = (place(&url), credentials(&headers));
        let mut request = self.client.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(|error| network(&error, &place))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut whole = Zeroizing::new(Vec::new());
        while let Some(part) = response.chunk().await.map_err(|error| network(&error, &place))? {
            if LARGEST_ANSWER < whole.len() + part.len() {
                let detail = format!("{place} answers with more than {LARGEST_ANSWER} bytes");
                return Err(NetworkError::ConnectionFailed { detail }.into());
            }
            whole.extend_from_slice(&part);
        }
        Ok(Answer { status, headers, body: whole, sent })
    }
}

fn proxy_for_tls() -> Result<Option<Proxy>, ConfigurationError> {
    let named = PROXIES.iter().find_map(|name| env::var(name).ok().filter(|url| !url.is_empty()));
    let Some(url) = named else { return Ok(None) };
    let proxy = Proxy::https(url).map_err(|_| ConfigurationError::InvalidProvider {
        detail: "the proxy that the environment names for TLS is not a URL".into(),
    })?;
    Ok(Some(proxy.no_proxy(NoProxy::from_env())))
}

/// The credentials among the headers, without the scheme that may stand before them.
fn credentials(headers: &HeaderMap) -> Vec<SecretString> {
    let marked = headers.values().filter(|value| value.is_sensitive());
    let texts = marked.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
    texts.map(|text| text.split_once(' ').map_or(text, |(_, credential)| credential).into()).collect()
}

/// Scheme, host and port: what may be said of a URL, whose path and query may tell more.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn network(error: &reqwest::Error, place: &str) -> NetworkError {
    let why = chain(error);
    let detail = format!("{place}: {why}");
    if error.is_timeout() {
        NetworkError::Timeout { detail }
    } else if ["certificate", "tls", "TLS", "handshake"].iter().any(|word| why.contains(word)) {
        NetworkError::TlsError { detail }
    } else {
        NetworkError::ConnectionFailed { detail }
    }
}

/// An error with its causes, without the URL, whose query is nobody's business.
fn chain(error: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    if words.is_empty() { "the exchange failed".into() } else { words.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_goes_in_plain_to_another_machine_unless_it_may() {
        for url in ["http://10.0.0.1/secret", "http://localhost.example/", "http://[fd00::1]/"] {
            let http = Http::new(&TransportConfig::default()).unwrap();
            let sent = http.send(Method::GET, url.parse().unwrap(), HeaderMap::new(), None).await;
            let Err(error) = sent else { panic!("{url} was asked") };
            assert_eq!(error.error_type(), "configuration_invalid_provider", "{url}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_file_of_authorities_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let with = || TransportConfig { ca_file: Some(file.clone()), ..TransportConfig::default() };
        let said = || Http::new(&with()).unwrap_err().to_string();
        assert!(said().contains("ca.pem"));
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(said().contains("ca.pem"));
        let authority = rcgen::generate_simple_self_signed(["authority".into()]).unwrap();
        std::fs::write(&file, authority.cert.pem()).unwrap();
        Http::new(&with()).unwrap();
    }
}
