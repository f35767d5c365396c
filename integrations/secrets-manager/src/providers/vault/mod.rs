//! HashiCorp Vault and what speaks its API: KV v2 mounts.

mod config;

pub use config::{VaultAuth, VaultConfig};
