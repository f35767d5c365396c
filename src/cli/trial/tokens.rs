//! The tokens of a vault to try, kept beside its data so that they can be shown at each start. Not for secrets
//! that matter. Knows nothing of how many nodes there are.

use std::path::Path;

use covault_model::{isolation::Role, name::CallerName};
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        failure::Failure,
        private_file::{read_private, write_private},
        serve,
    },
    node::Node,
};

const TOKENS_FILE: &str = "dev-tokens.json";
const TOKENS_BYTES_MAX: u64 = 4096;

/// An admin's token and a member's.
#[derive(Serialize, Deserialize)]
pub struct Tokens {
    /// Of the caller `admin`.
    pub admin: String,
    /// Of the caller `dev`.
    pub member: String,
}

impl Tokens {
    /// The tokens made at an earlier start, or new ones.
    ///
    /// # Errors
    /// When they cannot be made, kept or read.
    pub async fn of(node: &mut Node, folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(TOKENS_FILE);
        if path.exists() {
            return Self::read(folder);
        }
        let tokens = Self {
            admin: issue(node, "admin", Role::Admin).await?,
            member: issue(node, "dev", Role::Member).await?,
        };
        let text = serde_json::to_vec(&tokens).map_err(|error| Failure::unexpected(error.to_string()))?;
        write_private(&path, &text)?;
        Ok(tokens)
    }

    /// The tokens made at an earlier start.
    ///
    /// # Errors
    /// When there are none.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(TOKENS_FILE);
        let text = read_private(&path, TOKENS_BYTES_MAX)?;
        let malformed = || Failure::new("file_failed", format!("{} is not what dev wrote", path.display()));
        serde_json::from_slice(&text).map_err(|_| malformed())
    }
}

async fn issue(node: &Node, caller: &str, role: Role) -> Result<String, Failure> {
    let caller = CallerName::parse(caller).map_err(|error| Failure::usage(error.to_string()))?;
    let token = node.issue_token(caller, role).await;
    let token = token.map_err(|refusal| Failure::new(refusal.code(), "cannot make a token"))?;
    Ok(serve::token_text(&token).to_string())
}
