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
    /// The kind of store.
    pub provider: ProviderType,
    /// Which store of this kind, by its [place](crate::SecretProvider::place), and the tags that a secret must have for
    /// who asks. Empty in memory, where there is one store of each kind and one who asks; a cache that outlives its client
    /// may be shared with others.
    pub place: Cow<'a, str>,
    /// The path: in memory as the caller has it, in a cache that outlives its client as the store does.
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
            place: Cow::Borrowed(""),
            path: Cow::Borrowed(path),
            version: options.version.as_deref().map(Cow::Borrowed),
            stage: options.stage.as_deref().map(Cow::Borrowed),
            at: options.at,
        }
    }

    /// The question for the current version.
    pub fn current(provider: ProviderType, path: &'a str) -> Self {
        let (place, path) = (Cow::Borrowed(""), Cow::Borrowed(path));
        Self { provider, place, path, version: None, stage: None, at: None }
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
            place: Cow::Owned(self.place.into_owned()),
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
        self.place.len() + self.path.len() + version + stage
    }
}

/// Equal keys hash alike, borrowed or owned. Times, which are rarely asked for, are left to comparison.
impl Hash for CacheKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.provider as u8);
        state.write(self.place.as_bytes());
        state.write(self.path.as_bytes());
        for text in [&self.version, &self.stage].into_iter().flatten() {
            state.write(text.as_bytes());
        }
    }
}
