//! Who asked for what, and what came of it: a bounded log. Knows nothing of values.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::types::{GetSecretOptions, ListOptions};

/// The most records that are kept; the oldest go first.
const MOST: usize = 100_000;

/// What a provider is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// A secret's value.
    Get {
        /// The secret.
        path: String,
        /// Which version of it.
        options: GetSecretOptions,
    },
    /// A page of a list.
    List {
        /// How the paths begin.
        prefix: String,
        /// Which page.
        options: ListOptions,
    },
    /// What is known about a secret.
    Describe {
        /// The secret.
        path: String,
    },
    /// The versions of a secret.
    Versions {
        /// The secret.
        path: String,
    },
    /// A rotation.
    Rotate {
        /// The secret.
        path: String,
    },
    /// Whether the store is well.
    Health,
}

impl Question {
    /// The path or prefix that it is about; empty if none.
    pub fn path(&self) -> &str {
        match self {
            Self::Get { path, .. }
            | Self::Describe { path }
            | Self::Versions { path }
            | Self::Rotate { path } => path,
            Self::List { prefix, .. } => prefix,
            Self::Health => "",
        }
    }
}

/// One question and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretAccessRecord {
    /// When it was asked.
    pub timestamp: DateTime<Utc>,
    /// What.
    pub question: Question,
    /// The [`crate::SecretsError::error_type`] of the error that it was answered with, if it was one.
    pub error: Option<&'static str>,
}

/// The last records.
#[derive(Debug, Default)]
pub(super) struct AccessLog(VecDeque<SecretAccessRecord>);

impl AccessLog {
    pub fn push(&mut self, record: SecretAccessRecord) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }

    pub fn records(&self) -> Vec<SecretAccessRecord> {
        self.0.iter().cloned().collect()
    }
}
