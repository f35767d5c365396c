//! A store that is none: it answers with mock secrets, with another provider's answers or with recorded ones, lets go
//! wrong what is to go wrong, and remembers what it was asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;

use super::{
    access::{AccessLog, Question, SecretAccessRecord},
    config::{SimulationConfig, SimulationMode},
    fault::{Schedule, ScheduledFault, is_probability},
    mock::Mocks,
    recording::{Answer, Recorder, Recording, Replayer},
};
use crate::{
    SecretProvider,
    types::{
        ConfigurationError, GetSecretOptions, ListOptions, ProviderError, ProviderType, RotationResult,
        RotationStatus, SecretMetadata, SecretPage, SecretString, SecretValue, SecretVersion, SecretsError,
        WallClock,
    },
};

/// What a dry run answers with for a secret that is not mocked.
const PLACEHOLDER: &str = "dry-run";

/// A simulated store. Its methods take `&self`: whoever holds it may change it while a client uses it.
#[derive(Debug)]
pub struct SimulationProvider {
    source: Source,
    mocks: Mutex<Mocks>,
    faults: Mutex<Schedule>,
    seed: u64,
    log: Mutex<AccessLog>,
    clock: WallClock,
}

enum Source {
    Mock,
    Record(Arc<dyn SecretProvider>, Mutex<Recorder>),
    Replay(Mutex<Replayer>),
    DryRun,
}

impl SimulationProvider {
    /// A simulation as `config` says, with its own recording if it replays.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidProvider`] if it is to record, which needs [`SimulationProvider::record`]; if there
    /// is no recording to replay, or it cannot be read; if a chance is not between 0 and 1.
    pub fn new(config: SimulationConfig, clock: WallClock) -> Result<Self, ConfigurationError> {
        let source = match (config.mode, &config.recording) {
            (SimulationMode::Mock, _) => Source::Mock,
            (SimulationMode::DryRun, _) => Source::DryRun,
            (SimulationMode::Replay, Some(file)) => {
                return Self::replay(Recording::load(file)?, config, clock);
            }
            (SimulationMode::Replay, None) => return Err(invalid("there is no recording to replay")),
            (SimulationMode::Record, _) => return Err(invalid("there is no provider to record")),
        };
        Self::of(source, config, clock)
    }

    /// Answers with what `provider` answers, and keeps it: [`SimulationProvider::recording`].
    ///
    /// # Errors
    /// As [`SimulationProvider::new`] for what `config` says beside the mode.
    pub fn record(
        provider: Arc<dyn SecretProvider>,
        config: SimulationConfig,
        clock: WallClock,
    ) -> Result<Self, ConfigurationError> {
        let recorder = Mutex::new(Recorder::new(config.keep_values));
        Self::of(Source::Record(provider, recorder), config, clock)
    }

    /// Answers with what was recorded.
    ///
    /// # Errors
    /// As [`SimulationProvider::new`] for what `config` says beside the mode.
    pub fn replay(
        recording: Recording,
        config: SimulationConfig,
        clock: WallClock,
    ) -> Result<Self, ConfigurationError> {
        Self::of(Source::Replay(Mutex::new(Replayer::new(recording))), config, clock)
    }

    fn of(source: Source, config: SimulationConfig, clock: WallClock) -> Result<Self, ConfigurationError> {
        let simulation = Self::quiet(source, config.seed, clock);
        simulation.set_faults(config.faults)?;
        for (path, value) in config.secrets {
            simulation.set_mock_secret(path, value);
        }
        Ok(simulation)
    }

    fn quiet(source: Source, seed: u64, clock: WallClock) -> Self {
        let faults = Mutex::new(Schedule::new(seed, Vec::new()));
        Self { source, mocks: Mutex::default(), faults, seed, log: Mutex::default(), clock }
    }

    /// Gives a mock secret a new version, which becomes the current one: `mock-v1`, `mock-v2` and so on.
    pub fn set_mock_secret(&self, path: impl Into<String>, value: impl Into<SecretString>) {
        lock(&self.mocks).set(path.into(), value.into(), self.clock.now());
    }

