//! What was asked of which store: two questions with different answers have different keys.

use std::{
    borrow::Cow,
    hash::{Hash, Hasher},
};

use chrono::{DateTime, Utc};

use crate::types::{GetSecretOptions, ProviderType};

/// A question: which store, which path, which version. Borrows what it is made of, so that looking something up copies
/// nothing; [`CacheKey::into_owned`] is what a cache keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey<'a> {
    /// The store.
    pub provider: ProviderType,
    /// The path, as it is asked for.
    pub path: Cow<'a, str>,
    /// The version, if one is asked for.
    pub version: Option<Cow<'a, str>>,
    /// The stage, if one is asked for.
    pub stage: Option<Cow<'a, str>>,
    /// The time, if one is asked for.
    pub at: Option<DateTime<Utc>>,
}

impl<'a> CacheKey<'a> {
    /// What `options` asks `provider` for at `path`.
    pub fn new(provider: ProviderType, path: &'a str, options: &'a GetSecretOptions) -> Self {
        Self {
            provider,
            path: Cow::Borrowed(path),
            version: options.version.as_deref().map(Cow::Borrowed),
            stage: options.stage.as_deref().map(Cow::Borrowed),
            at: options.at,
        }
    }

    /// The question for the current version.
    pub fn current(provider: ProviderType, path: &'a str) -> Self {
        Self { provider, path: Cow::Borrowed(path), version: None, stage: None, at: None }
    }

    /// The same question, as a provider is asked it.
    pub fn options(&self) -> GetSecretOptions {
        GetSecretOptions {
            version: self.version.as_deref().map(str::to_owned),
            stage: self.stage.as_deref().map(str::to_owned),
            at: self.at,
            provider: Some(self.provider),
            skip_cache: false,
        }
    }

    /// Whether the answer never changes: one version by its identifier.
    pub fn is_pinned(&self) -> bool {
        self.version.is_some()
    }

    /// Whether the answer is the version that is current.
    pub fn is_current(&self) -> bool {
        self.version.is_none() && self.stage.is_none() && self.at.is_none()
    }

    /// The same key, holding what it is made of.
    pub fn into_owned(self) -> CacheKey<'static> {
        CacheKey {
            provider: self.provider,
            path: Cow::Owned(self.path.into_owned()),
            version: self.version.map(|text| Cow::Owned(text.into_owned())),
            stage: self.stage.map(|text| Cow::Owned(text.into_owned())),
            at: self.at,
        }
    }

    /// How many bytes of text it has.
    pub(crate) fn len(&self) -> usize {
        let [version, stage] =
            [&self.version, &self.stage].map(|text| text.as_ref().map_or(0, |text| text.len()));
        self.path.len() + version + stage
    }
}

/// Equal keys hash alike, borrowed or owned. Times, which are rarely asked for, are left to comparison.
impl Hash for CacheKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.provider as u8);
        state.write(self.path.as_bytes());
        for text in [&self.version, &self.stage].into_iter().flatten() {
            state.write(text.as_bytes());
        }
    }
}
