//! A reference to a secret, as it stands in a text. Knows nothing of how it is written or found.

use std::ops::Range;

use super::{GetSecretOptions, ProviderType};

/// A reference that was read, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    /// The reference as it is written, `{{secret:path#key@version}}`, whole.
    pub full_match: String,
    /// Where it stands in its text, in bytes: `&text[span]` is `full_match`.
    pub span: Range<usize>,
    /// The secret's path.
    pub path: String,
    /// What of the secret's value, a JSON document, is meant: `password`, `users.0.name`; all of it without.
    pub key: Option<String>,
    /// Which version, by the identifier that its store gives it.
    pub version: Option<String>,
    /// Which version, by a label that its store moves along: `AWSPREVIOUS`.
    pub stage: Option<String>,
    /// Which store, whatever the path maps to.
    pub provider: Option<ProviderType>,
}

impl SecretReference {
    /// How the secret is asked for. References that differ only in the key ask the same.
    pub fn options(&self) -> GetSecretOptions {
        GetSecretOptions {
            version: self.version.clone(),
            stage: self.stage.clone(),
            provider: self.provider,
            ..GetSecretOptions::default()
        }
    }
}
