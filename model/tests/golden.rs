//! Golden bytes: what this release writes, and what every later one must read. Shows N2 and the formats
//! of `docs/records.md`.
//!
//! The bytes in `golden/*.txt` are on people's disks, in their logs, backups and clients' files. A test
//! that fails here is not mended by new golden bytes: the change needs a new format marker, and these
//! lines stay as they are for as long as that release's data may be read.

#![allow(clippy::unwrap_used)]

#[path = "support/samples.rs"]
mod samples;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use covault_model::{
    command::{Action, BATCH_FORMAT, Command, Condition, NewSecret, NewVersion},
    decode, encode,
    epoch::{Epoch, Epochs, Turn},
    field::{FieldRule, Format, OpaqueToken},
    hlc::{Hlc, Millis},
    id::{
        ChangeHash, ClusterId, CommandId, Digest, GrantId, InvitationHash, InvitationId, MappingId, NodeId,
        PayloadHash, RecordId, SecretId, TokenHash, TokenId, derive, from_hex, hex,
    },
    invitation::JoinToken,
    isolation::{Access, Role},
    issue::{Issue, IssueHeader, Mapping, Scope},
    line::Place,
    marks::{Mark, Stamp, Stamped},
    name::{
        ContentType, Description, FieldPointer, FieldType, LabelKey, LabelValue, MasterKeyName, NamePrefix,
    },
    record::{Body, Header, Idempotency, Parent, Record, VersionBody, key_apart},
    registry::{CallerEntry, Grant, KeyCheck, Outcome, Remembered, SecretEntry, TokenEntry},
    roster::{ApiEnrolment, ApiEntry, Enrolment, Invitation, NodeEntry, Roster},
    token::{PresentedToken, read_token, token_text},
};
use serde::{Serialize, de::DeserializeOwned};

use self::samples::{caller, header, name, node, path, sealed};

/// The lines `name = text` of one file that no test has asked for yet.
struct Golden(BTreeMap<&'static str, &'static str>);

impl Golden {
    fn read(file: &'static str) -> Self {
        let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(|line| line.split_once(" = ").expect("a line is `name = text`")).collect())
    }

    /// `text` must be what stands there under `name`.
    fn check_text(&mut self, name: &str, text: &str) {
        let golden = self.0.remove(name);
        assert_eq!(Some(text), golden, "{name} is no longer what is on people's disks");
    }

    /// `value` must be written as what stands there, and what stands there read as `value`.
    fn check<T>(&mut self, name: &str, value: &T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        self.check_text(name, &hex(&encode(value)));
        assert_eq!(decode::<T>(&encode(value)).as_ref(), Ok(value), "{name}");
    }

    fn finish(self) {
        assert!(self.0.is_empty(), "nothing is held against these lines: {:?}", self.0.keys());
    }
}

/// A version with every field in use.
fn full_version() -> Header {
    let plain = header("app/db", 0x0195_0000_0000_0003, &node(1), b"sealed");
    Header {
        parents: vec![
            Parent(RecordId([0x21; 32]), ChangeHash([0x22; 32])),
            Parent(RecordId([0x23; 32]), ChangeHash([0x24; 32])),
        ],
        depth: 300,
        idempotency: Some(idempotency()),
        body: Body::Version(VersionBody {
            payload: PayloadHash::of(b"sealed"),
            payload_len: 6,
            content_type: Some(ContentType::parse("text/plain").unwrap()),
            expires_at: Some(Millis(1_800_000_000_000)),
            restores: Some(RecordId([0x25; 32])),
        }),
        ..plain
    }
}

fn idempotency() -> Idempotency {
    Idempotency(Digest([0x31; 32]), Digest([0x32; 32]))
}

fn marks() -> Record {
    let label = |value: Option<&str>| {
        let value = value.map(|value| LabelValue::parse(value).unwrap());
        Mark::Label(LabelKey::parse("team").unwrap(), value)
    };
    let body = Body::Marks(vec![
        label(Some("blue")),
        label(None),
        Mark::Description(Some(Description::parse("for the database").unwrap())),
        Mark::Description(None),
        Mark::Deleted(RecordId([0x26; 32]), true),
        Mark::Deleted(RecordId([0x27; 32]), false),
    ]);
    Record::sign(Header { body, ..header("app/db", 12, &node(1), b"") }, &node(1))
}

