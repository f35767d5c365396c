//! May this caller do this to that name? Keeps N3: every operation acts in the caller's own namespace
//! unless a grant says more, and what a caller may not see answers as if it were not there.
//! Knows nothing of tokens on the wire or of what is stored under a name.

use alloc::{collections::BTreeSet, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    name::{CallerName, NamePrefix, SecretName},
    refusal::{CallerMistake, Refusal},
    registry::Grant,
};

/// What a caller may do beyond its own namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Nothing beyond it.
    #[serde(rename = "member")]
    Member,
    /// Callers, tokens and the cluster; no right to others' values.
    #[serde(rename = "admin")]
    Admin,
}

impl Role {
    /// The word the contract uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

/// What a grant lets its grantee do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Read values, versions and lists.
    #[serde(rename = "read")]
    Read,
    /// Read, and also create, update, label, delete and destroy.
    #[serde(rename = "write")]
    Write,
}

impl Access {
    /// The word the contract uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn includes(self, wanted: Self) -> bool {
        self == Self::Write || wanted == Self::Read
    }
}

/// A caller whose token was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who asks.
    pub caller: CallerName,
    /// What it may do beyond its own namespace.
    pub role: Role,
}

impl Session {
    /// Whether nothing needs to be looked up: the namespace is the caller's own.
    pub fn owns(&self, owner: &CallerName) -> bool {
        self.caller == *owner
    }

    /// Refuses whoever is not an admin.
    pub fn require_admin(&self) -> Result<(), Refusal> {
        match self.role {
            Role::Admin => Ok(()),
            Role::Member => Err(CallerMistake::Forbidden.into()),
        }
    }

    /// Refuses, as if nothing were there, unless the caller owns `owner`'s namespace or one of `grants`
    /// lets it at `name`.
    pub fn may<'a>(
        &self,
        wanted: Access,
        owner: &CallerName,
        name: &SecretName,
        grants: impl IntoIterator<Item = &'a Grant>,
    ) -> Result<(), Refusal> {
        let lets = |grant: &Grant| self.has(grant, wanted, owner) && grant.prefix.covers(name);
        if self.owns(owner) || grants.into_iter().any(lets) {
            Ok(())
        } else {
            Err(CallerMistake::NotFound.into())
        }
    }

    /// What the caller may read of `owner`'s names under `prefix`: every name under each of these, and no other. They
    /// rise, and none lies within another. Whoever lists looks at no name beyond them, so that nothing shows of one.
    pub fn readable_under<'a>(
        &self,
        owner: &CallerName,
        prefix: &NamePrefix,
        grants: impl IntoIterator<Item = &'a Grant>,
    ) -> Vec<NamePrefix> {
        if self.owns(owner) {
            return Vec::from([prefix.clone()]);
        }
        let granted = grants.into_iter().filter(|grant| self.has(grant, Access::Read, owner));
        let under: BTreeSet<&NamePrefix> =
            granted.filter_map(|grant| grant.prefix.narrower(prefix)).collect();
        let mut outermost: Vec<NamePrefix> = Vec::new();
        for prefix in under {
            // What lies within another follows on it.
            if outermost.last().is_none_or(|outer| !prefix.starts_with(outer.as_str())) {
                outermost.push(prefix.clone());
            }
        }
        outermost
    }

    /// Whether this is a grant to the caller of such access to names of `owner`.
    fn has(&self, grant: &Grant, wanted: Access, owner: &CallerName) -> bool {
        grant.owner == *owner && grant.grantee == self.caller && grant.access.includes(wanted)
    }
}
