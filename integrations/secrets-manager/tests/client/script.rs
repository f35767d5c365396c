//! A store that answers what a test tells it to, counts what it is asked, and can be held back.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use secrets_manager::{
    AccessError, Client, GetSecretOptions, ListOptions, NetworkError, ProviderError, ProviderType,
    RotationResult, RotationStatus, SecretMetadata, SecretNotFoundError, SecretPage, SecretProvider,
    SecretValue, SecretsError, client::ClientBuilder,
};
use tokio::sync::Semaphore;

type Asked = Result<SecretValue, SecretsError>;

/// A store of the kind that `new` is told.
pub struct Script {
    kind: ProviderType,
    secrets: Mutex<HashMap<String, SecretValue>>,
    next: Mutex<VecDeque<Asked>>,
    failing: Mutex<Option<SecretsError>>,
    asked: Mutex<Vec<(String, GetSecretOptions)>>,
    described: Mutex<usize>,
    describes: Mutex<bool>,
    place: Mutex<String>,
    /// Each answer takes one; closed, all may pass.
    gate: Semaphore,
}

impl Script {
    pub fn new(kind: ProviderType) -> Arc<Self> {
        let gate = Semaphore::new(0);
        gate.close();
        Self::behind(kind, gate)
    }

    /// One that answers only as `let_pass` says.
    pub fn held(kind: ProviderType) -> Arc<Self> {
        Self::behind(kind, Semaphore::new(0))
    }

    fn behind(kind: ProviderType, gate: Semaphore) -> Arc<Self> {
        Arc::new(Self {
            kind,
            secrets: Mutex::default(),
            next: Mutex::default(),
            failing: Mutex::default(),
            asked: Mutex::default(),
            described: Mutex::default(),
            describes: Mutex::new(true),
            place: Mutex::default(),
            gate,
        })
    }

    pub fn let_pass(&self, count: usize) {
        self.gate.add_permits(count);
    }

    /// Lets secrets be read, and not described, as stores do whose policies have a right for each.
    pub fn deny_descriptions(&self) {
        *self.describes.lock().unwrap() = false;
    }

    /// Is this one of its kind for clients that are built from now on.
    pub fn set_place(&self, place: &str) {
        *self.place.lock().unwrap() = place.into();
    }

    /// Has a secret with one version and no tags.
    pub fn set(&self, path: &str, version: &str, text: &str) {
        self.set_value(path, value(path, version, text));
    }

    pub fn set_value(&self, path: &str, value: SecretValue) {
        self.secrets.lock().unwrap().insert(path.into(), value);
    }

    /// Answers the next question so, and those after it as before.
    pub fn then(&self, answer: Asked) -> &Self {
        self.next.lock().unwrap().push_back(answer);
        self
    }

    /// Answers everything so, until told otherwise.
    pub fn fail(&self, error: impl Into<SecretsError>) {
        *self.failing.lock().unwrap() = Some(error.into());
    }

    pub fn recover(&self) {
        *self.failing.lock().unwrap() = None;
    }

