//! Patterns of paths: `app/prod` is that path and all below it, `app/prod/*` all below it, `app/prod-*` all that begin
//! so, and `*` all there are.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error};

use crate::types::ConfigurationError;

/// Which paths are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    open: bool,
}

impl PathPattern {
    /// The pattern that `text` is.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidPathPattern`] if it is empty or has a `*` before its end.
    pub fn new(text: &str) -> Result<Self, ConfigurationError> {
        let (stem, open) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
        if text.is_empty() || stem.contains('*') {
            let detail = format!("pattern {text:?} is empty or has a `*` before its end");
            return Err(ConfigurationError::InvalidPathPattern { detail });
        }
        let stem = if open { stem } else { stem.trim_end_matches('/') };
        Ok(Self { text: stem.to_owned(), open })
    }

    /// Whether it means `path`.
    pub fn matches(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.text.as_str());
        rest.is_some_and(|rest| self.open || rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it means every path that begins with `prefix`.
    pub fn contains(&self, prefix: &str) -> bool {
        let rest = prefix.strip_prefix(self.text.as_str());
        rest.is_some_and(|rest| self.open || rest.starts_with('/'))
    }

    /// How much of a path it fixes, in bytes: of two that mean a path, the one that fixes more is meant for it.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether it fixes nothing.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.open { "*" } else { "" })
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::new(pattern).unwrap().matches(path)
    }

    #[test]
    fn a_pattern_ends_where_a_part_of_the_path_ends_unless_it_is_open() {
        assert!(matches("app/prod", "app/prod"));
        assert!(matches("app/prod", "app/prod/db"));
        assert!(!matches("app/prod", "app/production"));
        assert!(matches("app/prod/", "app/prod/db"));
        assert!(matches("app/prod/*", "app/prod/db"));
        assert!(!matches("app/prod/*", "app/prod"));
        assert!(matches("app/prod*", "app/production"));
        assert!(matches("*", "anything"));
    }

    #[test]
    fn a_prefix_is_contained_only_if_all_below_it_is_meant() {
        let contains = |pattern, prefix| PathPattern::new(pattern).unwrap().contains(prefix);
        assert!(contains("app/prod", "app/prod/"));
        assert!(!contains("app/prod", "app/prod"), "app/production begins so too");
        assert!(contains("app/prod/*", "app/prod/d"));
        assert!(!contains("app/prod/*", "app/"));
        assert!(contains("*", ""));
    }

    #[test]
    fn a_star_in_the_middle_and_an_empty_pattern_are_refused() {
        for text in ["", "a*b", "**"] {
            assert!(PathPattern::new(text).is_err(), "{text:?}");
        }
    }
}
