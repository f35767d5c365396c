//! What can be asked of the vault, as checked values. Knows nothing of HTTP or JSON.

use std::collections::BTreeMap;

use covault_model::{
    command::Condition,
    hlc::Millis,
    id::VersionId,
    isolation::Session,
    limits::IDEMPOTENCY_KEY_BYTES_MAX,
    line::Place,
    name::{CallerName, ContentType, Description, LabelKey, LabelValue, NameError, NamePrefix, SecretName},
};
use covault_seal::Plaintext;

use crate::audit::RequestId;

/// Who asks, and under which request id it is audited.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The caller, identified.
    pub session: Session,
    /// The request's id, as the answer's `X-Request-Id` gives it.
    pub request: RequestId,
}

/// A client's `Idempotency-Key`: 1 to 128 bytes of printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks the header's text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.bytes().position(|byte| !(0x21..0x7f).contains(&byte)) {
            _ if text.is_empty() => Err(NameError::Empty),
            _ if text.len() > IDEMPOTENCY_KEY_BYTES_MAX => Err(NameError::TooLong(IDEMPOTENCY_KEY_BYTES_MAX)),
            Some(at) => Err(NameError::Alphabet(at)),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value with what is said about it.
pub struct NewValue {
    /// The value.
    pub value: Plaintext,
    /// Its media type; absent when not given.
    pub content_type: Option<ContentType>,
    /// When it stops being served; absent for never.
    pub expires_at: Option<Millis>,
    /// Labels to set.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// The description to set; absent to leave it.
    pub description: Option<Description>,
}

/// How an update is to be made.
#[derive(Debug, Clone, Default)]
pub struct UpdateTerms {
    /// `If-Match`: what the last agreed version must be.
    pub condition: Option<Condition>,
    /// `Prefer: agreed`: refuse rather than keep a provisional version.
    pub agreed_only: bool,
}

impl UpdateTerms {
    /// Whether the version is to be agreed, or not to be. A condition is on what was agreed, so nobody but the registry
    /// can tell whether it is met.
    pub(super) fn want_agreement(&self) -> bool {
        self.agreed_only || self.condition.is_some()
    }
}

/// A change of labels and description. An absent key is left alone; `None` takes it away.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// Labels to set or take away.
    pub labels: BTreeMap<LabelKey, Option<LabelValue>>,
    /// The description to set or take away.
    pub description: Option<Option<Description>>,
}

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The last of the line.
    Current,
    /// The agreed one with this number.
    Number(u64),
    /// The one with this id.
    Id(VersionId),
    /// The one in force at the end of this millisecond.
    At(Millis),
}

/// How sure a hit must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// What this node knows.
    #[default]
    Local,
    /// What a majority confirms to be the latest.
    Quorum,
}

/// What an invitation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Invitee {
    /// A node, which becomes a member.
    #[default]
    Node,
    /// A process that serves HTTP and asks the nodes.
    Api,
}

impl Invitee {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Node, Self::Api];

    /// The word the contract uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Api => "api",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|invitee| invitee.as_str() == text)
    }
}

/// Which secrets to list, by name.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Whose.
    pub owner: CallerName,
    /// Names that begin so.
    pub prefix: NamePrefix,
    /// Only those with this label and value.
    pub label: Option<(LabelKey, LabelValue)>,
    /// At most so many.
    pub limit: usize,
    /// Only names after this one.
    pub after: Option<SecretName>,
}

/// Which versions to list, newest first.
#[derive(Debug, Clone, Copy)]
pub struct HistoryQuery {
    /// At most so many.
    pub limit: usize,
    /// Only versions before this place in the line.
    pub before: Option<Place>,
}
