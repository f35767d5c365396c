//! Paths as a Key Vault can have them: letters, digits and `-`, and something that stands for `/` if it is agreed on.
//! Knows nothing of HTTP.

use crate::types::ConfigurationError;

/// The longest name, in bytes.
const LONGEST: usize = 127;

/// What stands for `/`, if anything does.
#[derive(Debug)]
pub(super) struct Names(Option<String>);

impl Names {
    pub fn new(separator: Option<String>) -> Result<Self, ConfigurationError> {
        if let Some(separator) = separator.as_deref().filter(|separator| !is_name(separator)) {
            let detail =
                format!("azure has the separator {separator:?}; it may have letters, digits and - only");
            return Err(ConfigurationError::InvalidProvider { detail });
        }
        Ok(Self(separator))
    }

    /// The vault's name for a path. A path that would not come back from its name is refused.
    pub fn name(&self, path: &str) -> Result<String, ConfigurationError> {
        let name = match &self.0 {
            Some(separator) => path.replace('/', separator),
            None => path.to_owned(),
        };
        let why = if LONGEST < name.len() {
            format!("its name would have more than {LONGEST} characters")
        } else if !is_name(&name) {
            match &self.0 {
                Some(separator) => {
                    format!("azure has names of letters, digits and -, with {separator} for /")
                }
                None => "azure has names of letters, digits and -, and no separator is configured".into(),
            }
        } else if self.path(&name) != path {
            "it has what stands for / in it".into()
        } else {
            return Ok(name);
        };
        Err(ConfigurationError::InvalidPathPattern { detail: format!("{path:?}: {why}") })
    }

    /// The path of a name of the vault's.
    pub fn path(&self, name: &str) -> String {
        match &self.0 {
            Some(separator) => name.replace(separator, "/"),
            None => name.to_owned(),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_separator_a_path_is_a_name_or_is_refused() {
        let names = Names::new(None).unwrap();
        assert_eq!(names.name("db-password").unwrap(), "db-password");
        for path in ["app/db", "db_password", "", "ü", "a?b", &"a".repeat(128)] {
            assert!(names.name(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn with_a_separator_each_name_has_one_path_and_each_path_one_name() {
        let names = Names::new(Some("--".into())).unwrap();
        assert_eq!(names.name("app/db-password").unwrap(), "app--db-password");
        assert_eq!(names.path("app--db-password"), "app/db-password");
        // These would be read back as other paths.
        assert!(names.name("app--db").is_err() && names.name("app-/db").is_err());
        for name in ["a---b", "a----b", "-a--", "a"] {
            assert_eq!(names.name(&names.path(name)).unwrap(), name);
        }
    }

    #[test]
    fn a_separator_that_no_name_can_have_is_refused() {
        assert!(Names::new(Some("_".into())).is_err() && Names::new(Some(String::new())).is_err());
    }
}
