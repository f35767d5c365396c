//! Questions and answers about issues of mappings: their bytes, and what no node asks or tells.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use covault_model::{
    DecodeError,
    epoch::Epoch,
    id::{IssueId, NodeId, hex},
    issue::Scope,
    limits::MEMBERS_MAX,
    name::CallerName,
};
use covault_store::IssueDigest;
use serde_bytes::ByteBuf;

use crate::merge::message::{
    Ask, LISTED_MAX, NAMED_MAX, RECORDS_MAX, SCOPES_MAX, Told, UNDER_MAX, Under, write,
};

fn scope() -> Scope {
    Scope { owner: CallerName::parse("ann").unwrap(), epoch: Epoch(2) }
}

fn nodes(count: usize) -> BTreeSet<NodeId> {
    (1..=count).map(|number| NodeId([number as u8; 32])).collect()
}

#[test]
fn messages_are_written_as_ever() {
    let bytes = || ByteBuf::from([0x61]);
    let id = IssueId([7; 32]);
    let asks = [
        ("push", Ask::PushIssues(vec![bytes()])),
        ("scopes", Ask::Scopes(None)),
        ("scopes after", Ask::Scopes(Some(scope()))),
        ("under", Ask::Under(scope(), vec![ByteBuf::new(), bytes()])),
        ("issues", Ask::Issues(scope(), vec![id])),
        ("look through", Ask::LookThrough(nodes(2))),
    ];
    let tolds = [
        ("kept", Told::Kept(3)),
        ("these scopes", Told::Scopes(vec![(scope(), IssueDigest::default())])),
        (
            "this under",
            Told::Under(vec![Under::Ids(vec![id]), Under::Digests(vec![(9, IssueDigest::default())])]),
        ),
        ("these issues", Told::Issues(vec![bytes()], true)),
        ("looked through", Told::LookedThrough(nodes(1))),
    ];
    let mut text = String::new();
    for (name, ask) in asks {
        let written = write(&ask);
        assert_eq!(Ask::read(&written), Ok(ask), "{name}");
        text += &format!("{name}: {}\n", hex(&written));
    }
    for (name, told) in tolds {
        let written = write(&told);
        assert_eq!(Told::read(&written), Ok(told), "{name}");
        text += &format!("{name}: {}\n", hex(&written));
    }
    assert_eq!(text, include_str!("../golden/issues.txt"));
}

#[test]
fn what_names_more_than_one_message_may_is_refused() {
    let ids = |count: usize| vec![IssueId([1; 32]); count];
    for ask in [
        Ask::PushIssues(vec![ByteBuf::new(); RECORDS_MAX + 1]),
        Ask::Under(scope(), vec![ByteBuf::new(); UNDER_MAX + 1]),
        Ask::Under(scope(), vec![ByteBuf::from([0; 32])]),
        Ask::Issues(scope(), ids(NAMED_MAX + 1)),
        Ask::LookThrough(nodes(MEMBERS_MAX + 1)),
    ] {
        assert_eq!(Ask::read(&write(&ask)), Err(DecodeError::TooLarge));
    }
    let digest = IssueDigest::default();
    for told in [
        Told::Scopes(vec![(scope(), digest); SCOPES_MAX + 1]),
        Told::Under(vec![Under::Ids(Vec::new()); UNDER_MAX + 1]),
        Told::Under(vec![Under::Ids(ids(LISTED_MAX + 1))]),
        Told::Under(vec![Under::Digests(vec![(0, digest); 257])]),
        Told::Issues(vec![ByteBuf::new(); NAMED_MAX + 1], false),
        Told::LookedThrough(nodes(MEMBERS_MAX + 1)),
    ] {
        assert_eq!(Told::read(&write(&told)), Err(DecodeError::TooLarge));
    }
}