    /// How often a value was asked for.
    pub fn calls(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub fn asked(&self) -> Vec<(String, GetSecretOptions)> {
        self.asked.lock().unwrap().clone()
    }

    pub fn described(&self) -> usize {
        *self.described.lock().unwrap()
    }

    fn failing(&self) -> Result<(), SecretsError> {
        self.failing.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn answer(&self, path: &str, options: &GetSecretOptions) -> Asked {
        if let Some(answer) = self.next.lock().unwrap().pop_front() {
            return answer;
        }
        self.failing()?;
        let secrets = self.secrets.lock().unwrap();
        let Some(found) = secrets.get(path) else { return Err(missing(path)) };
        match &options.version {
            Some(version) if **version != *found.version => {
                let (path, version) = (path.to_owned(), version.clone());
                Err(SecretNotFoundError::VersionNotFound { path, version }.into())
            }
            _ => Ok(found.clone()),
        }
    }
}

#[async_trait]
impl SecretProvider for Script {
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Asked {
        self.asked.lock().unwrap().push((path.into(), options.clone()));
        // What a store answers is decided when it is asked, also if the answer is long on its way.
        let answer = self.answer(path, &options);
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        answer
    }

    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError> {
        self.failing()?;
        let secrets = self.secrets.lock().unwrap();
        let mut names: Vec<_> = secrets.values().map(|value| (*value.metadata).clone()).collect();
        names.retain(|secret| secret.name.starts_with(prefix));
        names.retain(|secret| options.tags.as_ref().is_none_or(|tags| secret.has_tags(tags)));
        names.sort_by(|one, other| one.name.cmp(&other.name));
        let begin = options.next_token.map_or(0, |token| token.parse::<usize>().unwrap());
        let most = options.max_results.unwrap_or(2).min(2) as usize;
        let page: Vec<_> = names.iter().skip(begin).take(most).cloned().collect();
        let end = begin + page.len();
        Ok(SecretPage { secrets: page, next_token: (end < names.len()).then(|| end.to_string()) })
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        *self.described.lock().unwrap() += 1;
        self.failing()?;
        if !*self.describes.lock().unwrap() {
            return Err(denied(path));
        }
        let secrets = self.secrets.lock().unwrap();
        secrets.get(path).map(|value| (*value.metadata).clone()).ok_or_else(|| missing(path))
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        self.failing()?;
        self.secrets.lock().unwrap().get(path).ok_or_else(|| missing(path))?;
        Ok(RotationResult { triggered: true, version_id: None, status: RotationStatus::Pending })
    }

    fn provider_type(&self) -> ProviderType {
        self.kind
    }

    fn place(&self) -> String {
        self.place.lock().unwrap().clone()
    }

    async fn health_check(&self) -> Result<(), SecretsError> {
        self.failing()
    }
}

pub fn date(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

pub fn value(path: &str, version: &str, text: &str) -> SecretValue {
    SecretValue {
        value: text.into(),
        binary: false,
        version: version.into(),
        created_at: date(0),
        updated_at: None,
        valid_until: None,
        metadata: Arc::new(SecretMetadata::new(path, version, date(0))),
    }
}

pub fn missing(path: &str) -> SecretsError {
    SecretNotFoundError::SecretDoesNotExist { path: path.into() }.into()
}

pub fn denied(path: &str) -> SecretsError {
    AccessError::AccessDenied { path: path.into(), detail: "policy".into() }.into()
}

pub fn down() -> SecretsError {
    ProviderError::ProviderUnavailable {
        provider: ProviderType::Vault,
        detail: "sealed".into(),
        retry_after: None,
    }
    .into()
}

pub fn limited(retry_after: Option<Duration>) -> SecretsError {
    ProviderError::RateLimited { provider: ProviderType::Vault, detail: "429".into(), retry_after }.into()
}

pub fn cut() -> SecretsError {
    NetworkError::ConnectionFailed { detail: "reset".into() }.into()
}

/// A client of `script` alone, with defaults.
pub fn client(script: &Arc<Script>) -> Client {
    builder(script).build().unwrap()
}

pub fn builder(script: &Arc<Script>) -> ClientBuilder {
    Client::builder().provider(script.clone()).jitter_seed(1)
}

/// The text of a secret, or its error's stable name.
pub async fn read(client: &Client, path: &str) -> String {
    read_with(client, path, GetSecretOptions::default()).await
}

pub async fn read_with(client: &Client, path: &str, options: GetSecretOptions) -> String {
    text(client.get_secret(path, options).await)
}

pub fn text(answer: Asked) -> String {
    match answer {
        Ok(value) => value.value.expose_secret().to_owned(),
        Err(error) => error.error_type().to_owned(),
    }
}

pub fn pinned(version: &str) -> GetSecretOptions {
    GetSecretOptions { version: Some(version.into()), ..GetSecretOptions::default() }
}

pub fn fresh() -> GetSecretOptions {
    GetSecretOptions { skip_cache: true, ..GetSecretOptions::default() }
}

/// Lets all tasks that can run do so.
pub async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}
