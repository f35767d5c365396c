//! What an audit line says: who did what to which name, and what came of it; never a value (U1).
//! Everything borrowed here is a checked type of a narrow alphabet, so that a line needs no escaping.
//! Knows nothing of how lines look or where they are kept.

use std::fmt;

use covault_model::{
    epoch::Epoch,
    hlc::Millis,
    id::{GrantId, NodeId, TokenId, VersionId},
    limits::CALLER_BYTES_MAX,
    name::{CallerName, MasterKeyName, NameError, NamePrefix, SecretName},
};

/// Longest id of a request, in bytes.
const REQUEST_ID_BYTES_MAX: usize = CALLER_BYTES_MAX;
/// Longest code of an outcome, in bytes; what is longer is cut.
pub const CODE_BYTES_MAX: usize = 48;

/// The id of one request: 1 to 64 bytes of `[A-Za-z0-9._-]`. Kept in place, since every request has one.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId {
    len: u8,
    /// Zeros after the text.
    bytes: [u8; REQUEST_ID_BYTES_MAX],
}

impl RequestId {
    /// Checks a client's id; the alphabet is that of callers' names.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        CallerName::check(text)?;
        Ok(Self::of(text.as_bytes()))
    }

    /// The id of the request that is `count`th of a process, whose ids begin with `prefix`.
    pub fn generated(prefix: u32, count: u64) -> Self {
        let digits = (u64::BITS - count.leading_zeros()).div_ceil(4).max(1) as usize;
        let mut text = [b'-'; 8 + 1 + 16];
        put_hex(&mut text[..8], prefix.into());
        put_hex(&mut text[9..9 + digits], count);
        Self::of(&text[..9 + digits])
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("the alphabet of request ids is ASCII")
    }

    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; REQUEST_ID_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text);
        // At most 64.
        Self { len: text.len() as u8, bytes }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestId").field(&self.as_str()).finish()
    }
}

/// Fills `digits` with the last ones of `number`.
fn put_hex(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
}

/// One operation, as it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When it ended, by this node's clock.
    pub at: Millis,
    /// The request it came with; absent for what the node does by itself.
    pub request: Option<&'a RequestId>,
    /// Who asked; absent when nobody was identified, and for what the node does by itself.
    pub caller: Option<&'a CallerName>,
    /// What was asked for.
    pub action: Action,
    /// Whose namespace it was about; absent when it was about none.
    pub owner: Option<&'a CallerName>,
    /// What it was about.
    pub subject: Subject<'a>,
    /// Which version of it; absent when none was named or made.
    pub version: Option<VersionRef>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What an operation was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Nothing that has a name.
    Nothing,
    /// A secret.
    Secret(&'a SecretName),
    /// All names that begin so.
    Prefix(&'a NamePrefix),
    /// A caller.
    Caller(&'a CallerName),
    /// A token, by its public half.
    Token(TokenId),
    /// A grant.
    Grant(GrantId),
    /// A node.
    Node(NodeId),
    /// A master key.
    Key(&'a MasterKeyName),
    /// So many bytes of the log itself.
    Bytes(u64),
    /// So many values.
    Values(u64),
    /// An epoch.
    Epoch(Epoch),
}

/// Which version an operation was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionRef {
    /// The agreed one with this number.
    Number(u64),
    /// The one with this id.
    Id(VersionId),
}

/// What came of an operation. The codes are those of the problem the caller was told:
/// `[a-z0-9_]`, at most [`CODE_BYTES_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// The rules said no.
    Refused(&'static str),
    /// Allowed, but it could not be done.
    Failed(&'static str),
    /// It may or may not have been done, or may still be.
    Unknown(&'static str),
}

impl Outcome {
    /// The word for it, and the code unless it was done.
    pub(super) fn parts(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Done => ("done", None),
            Self::Refused(code) => ("refused", Some(code)),
            Self::Failed(code) => ("failed", Some(code)),
            Self::Unknown(code) => ("unknown", Some(code)),
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What can be recorded: a closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action { $($(#[$doc])* $variant,)* }

        impl Action {
            /// Every action there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word the log uses.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

actions! {
    /// A secret was to be created.
    SecretCreate = "secret.create",
    /// A value was to be read.
    SecretRead = "secret.read",
    /// A new version was to be written.
    SecretUpdate = "secret.update",
    /// Labels or description were to be changed.
    SecretPatch = "secret.patch",
    /// Versions were to be marked deleted.
    SecretDelete = "secret.delete",
    /// Versions were to be brought back.
    SecretUndelete = "secret.undelete",
    /// Versions were to be erased.
    SecretDestroy = "secret.destroy",
    /// An old value was to be written anew.
    SecretRollback = "secret.rollback",
    /// Names were to be listed.
    SecretList = "secret.list",
    /// Versions were to be listed.
    SecretHistory = "secret.history",
    /// A secret was to be made out of a `.env` file.
    EnvEncrypt = "env.encrypt",
    /// A secret was to be put into a `.env` file.
    EnvExpand = "env.expand",
    /// Callers were to be listed.
    CallerList = "caller.list",
    /// A caller was to be made.
    CallerAdd = "caller.add",
    /// A caller was to be removed.
    CallerRemove = "caller.remove",
    /// A token was to be made.
    TokenAdd = "token.add",
    /// A token was to be revoked.
    TokenRemove = "token.remove",
    /// Tokens were to be listed.
    TokenList = "token.list",
    /// A grant was to be given.
    GrantAdd = "grant.add",
    /// Grants were to be listed.
    GrantList = "grant.list",
    /// A grant was to be taken back.
    GrantRemove = "grant.remove",
    /// An invitation was to be made.
    MemberInvite = "member.invite",
    /// A node asked to be taken in.
    MemberJoin = "member.join",
    /// Members were to be listed.
    MemberList = "member.list",
    /// A node was to be taken away.
    MemberRemove = "member.remove",
    /// Values were to become tokens.
    Tokenize = "tokenize",
    /// Tokens were to become values.
    Detokenize = "detokenize",
    /// Epochs were to be listed.
    EpochList = "epoch.list",
    /// An epoch was to be made the active one.
    EpochActivate = "epoch.activate",
    /// An epoch was to be let go of for good.
    EpochDestroy = "epoch.destroy",
    /// The configured fields were to be read.
    FieldsRead = "tokenization.read",
    /// Fields were to be configured.
    FieldsWrite = "tokenization.write",
    /// A caller asked who it is.
    SelfRead = "self.read",
    /// The node's status was to be read.
    StatusRead = "status.read",
    /// A token was presented; recorded when it was refused.
    Authenticate = "authenticate",
    /// The node began to serve.
    NodeStart = "node.start",
    /// The node stopped in order.
    NodeStop = "node.stop",
    /// The end of this log was cut off at start, because it was never finished.
    AuditRecovered = "audit.recovered",
    /// A master key was to be made known to the cluster.
    KeyKnown = "key.known",
}
