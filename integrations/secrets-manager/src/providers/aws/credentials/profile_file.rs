//! The files in which AWS's tools keep profiles. Knows nothing of what a profile's settings mean.

use std::{collections::HashMap, path::Path};

use ini::{Ini, ParseOption};
use zeroize::Zeroize;

use super::none;
use crate::{secret_file, types::SecretsError};

/// The settings of one profile. They are wiped when it is dropped.
#[derive(Default)]
pub(super) struct Settings(HashMap<String, String>);

impl Settings {
    /// A setting; one that is empty is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn set_missing(&mut self, other: &ini::Properties) {
        for (name, value) in other.iter() {
            self.0.entry(name.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
        }
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

/// One file, as it is. What it holds is wiped when it is dropped.
struct File(Ini);

impl File {
    /// The file at `path`; an empty one if there is none.
    async fn read(path: &Path) -> Result<Self, SecretsError> {
        if !tokio::fs::try_exists(path).await.unwrap_or(true) {
            return Ok(Self(Ini::new()));
        }
        let text = secret_file::text_aside(path).await.map_err(none)?;
        Self::parse(&text).map_err(|why| none(format!("{}: {why}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        // A key may contain what elsewhere would be an escape or a quote; nested settings are not a profile's own.
        let option = ParseOption {
            enabled_quote: false,
            enabled_escape: false,
            enabled_preserve_key_leading_whitespace: true,
            ..ParseOption::default()
        };
        Ini::load_from_str_opt(text, option)
            .map(Self)
            .map_err(|error| format!("line {}, column {}: {}", error.line, error.col, error.msg))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for (_, section) in self.0.iter_mut() {
            section.iter_mut().for_each(|(_, value)| value.zeroize());
        }
    }
}

/// A profile, from both files; what stands in that of credentials counts first. None if neither has it.
pub(super) async fn profile(
    name: &str,
    credentials: &Path,
    config: &Path,
) -> Result<Option<Settings>, SecretsError> {
    let (credentials, config) = (File::read(credentials).await?, File::read(config).await?);
    let longer = format!("profile {name}");
    let in_config = config.0.section(Some(&longer));
    let in_config = in_config.or_else(|| config.0.section(Some(name)).filter(|_| name == "default"));
    let sections = [credentials.0.section(Some(name)), in_config];
    if sections.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut settings = Settings::default();
    sections.into_iter().flatten().for_each(|section| settings.set_missing(section));
    Ok(Some(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(name: &str, credentials: &str, config: &str) -> Option<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("credentials"), folder.path().join("config"));
        std::fs::write(&one, credentials).unwrap();
        std::fs::write(&two, config).unwrap();
        profile(name, &one, &two).await.unwrap()
    }

    #[tokio::test]
    async fn the_file_of_credentials_counts_before_that_of_settings() {
        let credentials = "[prod]\naws_access_key_id = one\n";
        let config = "[profile prod]\naws_access_key_id=two\nregion=eu-west-1\n[prod]\nregion = wrong\n";
        let settings = found("prod", credentials, config).await.unwrap();
        assert_eq!(settings.get("aws_access_key_id"), Some("one"));
        assert_eq!(settings.get("region"), Some("eu-west-1"));
    }

    #[tokio::test]
    async fn a_key_is_read_as_it_stands() {
        for secret in [r#"wJalr/XUtn+FEMI\K7MDENG="'"#, r#""quoted" and more"#] {
            let text = format!("# a comment\n; another\n[default]\nAWS_Secret_Access_Key = {secret}\n");
            let settings = found("default", &text, "").await.unwrap();
            assert_eq!(settings.get("aws_secret_access_key"), Some(secret));
        }
    }

    #[tokio::test]
    async fn nested_settings_are_not_the_profiles_own() {
        let config = "[default]\ns3 =\n  region = nested\nregion = own\n";
        assert_eq!(found("default", "", config).await.unwrap().get("region"), Some("own"));
    }

    #[tokio::test]
    async fn a_profile_that_is_nowhere_is_none() {
        assert!(found("prod", "[default]\n", "[prod]\n").await.is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_by_line_without_its_text() {
        let why = File::parse("[default]\nhunter2").err().unwrap();
        assert!(why.contains("line") && !why.contains("hunter2"), "{why}");
    }
}
