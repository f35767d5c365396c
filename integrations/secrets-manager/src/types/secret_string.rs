//! Text that is shared, wiped when the last holder lets go of it, and never shown.

use std::{fmt, sync::Arc};

use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A secret text. A clone is another holder of the same memory, so that a cache hit copies no plaintext; the memory is
/// wiped when the last one is dropped. `Debug` shows no part of it, and there is no `Display` and no `Serialize`.
#[derive(Clone)]
pub struct SecretString(Arc<SecretBox<str>>);

impl SecretString {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.expose_secret().len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ExposeSecret<str> for SecretString {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for SecretString {
    /// Takes the text over, and wipes what the conversion leaves behind.
    fn from(text: String) -> Self {
        Self::from(Zeroizing::new(text))
    }
}

impl From<Zeroizing<String>> for SecretString {
    fn from(text: Zeroizing<String>) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self(Arc::new(SecretBox::new(Box::from(text))))
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString([REDACTED])")
    }
}

impl<'de> Deserialize<'de> for SecretString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_part_of_a_secret() {
        let secret = SecretString::from("hunter2");
        assert_eq!(format!("{secret:?}"), "SecretString([REDACTED])");
        assert_eq!(secret.expose_secret(), "hunter2");
    }

    #[test]
    fn a_clone_holds_the_same_memory() {
        let secret = SecretString::from("hunter2");
        assert_eq!(secret.clone().expose_secret().as_ptr(), secret.expose_secret().as_ptr());
    }
}
