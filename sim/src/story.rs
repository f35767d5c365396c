//! What happened in a run, as data: what was done to the cluster, what clients asked and were told, what each node kept
//! at the end. The checkers judge it, the report draws it. Its digest says whether two runs were the same. Knows
//! nothing of how anything came about.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{fault::Fault, plan::Plan};

/// A whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Story {
    /// What it was to be.
    pub plan: Plan,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What each node kept at the end, by its place.
    pub kept: Vec<Kept>,
    /// Written values that stand in the nodes' logs in plain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logged: Vec<String>,
    /// The most memory that all nodes and the simulator had together, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Packets that the nodes sent each other in a second, once nobody had asked for anything for long; none where clients
    /// were at work to the end.
    #[serde(default)]
    pub idle_packets_per_s: u64,
    /// The digest of all events and of all packets, in hexadecimal.
    pub digest: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in simulated microseconds since the world began.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// The cluster is whole; harm begins.
    Whole,
    /// Something is done.
    Harmed(Fault),
    /// It is made good.
    Mended(Fault),
    /// Everything was made good; from here on all is to recover.
    Healed,
    /// A node serves, having been started so many times before.
    Serves { node: usize, boot: u32 },
    /// A node was stopped, or lost power.
    Stopped { node: usize },
    /// A node did not start, or ended by itself.
    Failed { node: usize, why: String },
    /// A node leads in a term, as it says itself.
    Leads { node: usize, term: u64 },
    /// The operator was told that a node of this id is no member any more.
    Removed { node: usize, id: String },
    /// Somebody copied the key of a node.
    Robbed { node: usize },
    /// A client asked something.
    Asked(Asked),
    /// It was answered, or it was not.
    Told { op: u32, told: Told },
    /// Somebody sent a node's port for peers so many packets that are none.
    Garbled { node: usize, packets: u64 },
    /// Somebody whose key nobody enrolled asked a node as a peer does: whether it was answered, and what else came of it.
    Knocked { node: usize, by: Knock, answered: bool, told: String },
    /// Somebody with the stolen key of a node told a node what does not hold: whether it was taken, and why it
    /// was not answered, if so.
    Lied { node: usize, lie: Lie, taken: bool, told: String },
}

/// What somebody pushes who has the key of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lie {
    /// Bytes that are no message.
    Garbage,
    /// A record whose signature is not the author's.
    Forged,
    /// A record of which one byte was changed.
    Tampered,
    /// A record of one secret under the name of another.
    Misplaced,
    /// A record that does not follow on what it says.
    FalseParents,
    /// A version with a payload that is not its own.
    OtherPayload,
    /// A record of tomorrow. It may be kept until then, and counts for nothing before.
    FromTheFuture,
    /// A version of a name that nobody created. It may be kept for a while, and counts for nothing.
    Nameless,
    /// A version that was destroyed, with its payload.
    Revived,
    /// An issue of tokens whose signature is not the author's.
    ForgedIssue,
    /// An issue of an epoch that nobody activated.
    IssueOfNoEpoch,
    /// An issue of an epoch that was destroyed.
    IssueOfOldEpoch,
    /// An issue of tomorrow.
    EarlyIssue,
    /// A version that another node made, to be ordered as if it were one's own.
    Anothers,
    /// Where another node is reached, to be ordered.
    Moved,
}

impl Lie {
    /// Records that do not verify, or are not of now.
    pub const OF_RECORDS: [Self; 7] = [
        Self::Garbage,
        Self::Forged,
        Self::Tampered,
        Self::Misplaced,
        Self::FalseParents,
        Self::OtherPayload,
        Self::FromTheFuture,
    ];
    /// What is well signed, most of it, and counts for nothing all the same.
    pub const OF_CLAIMS: [Self; 8] = [
        Self::Nameless,
        Self::Revived,
        Self::ForgedIssue,
        Self::IssueOfNoEpoch,
        Self::IssueOfOldEpoch,
        Self::EarlyIssue,
        Self::Anothers,
        Self::Moved,
    ];
}

/// As whom somebody asks who is nobody's peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Knock {
    /// As a member of the cluster.
    Member,
    /// As a member of another one.
    Foreigner,
    /// As one who wants to join.
    Joiner,
}

/// One request of one client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Its number in the run, from 0.
    pub op: u32,
    /// Which client.
    pub client: usize,
    /// For which caller.
    pub caller: String,
    /// Of which node.
    pub node: usize,
    /// What.
    pub ask: Ask,
    /// The idempotency key that came with it; a retry has that of the first try.
    pub key: Option<String>,
}