fn place() -> Place {
    Place { time: Hlc(0x0195_0000_0000_0003), id: RecordId([0x28; 32]) }
}

fn token(expires_at: Option<Millis>) -> TokenEntry {
    let hash = TokenHash::of(&[0x41; 32]);
    TokenEntry { caller: caller("ann"), hash, created_at: Millis(1_750_000_000_000), expires_at }
}

fn grant(access: Access) -> Grant {
    Grant {
        owner: caller("ann"),
        prefix: NamePrefix::parse("app/").unwrap(),
        grantee: caller("bob"),
        access,
        created_at: Millis(1_750_000_000_000),
    }
}

fn invitation() -> Invitation {
    let (created_at, expires_at) = (Millis(1_750_000_000_000), Millis(1_750_003_600_000));
    Invitation { hash: InvitationHash::of(&[0x43; 32]), by: caller("ann"), created_at, expires_at }
}

fn roster() -> Roster {
    let founder = NodeEntry {
        address: "10.0.0.1:8401".parse().unwrap(),
        since: Millis(1_750_000_000_000),
        invitation: None,
        removed: true,
    };
    let invited = Some(InvitationId([0xc2; 8]));
    let joined =
        NodeEntry { address: "[::1]:8401".parse().unwrap(), invitation: invited, removed: false, ..founder };
    Roster {
        invitations: BTreeMap::from([(InvitationId([0xc3; 8]), invitation())]),
        nodes: BTreeMap::from([(NodeId([1; 32]), founder), (NodeId([2; 32]), joined)]),
        ..Roster::default()
    }
}

fn roster_with_apis() -> Roster {
    let since = Millis(1_750_000_000_000);
    let api = ApiEntry { since, invitation: InvitationId([0xc4; 8]), removed: false };
    let removed = ApiEntry { removed: true, invitation: InvitationId([0xc5; 8]), ..api.clone() };
    Roster {
        api_invitations: BTreeMap::from([(InvitationId([0xc6; 8]), invitation())]),
        apis: BTreeMap::from([(NodeId([3; 32]), api), (NodeId([4; 32]), removed)]),
        ..Roster::default()
    }
}

fn fields() -> Vec<FieldRule> {
    let pointer = |text: &str| FieldPointer::parse(text).unwrap();
    let rule = |(format, at): (Format, usize)| FieldRule {
        pointer: pointer(&format!("/people/*/field{at}")),
        format,
        kind: FieldType::parse("person").unwrap(),
    };
    Format::ALL.into_iter().zip(0..).map(rule).collect()
}

fn epochs() -> Epochs {
    let key = MasterKeyName::parse("main").unwrap();
    let first = Epochs::first(key.clone(), Millis(1_750_000_000_000));
    let turn = Turn { id: CommandId([0x61; 16]), at: Millis(1_750_000_001_000) };
    let both = first.activate(Epoch(2), &key, turn).unwrap().unwrap();
    both.destroy(Epoch(1), Millis(1_750_000_002_000)).unwrap().unwrap()
}

fn issue(idempotency: Option<Idempotency>) -> Issue {
    let header = IssueHeader {
        scope: Scope { owner: caller("ann"), epoch: Epoch(2) },
        time: place().time,
        author: node(1).node_id(),
        idempotency,
        mappings: vec![
            Mapping(MappingId([0x71; 16]), vec![0x72; 17]),
            Mapping(MappingId([0x73; 16]), vec![0x74; 40]),
        ],
    };
    Issue::sign(header, &node(1))
}

