//! Which Covault and as whom. Knows nothing of HTTP.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::{transport::TransportConfig, types::SecretString};

/// A Covault of one node or several.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CovaultConfig {
    /// The nodes' addresses, `https://vault-1.example:8400`. The one that answered last is asked; the others in turn
    /// while it cannot. What `COVAULT_URL` says, separated by commas, if none are given.
    pub addresses: Vec<Url>,
    /// The caller's token.
    pub token: Option<SecretString>,
    /// The file that has the token, read again when the token is no longer accepted. With neither, `COVAULT_TOKEN` has
    /// the token, or the file that `COVAULT_TOKEN_FILE` names.
    pub token_file: Option<PathBuf>,
    /// Whose secrets are read, where it is not the caller itself and that one's grants let it.
    pub owner: Option<String>,
    /// What a value is confirmed by.
    pub consistency: Consistency,
    /// How the nodes are reached. With several, `timeout` holds for each.
    pub transport: TransportConfig,
}

/// What a value is confirmed by before it is given out. That there is none is always confirmed by a majority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// The node that is asked: it may not have the newest version yet.
    #[default]
    Local,
    /// A majority of the nodes.
    Quorum,
}

impl Consistency {
    /// As the query has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Quorum => "quorum",
        }
    }
}
