//! Records move between nodes: pushed, found by whoever was away, fetched when they are needed. Whatever way they
//! take, all nodes come to say the same. Shows H3, X5 and X6.

use std::collections::{BTreeMap, BTreeSet};

use covault_model::{
    id::{ChangeHash, RecordId},
    marks::Mark,
    name::{Description, LabelKey, SecretPath},
    record::{Body, Header, Parent, Record},
    refusal::{CallerMistake, NoAuthority, Refusal},
};

use super::{EAGER, Node, ann, eventually, id, key, new_value, path, three};
use crate::{
    host::Host,
    merge::{change_hash_of, message::Sent},
    vault::{Consistency, HistoryQuery, IdempotencyKey, Patch, UpdateTerms, Which},
};

fn all_say_the_same(nodes: &[Node], names: &[&str]) -> bool {
    names.iter().all(|name| {
        let first = nodes[0].says(name);
        first.is_some() && nodes.iter().all(|node| node.says(name) == first)
    })
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_set_on_one_node_is_pushed_to_the_others() {
    let nodes = three(Some(EAGER)).await;
    nodes[0].create("app/db", "v").await;
    for (node, label) in nodes.iter().zip(["a", "b", "c"]) {
        node.label("app/db", label, "1").await;
    }
    eventually("all have all labels", || all_say_the_same(&nodes, &["app/db"])).await;
    assert_eq!(nodes[0].labels("app/db"), labels(&[("a", "1"), ("b", "1"), ("c", "1")]));
    nodes.iter().for_each(Node::check_views);
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_made_apart_converge_key_by_key() {
    let mut nodes = three(None).await;
    for name in ["one", "two"] {
        nodes[0].create(name, "v").await;
    }
    for node in &nodes {
        node.confirm().await;
    }
    for node in &mut nodes {
        node.stop().await;
    }
    // Each is alone for a while, on a clock of its own.
    for (at, value) in ["first", "second", "third"].into_iter().enumerate() {
        nodes[at].clock.advance(10 * at as u64);
        nodes[at].start(at == 0, &[], None).await;
        nodes[at].label("one", "by", value).await;
        nodes[at].label("one", value, "here").await;
        if at == 1 {
            nodes[at].running().vault.delete(&ann(), &path("two"), None, None).await.unwrap();
        }
        nodes[at].stop().await;
    }
    for node in &mut nodes {
        node.start(node.number == 1, &[], Some(EAGER)).await;
    }
    eventually("all say the same", || {
        nodes.iter().all(|node| node.labels("one").len() == 4) && all_say_the_same(&nodes, &["one", "two"])
    })
    .await;
    let merged = [("by", "third"), ("first", "here"), ("second", "here"), ("third", "here")];
    assert_eq!(nodes[0].labels("one"), labels(&merged));
    let (view, records, _) = nodes[2].says("one").unwrap();
    assert_eq!((view.heads.len(), view.awaited.len(), records.len()), (3, 0, 7));
    assert!(nodes[2].says("two").unwrap().0.current.unwrap().1.deleted);
    nodes.iter().for_each(Node::check_views);
}

async fn restart(node: &mut Node, agrees_only: bool) {
    node.stop().await;
    node.agrees_only = agrees_only;
    node.start(node.number == 1, &[], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_gets_exactly_what_it_lacks() {
    let mut nodes = three(None).await;
    for number in 0..20 {
        nodes[0].create(&format!("s/{number}"), "v").await;
    }
    nodes[2].confirm().await;
    nodes[2].stop().await;
    // Nobody is told of these.
    restart(&mut nodes[0], true).await;
    for number in 0..5 {
        let name = format!("s/{number}");
        nodes[0].label(&name, "one", "1").await;
        nodes[0].label(&name, "two", "2").await;
    }
    restart(&mut nodes[0], false).await;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
    let [_, second, third] = nodes.as_slice() else { unreachable!("there are three") };
    assert_eq!(third.running().records.reconcile(id(1)).await.unwrap(), 10);
    assert_eq!(third.running().records.reconcile(id(1)).await.unwrap(), 0);
    assert_eq!(third.running().records.reconcile(id(2)).await.unwrap(), 0);
    assert_eq!(second.running().records.reconcile(id(3)).await.unwrap(), 10, "from one who was told itself");
    let names: Vec<String> = (0..20).map(|number| format!("s/{number}")).collect();
    assert!(all_say_the_same(&nodes, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    nodes.iter().for_each(Node::check_views);
}

/// Three nodes, the last of which has every version of a secret, so many at first and so many after each label, and no
/// label; nobody is told of those.
async fn third_without_labels(versions: usize, count: usize, after_each: usize) -> Vec<Node> {
    let mut nodes = three(None).await;
    nodes[0].create("long", "v").await;
    for _ in 0..versions {
        update_long(&nodes[0]).await;
    }
    restart(&mut nodes[0], true).await;
    for number in 0..count {
        nodes[0].label("long", &format!("l{}", number % 10), &number.to_string()).await;
        for _ in 0..after_each {
            update_long(&nodes[0]).await;
        }
    }
    restart(&mut nodes[0], false).await;
    nodes[2].confirm().await;
    nodes
}

async fn all_labels_are_found(nodes: &[Node], count: usize) {
    assert_eq!(nodes[2].says("long").unwrap().0.awaited.len(), count);
    assert_eq!(nodes[2].running().records.reconcile(id(1)).await.unwrap(), count);
    assert!(nodes[2].says("long") == nodes[0].says("long"));
    nodes[2].check_views();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lacked_in_many_places_of_a_long_history_is_found() {
    all_labels_are_found(&third_without_labels(260, 70, 1).await, 70).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lacked_behind_much_that_is_here_is_found() {
    all_labels_are_found(&third_without_labels(300, 50, 12).await, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_could_not_be_judged_where_it_came_first_is_not_held_against_a_node_that_has_it() {
    let nodes = three(None).await;
    nodes[0].create("app/db", "v").await;
    for node in &nodes {
        node.confirm().await;
    }
    // The third lies: what follows on its first record states another change of it.
    let first = nodes[0].says("app/db").unwrap().1.remove(0);
    let follow = |parent: Parent, depth, text: &str| {
        let described = Mark::Description(Some(Description::parse(text).unwrap()));
        let (body, author) = (Body::Marks(vec![described]), id(3));
        let header = Header { parents: vec![parent], depth, author, body, ..first.header().clone() };
        Record::sign(Header { time: first.header().time.next(), idempotency: None, ..header }, &key(3))
    };
    let parent = follow(Parent(first.id(), change_hash_of(&first)), 2, "one");
    let child = follow(Parent(parent.id(), ChangeHash([5; 32])), 3, "other");
    for (node, record) in [(&nodes[1], &parent), (&nodes[0], &child)] {
        let sent = Sent(path("app/db"), record.to_bytes().into(), None);
        assert_eq!(node.running().records.intake().take_in(vec![sent]).await.unwrap(), 1);
    }
    nodes[0].label("app/db", "after", "it").await;
    for _ in 0..2 {
        nodes[1].running().records.reconcile(id(1)).await.unwrap();
    }
    assert_eq!(nodes[1].labels("app/db"), labels(&[("after", "it")]), "the rest comes");
    let refused = nodes[1].running().records.refused_peers();
    assert!(refused.iter().all(|(reason, count)| *reason != "bad_record" || *count == 0), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_histories_made_on_both_sides_of_a_cut_come_together() {
    let mut nodes = three(None).await;
    nodes[0].create("long", "v").await;
    for _ in 0..300 {
        update_long(&nodes[0]).await;
    }
    nodes[2].confirm().await;
    for at in [0, 2] {
        restart(&mut nodes[at], true).await;
        for number in 0..600 {
            nodes[at].label("long", &format!("of-{at}"), &number.to_string()).await;
        }
        restart(&mut nodes[at], false).await;
    }
    let pairs = [(2, 1), (0, 3)].map(|(node, peer)| (&nodes[node].running().records, id(peer)));
    for (records, peer) in &pairs {
        eventually("it knows its peer again", || records.peers().contains(peer)).await;
    }
    for (records, peer) in pairs {
        records.reconcile(peer).await.unwrap();
    }
    assert!(nodes[2].says("long") == nodes[0].says("long"));
    assert_eq!(nodes[0].labels("long"), labels(&[("of-0", "599"), ("of-2", "599")]));
}

async fn update_long(node: &Node) {
    let terms = UpdateTerms::default();
    node.running().vault.update(&ann(), &path("long"), new_value("w"), terms, None).await.unwrap();
}

/// Three nodes of which the last has its registry from a snapshot, and none of the 150 histories.
async fn third_by_snapshot() -> Vec<Node> {
    let mut nodes = three(None).await;
    nodes[2].stop().await;
    for number in 0..150 {
        let (name, value) = (format!("s/{number}"), format!("value {number}"));
        let made =
            nodes[0].running().vault.create(&ann(), &path(&name), new_value(&value), key_of(&name)).await;
        made.unwrap();
    }
    nodes[1].confirm().await;
    // Whoever leads has nothing left of the log that could bring the third one level.
    for node in &nodes[..2] {
        node.running().consensus.compact().await.unwrap();
    }
    nodes
}

/// The same, with the last one running, which is not given any history.
async fn third_that_only_agrees() -> Vec<Node> {
    let mut nodes = third_by_snapshot().await;
    nodes[2].agrees_only = true;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
    nodes
}

/// The idempotency key of the request that makes a secret.
fn key_of(name: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey::parse(&name.replace('/', "-")).unwrap())
}

fn lacked(node: &Node) -> BTreeSet<SecretPath> {
    let view = node.running().store.view().unwrap();
    let secrets = view.rows().secrets_after(None, usize::MAX).unwrap();
    assert_eq!(secrets.len(), 150, "the registry is here");
    secrets.into_iter().filter(|(_, view)| view.is_none()).map(|(path, _)| path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_installed_by_snapshot_gets_all_records_and_payloads() {
    let mut nodes = third_by_snapshot().await;
    nodes[2].start(false, &[], Some(EAGER)).await;
    nodes[2].confirm().await;
    eventually("all histories are here", || lacked(&nodes[2]).is_empty()).await;
    for number in [0, 77, 149] {
        assert_eq!(nodes[2].read(&format!("s/{number}")).await, format!("value {number}"));
    }
    // That every payload is here, too, is part of this.
    nodes[2].check_views();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_names_is_fetched_when_it_is_read() {
    let mut nodes = third_by_snapshot().await;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
    let before = lacked(&nodes[2]);
    let read = before.iter().next().unwrap().clone();
    let number = read.name.strip_prefix("s/").unwrap().to_owned();
    assert_eq!(nodes[2].read(&read.name).await, format!("value {number}"));
    let expected: BTreeSet<_> = before.iter().filter(|path| **path != read).cloned().collect();
    assert_eq!(lacked(&nodes[2]), expected, "nothing else was fetched");
    let vault = &nodes[2].running().vault;
    let mut lacked = expected.iter();
    for which in [Which::Number(1), Which::At(nodes[0].clock.now())] {
        let answer = vault.read(&ann(), lacked.next().unwrap(), which, Consistency::Quorum).await;
        assert_eq!(answer.unwrap().summary.version.number, Some(1));
    }
    let path = lacked.next().unwrap();
    let id = nodes[0].says(&path.name).unwrap().0.current.unwrap().0.id;
    assert!(vault.read(&ann(), path, Which::Id(id), Consistency::Local).await.is_ok());
    let unknown = Which::Id(RecordId([9; 32]));
    let answer = vault.read(&ann(), lacked.next().unwrap(), unknown, Consistency::Local).await;
    assert_eq!(answer.err().unwrap().code(), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_names_and_nobody_gives_is_unconfirmed_and_not_missing() {
    let nodes = third_that_only_agrees().await;
    let lacked = lacked(&nodes[2]).into_iter().next().unwrap();
    let vault = nodes[2].running().vault.clone();
    let answer = vault.read(&ann(), &lacked, Which::Current, Consistency::Local).await;
    assert_eq!(answer.err(), Some(NoAuthority::Unconfirmed.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_for_records_is_whole_when_it_is_checked() {
    let mut nodes = third_that_only_agrees().await;
    nodes[0].label("s/0", "one", "1").await;
    let (_, records, _) = nodes[0].says("s/0").unwrap();
    let label = records.into_iter().find(|record| !record.header().parents.is_empty()).unwrap();
    let store = nodes[2].running().store.clone();
    assert!(store.write_now(move |txn| txn.insert_marks(&path("s/0"), &label)).unwrap());
    drop(store);
    assert_eq!(nodes[2].says("s/0").unwrap().0.awaited.len(), 1, "the version that has the label");
    nodes[2].stop().await;
    let report = crate::node::check(nodes[2].dir.path(), &mut |_| {}).unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
}

async fn history(node: &Node, path: &SecretPath) -> Result<Vec<Option<u64>>, Refusal> {
    let query = HistoryQuery { limit: 10, before: None };
    let page = node.running().vault.history(&ann(), path, query).await?;
    Ok(page.items.into_iter().map(|version| version.number).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_which_nothing_has_arrived_is_fetched_when_it_is_asked_for() {
    let mut nodes = third_by_snapshot().await;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
    let lacked = lacked(&nodes[2]).into_iter().next().unwrap();
    assert_eq!(history(&nodes[2], &lacked).await, Ok(vec![Some(1)]));
    assert_eq!(history(&nodes[2], &path("none")).await, Err(CallerMistake::NotFound.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_which_nothing_can_be_had_is_unconfirmed_and_not_missing() {
    let nodes = third_that_only_agrees().await;
    let lacked = lacked(&nodes[2]).into_iter().next().unwrap();
    assert_eq!(history(&nodes[2], &lacked).await, Err(NoAuthority::Unconfirmed.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_answered_again_by_a_node_that_has_not_got_the_version_yet() {
    let mut nodes = third_by_snapshot().await;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
    let name = lacked(&nodes[2]).into_iter().next().unwrap().name.to_string();
    let value = name.replace("s/", "value ");
    let vault = &nodes[2].running().vault;
    let again = vault.create(&ann(), &path(&name), new_value(&value), key_of(&name)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.version.id, nodes[0].says(&name).unwrap().0.current.unwrap().0.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_cannot_be_answered_again_yet_is_unknown() {
    let nodes = third_that_only_agrees().await;
    let name = lacked(&nodes[2]).into_iter().next().unwrap().name.to_string();
    let value = name.replace("s/", "value ");
    let vault = &nodes[2].running().vault;
    let again = vault.create(&ann(), &path(&name), new_value(&value), key_of(&name)).await;
    let id = nodes[0].says(&name).unwrap().0.current.unwrap().0.id;
    assert_eq!(again.err(), Some(NoAuthority::OutcomeUnknown(Some(id)).into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_follow_on_a_version_of_a_time_to_come_is_refused_and_not_lost() {
    let nodes = three(Some(EAGER)).await;
    let hour = 3_600_000;
    nodes.iter().for_each(|node| node.clock.advance(hour));
    nodes[0].create("a", "v").await;
    nodes[0].label("a", "by", "ahead").await;
    eventually("all have it", || all_say_the_same(&nodes, &["a"])).await;
    nodes.iter().for_each(|node| node.clock.set_back(hour));
    let (vault, stale) = (&nodes[1].running().vault, Some(NoAuthority::StaleTime.into()));
    let labels = BTreeMap::from([(LabelKey::parse("by").unwrap(), None)]);
    let patched = vault.patch(&ann(), &path("a"), Patch { labels, description: None }, None).await;
    assert_eq!(patched.err(), stale);
    let updated = vault.update(&ann(), &path("a"), new_value("w"), UpdateTerms::default(), None).await;
    assert_eq!(updated.err(), stale);
    assert_eq!(nodes[1].read("a").await, "v");
    nodes.iter().for_each(|node| node.clock.advance(hour));
    nodes[1].label("a", "by", "later").await;
    assert_eq!(nodes[1].labels("a"), [("by".to_owned(), "later".to_owned())]);
}
