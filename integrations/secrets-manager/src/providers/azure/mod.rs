//! Azure Key Vault.

mod config;

pub use config::{AzureCredentials, AzureKeyVaultConfig};
