//! Secret Manager as a store of secrets: what each question is in its words. Knows nothing of how tokens are had.

use std::{cmp::Reverse, collections::HashSet};

use async_trait::async_trait;
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use super::{
    config::GcpSecretManagerConfig,
    credentials::{Token, Tokens},
    fault::{self, Asked},
    resource::{self, Secret},
    wire::{Accessed, Described, Listed, Version, Versions},
};
use crate::{
    SecretProvider,
    providers::{address, environment::Environment, onward, too_many},
    transport::{Answer, Http},
    types::{
        AccessError, AuthenticationError, ConfigurationError, GetSecretOptions, ListOptions, ProviderError,
        ProviderType, RotationError, RotationResult, SecretMetadata, SecretNotFoundError, SecretPage,
        SecretValue, SecretVersion, SecretsError, WallClock,
    },
};

/// The version that was made last.
const LATEST: &str = "latest";
/// As many entries a page of a list has; the store allows for more.
const PAGE: u32 = 250;
/// The most versions of a secret that are read.
const MOST_VERSIONS: usize = 10_000;

/// Google Cloud Secret Manager. Google tells with a value neither when its version was made, so that `created_at` is when
/// it was read, nor what else is known of the secret: labels and rotation are in its description. A description says
/// which version is current only to who may see versions.
#[derive(Debug)]
pub struct GcpSecretManagerProvider {
    project: String,
    location: Option<String>,
    endpoint: Option<Url>,
    http: Http,
    tokens: Tokens,
    clock: WallClock,
}

impl GcpSecretManagerProvider {
    /// The secrets of the project that `config` names. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ConfigurationError::MissingEndpoint`] if no project is named, or one or a location that cannot be,
    /// [`ConfigurationError::InvalidProvider`] if there are no connections to be had as it says.
    pub fn new(config: GcpSecretManagerConfig, clock: WallClock) -> Result<Self, ConfigurationError> {
        Self::with(config, clock, Environment::of_this_process())
    }

    pub(super) fn with(
        config: GcpSecretManagerConfig,
        clock: WallClock,
        environment: Environment,
    ) -> Result<Self, ConfigurationError> {
        let project = Some(config.project).filter(|project| !project.is_empty());
        let project = project.or_else(|| environment.get("GOOGLE_CLOUD_PROJECT"));
        let project = project.filter(|project| resource::is_project(project)).ok_or_else(|| {
            ConfigurationError::MissingEndpoint {
                detail: "no project of GCP that can be, and none in GOOGLE_CLOUD_PROJECT".into(),
            }
        })?;
        resource::endpoint(config.location.as_deref())?;
        Ok(Self {
            project,
            location: config.location,
            endpoint: config.endpoint,
            http: Http::new(&config.transport)?,
            tokens: Tokens::new(config.credentials, environment, &config.transport, clock.clone())?,
            clock,
        })
    }

    fn secret(&self, path: &str) -> Result<Secret, ConfigurationError> {
        Secret::of(path, &self.project, self.location.as_deref())
    }

