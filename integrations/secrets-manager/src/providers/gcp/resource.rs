//! How Google names what it stores, and where it is asked for. Knows nothing of what is asked.

use url::Url;

use crate::types::ConfigurationError;

/// The longest name of a secret, in bytes; that of a version's alias is shorter.
const LONGEST: usize = 255;
/// The longest alias of a version, in bytes.
const LONGEST_ALIAS: usize = 63;

/// A secret, and the version that its path names if it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) project: String,
    pub(super) location: Option<String>,
    pub(super) id: String,
    pub(super) version: Option<String>,
}

impl Secret {
    /// What `path` names: a secret of the project, or a full resource name, `projects/*/secrets/*` or
    /// `projects/*/locations/*/secrets/*`, each with or without `/versions/*`.
    pub(super) fn of(path: &str, project: &str, location: Option<&str>) -> Result<Self, ConfigurationError> {
        let parts: Vec<&str> = path.split('/').collect();
        let (project, location, id, version) = match parts[..] {
            [id] => (project, location, id, None),
            ["projects", project, "secrets", id] => (project, None, id, None),
            ["projects", project, "secrets", id, "versions", version] => (project, None, id, Some(version)),
            ["projects", project, "locations", location, "secrets", id] => {
                (project, Some(location), id, None)
            }
            ["projects", project, "locations", location, "secrets", id, "versions", version] => {
                (project, Some(location), id, Some(version))
            }
            _ => return Err(refused(path)),
        };
        let is_right = is_name(id, LONGEST)
            && is_project(project)
            && location.is_none_or(is_location)
            && version.is_none_or(|version| is_name(version, LONGEST_ALIAS));
        if !is_right {
            return Err(refused(path));
        }
        Ok(Self {
            project: project.to_owned(),
            location: location.map(str::to_owned),
            id: id.to_owned(),
            version: version.map(str::to_owned),
        })
    }

    /// Its resource name.
    pub(super) fn name(&self) -> String {
        format!("{}/secrets/{}", parent(&self.project, self.location.as_deref()), self.id)
    }
}

/// What secrets are listed under.
pub(super) fn parent(project: &str, location: Option<&str>) -> String {
    match location {
        Some(location) => format!("projects/{project}/locations/{location}"),
        None => format!("projects/{project}"),
    }
}

/// The last part of a resource name.
pub(super) fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Where secrets of a location are asked for; the global ones without.
pub(super) fn endpoint(location: Option<&str>) -> Result<Url, ConfigurationError> {
    let address = match location {
        Some(location) if is_location(location) => {
            format!("https://secretmanager.{location}.rep.googleapis.com/")
        }
        Some(location) => {
            return Err(ConfigurationError::MissingEndpoint {
                detail: format!("{location:?} is no location of GCP"),
            });
        }
        None => "https://secretmanager.googleapis.com/".to_owned(),
    };
    Url::parse(&address).map_err(|_| ConfigurationError::MissingEndpoint { detail: address })
}

/// Whether it is a project's id or number; older ids begin with a domain and a colon.
pub(super) fn is_project(text: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(may_stand) && !text.starts_with('.')
}

/// Whether it can be a version: `latest`, a number or an alias.
pub(super) fn is_version(text: &str) -> bool {
    is_name(text, LONGEST_ALIAS)
}

fn is_location(text: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(may_stand)
}

fn is_name(text: &str, longest: usize) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=longest).contains(&text.len()) && text.bytes().all(may_stand)
}

fn refused(path: &str) -> ConfigurationError {
    ConfigurationError::InvalidPathPattern {
        detail: format!(
            "{path:?}: GCP has names of 1 to {LONGEST} letters, digits, - and _, and resource names of them"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Option<String> {
        Secret::of(path, "p", None).ok().map(|secret| secret.name())
    }

    #[test]
    fn a_short_name_is_of_the_project_and_the_location() {
        assert_eq!(name("db_password-1").unwrap(), "projects/p/secrets/db_password-1");
        let regional = Secret::of("db", "p", Some("europe-west3")).unwrap();
        assert_eq!(regional.name(), "projects/p/locations/europe-west3/secrets/db");
    }

    #[test]
    fn a_full_name_is_taken_as_it_is() {
        let path = "projects/123/locations/us-east1/secrets/db";
        assert_eq!(name(path).unwrap(), path);
        let version = Secret::of("projects/123/secrets/db/versions/7", "p", None).unwrap();
        assert_eq!(
            (version.name().as_str(), version.version.as_deref()),
            ("projects/123/secrets/db", Some("7"))
        );
        assert_eq!(name("projects/example.com:p/secrets/db").unwrap(), "projects/example.com:p/secrets/db");
    }

    #[test]
    fn what_is_no_name_is_refused_before_anybody_is_asked() {
        let long = "a".repeat(256);
        for path in
            ["", "a/b", "a.b", "ä", "..", "a?b", "projects/p/secrets/", "projects/../secrets/a", &long]
        {
            assert!(matches!(
                Secret::of(path, "p", None),
                Err(ConfigurationError::InvalidPathPattern { .. })
            ));
        }
        assert!(Secret::of("projects/p/locations/evil.example/secrets/a", "p", None).is_err());
    }

    #[test]
    fn a_location_has_an_address_of_its_own() {
        let host = |location| endpoint(location).unwrap().host_str().unwrap().to_owned();
        assert_eq!(host(None), "secretmanager.googleapis.com");
        assert_eq!(host(Some("europe-west3")), "secretmanager.europe-west3.rep.googleapis.com");
        assert!(endpoint(Some("evil.example/")).is_err());
    }
}
