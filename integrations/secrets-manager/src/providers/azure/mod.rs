//! Azure Key Vault: its secrets, by name and version.
//!
//! Key Vault gives out a secret before its `nbf` and after its `exp`; this provider does not, unless told to. A deleted
//! secret is not there, as far as readers are told. A value is taken for binary where its writer says so: a certificate
//! with its key (`application/x-pkcs12`), or a file that was put in as base64 (the tag `file-encoding`). Key Vault has
//! rotation for keys and none for secrets. A challenge that asks for further claims (continuous access evaluation) is
//! answered with a plain token.

mod challenge;
mod config;
mod identity;
mod names;
mod session;
mod wire;

use std::{cmp::Reverse, collections::HashSet, sync::Arc};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use url::Url;
use zeroize::Zeroizing;

use challenge::Challenge;
pub use config::{AzureCredentials, AzureKeyVaultConfig};
use identity::Identity;
use names::Names;
use session::Session;
use wire::{Attributes, Bundle, Page, Value};

use super::{SecretProvider, address, environment::Environment, onward, too_many};
use crate::{
    transport::{Answer, Http},
    types::{
        AccessError, AuthenticationError, ConfigurationError, GetSecretOptions, ListOptions, ProviderError,
        ProviderType, RotationError, RotationResult, SecretMetadata, SecretNotFoundError, SecretPage,
        SecretString, SecretValue, SecretVersion, SecretsError, VersionStatus, WallClock,
    },
};

const PROVIDER: ProviderType = ProviderType::Azure;

/// How many secrets Key Vault puts on a page at most.
const PAGE: u32 = 25;

/// The most versions of a secret that are read.
const MOST_VERSIONS: usize = 10_000;

/// Reads secrets of one Key Vault. `Debug` shows where, and nothing of the login.
pub struct AzureKeyVaultProvider {
    http: Http,
    vault: Url,
    api_version: String,
    names: Names,
    enforce_validity: bool,
    verify_challenge: bool,
    session: Session,
    clock: WallClock,
}

impl std::fmt::Debug for AzureKeyVaultProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureKeyVaultProvider").field("vault", &self.vault.as_str()).finish_non_exhaustive()
    }
}

impl AzureKeyVaultProvider {
    /// Asks no one yet: the login is made for the first request. What the configuration leaves to the environment's
    /// variables is read from them here.
    ///
    /// # Errors
    /// [`ConfigurationError`] if an address, the separator or the credentials cannot be, or the transport cannot be set
    /// up.
    pub fn new(config: AzureKeyVaultConfig, clock: WallClock) -> Result<Self, ConfigurationError> {
        let vault = config.vault_url;
        if !matches!(vault.scheme(), "http" | "https") || !vault.has_host() {
            let detail = format!("azure has the vault_url {vault}, which is not of the form https://host");
            return Err(ConfigurationError::MissingEndpoint { detail });
        }
        let environment = Environment::of_this_process();
        let identity =
            Identity::new(config.credentials, config.authority_host, &config.transport, &environment)?;
        Ok(Self {
            http: Http::new(&config.transport)?,
            session: Session::new(identity, clock.clone()),
            vault,
            api_version: config.api_version,
            names: Names::new(config.separator)?,
            enforce_validity: config.enforce_validity,
            verify_challenge: config.verify_challenge,
            clock,
        })
    }