#[test]
fn issues_are_written_as_ever() {
    let mut golden = Golden::read(include_str!("golden/issues.txt"));
    for (name, issue) in [("plain", issue(None)), ("with a key", issue(Some(idempotency())))] {
        let bytes = issue.to_bytes();
        golden.check_text(name, &hex(&bytes));
        golden.check_text(&format!("{name}, id"), &issue.id().to_string());
        assert_eq!(Issue::from_untrusted_bytes(&bytes), Ok(issue), "{name}");
    }
    let kind = FieldType::parse("card").unwrap();
    golden.check_text("form", &MappingId::of_form(&kind, "digits", "0123456789").to_string());
    let token = OpaqueToken { epoch: Epoch(2), mapping: MappingId([0x71; 16]) };
    golden.check_text("opaque token", &token.text());
    golden.finish();
}

#[test]
fn records_are_written_as_ever() {
    let mut golden = Golden::read(include_str!("golden/records.txt"));
    let plain = sealed("app/db", 10, &node(1), b"sealed").record;
    for (name, record) in [
        ("plain version", plain),
        ("full version", Record::sign(full_version(), &node(1))),
        ("marks", marks()),
    ] {
        let bytes = record.to_bytes();
        golden.check_text(name, &hex(&bytes));
        golden.check_text(&format!("{name}, id"), &record.id().to_string());
        assert_eq!(Record::from_untrusted_bytes(&bytes), Ok(record), "{name}");
    }
    golden.finish();
}

#[test]
fn ids_are_made_as_ever() {
    let mut golden = Golden::read(include_str!("golden/ids.txt"));
    let (owner, secret) = (caller("ann"), name("app/db"));
    golden.check_text("secret", &SecretId::of(&owner, &secret).to_string());
    golden.check_text("record", &RecordId::of(b"some bytes").to_string());
    golden.check_text("payload", &PayloadHash::of(b"some bytes").to_string());
    golden.check_text("key apart", &key_apart(&Digest([0x31; 32])).to_string());
    golden.check_text("token hash", &TokenHash::of(b"some bytes").to_string());
    golden.check_text("read grant", &grant(Access::Read).id().to_string());
    golden.check_text("write grant", &grant(Access::Write).id().to_string());
    golden.check_text("node", &node(1).node_id().to_string());
    golden.check_text("token", &token_text(&TokenId([0xc1; 8]), &[0x41; 32]));
    golden.check_text("invitation hash", &InvitationHash::of(b"some bytes").to_string());
    golden.check_text("join token", &join_token().text());
    golden.finish();
}

fn join_token() -> JoinToken {
    JoinToken {
        cluster: ClusterId([0x51; 16]),
        node: node(1).node_id(),
        address: "[2001:db8::ffff]:8401".parse().unwrap(),
        id: InvitationId([0xc3; 8]),
        secret: zeroize::Zeroizing::new([0x43; 32]),
    }
}

#[test]
fn a_join_token_reads_back_and_anything_else_is_none() {
    let text = join_token().text();
    let read = JoinToken::parse(&text).unwrap();
    assert_eq!(
        (read.cluster, read.node, read.id),
        (ClusterId([0x51; 16]), node(1).node_id(), InvitationId([0xc3; 8]))
    );
    assert_eq!((read.address, read.hash()), (join_token().address, InvitationHash::of(&[0x43; 32])));
    for at in 0..text.len() {
        let shorter = [&text[..at], &text[at + 1..]].concat();
        assert!(JoinToken::parse(&shorter).is_none(), "without the byte at {at}");
    }
    for other in [
        format!("{} ", *text),
        format!(" {}", *text),
        format!("{}00", *text),
        format!("cvj_{}", "0".repeat(9000)),
    ] {
        assert!(JoinToken::parse(&other).is_none());
    }
}

#[test]
fn ids_of_different_kinds_or_parts_differ() {
    let bytes = b"some bytes";
    let kinds = [
        RecordId::of(bytes).0,
        PayloadHash::of(bytes).0,
        TokenHash::of(bytes).0,
        InvitationHash::of(bytes).0,
    ];
    assert_eq!(BTreeSet::from(kinds).len(), kinds.len());
    let secret = |owner: &str, of: &str| SecretId::of(&caller(owner), &name(of));
    assert_ne!(secret("ab", "c"), secret("a", "bc"), "parts are not just joined");
    assert_ne!(derive("context", &[b"", b"a"]), derive("context", &[b"a", b""]));
    assert_ne!(derive("context", &[b"a"]), derive("context", &[b"a", b""]));
    assert_ne!(derive("context", &[b"a"]), derive("another", &[b"a"]));
    let read = grant(Access::Read);
    let of = |grant: &Grant| GrantId::of(&grant.owner, &grant.prefix, &grant.grantee, "read");
    assert_eq!(of(&read), read.id());
    assert_ne!(read.id(), grant(Access::Write).id());
}