    /// Sets the version that the mock secret's next rotation makes current. Until then it has the stage `AWSPENDING`.
    pub fn set_pending_secret(&self, path: impl Into<String>, value: impl Into<SecretString>) {
        lock(&self.mocks).set_pending(path.into(), value.into());
    }

    /// Forgets a mock secret with all its versions.
    pub fn remove_mock_secret(&self, path: &str) {
        lock(&self.mocks).remove(path);
    }

    /// Lets these faults happen from now on, in place of those before, with calls counted from 1 again.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidProvider`] if a chance is not between 0 and 1.
    pub fn set_faults(&self, faults: Vec<ScheduledFault>) -> Result<(), ConfigurationError> {
        if let Some(wrong) = faults.iter().find(|fault| !is_probability(fault.chance)) {
            return Err(invalid(&format!("a chance is from 0 to 1, not {}", wrong.chance)));
        }
        *lock(&self.faults) = Schedule::new(self.seed, faults);
        Ok(())
    }

    /// What was asked so far, the last 100,000 questions, oldest first.
    pub fn get_access_log(&self) -> Vec<SecretAccessRecord> {
        lock(&self.log).records()
    }

    /// What was recorded so far; nothing unless it records.
    pub fn recording(&self) -> Recording {
        match &self.source {
            Source::Record(_, recorder) => lock(recorder).recording(),
            Source::Mock | Source::Replay(_) | Source::DryRun => Recording::default(),
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer, SecretsError> {
        let fault = lock(&self.faults).next(question.path());
        if let Some(fault) = fault {
            tokio::time::sleep(fault.delay()).await;
        }
        let answer = match fault.and_then(|fault| fault.error(question.path())) {
            Some(error) => Answer::Error(error),
            None => self.answer(&question).await,
        };
        let error = if let Answer::Error(error) = &answer { Some(error.error_type()) } else { None };
        lock(&self.log).push(SecretAccessRecord { timestamp: self.clock.now(), question, error });
        if let Answer::Error(error) = answer { Err(error) } else { Ok(answer) }
    }

    async fn answer(&self, question: &Question) -> Answer {
        match &self.source {
            Source::Mock => self.mocked(question),
            Source::DryRun => match self.mocked(question) {
                Answer::Error(SecretsError::NotFound(_)) => self.placeholder(question),
                answer => answer,
            },
            Source::Replay(replayer) => lock(replayer).next(question),
            Source::Record(provider, recorder) => {
                let answer = forwarded(&**provider, question).await;
                lock(recorder).push(question.clone(), answer.clone());
                answer
            }
        }
    }

    fn mocked(&self, question: &Question) -> Answer {
        let mut mocks = lock(&self.mocks);
        match question {
            Question::Get { path, options } => of(mocks.get(path, options), |secret| (&secret).into()),
            Question::List { prefix, options } => Answer::Page(mocks.list(prefix, options)),
            Question::Describe { path } => of(mocks.describe(path), Answer::Metadata),
            Question::Versions { path } => of(mocks.versions(path), Answer::Versions),
            Question::Rotate { path } => of(mocks.rotate(path, self.clock.now()), Answer::Rotation),
            Question::Health => Answer::Healthy,
        }
    }

    /// What a dry run answers for a secret that is not mocked.
    fn placeholder(&self, question: &Question) -> Answer {
        let metadata = SecretMetadata::new(question.path(), PLACEHOLDER, DateTime::UNIX_EPOCH);
        match question {
            Question::Get { .. } => Answer::from(&SecretValue {
                value: PLACEHOLDER.into(),
                binary: false,
                version: PLACEHOLDER.into(),
                created_at: metadata.created_at,
                updated_at: None,
                valid_until: None,
                metadata: Arc::new(metadata),
            }),
            Question::Versions { .. } => {
                Answer::Versions(vec![SecretVersion::new(PLACEHOLDER, metadata.created_at)])
            }
            Question::Rotate { .. } => Answer::Rotation(RotationResult {
                triggered: false,
                version_id: None,
                status: RotationStatus::NotConfigured,
            }),
            Question::Describe { .. } | Question::List { .. } | Question::Health => {
                Answer::Metadata(metadata)
            }
        }
    }
}

impl Default for SimulationProvider {
    /// Mock secrets, none yet, and nothing goes wrong.
    fn default() -> Self {
        Self::quiet(Source::Mock, 0, WallClock::default())
    }
}

#[async_trait]
impl SecretProvider for SimulationProvider {
    async fn get_secret(&self, path: &str, options: GetSecretOptions) -> Result<SecretValue, SecretsError> {
        // How the client got here is no part of the question.
        let options = GetSecretOptions { provider: None, skip_cache: false, ..options };
        match self.ask(Question::Get { path: path.to_owned(), options }).await? {
            Answer::Secret(secret) => Ok(secret.into()),
            _ => Err(mixed_up()),
        }
    }

    async fn list_page(&self, prefix: &str, options: ListOptions) -> Result<SecretPage, SecretsError> {
        let options = ListOptions { provider: None, ..options };
        match self.ask(Question::List { prefix: prefix.to_owned(), options }).await? {
            Answer::Page(page) => Ok(page),
            _ => Err(mixed_up()),
        }
    }

    async fn describe_secret(&self, path: &str) -> Result<SecretMetadata, SecretsError> {
        match self.ask(Question::Describe { path: path.to_owned() }).await? {
            Answer::Metadata(metadata) => Ok(metadata),
            _ => Err(mixed_up()),
        }
    }

    async fn list_versions(&self, path: &str) -> Result<Vec<SecretVersion>, SecretsError> {
        match self.ask(Question::Versions { path: path.to_owned() }).await? {
            Answer::Versions(versions) => Ok(versions),
            _ => Err(mixed_up()),
        }
    }

    async fn rotate_secret(&self, path: &str) -> Result<RotationResult, SecretsError> {
        match self.ask(Question::Rotate { path: path.to_owned() }).await? {
            Answer::Rotation(result) => Ok(result),
            _ => Err(mixed_up()),
        }
    }

    fn provider_type(&self) -> ProviderType {
        ProviderType::Simulation
    }

    /// That of the store that is recorded.
    fn place(&self) -> String {
        match &self.source {
            Source::Record(provider, _) => format!("{} {}", provider.provider_type(), provider.place()),
            Source::Mock | Source::Replay(_) | Source::DryRun => String::new(),
        }
    }

    async fn health_check(&self) -> Result<(), SecretsError> {
        self.ask(Question::Health).await.map(drop)
    }
}

async fn forwarded(provider: &dyn SecretProvider, question: &Question) -> Answer {
    match question {
        Question::Get { path, options } => {
            of(provider.get_secret(path, options.clone()).await, |secret| (&secret).into())
        }
        Question::List { prefix, options } => {
            of(provider.list_page(prefix, options.clone()).await, Answer::Page)
        }
        Question::Describe { path } => of(provider.describe_secret(path).await, Answer::Metadata),
        Question::Versions { path } => of(provider.list_versions(path).await, Answer::Versions),
        Question::Rotate { path } => of(provider.rotate_secret(path).await, Answer::Rotation),
        Question::Health => of(provider.health_check().await, |()| Answer::Healthy),
    }
}

fn of<T>(result: Result<T, SecretsError>, answer: impl FnOnce(T) -> Answer) -> Answer {
    result.map_or_else(Answer::Error, answer)
}

/// A recording that was changed by hand may answer a question with what is no answer to it.
fn mixed_up() -> SecretsError {
    let detail = "the recording has an answer of another kind".into();
    ProviderError::InternalError { provider: ProviderType::Simulation, detail }.into()
}

fn invalid(detail: &str) -> ConfigurationError {
    ConfigurationError::InvalidProvider { detail: format!("simulation: {detail}") }
}

/// No one holds one of these locks while it calls what may panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Mock => "Mock",
            Self::Record(..) => "Record",
            Self::Replay(_) => "Replay",
            Self::DryRun => "DryRun",
        })
    }
}
