//! The door to a cluster: a question goes to the node that answered last, and to the others while it cannot answer; with
//! the caller's token, which is fetched once more when it is not accepted. Knows nothing of secrets.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use url::Url;
use zeroize::Zeroizing;

use super::{CovaultConfig, problem};
use crate::{
    providers::{address, environment::Environment},
    secret_file,
    transport::{Answer, Http},
    types::{AuthenticationError, ConfigurationError, ProviderType, SecretString, SecretsError},
};

/// The nodes and who asks them.
#[derive(Debug)]
pub struct Nodes {
    http: Http,
    addresses: Vec<Url>,
    /// Which of them answered last.
    preferred: AtomicUsize,
    token: TokenSource,
    /// The token as it was read last.
    read: Mutex<Option<SecretString>>,
}

#[derive(Debug)]
enum TokenSource {
    Given(SecretString),
    File(PathBuf),
}

/// What is asked: segments of a path, and a query.
pub struct Question<'q> {
    pub path: Vec<&'q str>,
    pub query: Vec<(&'static str, String)>,
}

impl Nodes {
    pub fn new(config: &CovaultConfig, environment: &Environment) -> Result<Self, ConfigurationError> {
        let addresses = addresses(config, environment)?;
        Ok(Self {
            http: Http::new(&config.transport)?,
            addresses,
            preferred: AtomicUsize::new(0),
            token: TokenSource::of(config, environment)?,
            read: Mutex::default(),
        })
    }

    /// Where they are.
    pub fn place(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(address).collect();
        addresses.join(" ")
    }

    /// Who asks, as far as it can be told without asking and without showing the token: its digest, or where it is.
    pub fn caller(&self) -> String {
        match &self.token {
            TokenSource::Given(token) => {
                let context = "secrets-manager 2026 disk cache: token of Covault";
                let digest = blake3::derive_key(context, token.expose_secret().as_bytes());
                format!("by token {}", blake3::Hash::from(digest).to_hex())
            }
            TokenSource::File(file) => format!("by the token in {}", file.display()),
        }
    }

    /// What the first node that can answer says, whatever it is but a refusal of the token.
    pub async fn ask(&self, question: &Question<'_>) -> Result<Answer, SecretsError> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let token = match known {
            Some(token) => token,
            None => self.read_token().await?,
        };
        let answer = self.ask_as(&token, question).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let again = self.read_token().await?;
        if again.expose_secret() == token.expose_secret() {
            return Err(problem::refused_token(&answer).into());
        }
        let answer = self.ask_as(&again, question).await?;
        if answer.status == 401 { Err(problem::refused_token(&answer).into()) } else { Ok(answer) }
    }

    /// Asks each node at most once. If none can answer, the first one's reason counts.
    async fn ask_as(&self, token: &SecretString, question: &Question<'_>) -> Result<Answer, SecretsError> {
        let headers = authorization(token)?;
        let first = self.preferred.load(Relaxed);
        let mut unable = None;
        for turn in 0..self.addresses.len() {
            let node = (first + turn) % self.addresses.len();
            let url = question.at(&self.addresses[node]);
            let reason = match self.http.send(Method::GET, url, headers.clone(), None).await {
                Ok(answer) if answer.status < 500 => {
                    self.preferred.store(node, Relaxed);
                    return Ok(answer);
                }
                Err(error @ SecretsError::Configuration(_)) => return Err(error),
                other => other,
            };
            tracing::debug!(
                node = self.addresses[node].origin().ascii_serialization(),
                "a node of Covault cannot answer"
            );
            unable.get_or_insert(reason);
        }
        unable.unwrap_or_else(|| Err(no_address().into()))
    }

    async fn read_token(&self) -> Result<SecretString, SecretsError> {
        let token = match &self.token {
            TokenSource::Given(token) => token.clone(),
            TokenSource::File(path) => token_of(path).await?,
        };
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }
}