#[test]
fn ids_are_lowercase_hexadecimal_and_nothing_else() {
    let id = TokenId::parse("00ff10aBcdefcdef");
    assert!(id.is_err(), "one capital letter");
    assert_eq!(TokenId::parse("00ff10abcdefcdef").unwrap().to_string(), "00ff10abcdefcdef");
    for text in
        ["", "00ff10abcdefcde", "00ff10abcdefcdef0", "00ff10abcdefcde ", "+0ff10abcdefcdef", "éééééééé"]
    {
        assert!(TokenId::parse(text).is_err(), "{text:?}");
    }
    let mut bytes = [0; 2];
    assert!(from_hex("0a0B", &mut bytes).is_err());
    assert!(from_hex("0a0b", &mut bytes).is_ok());
    assert_eq!((bytes, hex(&bytes).as_str()), ([10, 11], "0a0b"));
}

#[test]
fn a_token_reads_back_and_anything_else_is_none() {
    let text = token_text(&TokenId([0xc1; 8]), &[0x41; 32]);
    let read = read_token(&text).unwrap();
    assert_eq!(read, PresentedToken { id: TokenId([0xc1; 8]), hash: TokenHash::of(&[0x41; 32]) });
    assert!(read.matches(&TokenHash::of(&[0x41; 32])));
    for bit in 0..256 {
        let mut other = read.hash;
        other.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!read.matches(&other), "bit {bit}");
    }
    for at in 0..text.len() {
        let shorter = [&text[..at], &text[at + 1..]].concat();
        assert_eq!(read_token(&shorter), None, "without the byte at {at}");
        let capital = [&text[..at], "F", &text[at + 1..]].concat();
        assert_eq!(read_token(&capital), None, "with a capital at {at}");
    }
    for other in [format!("{text} "), format!(" {text}"), format!("{text}_"), text.replace('_', "")] {
        assert_eq!(read_token(&other), None);
    }
}

