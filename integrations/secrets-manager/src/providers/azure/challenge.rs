//! A Key Vault's challenge: for which service, and from which directory, it wants a token. Knows nothing of how one is had.

use url::Url;

/// `Bearer authorization="https://login…/tenant", resource="https://vault.azure.net"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The vault's directory, where it is told.
    pub tenant: Option<String>,
    /// For what the token is to be.
    pub scope: String,
}

impl Challenge {
    /// Reads the header; none if it does not tell for what a token is wanted.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let authority = parameter(rest, "authorization").or_else(|| parameter(rest, "authorization_uri"));
        let tenant = authority.and_then(|authority| Url::parse(authority).ok()).and_then(|authority| {
            let first = authority.path_segments()?.next()?;
            (!first.is_empty()).then(|| first.to_owned())
        });
        let scope = match (parameter(rest, "scope"), parameter(rest, "resource")) {
            (Some(scope), _) => scope.to_owned(),
            (None, Some(resource)) => format!("{}/.default", resource.trim_end_matches('/')),
            (None, None) => return None,
        };
        Some(Self { tenant, scope })
    }

    /// The service, as it is named where no scope is understood.
    pub fn resource(&self) -> &str {
        self.scope.strip_suffix("/.default").unwrap_or(&self.scope)
    }

    /// Whether a vault is part of the service that the token would be for, by their hosts. A token for another service
    /// would be one that the vault could use there.
    pub fn is_of(&self, vault: &Url) -> bool {
        let service = Url::parse(&self.scope).ok();
        let service = service.as_ref().and_then(Url::host_str).map(|host| format!(".{host}"));
        service.zip(vault.host_str()).is_some_and(|(service, vault)| vault.ends_with(&service))
    }
}

/// A parameter's text, with or without quotes.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let pairs = parameters.split(',').filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(other, _)| other.trim().eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim().trim_matches('"')).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = r#"Bearer authorization="https://login.microsoftonline.com/72f988bf", resource="https://vault.azure.net""#;

    #[test]
    fn a_resource_and_a_scope_ask_for_the_same_token() {
        let of_resource = Challenge::parse(REAL).unwrap();
        assert_eq!(of_resource.tenant.as_deref(), Some("72f988bf"));
        assert_eq!(of_resource.scope, "https://vault.azure.net/.default");
        assert_eq!(of_resource.resource(), "https://vault.azure.net");
        let scope = r#"bearer scope="https://vault.azure.net/.default""#;
        assert_eq!(Challenge::parse(scope).unwrap().scope, of_resource.scope);
    }

    #[test]
    fn what_is_no_challenge_of_this_kind_is_none() {
        for header in ["", "Bearer", "Basic realm=\"x\"", "Bearer realm=\"x\"", "Bearer resource=\"\""] {
            assert_eq!(Challenge::parse(header), None, "{header:?}");
        }
    }

    #[test]
    fn a_vault_gets_a_token_for_its_own_service_only() {
        let challenge = Challenge::parse(REAL).unwrap();
        let is_of = |vault: &str| challenge.is_of(&Url::parse(vault).unwrap());
        assert!(is_of("https://myvault.vault.azure.net"));
        for other in
            ["https://vault.azure.net.evil.example", "https://evilvault.azure.net", "https://localhost"]
        {
            assert!(!is_of(other), "{other}");
        }
    }
}