    /// Where `name` is asked for, which is made of what may stand in a URL.
    fn url(&self, location: Option<&str>, name: &str) -> Result<Url, ConfigurationError> {
        let mut url = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => resource::endpoint(location)?,
        };
        url.set_query(None);
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().push("v1").extend(name.split('/')),
            Err(()) => {
                let detail = "gcp has an endpoint that is not of the form https://host".into();
                return Err(ConfigurationError::MissingEndpoint { detail });
            }
        };
        Ok(url)
    }

    /// What the store answers; once more if it does not accept the token and there is another.
    async fn ask<T: DeserializeOwned>(&self, url: Url, asked: Asked<'_>) -> Result<T, SecretsError> {
        let token = self.tokens.token().await?;
        let mut answer = self.send(url.clone(), &token).await?;
        if answer.status == 401
            && let Some(another) = self.tokens.another(&token).await?
        {
            answer = self.send(url, &another).await?;
        }
        if answer.status != 200 {
            return Err(fault::error(&answer, asked));
        }
        answer.json().ok_or_else(|| {
            let detail = "it answers with what is no answer to what it was asked".into();
            ProviderError::InternalError { provider: ProviderType::Gcp, detail }.into()
        })
    }

    async fn send(&self, url: Url, token: &Token) -> Result<Answer, SecretsError> {
        let mut headers = HeaderMap::new();
        let bearer = Zeroizing::new(format!("Bearer {}", token.value.expose_secret()));
        let mut bearer = header(&bearer, "the token")?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        if let Some(project) = &token.quota_project {
            headers.insert(
                HeaderName::from_static("x-goog-user-project"),
                header(project, "the quota project")?,
            );
        }
        self.http.send(Method::GET, url, headers, None).await
    }

    /// The number of the version that was made last; empty if there is none, or if who asks may not know.
    async fn latest(&self, secret: &Secret, path: &str) -> Result<String, SecretsError> {
        let url = self.url(secret.location.as_deref(), &format!("{}/versions/{LATEST}", secret.name()))?;
        match self.ask::<Version>(url, Asked::of(path)).await {
            Ok(version) => Ok(version.number().to_owned()),
            Err(
                SecretsError::NotFound(SecretNotFoundError::SecretDoesNotExist { .. })
                | SecretsError::Access(AccessError::AccessDenied { .. }),
            ) => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    async fn page(&self, prefix: &str, fields: &[(&str, &str)]) -> Result<Listed, SecretsError> {
        let location = self.location.as_deref();
        let name = format!("{}/secrets", resource::parent(&self.project, location));
        let mut url = self.url(location, &name)?;
        url.query_pairs_mut().extend_pairs(fields);
        self.ask(url, Asked::of(prefix)).await
    }
}

#[async_trait]
impl SecretProvider for GcpSecretManagerProvider {
    /// A version by its number, or by an alias, which is a stage here. A version made last that is disabled is refused,
    /// as the store does: nobody goes back to one before it.
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        let secret = self.secret(path)?;
        if options.at.is_some() {
            return Err(unsupported("GCP does not tell which version was current at a time"));
        }
        let of_path = secret.version.as_deref();
        let version = match (of_path, options.version.as_deref(), options.stage.as_deref()) {
            (named, None, None) | (None, named, None) | (None, None, named) => named.unwrap_or(LATEST),
            _ => {
                return Err(unsupported(
                    "a version of GCP is asked for by its number or by an alias, not both",
                ));
            }
        };
        if !resource::is_version(version) {
            let detail = format!("{version:?} is no number and no alias of a version of GCP");
            return Err(ConfigurationError::InvalidPathPattern { detail }.into());
        }
        let name = format!("{}/versions/{version}:access", secret.name());
        let url = self.url(secret.location.as_deref(), &name)?;
        let is_latest = version == LATEST;
        let asked =
            Asked { path, version: Some(version).filter(|_| !is_latest), is_alias: options.stage.is_some() };
        let accessed: Accessed = self.ask(url, asked).await?;
        accessed.read(path, is_latest, self.clock.now())
    }

    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError> {
        if !prefix.is_empty() {
            // What a name cannot have would mean something else in a filter.
            self.secret(prefix).ok().filter(|_| !prefix.contains('/')).ok_or_else(|| {
                let detail = format!("{prefix:?} is not how a name of GCP can begin");
                ConfigurationError::InvalidPathPattern { detail }
            })?;
        }
        let size = options.max_results.unwrap_or(PAGE).clamp(1, PAGE).to_string();
        let filter = format!("name:{prefix}");
        let mut fields = vec![("pageSize", size.as_str())];
        if !prefix.is_empty() {
            fields.push(("filter", &filter));
        }
        fields.extend(options.next_token.as_deref().map(|token| ("pageToken", token)));
        let listed = self.page(prefix, &fields).await?;
        // The store's filter finds the prefix anywhere in a name, and does not compare labels as we do.
        let tags = options.tags.unwrap_or_default();
        let secrets =
            listed.secrets.into_iter().filter(|entry| entry.id().starts_with(prefix)).map(|entry| {
                let id = entry.id().to_owned();
                entry.read(&id, "")
            });
        Ok(SecretPage {
            secrets: secrets.filter(|secret| secret.has_tags(&tags)).collect(),
            next_token: Some(listed.next_page_token).filter(|token| !token.is_empty()),
        })
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        let secret = self.secret(path)?;
        let url = self.url(secret.location.as_deref(), &secret.name())?;
        let described: Described = self.ask(url, Asked::of(path)).await?;
        let current = self.latest(&secret, path).await?;
        Ok(described.read(path, &current))
    }

    /// Which aliases lead to them, the secret itself tells.
    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        let secret = self.secret(path)?;
        let url = |name: &str| self.url(secret.location.as_deref(), name);
        let described: Described = self.ask(url(&secret.name())?, Asked::of(path)).await?;
        let (mut versions, mut seen, mut next) = (Vec::new(), HashSet::new(), Some(String::new()));
        while let Some(token) = next {
            if MOST_VERSIONS <= versions.len() {
                return Err(too_many(ProviderType::Gcp, "versions", MOST_VERSIONS));
            }
            let mut url = url(&format!("{}/versions", secret.name()))?;
            url.query_pairs_mut().append_pair("pageSize", &PAGE.to_string()).append_pair("pageToken", &token);
            let page: Versions = self.ask(url, Asked::of(path)).await?;
            versions.extend(page.versions.iter().map(|one| one.read(&described.version_aliases)));
            next = onward(ProviderType::Gcp, &mut seen, Some(page.next_page_token))?;
        }
        versions.sort_by_key(|version| Reverse(version.version.parse::<u64>().ok()));
        Ok(versions)
    }

    /// The store rotates nothing on request: it tells a topic when it is time, and somebody adds a version.
    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        self.secret(path)?;
        let detail = "GCP begins no rotation when asked; it announces one by its schedule on a Pub/Sub topic";
        Err(RotationError::RotationNotConfigured { path: path.to_owned(), detail: detail.into() }.into())
    }

    fn provider_type(&self) -> ProviderType {
        ProviderType::Gcp
    }

    fn place(&self) -> String {
        let endpoint = self.endpoint.as_ref().map(address).unwrap_or_default();
        format!("{endpoint} {} {}", self.project, self.location.as_deref().unwrap_or_default())
    }

    /// Asks for a list of one. That it may not be had is well: the store has accepted who asked.
    async fn health_check(&self) -> Result<(), SecretsError> {
        match self.page("", &[("pageSize", "1")]).await {
            Ok(_) | Err(SecretsError::Access(AccessError::AccessDenied { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn header(text: &str, what: &str) -> Result<HeaderValue, SecretsError> {
    HeaderValue::from_str(text).map_err(|_| {
        let detail = format!("{what} is no header");
        AuthenticationError::NoCredentials { provider: ProviderType::Gcp, detail }.into()
    })
}

fn unsupported(why: &str) -> SecretsError {
    ConfigurationError::InvalidRequest { provider: ProviderType::Gcp, detail: why.to_owned() }.into()
}
