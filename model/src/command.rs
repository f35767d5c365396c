//! What Raft orders: a closed list of commands. Keeps R3: it is known which node may ask for each.
//! Knows nothing of how they are proposed, or what becomes of them.

use alloc::{boxed::Box, vec, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    epoch::Epoch,
    field::FieldRule,
    hlc::Millis,
    id::{ClusterId, CommandId, GrantId, InvitationId, NodeId, PayloadHash, SecretId, TokenId, VersionId},
    isolation::Role,
    line::Place,
    name::{CallerName, MasterKeyName, SecretPath},
    record::{Idempotency, Record},
    registry::{Grant, KeyCheck, TokenEntry},
    roster::{ApiEnrolment, Enrolment, Invitation, NodeAddress},
};

/// The format marker of batches written by this release.
pub const BATCH_FORMAT: u8 = 1;

/// One proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its id.
    pub id: CommandId,
    /// Who asked for it.
    pub by: CallerName,
    /// When, by the proposing node's clock; the same on every node that applies it.
    pub at: Millis,
    /// What lets a retry find its outcome; absent when the request had no idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// What to do.
    pub action: Action,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Founds the cluster with its first admin. The first command of every log.
    Found {
        /// The cluster.
        cluster: ClusterId,
        /// The first admin's token.
        token: (TokenId, TokenEntry),
    },
    /// Makes a master key known by its check value; the first one under a name holds.
    KnowKey(MasterKeyName, KeyCheck),
    /// Creates secrets: all or none.
    Create(Vec<NewSecret>),
    /// Gives a version the next number.
    Agree(Box<NewVersion>),
    /// Erases payloads of this secret for good.
    Destroy(SecretPath, Vec<(Place, PayloadHash)>),
    /// Makes a caller with a first token.
    AddCaller(Role, TokenId, TokenEntry),
    /// Takes a caller away for good, with its tokens and the grants given to it.
    RemoveCaller(CallerName),
    /// Gives a caller another token.
    AddToken(TokenId, TokenEntry),
    /// Takes a token of a caller away.
    RemoveToken(CallerName, TokenId),
    /// Gives a grant.
    AddGrant(Grant),
    /// Takes back a grant of this owner.
    RemoveGrant(CallerName, GrantId),
    /// Makes a way in for one node.
    Invite(InvitationId, Invitation),
    /// Takes a node in that shows an invitation.
    Enrol(Enrolment),
    /// Makes known where a member's peers reach it.
    Reach(NodeId, NodeAddress),
    /// Takes a node, or an API process, away for good.
    RemoveNode(NodeId),
    /// Makes a way in for one API process.
    InviteApi(InvitationId, Invitation),
    /// Lets an API process in that shows an invitation.
    EnrolApi(ApiEnrolment),
    /// Makes this epoch of an owner the active one, with the master key that its tokens come of.
    ActivateEpoch(CallerName, Epoch, MasterKeyName),
    /// Lets go of an epoch of an owner for good, with all its mappings.
    DestroyEpoch(CallerName, Epoch),
    /// Configures which fields of an owner's documents become tokens, in place of what was configured.
    SetFields(CallerName, Vec<FieldRule>),
}

/// A name and its first version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSecret {
    /// The name, and whose.
    pub path: SecretPath,
    /// The first version.
    pub version: SealedVersion,
    /// Labels and description to begin with, a record of marks; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Record>,
}

/// A version that asks for the next number of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVersion {
    /// The secret.
    pub path: SecretPath,
    /// The version.
    pub version: SealedVersion,
    /// What must be the last agreed version; absent when anything may be.
    pub condition: Option<Condition>,
    /// Labels and description that change with it, a record of marks; absent when none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Record>,
}

/// What `If-Match` asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Some version exists: `*`.
    Exists,
    /// The last agreed version is one of these.
    OneOf(Vec<VersionId>),
}

/// A version record with the payload it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedVersion {
    /// The signed record; its body is a version.
    pub record: Record,
    /// The sealed payload; its hash stands in the record.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
}

impl Command {
    /// Whether `node` may ask another to have it agreed: every record in it was made by `node` (its author, a
    /// signature that verifies, and the payload that it names), and it says of no other where it is reached.
    #[must_use]
    pub fn is_vouched_for_by(&self, node: &NodeId) -> bool {
        if matches!(&self.action, Action::Reach(of, _) if of != node) {
            return false;
        }
        let made = |record: &Record| record.header().author == *node && record.signature_verifies();
        self.sealed().all(|(_, version, marks)| {
            let carried = version.record.version().is_some_and(|body| {
                body.payload_len as usize == version.payload.len()
                    && body.payload == PayloadHash::of(&version.payload)
            });
            carried && made(&version.record) && marks.is_none_or(made)
        })
    }

    /// The secrets it writes; `None` when it writes anything else but what a retry finds.
    pub fn secrets(&self) -> Option<Vec<SecretId>> {
        match &self.action {
            Action::Create(_) | Action::Agree(_) => {
                Some(self.sealed().map(|(_, version, _)| version.record.header().secret).collect())
            }
            Action::Destroy(path, _) => Some(vec![path.id()]),
            _ => None,
        }
    }

    /// Whether it takes away what a second copy of it cannot find any more.
    pub fn takes_away(&self) -> bool {
        matches!(
            self.action,
            Action::RemoveCaller(_)
                | Action::RemoveToken(..)
                | Action::RemoveGrant(..)
                | Action::RemoveNode(_)
        )
    }

    /// Whether it creates more than one secret, so that a refusal by a node that has not caught up may lack names.
    pub fn makes_several(&self) -> bool {
        matches!(&self.action, Action::Create(secrets) if 1 < secrets.len())
    }

    /// Bytes of the payloads in it.
    pub fn payload_len(&self) -> u64 {
        self.sealed().map(|(_, version, _)| version.payload.len() as u64).sum()
    }

    /// The versions that it brings, each with its secret's path and the marks that come with it.
    pub fn sealed(&self) -> impl Iterator<Item = (&SecretPath, &SealedVersion, Option<&Record>)> {
        let (new_secrets, new_version) = match &self.action {
            Action::Create(secrets) => (secrets.as_slice(), None),
            Action::Agree(new) => (&[][..], Some(new)),
            _ => (&[][..], None),
        };
        let created = new_secrets.iter().map(|new| (&new.path, &new.version, new.marks.as_ref()));
        created.chain(new_version.map(|new| (&new.path, &new.version, new.marks.as_ref())))
    }
}

impl SealedVersion {
    /// The version's place in the line of its secret.
    pub fn place(&self) -> Place {
        Place { time: self.record.header().time, id: self.record.id() }
    }
}

impl Condition {
    /// Whether `last`, the last agreed version, is what was asked for.
    pub fn is_met_by(&self, last: &VersionId) -> bool {
        match self {
            Self::Exists => true,
            Self::OneOf(ids) => ids.contains(last),
        }
    }
}