    /// A URL of the vault's, each segment on its own.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.vault.clone();
        url.path_segments_mut().expect("an http URL with a host has a path").pop_if_empty().extend(segments);
        url.query_pairs_mut().append_pair("api-version", &self.api_version);
        url
    }

    /// Asks with a token, and once more with another if the vault refuses the first. Before all that, the very first
    /// request has none, since only the vault's challenge tells for what one is wanted.
    async fn ask(&self, url: Url) -> Result<Answer, SecretsError> {
        let mut token = self.session.token().await?;
        let challenges = if token.is_some() { 1 } else { 2 };
        let mut answer = self.ask_with(url.clone(), token.as_ref()).await?;
        for _ in 0..challenges {
            if answer.status != 401 {
                break;
            }
            let Some(challenge) = answer.header("www-authenticate").and_then(Challenge::parse) else {
                let detail = "it does not tell for what it wants a token".into();
                return Err(AuthenticationError::InvalidCredentials { provider: PROVIDER, detail }.into());
            };
            if self.verify_challenge && !challenge.is_of(&self.vault) {
                let service = answer.quoted(&challenge.scope);
                let detail = format!("{} wants a token for {service:?}, which it is no part of", self.vault);
                return Err(ConfigurationError::InvalidProvider { detail }.into());
            }
            let another = self.session.answer(challenge, token.as_ref()).await?;
            answer = self.ask_with(url.clone(), Some(&another)).await?;
            token = Some(another);
        }
        Ok(answer)
    }

    async fn ask_with(&self, url: Url, token: Option<&SecretString>) -> Result<Answer, SecretsError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
            let mut bearer = HeaderValue::from_str(&text).map_err(|_| {
                let detail = "a token with characters that no header can carry".into();
                AuthenticationError::TokenRefreshFailed { provider: PROVIDER, detail }
            })?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        self.http.send(Method::GET, url, headers, None).await
    }

    /// A version of a secret as the vault has it, value and all.
    async fn fetch(&self, path: &str, version: Option<&str>) -> Result<(Bundle, Answer), SecretsError> {
        let name = self.names.name(path)?;
        let segments = ["secrets", &*name].into_iter().chain(version).collect::<Vec<_>>();
        let answer = self.ask(self.url(&segments)).await?;
        if answer.status != 200 {
            let error = wire::refusal(&answer, path);
            return Err(match (version, &error) {
                (Some(version), SecretsError::NotFound(_)) => self.missing(path, &name, version).await,
                _ => error,
            });
        }
        let bundle: Bundle = answer.json().ok_or_else(|| wire::not_understood(&answer))?;
        Ok((bundle, answer))
    }

    /// A page of secrets, or of one's versions.
    async fn listed(&self, url: Url, path: &str) -> Result<Page, SecretsError> {
        let answer = self.ask(url).await?;
        if answer.status != 200 {
            return Err(wire::refusal(&answer, path));
        }
        let page = answer.json().filter(|page: &Page| page.value.iter().all(|one| !one.name().is_empty()));
        page.ok_or_else(|| wire::not_understood(&answer))
    }

    fn version(&self, bundle: &Bundle) -> SecretVersion {
        let Attributes { enabled, exp, created, .. } = bundle.attributes;
        SecretVersion {
            valid_until: exp.filter(|_| self.enforce_validity),
            status: if enabled { VersionStatus::Readable } else { VersionStatus::Disabled },
            ..SecretVersion::new(bundle.version(), created)
        }
    }

    /// Whether it is the secret or the version that is not there, which the vault says alike. Who may not see what
    /// versions there are is told what was asked.
    async fn missing(&self, path: &str, name: &str, version: &str) -> SecretsError {
        let mut url = self.url(&["secrets", name, "versions"]);
        url.query_pairs_mut().append_pair("maxresults", "1");
        let versions = match self.ask(url).await {
            Ok(answer) if answer.status == 200 => answer.json::<Page>().map(|page| page.value.len()),
            Ok(answer) if wire::refusal(&answer, path).is_not_found() => Some(0),
            Ok(_) => None,
            Err(error) => return error,
        };
        let (path, version) = (path.to_owned(), version.to_owned());
        match versions {
            Some(0) => SecretNotFoundError::SecretDoesNotExist { path }.into(),
            _ => SecretNotFoundError::VersionNotFound { path, version }.into(),
        }
    }

    /// Refuses what is turned off, or not within its time.
    fn check(&self, path: &str, attributes: &Attributes) -> Result<(), AccessError> {
        let (path, now) = (path.to_owned(), self.clock.now());
        match attributes {
            Attributes { enabled: false, .. } => Err(AccessError::Disabled { path }),
            _ if !self.enforce_validity => Ok(()),
            Attributes { nbf: Some(from), .. } if now < *from => {
                Err(AccessError::NotYetValid { path, from: *from })
            }
            Attributes { exp: Some(until), .. } if *until <= now => {
                Err(AccessError::Expired { path, until: *until })
            }
            _ => Ok(()),
        }
    }

    fn metadata(&self, path: &str, bundle: Bundle, current_version: &str) -> SecretMetadata {
        let id = bundle.id.strip_suffix(bundle.version()).unwrap_or(&bundle.id);
        SecretMetadata {
            arn: Some(id.trim_end_matches('/').to_owned()),
            tags: bundle.tags.unwrap_or_default(),
            ..SecretMetadata::new(path, current_version, bundle.attributes.created)
        }
    }

    /// Where a list goes on, which is the vault itself.
    fn page_url(&self, options: &ListOptions) -> Result<Url, SecretsError> {
        let Some(next) = &options.next_token else {
            let mut url = self.url(&["secrets"]);
            let most = options.max_results.map_or(PAGE, |most| most.clamp(1, PAGE));
            url.query_pairs_mut().append_pair("maxresults", &most.to_string());
            return Ok(url);
        };
        self.next_url(next)
    }

    fn next_url(&self, next: &str) -> Result<Url, SecretsError> {
        let next = Url::parse(next).ok().filter(|next| next.origin() == self.vault.origin());
        next.ok_or_else(|| {
            let detail = "a list goes on at the vault's own address only".into();
            ProviderError::InternalError { provider: PROVIDER, detail }.into()
        })
    }
}