fn actions() -> Vec<(&'static str, Action)> {
    let version = sealed("app/db", 10, &node(1), b"sealed");
    let new_secret =
        |marks: Option<Record>| NewSecret { path: path("app/db"), version: version.clone(), marks };
    let new_version = |condition: Option<Condition>, marks: Option<Record>| {
        Action::Agree(Box::new(NewVersion {
            path: path("app/db"),
            version: version.clone(),
            condition,
            marks,
        }))
    };
    let one_of = Condition::OneOf(vec![RecordId([0x29; 32]), RecordId([0x2a; 32])]);
    let id = TokenId([0xc1; 8]);
    let key = MasterKeyName::parse("main").unwrap();
    let enrolment = Enrolment {
        invitation: InvitationId([0xc3; 8]),
        hash: InvitationHash::of(&[0x43; 32]),
        node: NodeId([2; 32]),
        address: "[::1]:8401".parse().unwrap(),
    };
    let api_enrolment = ApiEnrolment {
        invitation: InvitationId([0xc6; 8]),
        hash: InvitationHash::of(&[0x43; 32]),
        api: NodeId([3; 32]),
    };
    vec![
        ("found", Action::Found { cluster: ClusterId([0x51; 16]), token: (id, token(None)) }),
        ("know key", Action::KnowKey(key.clone(), KeyCheck(vec![0x52; 40]))),
        ("create", Action::Create(vec![new_secret(None)])),
        ("create with marks", Action::Create(vec![new_secret(Some(marks()))])),
        ("agree", new_version(None, None)),
        ("agree if it exists, with marks", new_version(Some(Condition::Exists), Some(marks()))),
        ("agree if it is one of", new_version(Some(one_of), None)),
        ("destroy", Action::Destroy(path("app/db"), vec![(place(), PayloadHash::of(b"sealed"))])),
        ("add admin", Action::AddCaller(Role::Admin, id, token(None))),
        ("add member", Action::AddCaller(Role::Member, id, token(Some(Millis(1_800_000_000_000))))),
        ("remove caller", Action::RemoveCaller(caller("bob"))),
        ("add token", Action::AddToken(id, token(None))),
        ("remove token", Action::RemoveToken(caller("ann"), id)),
        ("add read grant", Action::AddGrant(grant(Access::Read))),
        ("add write grant", Action::AddGrant(grant(Access::Write))),
        ("remove grant", Action::RemoveGrant(caller("ann"), grant(Access::Read).id())),
        ("invite", Action::Invite(InvitationId([0xc3; 8]), invitation())),
        ("enrol", Action::Enrol(enrolment)),
        ("reach", Action::Reach(NodeId([2; 32]), "[::1]:8401".parse().unwrap())),
        ("remove node", Action::RemoveNode(NodeId([2; 32]))),
        ("invite api", Action::InviteApi(InvitationId([0xc6; 8]), invitation())),
        ("enrol api", Action::EnrolApi(api_enrolment)),
        ("activate epoch", Action::ActivateEpoch(caller("ann"), Epoch(2), key.clone())),
        ("destroy epoch", Action::DestroyEpoch(caller("ann"), Epoch(1))),
        ("set fields", Action::SetFields(caller("ann"), fields())),
    ]
}

#[test]
fn commands_are_written_as_ever() {
    let mut golden = Golden::read(include_str!("golden/commands.txt"));
    let (id, by, at) = (CommandId([0x61; 16]), caller("ann"), Millis(1_750_000_000_000));
    let action = Action::RemoveCaller(caller("bob"));
    let plain = Command { id, by, at, idempotency: None, action };
    golden.check("command", &plain);
    golden.check("batch", &(BATCH_FORMAT, vec![plain.clone()]));
    golden.check("command with a key", &Command { idempotency: Some(idempotency()), ..plain });
    for (name, action) in actions() {
        golden.check(name, &action);
    }
    golden.finish();
}

#[test]
fn rows_are_written_as_ever() {
    let mut golden = Golden::read(include_str!("golden/rows.txt"));
    let secret = SecretEntry { agreed: 70_000, last: place() };
    golden.check("secret", &secret);
    let caller = CallerEntry { role: Role::Admin, created_at: Millis(1_750_000_000_000), removed: false };
    golden.check("caller", &caller);
    golden.check("removed caller", &CallerEntry { role: Role::Member, removed: true, ..caller });
    golden.check("token", &token(None));
    golden.check("token that expires", &token(Some(Millis(1_800_000_000_000))));
    golden.check("grant", &grant(Access::Write));
    golden.check("key check", &KeyCheck(vec![0x52; 40]));
    golden.check("roster", &roster());
    golden.check("roster with API processes", &roster_with_apis());
    golden.check("place", &place());
    golden.check("epochs", &epochs());
    golden.check("fields", &fields());
    let stamp = Stamp(place().time, place().id);
    golden.check("stamped", &Stamped(stamp, Some(LabelValue::parse("blue").unwrap())));
    for (name, outcome) in [
        ("agreed", Outcome::Agreed(vec![(RecordId([0x2b; 32]), 1), (RecordId([0x2c; 32]), 300)])),
        ("marked", Outcome::Marked(RecordId([0x2b; 32]))),
        ("token made", Outcome::Token(TokenId([0xc1; 8]))),
        ("grant given", Outcome::Grant(grant(Access::Read).id())),
        ("issued", Outcome::Issued(Epoch(2))),
        ("invited", Outcome::Invited(InvitationId([0xc3; 8]))),
        ("done", Outcome::Done),
    ] {
        golden.check(name, &Remembered { request: Digest([0x32; 32]), outcome });
    }
    golden.finish();
}