/// What can be asked. Values are told by their text: each written value occurs once in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// A new secret.
    Create { name: String, value: String },
    /// A new version; `expect` is the id of the version that it must follow. `agreed` refuses a provisional one.
    Update { name: String, value: String, expect: Option<String>, agreed: bool },
    /// A value: the current one, or that of a version's number or id. `owner` when it is another caller's.
    Read { name: String, version: Option<String>, quorum: bool, owner: Option<String> },
    /// The versions of a secret.
    History { name: String },
    /// The names there are.
    List,
    /// Labels set, or taken away with `None`.
    Label { name: String, labels: BTreeMap<String, Option<String>> },
    /// The current version marked deleted.
    Delete { name: String },
    /// And brought back.
    Undelete { name: String },
    /// Versions destroyed, by number.
    Destroy { name: String, versions: Vec<u64> },
    /// A `.env` file encrypted: these names made with these values, all or none.
    Encrypt { values: BTreeMap<String, String> },
    /// A `.env` file expanded that refers to these names.
    Expand { names: Vec<String> },
    /// Values turned into tokens.
    Tokenize { values: Vec<String> },
    /// And back.
    Detokenize { tokens: Vec<String> },
    /// The epochs of the caller.
    Epochs,
    /// Another epoch made the active one, after this one.
    Activate { epoch: u64, after: u64 },
    /// An epoch destroyed.
    DestroyEpoch { epoch: u64 },
    /// How a node stands.
    Status,
    /// Any of these but a read, which says itself whose it is: in the namespace of another caller.
    Of { owner: String, ask: Box<Ask> },
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// An answer.
    Answer {
        /// The status.
        status: u16,
        /// The body; null if there is none.
        body: Value,
        /// Whether a majority stood behind it, if it says so.
        majority: Option<bool>,
    },
    /// Nothing reached the node: it was not there to take a connection.
    Unreached,
    /// The connection broke, or no answer came in time: it may have been done.
    Lost,
}

impl Told {
    /// The status, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the answer says that what was asked was done.
    pub fn is_done(&self) -> bool {
        self.status().is_some_and(|status| (200..300).contains(&status))
    }

    /// The stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Answer { body, .. } => body.get("code").and_then(Value::as_str),
            _ => None,
        }
    }

    /// The body of an answer.
    pub fn body(&self) -> &Value {
        match self {
            Self::Answer { body, .. } => body,
            _ => &Value::Null,
        }
    }

    /// Whether it may have been done, as far as the client can know.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Lost => true,
            Self::Unreached => false,
            Self::Answer { status, .. } => {
                matches!(status, 500 | 504) || self.code().is_some_and(|code| UNKNOWN.contains(&code))
            }
        }
    }

    /// Whether it was surely not done, and never will be.
    pub fn is_refused(&self) -> bool {
        !self.is_done() && !self.is_unknown()
    }
}

/// Codes that do not say whether something was done. The last two come after it, from a disk that fails.
const UNKNOWN: [&str; 4] = ["outcome_unknown", "timeout", "storage_failed", "audit_unavailable"];

/// What a node kept, read from its disk after it was stopped at the end of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The id of the node.
    pub node: String,
    /// The ids of those that it has as members.
    pub members: BTreeSet<String>,
    /// Absent if its disk could not be read; then why is in `wrong`.
    pub secrets: BTreeMap<String, KeptSecret>,
    /// Tokens' mappings, each as `owner/epoch/id` and a digest of what is sealed behind it.
    pub mappings: BTreeMap<String, String>,
    /// The registry, by its parts, each digested: names with their versions' numbers, callers, grants, epochs, members.
    pub registry: BTreeMap<String, String>,
    /// What the node found wrong with itself, such as a view that differs from its rebuild.
    pub wrong: Vec<String>,
    /// Written values that stand in a file of the node in plain.
    pub plaintext: Vec<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Log entries that it keeps.
    pub log_entries: u64,
}

/// One secret as a node kept it, by `caller/name`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptSecret {
    /// The ids of all its records, rising.
    pub records: Vec<String>,
    /// The versions in their line: id, number if agreed, time of validity in milliseconds, state.
    pub versions: Vec<KeptVersion>,
    /// Records that it knows of by name only.
    pub awaited: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A version as a node kept it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVersion {
    /// Its id, in hexadecimal.
    pub id: String,
    /// Its number, once agreed.
    pub number: Option<u64>,
    /// Its time, in milliseconds since 1970.
    pub from_ms: u64,
    /// Whether its payload is here.
    pub payload: bool,
    /// Whether it was destroyed.
    pub destroyed: bool,
    /// Whether its delete mark holds.
    pub deleted: bool,
    /// The value that its payload opens to; absent if there is no payload, or it does not open.
    pub value: Option<String>,
}

impl Story {
    /// Every request with what was told of it, in the order of asking. A request without an answer is lost.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations: Vec<Operation<'_>> = Vec::new();
        for event in &self.events {
            match &event.what {
                What::Asked(asked) => operations.push(Operation {
                    asked,
                    asked_us: event.at_us,
                    told_us: u64::MAX,
                    told: &Told::Lost,
                }),
                What::Told { op, told } => {
                    if let Some(operation) = operations.get_mut(*op as usize) {
                        (operation.told, operation.told_us) = (told, event.at_us);
                    }
                }
                _ => {}
            }
        }
        operations
    }

    /// When everything was made good, in microseconds.
    pub fn healed_us(&self) -> Option<u64> {
        self.events.iter().find(|event| event.what == What::Healed).map(|event| event.at_us)
    }
}

/// A request with what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// What was asked.
    pub asked: &'a Asked,
    /// When, in microseconds.
    pub asked_us: u64,
    /// When it was answered; never, if it is lost.
    pub told_us: u64,
    /// What was told.
    pub told: &'a Told,
}