#[async_trait]
impl SecretProvider for AzureKeyVaultProvider {
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        if options.stage.is_some() || options.at.is_some() {
            let detail = "azure has versions by their identifiers, and none by a stage or a time".into();
            return Err(ConfigurationError::InvalidRequest { provider: PROVIDER, detail }.into());
        }
        let pinned = options.version.as_deref();
        if let Some(version) = pinned.filter(|version| !is_version(version)) {
            let (path, version) = (path.into(), version.into());
            return Err(SecretNotFoundError::VersionNotFound { path, version }.into());
        }
        let (bundle, answer) = self.fetch(path, pinned).await?;
        self.check(path, &bundle.attributes)?;
        let version: Arc<str> = bundle.version().into();
        let Some(Value { value }) = answer.json().filter(|_| !version.is_empty()) else {
            return Err(wire::not_understood(&answer));
        };
        Ok(SecretValue {
            value,
            binary: bundle.is_binary(),
            created_at: bundle.attributes.created,
            updated_at: bundle.attributes.updated,
            valid_until: bundle.attributes.exp.filter(|_| self.enforce_validity),
            metadata: Arc::new(self.metadata(path, bundle, if pinned.is_some() { "" } else { &version })),
            version,
        })
    }

    /// A page of the vault's own, less what has another prefix: it may be empty and not the last.
    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError> {
        let page = self.listed(self.page_url(&options)?, prefix).await?;
        let mut secrets = Vec::new();
        for bundle in page.value {
            let path = self.names.path(bundle.name());
            let secret = self.metadata(&path, bundle, "");
            if path.starts_with(prefix) && options.tags.as_ref().is_none_or(|tags| secret.has_tags(tags)) {
                secrets.push(secret);
            }
        }
        Ok(SecretPage { secrets, next_token: page.next_link.filter(|next| !next.is_empty()) })
    }

    /// Fetches the current version, whose value is wiped unread: Key Vault tells of a single secret in no other way.
    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        let (bundle, _) = self.fetch(path, None).await?;
        let version = bundle.version().to_owned();
        Ok(self.metadata(path, bundle, &version))
    }

    /// Newest first by the second in which they were made; those of one second as Key Vault has them.
    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        let name = self.names.name(path)?;
        let mut page = self.listed(self.url(&["secrets", &*name, "versions"]), path).await?;
        let mut versions: Vec<_> = page.value.iter().map(|bundle| self.version(bundle)).collect();
        let mut seen = HashSet::new();
        while let Some(next) = onward(PROVIDER, &mut seen, page.next_link)? {
            if MOST_VERSIONS <= versions.len() {
                return Err(too_many(PROVIDER, "versions", MOST_VERSIONS));
            }
            page = self.listed(self.next_url(&next)?, path).await?;
            versions.extend(page.value.iter().map(|bundle| self.version(bundle)));
        }
        if versions.is_empty() {
            return Err(SecretNotFoundError::SecretDoesNotExist { path: path.to_owned() }.into());
        }
        versions.sort_by_key(|version| Reverse(version.created_at));
        Ok(versions)
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        let detail = "key vault rotates keys, and no secrets".into();
        Err(RotationError::RotationNotConfigured { path: path.into(), detail }.into())
    }

    fn provider_type(&self) -> ProviderType {
        PROVIDER
    }

    /// The vault, and what decides of which of its secrets a path is and when it is given out.
    fn place(&self) -> String {
        format!("{} {:?} {}", address(&self.vault), self.names, self.enforce_validity)
    }

    /// Lists one secret. Being refused that by policy is well: the vault is there and knows who asks.
    async fn health_check(&self) -> Result<(), SecretsError> {
        let first = ListOptions { max_results: Some(1), ..ListOptions::default() };
        let answer = self.ask(self.page_url(&first)?).await?;
        match answer.status {
            200 => Ok(()),
            _ => Some(wire::refusal(&answer, "")).filter(|error| !wire::is_policy(error)).map_or(Ok(()), Err),
        }
    }
}

/// Whether it can be a version's identifier; they have 32 hexadecimal digits.
fn is_version(version: &str) -> bool {
    !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
