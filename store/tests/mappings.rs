//! Issues and their mappings in tables: the same whatever the order and however often (T3), found by digests,
//! and gone for good with their epoch. Knows nothing of values or peers, or of when mappings are filed (`unfiled.rs`).

#![allow(clippy::unwrap_used)]

#[path = "support/issues.rs"]
mod issues;
#[path = "support/lmdb.rs"]
mod lmdb;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/scratch.rs"]
mod scratch;

use covault_model::{
    command::{Action, Command},
    hlc::{Hlc, Millis},
    id::{ClusterId, CommandId, MappingId, TokenHash, TokenId},
    issue::{Issue, Scope},
    name::MasterKeyName,
    registry::{KeyCheck, TokenEntry},
};
use covault_store::{Options, Store};
use proptest::prelude::*;

use self::{
    issues::scope,
    rows::all_rows,
    scratch::{empty, options},
};

/// An issue of these mappings, each to a sealed value of its own and the issue's `variant`.
fn issue(scope: &Scope, time: u64, mappings: &[u8], variant: u8) -> Issue {
    issues::issue(scope, time, mappings.iter().map(|id| MappingId([*id; 16])), variant)
}

fn insert(store: &Store, issue: &Issue) -> bool {
    let issue = issue.clone();
    store.write_now(move |txn| txn.insert_issue(&issue)).unwrap()
}

#[test]
fn an_issue_that_comes_twice_is_one_and_its_mappings_are_found() {
    let (_dir, store) = empty(options());
    let (mine, one) = (scope("ann", 1), issue(&scope("ann", 1), 5, &[1, 2], 7));
    assert!(insert(&store, &one));
    assert!(!insert(&store, &one));
    let view = store.view().unwrap();
    let rows = view.rows();
    assert_eq!(rows.mapping(&mine, &MappingId([1; 16])).unwrap(), Some([7; 20].as_slice()));
    assert_eq!(rows.mapping(&mine, &MappingId([3; 16])).unwrap(), None);
    assert_eq!(rows.mapping(&scope("ann", 2), &MappingId([1; 16])).unwrap(), None);
    assert_eq!(rows.mapping(&scope("an", 1), &MappingId([1; 16])).unwrap(), None);
    assert_eq!(rows.issue(&mine, &one.id()).unwrap(), Some(one.to_bytes().as_slice()));
    assert_eq!((rows.tokens().unwrap(), rows.clock().unwrap()), ((2, 1), Hlc(5)));
    assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
}

