//! Which kinds of stores there are, by the names that configuration, references and metrics use.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderType {
    /// AWS Secrets Manager.
    Aws,
    /// HashiCorp Vault, and what speaks its KV v2 API.
    Vault,
    /// Azure Key Vault.
    Azure,
    /// Google Cloud Secret Manager.
    Gcp,
    /// Files of this machine.
    Local,
    /// Covault.
    Covault,
    /// A stand-in, for tests and rehearsals.
    Simulation,
}

impl ProviderType {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Aws, Self::Vault, Self::Azure, Self::Gcp, Self::Local, Self::Covault, Self::Simulation];

    /// Its name, as configuration, references and metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Vault => "vault",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Local => "local",
            Self::Covault => "covault",
            Self::Simulation => "simulation",
        }
    }
}

impl fmt::Display for ProviderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no store of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no provider {0:?}: expected aws, vault, azure, gcp, local, covault or simulation")]
pub struct UnknownProvider(pub String);

impl FromStr for ProviderType {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, UnknownProvider> {
        let found = Self::ALL.into_iter().find(|provider| provider.name() == name);
        found.ok_or_else(|| UnknownProvider(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_found_by_its_name() {
        for provider in ProviderType::ALL {
            assert_eq!(provider.name().parse(), Ok(provider));
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.name());
        }
        assert!("AWS".parse::<ProviderType>().is_err());
    }
}