impl Question<'_> {
    fn at(&self, address: &Url) -> Url {
        let mut url = address.clone();
        url.set_query(None);
        url.path_segments_mut().expect("an address with http has a path").pop_if_empty().extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

impl TokenSource {
    fn of(config: &CovaultConfig, environment: &Environment) -> Result<Self, ConfigurationError> {
        match (&config.token, &config.token_file) {
            (Some(_), Some(_)) => Err(invalid("there is both a token and a file for one")),
            (Some(token), None) => Ok(Self::Given(token.clone())),
            (None, Some(file)) => Ok(Self::File(file.clone())),
            (None, None) => {
                if let Some(token) = environment.get("COVAULT_TOKEN") {
                    return Ok(Self::Given(token.into()));
                }
                let file = environment.get("COVAULT_TOKEN_FILE").map(PathBuf::from);
                file.map(Self::File).ok_or_else(|| {
                    invalid("there is no token: token, token_file, COVAULT_TOKEN and COVAULT_TOKEN_FILE are missing")
                })
            }
        }
    }
}

fn addresses(config: &CovaultConfig, environment: &Environment) -> Result<Vec<Url>, ConfigurationError> {
    let mut addresses = config.addresses.clone();
    if addresses.is_empty() {
        let named = environment.get("COVAULT_URL").ok_or_else(no_address)?;
        for address in named.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            addresses.push(address.parse().map_err(|error| invalid(&format!("COVAULT_URL: {error}")))?);
        }
    }
    if addresses.iter().any(|address| !address.username().is_empty() || address.password().is_some()) {
        return Err(invalid("an address has a name or a password in it"));
    }
    match addresses.iter().find(|address| !["http", "https"].contains(&address.scheme())) {
        Some(other) => Err(invalid(&format!("an address begins with http or https, not {}", other.scheme()))),
        None if addresses.is_empty() => Err(no_address()),
        None => Ok(addresses),
    }
}

async fn token_of(file: &Path) -> Result<SecretString, AuthenticationError> {
    let token = secret_file::token_aside(file).await;
    token.map_err(|detail| AuthenticationError::NoCredentials { provider: ProviderType::Covault, detail })
}

fn authorization(token: &SecretString) -> Result<HeaderMap, AuthenticationError> {
    let bearer = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    let mut value = HeaderValue::from_str(&bearer).map_err(|_| AuthenticationError::NoCredentials {
        provider: ProviderType::Covault,
        detail: "the token has characters that no token has".into(),
    })?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn invalid(detail: &str) -> ConfigurationError {
    ConfigurationError::InvalidProvider { detail: format!("covault: {detail}") }
}

fn no_address() -> ConfigurationError {
    ConfigurationError::MissingEndpoint { detail: "covault: addresses and COVAULT_URL are missing".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(addresses: &[&str], token: Option<&str>) -> CovaultConfig {
        CovaultConfig {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            token: token.map(Into::into),
            ..CovaultConfig::default()
        }
    }

    #[test]
    fn addresses_and_token_come_from_the_environment_where_the_configuration_has_none() {
        let environment = Environment::of([
            ("COVAULT_URL", "http://127.0.0.1:1, http://127.0.0.1:2/vault/"),
            ("COVAULT_TOKEN", "t"),
        ]);
        let nodes = Nodes::new(&config(&[], None), &environment).unwrap();
        let question =
            Question { path: vec!["v1", "secrets", "a b", "c?d"], query: vec![("at", "x&y".into())] };
        let urls: Vec<_> = nodes.addresses.iter().map(|address| question.at(address).to_string()).collect();
        assert_eq!(
            urls,
            [
                "http://127.0.0.1:1/v1/secrets/a%20b/c%3Fd?at=x%26y",
                "http://127.0.0.1:2/vault/v1/secrets/a%20b/c%3Fd?at=x%26y"
            ]
        );
        assert!(matches!(&nodes.token, TokenSource::Given(token) if token.expose_secret() == "t"));
        let nodes = Nodes::new(&config(&["http://[::1]"], Some("own")), &environment).unwrap();
        assert!(matches!(&nodes.token, TokenSource::Given(token) if token.expose_secret() == "own"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let nothing = Environment::of([]);
        let said = |config| Nodes::new(&config, &nothing).unwrap_err().to_string();
        assert!(said(config(&[], Some("t"))).contains("COVAULT_URL"));
        assert!(said(config(&["http://a"], None)).contains("COVAULT_TOKEN_FILE"));
        assert!(said(config(&["data:x"], Some("t"))).contains("not data"));
        let with_password = said(config(&["http://me:hunter2@a"], Some("t")));
        assert!(with_password.contains("password") && !with_password.contains("hunter2"));
        let both = CovaultConfig { token_file: Some("f".into()), ..config(&["http://a"], Some("t")) };
        assert!(said(both).contains("both"));
    }

    #[test]
    fn debug_shows_no_token() {
        let nodes = Nodes::new(&config(&["http://a"], Some("hunter2")), &Environment::of([])).unwrap();
        assert!(!format!("{nodes:?} {:?}", authorization(&"hunter2".into()).unwrap()).contains("hunter2"));
    }
}
