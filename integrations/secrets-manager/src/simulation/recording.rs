//! What a provider was asked and what it answered, in order: kept, written to a file, and given out again. Knows nothing of
//! where the answers come from.

use std::{collections::HashMap, fmt, path::Path};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{access::Question, scrub::Scrubber};
use crate::{
    secret_file,
    types::{
        ConfigurationError, ExposedValue, RotationResult, SecretMetadata, SecretNotFoundError, SecretPage,
        SecretValue, SecretVersion, SecretsError,
    },
};

/// The format of the file that this release writes and reads.
const FORMAT: u32 = 1;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;
/// The most exchanges that are kept.
const MOST: usize = 100_000;

/// Questions and answers in the order in which they came. `Debug` shows no answer.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    format: u32,
    /// Whether values are those of the store; they are placeholders otherwise.
    keeps_values: bool,
    exchanges: Vec<Exchange>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    question: Question,
    answer: Answer,
}

/// What a provider answered.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Secret(ExposedValue),
    Page(SecretPage),
    Metadata(SecretMetadata),
    Versions(Vec<SecretVersion>),
    Rotation(RotationResult),
    Healthy,
    Error(SecretsError),
}

impl From<&SecretValue> for Answer {
    fn from(secret: &SecretValue) -> Self {
        Self::Secret(secret.into())
    }
}

impl Recording {
    /// Reads a file that [`Recording::save`] wrote.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidProvider`] if it cannot be read, has more than 64 MiB, or is no recording of a format
    /// that this release knows.
    pub fn load(path: &Path) -> Result<Self, ConfigurationError> {
        let wrong = |why: String| invalid(path, &why);
        let content = secret_file::read(path, LARGEST).map_err(|error| wrong(error.to_string()))?;
        // What serde says may quote a value; its place does not.
        let recording: Self = serde_json::from_slice(&content).map_err(|error| {
            wrong(format!("no recording at line {}, column {}", error.line(), error.column()))
        })?;
        if recording.format != FORMAT {
            return Err(wrong(format!("its format is {}, not {FORMAT}", recording.format)));
        }
        Ok(recording)
    }

    /// Writes it to a file, in place of what is there, that its owner alone may read.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidProvider`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ConfigurationError> {
        let content =
            serde_json::to_vec_pretty(self).map_err(|_| invalid(path, "it cannot be made into JSON"))?;
        let content = Zeroizing::new(content);
        secret_file::write(path, &content).map_err(|error| invalid(path, &error.to_string()))
    }

    /// How many exchanges it has.
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({} exchanges)", self.len())
    }
}

/// Keeps what is asked and answered.
#[derive(Debug)]
pub(super) struct Recorder {
    recording: Recording,
    scrubber: Scrubber,
}

impl Recorder {
    pub fn new(keeps_values: bool) -> Self {
        let recording = Recording { format: FORMAT, keeps_values, exchanges: Vec::new() };
        Self { recording, scrubber: Scrubber::default() }
    }

    /// Keeps one more exchange, as long as there is room.
    pub fn push(&mut self, question: Question, mut answer: Answer) {
        if self.recording.len() == MOST {
            tracing::warn!(most = MOST, "the recording is full: no more is recorded");
            return;
        }
        if let (Answer::Secret(secret), false) = (&mut answer, self.recording.keeps_values) {
            *secret = self.scrubber.scrub(secret);
        }
        self.recording.exchanges.push(Exchange { question, answer });
    }

    pub fn recording(&self) -> Recording {
        self.recording.clone()
    }
}

/// Gives recorded answers out again: for each question those that it had, in their order, the last one for ever.
#[derive(Default)]
pub(super) struct Replayer(HashMap<String, Vec<Asked>>);

struct Asked {
    question: Question,
    answers: Vec<Answer>,
    given: usize,
}

impl Replayer {
    pub fn new(recording: Recording) -> Self {
        let mut replayer = Self::default();
        for Exchange { question, answer } in recording.exchanges {
            let of_path = replayer.0.entry(question.path().to_owned()).or_default();
            match of_path.iter_mut().find(|asked| asked.question == question) {
                Some(asked) => asked.answers.push(answer),
                None => of_path.push(Asked { question, answers: vec![answer], given: 0 }),
            }
        }
        replayer
    }

    /// The next answer to a question. What was never asked while it was recorded is not there.
    pub fn next(&mut self, question: &Question) -> Answer {
        let of_path = self.0.get_mut(question.path()).into_iter().flatten();
        let Some(asked) = of_path.into_iter().find(|asked| asked.question == *question) else {
            let path = question.path().to_owned();
            return Answer::Error(SecretNotFoundError::SecretDoesNotExist { path }.into());
        };
        let next = asked.given.min(asked.answers.len() - 1);
        asked.given = next + 1;
        asked.answers[next].clone()
    }
}

impl fmt::Debug for Replayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replayer({} paths)", self.0.len())
    }
}

fn invalid(path: &Path, why: &str) -> ConfigurationError {
    ConfigurationError::InvalidProvider { detail: format!("recording {}: {why}", path.display()) }
}