/// The sealed values of the first mappings of ann's first two epochs.
fn values(store: &Store) -> Vec<Option<Vec<u8>>> {
    let view = store.view().unwrap();
    let value = |(epoch, id)| {
        let found = view.rows().mapping(&scope("ann", epoch), &MappingId([id; 16])).unwrap();
        found.map(<[u8]>::to_vec)
    };
    (1..3).flat_map(|epoch| (0..6).map(move |id| (epoch, id))).map(value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_issues_does_not_matter(
        drawn in prop::collection::vec((0..2_u32, 0..50_u64, prop::collection::vec(0..6_u8, 1..4), 0..3_u8), 1..12),
        shuffled in any::<prop::sample::Index>(),
        reopened in any::<prop::sample::Index>(),
        pile_max in 1..8_usize,
    ) {
        let issues: Vec<Issue> =
            drawn.iter().map(|(epoch, time, ids, variant)| issue(&scope("ann", 1 + epoch), *time, ids, *variant)).collect();
        let mut other: Vec<Issue> = issues.iter().rev().chain(&issues).cloned().collect();
        let middle = shuffled.index(other.len());
        other.rotate_left(middle);
        let options = Options { pile_max, ..options() };
        let kept = [issues, other].map(|order| {
            let (dir, mut store) = empty(options);
            let reopened = reopened.index(order.len());
            for (at, issue) in order.iter().enumerate() {
                if at == reopened {
                    drop(store);
                    store = Store::open(dir.path(), options).unwrap();
                }
                insert(&store, issue);
                assert_eq!(store.compare_with_rebuild().unwrap().differences, []);
            }
            let values = values(&store);
            drop(store);
            let filed_later = ["mappings", "unfiled"];
            let rows: Vec<_> = all_rows(dir.path()).into_iter().filter(|row| !filed_later.contains(&row.0)).collect();
            (values, rows)
        });
        prop_assert_eq!(&kept[0], &kept[1]);
    }
}

#[test]
fn digests_tell_what_differs_down_to_the_ids() {
    let (_dir, store) = empty(options());
    let mine = scope("ann", 1);
    let issues: Vec<Issue> = (0..300).map(|time| issue(&mine, time, &[1], 1)).collect();
    for issue in &issues {
        insert(&store, issue);
    }
    let mut ids: Vec<_> = issues.iter().map(Issue::id).collect();
    ids.sort();
    let view = store.view().unwrap();
    let rows = view.rows();
    let digests = rows.issue_digests(&mine).unwrap();
    assert_eq!(digests.iter().map(|(_, digest)| digest.count).sum::<u64>(), 300);
    assert_eq!(rows.issue_digests_under(&mine, &[]).unwrap(), digests);
    for (byte, digest) in digests {
        let under = rows.issue_ids(&mine, &[byte], usize::MAX).unwrap();
        let expected: Vec<_> = ids.iter().copied().filter(|id| id.0[0] == byte).collect();
        assert_eq!(under, expected);
        let deeper = rows.issue_digests_under(&mine, &[byte]).unwrap();
        assert_eq!(deeper.iter().map(|(_, digest)| digest.count).sum::<u64>(), digest.count);
    }
    assert_eq!(rows.issue_ids(&mine, &[], 10).unwrap(), ids[..10]);
}

#[test]
fn epochs_with_issues_are_walked_in_order() {
    let (_dir, store) = empty(options());
    let all = [scope("an", 9), scope("ann", 1), scope("ann", 2), scope("ann", u32::MAX), scope("bob", 1)];
    for scope in all.iter().rev() {
        insert(&store, &issue(scope, 1, &[1], 1));
    }
    let view = store.view().unwrap();
    let mut seen: Vec<Scope> = Vec::new();
    while let Some(next) = view.rows().next_scope(seen.last()).unwrap() {
        seen.push(next);
    }
    assert_eq!(seen, all);
}

/// Activates an owner's next epoch and destroys the one before it, as commands of the log do.
fn move_on_and_destroy(store: &Store, old: &Scope, new: &Scope) {
    let (caller, hash) = (old.owner.clone(), TokenHash::of(b"x"));
    let token = TokenEntry { caller, hash, created_at: Millis(1), expires_at: None };
    let key = MasterKeyName::parse("one").unwrap();
    for action in [
        Action::Found { cluster: ClusterId([9; 16]), token: (TokenId([1; 8]), token) },
        Action::KnowKey(key.clone(), KeyCheck(vec![1])),
        Action::ActivateEpoch(new.owner.clone(), new.epoch, key),
        Action::DestroyEpoch(old.owner.clone(), old.epoch),
    ] {
        let (id, by) = (CommandId([1; 16]), old.owner.clone());
        let command = Command { id, by, at: Millis(1), idempotency: None, action };
        assert!(store.write_now(move |txn| txn.apply(&command)).unwrap().outcome.is_ok());
    }
}

#[test]
fn a_shredded_epoch_leaves_nothing_and_takes_nothing_along() {
    let (dir, store) = empty(options());
    let (old, new) = (scope("ann", 1), scope("ann", 2));
    move_on_and_destroy(&store, &old, &new);
    for time in 0..10 {
        let issue = issue(&old, time, &[1, 2, 3], 1);
        insert(&store, &issue);
        store.write_now(move |txn| txn.note_unspread(&issue)).unwrap();
    }
    insert(&store, &issue(&new, 1, &[1], 1));
    let shred = |limit| {
        store
            .write_now({
                let old = old.clone();
                move |txn| txn.shred(&old, limit)
            })
            .unwrap()
    };
    assert_eq!(shred(5), 5);
    let differences = || store.compare_with_rebuild().unwrap().differences;
    assert_eq!(differences(), [], "a node that is erasing an epoch is sound");
    while shred(5) != 0 {
        assert_eq!(differences(), []);
    }
    assert_eq!(store.view().unwrap().rows().next_scope(None).unwrap(), Some(new));
    assert_eq!(store.view().unwrap().rows().tokens().unwrap(), (1, 1));
    assert_eq!(differences(), []);
    drop(store);
    let of_tokens = all_rows(dir.path())
        .into_iter()
        .filter(|row| ["mappings", "issues", "issue_digests", "unspread", "unfiled"].contains(&row.0));
    assert_eq!(of_tokens.count(), 3);
}

#[test]
fn what_is_noted_of_an_issue_is_found_by_its_mappings_until_it_is_forgotten() {
    let (dir, store) = empty(options());
    let [one, other] = [("ann", 1, [1, 2]), ("bob", 2, [2, 3])]
        .map(|(owner, epoch, ids)| issue(&scope(owner, epoch), 5, &ids, 1));
    for issue in [&one, &other] {
        insert(&store, issue);
        let issue = issue.clone();
        store.write_now(move |txn| txn.note_unspread(&issue)).unwrap();
    }
    drop(store);
    let store = Store::open(dir.path(), options()).unwrap();
    let found = |owner: &str, epoch: u32, id: u8| {
        store.view().unwrap().rows().unspread(&scope(owner, epoch), &MappingId([id; 16])).unwrap()
    };
    assert_eq!(found("ann", 1, 1), Some(one.id()), "over a restart too");
    assert_eq!((found("ann", 1, 3), found("ann", 2, 1)), (None, None));
    let mut seen = Vec::new();
    while let [next, ..] = &store.view().unwrap().rows().unspread_after(seen.last(), 1).unwrap()[..] {
        seen.push(next.clone());
    }
    let ids: Vec<_> =
        seen.iter().map(|one| (one.scope.owner.to_string(), one.mapping.0[0], one.issue)).collect();
    let (ann, bob) = ("ann".to_owned(), "bob".to_owned());
    let wanted = [(&ann, 1, &one), (&ann, 2, &one), (&bob, 2, &other), (&bob, 3, &other)];
    assert_eq!(ids, wanted.map(|(owner, id, issue)| (owner.clone(), id, issue.id())));
    let of_ann = store.view().unwrap().rows().unspread_after(None, 9).unwrap();
    assert_eq!(of_ann, seen[..2], "of one epoch at a time");
    let (mine, id) = (one.header().scope.clone(), one.id());
    store.write_now(move |txn| txn.forget_unspread(&mine, &id)).unwrap();
    assert_eq!((found("ann", 1, 1), found("ann", 1, 2)), (None, None));
    assert_eq!(found("bob", 2, 2), Some(other.id()));
}
