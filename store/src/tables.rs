//! Every table there is: what its rows are, and how long they live.
//! Knows nothing of what rows mean.

use heed::{Database, types::Bytes};

/// A table of byte keys and byte values.
pub(crate) type Table = Database<'static, Bytes, Bytes>;

/// What there is to know of a table before reading it.
#[derive(Debug, Clone, Copy)]
pub struct TableInfo {
    /// Its name in the LMDB file.
    pub name: &'static str,
    /// What its keys are.
    pub key: &'static str,
    /// What its values are.
    pub row: &'static str,
    /// How long a row lives.
    pub lifetime: &'static str,
}

/// The table that says which format the others have.
pub(crate) const META_TABLE: &str = "meta";

/// All tables there are.
pub const TABLES: [TableInfo; 16] = [
    TableInfo {
        name: META_TABLE,
        key: "one byte, see Meta",
        row: "format, clock, counts; vote, applied, membership, purged, snapshot; audit anchor; roster",
        lifetime: "replaced",
    },
    TableInfo {
        name: "histories",
        key: "owner, 0, name, 0, kind, rest: see keys.rs",
        row: "entry (agreed, moves forward); number (agreed, inserted once); view and line (derived); \
              record (inserted once); payload (inserted once, erased by destroy); delete mark (merged)",
        lifetime: "as long as the vault; a payload until it is destroyed",
    },
    TableInfo {
        name: "callers",
        key: "name",
        row: "CallerEntry",
        lifetime: "inserted; marked removed, never deleted",
    },
    TableInfo { name: "tokens", key: "token id", row: "TokenEntry", lifetime: "until revoked" },
    TableInfo {
        name: "caller_tokens",
        key: "caller, 0, token id",
        row: "nothing",
        lifetime: "until revoked",
    },
    TableInfo { name: "grants", key: "owner, 0, grant id", row: "Grant", lifetime: "until revoked" },
    TableInfo {
        name: "remembered",
        key: "caller, 0, key digest",
        row: "Remembered",
        lifetime: "inserted once, kept as long as the vault",
    },
    TableInfo { name: "keys", key: "master key name", row: "KeyCheck", lifetime: "inserted once" },
    TableInfo {
        name: "destroyed",
        key: "payload hash",
        row: "version id",
        lifetime: "inserted once, kept as long as the vault",
    },
    TableInfo {
        name: "epochs",
        key: "owner",
        row: "Epochs",
        lifetime: "replaced, as epochs are added and destroyed",
    },
    TableInfo { name: "fields", key: "owner", row: "list of FieldRule", lifetime: "replaced" },
    TableInfo {
        name: "mappings",
        key: "owner, 0, epoch, mapping id",
        row: "sealed value (derived)",
        lifetime: "inserted once; until its epoch is destroyed",
    },
    TableInfo {
        name: "issues",
        key: "owner, 0, epoch, issue id",
        row: "issue",
        lifetime: "inserted once; until its epoch is destroyed",
    },
    TableInfo {
        name: "issue_digests",
        key: "owner, 0, epoch, first byte of issue ids",
        row: "how many there are, and their ids, added up bit by bit (derived)",
        lifetime: "replaced; until its epoch is destroyed",
    },
    TableInfo {
        name: "unspread",
        key: "owner, 0, epoch, mapping id",
        row: "issue id",
        lifetime: "until a majority is known to have it; until its epoch is destroyed",
    },
    TableInfo {
        name: "unfiled",
        key: "owner, 0, epoch, number",
        row: "mapping id, sealed value (derived)",
        lifetime: "until it is a row of mappings; until its epoch is destroyed",
    },
];

/// The open tables.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    pub meta: Table,
    pub histories: Table,
    pub callers: Table,
    pub tokens: Table,
    pub caller_tokens: Table,
    pub grants: Table,
    pub remembered: Table,
    pub keys: Table,
    pub destroyed: Table,
    pub epochs: Table,
    pub fields: Table,
    pub mappings: Table,
    pub issues: Table,
    pub issue_digests: Table,
    pub unspread: Table,
    pub unfiled: Table,
}

impl From<[Table; TABLES.len()]> for Tables {
    fn from(all: [Table; TABLES.len()]) -> Self {
        let [meta, histories, callers, tokens, caller_tokens, grants, remembered, keys, destroyed, rest @ ..] =
            all;
        let [epochs, fields, mappings, issues, issue_digests, unspread, unfiled] = rest;
        Self {
            meta,
            histories,
            callers,
            tokens,
            caller_tokens,
            grants,
            remembered,
            keys,
            destroyed,
            epochs,
            fields,
            mappings,
            issues,
            issue_digests,
            unspread,
            unfiled,
        }
    }
}

impl Tables {
    /// All of them, in the order of [`TABLES`].
    pub fn all(&self) -> [Table; TABLES.len()] {
        [
            self.meta,
            self.histories,
            self.callers,
            self.tokens,
            self.caller_tokens,
            self.grants,
            self.remembered,
            self.keys,
            self.destroyed,
            self.epochs,
            self.fields,
            self.mappings,
            self.issues,
            self.issue_digests,
            self.unspread,
            self.unfiled,
        ]
    }
}

/// The single values a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Meta {
    /// The format of the whole environment, one byte.
    Format = 0,
    /// The cluster's id.
    Cluster = 1,
    /// The latest hybrid time of any record stored.
    Clock = 2,
    /// How many versions there are, and how many of them provisional.
    Counts = 3,
    /// Raft's vote, as consensus encodes it.
    Vote = 4,
    /// The last log id applied, as consensus encodes it.
    Applied = 5,
    /// The membership as of that log id, as consensus encodes it.
    Membership = 6,
    /// The last log id purged, as consensus encodes it.
    Purged = 7,
    /// What the last snapshot covers, as consensus encodes it.
    Snapshot = 8,
    /// The newest audit line known to be on disk: sequence number and hash.
    AuditAnchor = 9,
    /// Who may become a member, and who ever was one.
    Roster = 10,
    /// What the last snapshot of another node covers that was installed here, as consensus encodes it.
    Installed = 11,
    /// The name of the master key that was known first.
    FirstKey = 12,
    /// The index of the last log entry that destroyed something, eight bytes, big-endian; until the log on the disk begins
    /// after it.
    Destroyed = 13,
}
