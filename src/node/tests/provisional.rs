//! Updates that no majority answers: kept, merged, adopted when a majority is back, or passed over. Shows X7.

use std::{collections::BTreeMap, time::Duration};

use covault_model::{
    command::Condition,
    line::State,
    name::Description,
    refusal::{CallerMistake, NoAuthority, Refusal},
};

use tokio::{join, time::timeout};

use super::{EAGER, Node, ann, eventually, new_value, path, three};
use crate::{
    merge::message::Sent,
    vault::{Consistency, IdempotencyKey, Opened, Patch, UpdateTerms, Which, Written},
};

async fn update(node: &Node, value: &str, terms: UpdateTerms, key: Option<&str>) -> Result<Written, Refusal> {
    let key = key.map(|key| IdempotencyKey::parse(key).unwrap());
    node.running().vault.update(&ann(), &path("a"), new_value(value), terms, key).await
}

async fn update_of(node: &Node, name: &str, value: &str) -> Written {
    let vault = &node.running().vault;
    vault.update(&ann(), &path(name), new_value(value), UpdateTerms::default(), None).await.unwrap()
}

async fn read(node: &Node, which: Which) -> Opened {
    node.running().vault.read(&ann(), &path("a"), which, Consistency::Local).await.unwrap()
}

/// Three nodes that know the secret `a`, all stopped.
async fn three_stopped() -> Vec<Node> {
    three_stopped_that_know(&["a"]).await
}

async fn three_stopped_that_know(names: &[&str]) -> Vec<Node> {
    let mut nodes = three(None).await;
    for name in names {
        nodes[0].create(name, "agreed").await;
    }
    for node in &mut nodes {
        node.confirm().await;
    }
    for node in &mut nodes {
        node.stop().await;
    }
    nodes
}

/// One of them alone, which does not wait long for the others.
async fn alone(node: &mut Node) {
    node.patience = Duration::from_secs(1);
    node.start(node.number == 1, &[], None).await;
    node.patience = super::DEADLINE;
}

async fn start_all(nodes: &mut [Node]) {
    for node in nodes {
        node.start(node.number == 1, &[], Some(EAGER)).await;
    }
}

/// Offers what every node kept until all say the same of `a`.
async fn settle(nodes: &[Node], settled: impl Fn(&Node) -> bool) {
    for node in nodes {
        node.confirm().await;
        node.running().vault.offer_kept().await.unwrap();
    }
    let agree = || nodes.iter().all(|node| settled(node) && node.says("a") == nodes[0].says("a"));
    eventually("all have settled", agree).await;
    nodes.iter().for_each(Node::check_views);
}

fn numbers(node: &Node) -> Vec<Option<u64>> {
    let view = node.running().store.view().unwrap();
    let line = view.rows().versions(&path("a"), None, usize::MAX).unwrap();
    line.into_iter().rev().map(|(_, row)| row.number).collect()
}

/// What a node sends others of a version that it has.
fn sent_of(node: &Node, written: &Written) -> Sent {
    let view = node.running().store.view().unwrap();
    let record = view.rows().record(&path("a"), &written.version.id).unwrap().unwrap();
    let payload = view.rows().payload(&path("a"), &record.version().unwrap().payload).unwrap();
    Sent(path("a"), record.to_bytes().into(), payload.map(|bytes| bytes.to_vec().into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_no_majority_answers_is_kept_and_adopted_when_one_is_back() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let mut ids = Vec::new();
    for value in ["apart", "apart again"] {
        let written = update(&nodes[1], value, UpdateTerms::default(), None).await.unwrap();
        assert_eq!((written.version.number, written.version.state), (None, State::Provisional));
        assert_eq!((written.replication.acknowledged, written.replication.quorum), (1, 2));
        let read = read(&nodes[1], Which::Current).await;
        assert_eq!(read.value.expose_plaintext(), value.as_bytes());
        assert_eq!((read.summary.version.id, read.summary.version.number), (written.version.id, None));
        ids.push(written.version.id);
    }
    nodes[1].check_views();
    // What it kept it finds again at its next start.
    nodes[1].stop().await;
    start_all(&mut nodes).await;
    settle(&nodes, |node| numbers(node) == [Some(1), Some(2), Some(3)]).await;
    for node in &nodes {
        for (number, id) in (2..).zip(&ids) {
            assert_eq!(read(node, Which::Number(number)).await.summary.version.id, *id);
        }
        assert_eq!(node.read("a").await, "apart again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_version_is_passed_over_when_something_newer_was_agreed() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let kept = update(&nodes[1], "apart", UpdateTerms::default(), None).await.unwrap().version.id;
    nodes[1].stop().await;
    for at in [0, 2] {
        nodes[at].clock.advance(1000);
        nodes[at].start(at == 0, &[], None).await;
    }
    let agreed = update(&nodes[2], "together", UpdateTerms::default(), None).await.unwrap();
    assert_eq!(agreed.version.number, Some(2));
    for at in [0, 2] {
        nodes[at].stop().await;
    }
    start_all(&mut nodes).await;
    settle(&nodes, |node| numbers(node) == [Some(1), None, Some(2)]).await;
    for node in &nodes {
        assert_eq!(node.read("a").await, "together");
        let passed_over = read(node, Which::Id(kept)).await;
        assert_eq!(passed_over.summary.version.state, State::Superseded);
        assert_eq!(passed_over.value.expose_plaintext(), b"apart", "it can still be read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_agreed_or_nothing_is_refused_and_not_kept() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let before = nodes[1].says("a");
    // Whether it reached a leader that then fell silent, it cannot always tell.
    let is_refused = |answer: Result<Written, Refusal>| matches!(answer.err(), Some(Refusal::NotNow(why)) if why.is_silence());
    for terms in [
        UpdateTerms { agreed_only: true, condition: None },
        UpdateTerms { agreed_only: false, condition: Some(Condition::Exists) },
    ] {
        assert!(is_refused(update(&nodes[1], "v", terms, None).await));
    }
    let created = nodes[1].running().vault.create(&ann(), &path("b"), new_value("v"), None).await;
    assert!(is_refused(created));
    assert_eq!(nodes[1].says("a"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_finds_what_was_kept_wherever_it_has_come_to() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let first = update(&nodes[1], "apart", UpdateTerms::default(), Some("k")).await.unwrap();
    let again = update(&nodes[1], "apart", UpdateTerms::default(), Some("k")).await.unwrap();
    assert_eq!((again.version.id, again.version.number, again.replayed), (first.version.id, None, true));
    let other = update(&nodes[1], "another", UpdateTerms::default(), Some("k")).await;
    assert_eq!(other.err().unwrap().code(), "idempotency_conflict");
    nodes[1].stop().await;
    start_all(&mut nodes).await;
    eventually("all have it", || nodes.iter().all(|node| numbers(node).len() == 2)).await;
    let elsewhere = update(&nodes[2], "apart", UpdateTerms::default(), Some("k")).await.unwrap();
    assert_eq!((elsewhere.version.id, elsewhere.replayed), (first.version.id, true));
    settle(&nodes, |node| numbers(node) == [Some(1), Some(2)]).await;
    for node in &nodes {
        let later = update(node, "apart", UpdateTerms::default(), Some("k")).await.unwrap();
        assert_eq!((later.version.id, later.version.number), (first.version.id, Some(2)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_answered_with_what_was_agreed_and_not_with_what_was_kept_of_it() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let kept = update(&nodes[1], "one", UpdateTerms::default(), Some("k")).await.unwrap();
    nodes[1].stop().await;
    for at in [0, 2] {
        nodes[at].clock.advance(1000);
        nodes[at].start(at == 0, &[], None).await;
    }
    let agreed = update(&nodes[2], "one", UpdateTerms::default(), Some("k")).await.unwrap();
    assert_eq!((agreed.version.number, agreed.version.id == kept.version.id), (Some(2), false));
    for at in [0, 2] {
        nodes[at].stop().await;
    }
    start_all(&mut nodes).await;
    settle(&nodes, |node| numbers(node) == [Some(1), None, Some(2)]).await;
    for node in &nodes {
        for agreed_only in [false, true] {
            let terms = UpdateTerms { agreed_only, condition: None };
            let again = update(node, "one", terms, Some("k")).await.unwrap();
            assert_eq!((again.version.id, again.version.number), (agreed.version.id, Some(2)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_what_was_kept_and_has_not_come_here_yet_is_unknown() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let kept = update(&nodes[1], "apart", UpdateTerms::default(), Some("k")).await.unwrap();
    let registry = nodes[1].running().store.export_registry().unwrap();
    nodes[1].stop().await;
    nodes[2].agrees_only = true;
    alone(&mut nodes[2]).await;
    nodes[2].running().store.write_now(move |txn| txn.install_registry(&registry)).unwrap();
    let retried = update(&nodes[2], "apart", UpdateTerms::default(), Some("k")).await;
    assert_eq!(retried.err(), Some(NoAuthority::OutcomeUnknown(Some(kept.version.id)).into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_marks_that_have_not_come_here_yet_is_unknown() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let delete = async |node: &Node| {
        let key = IdempotencyKey::parse("k");
        node.running().vault.delete(&ann(), &path("a"), Some(Which::Number(1)), Some(key.unwrap())).await
    };
    delete(&nodes[1]).await.unwrap();
    assert!(delete(&nodes[1]).await.unwrap().replayed);
    let registry = nodes[1].running().store.export_registry().unwrap();
    nodes[1].stop().await;
    nodes[2].agrees_only = true;
    alone(&mut nodes[2]).await;
    nodes[2].running().store.write_now(move |txn| txn.install_registry(&registry)).unwrap();
    let retried = delete(&nodes[2]).await.err();
    assert!(matches!(retried, Some(Refusal::NotNow(NoAuthority::OutcomeUnknown(Some(_))))), "{retried:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_may_have_been_carried_out_elsewhere_is_not_refused_for_what_was_deleted_since() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let vault = &nodes[1].running().vault;
    vault.delete(&ann(), &path("a"), Some(Which::Number(1)), None).await.unwrap();
    let roll_back = async |key: Option<&str>| {
        let key = key.map(|key| IdempotencyKey::parse(key).unwrap());
        vault.rollback(&ann(), &path("a"), Which::Number(1), key).await.err()
    };
    assert_eq!(roll_back(Some("k")).await, Some(NoAuthority::Unconfirmed.into()));
    assert_eq!(roll_back(None).await.unwrap().code(), "version_deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_came_here_while_its_retry_waited_is_not_kept_a_second_time() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let first = update(&nodes[1], "apart", UpdateTerms::default(), Some("k")).await.unwrap();
    let sent = sent_of(&nodes[1], &first);
    nodes[1].stop().await;
    alone(&mut nodes[2]).await;
    let intake = nodes[2].running().records.intake();
    // The update waits for a majority meanwhile.
    let (again, taken) =
        join!(update(&nodes[2], "apart", UpdateTerms::default(), Some("k")), intake.take_in(vec![sent]));
    assert_eq!(taken.unwrap(), 1);
    let again = again.unwrap();
    assert_eq!((again.version.id, again.replayed), (first.version.id, true));
    assert_eq!(numbers(&nodes[2]), [Some(1), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_not_kept_under_a_key_that_another_request_took_while_it_waited() {
    let mut nodes = three_stopped_that_know(&["a", "b"]).await;
    alone(&mut nodes[1]).await;
    let vault = &nodes[1].running().vault;
    let patch =
        Patch { labels: BTreeMap::new(), description: Some(Some(Description::parse("new").unwrap())) };
    let (asker, key, name) = (ann(), IdempotencyKey::parse("k").unwrap(), path("b"));
    // The update waits for a majority first; nothing else does.
    let (updated, patched) = join!(
        update(&nodes[1], "apart", UpdateTerms::default(), Some("k")),
        vault.patch(&asker, &name, patch, Some(key)),
    );
    assert!(patched.is_ok());
    // Unknown if it was sent to a leader that was thought to be there.
    assert!(updated.is_err(), "it was given the key of another");
    assert_eq!(numbers(&nodes[1]), [Some(1)], "nothing is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_after_a_version_whose_key_another_request_has_is_agreed() {
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    update(&nodes[1], "one", UpdateTerms::default(), Some("k")).await.unwrap();
    let later = update(&nodes[1], "two", UpdateTerms::default(), None).await.unwrap();
    nodes[1].stop().await;
    for at in [0, 2] {
        nodes[at].start(at == 0, &[], None).await;
    }
    let key = IdempotencyKey::parse("k");
    let vault = &nodes[0].running().vault;
    vault.create(&ann(), &path("b"), new_value("other"), Some(key.unwrap())).await.unwrap();
    for at in [0, 2] {
        nodes[at].stop().await;
    }
    start_all(&mut nodes).await;
    settle(&nodes, |node| numbers(node) == [Some(1), None, Some(2)]).await;
    for node in &nodes {
        assert_eq!(read(node, Which::Number(2)).await.summary.version.id, later.version.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_agreed_is_not_answered_with_what_was_only_kept() {
    let agreed_only = || UpdateTerms { agreed_only: true, condition: None };
    let mut nodes = three_stopped().await;
    alone(&mut nodes[1]).await;
    let first = update(&nodes[1], "apart", UpdateTerms::default(), Some("k")).await.unwrap();
    let unknown = update(&nodes[1], "apart", agreed_only(), Some("k")).await;
    assert_eq!(unknown.err(), Some(NoAuthority::OutcomeUnknown(Some(first.version.id)).into()));
    nodes[1].stop().await;
    start_all(&mut nodes).await;
    nodes[1].confirm().await;
    // Nobody has offered it yet, so it surely was not agreed.
    let refused = update(&nodes[1], "apart", agreed_only(), Some("k")).await;
    assert_eq!(refused.err(), Some(CallerMistake::IdempotencyConflict.into()));
    settle(&nodes, |node| numbers(node) == [Some(1), Some(2)]).await;
    for node in &nodes {
        let later = update(node, "apart", agreed_only(), Some("k")).await.unwrap();
        assert_eq!((later.version.id, later.version.number), (first.version.id, Some(2)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_on_a_condition_is_not_answered_with_what_came_here_before_its_number() {
    let mut nodes = three_stopped().await;
    for at in [0, 1] {
        nodes[at].start(at == 0, &[], None).await;
    }
    let terms = || UpdateTerms { agreed_only: false, condition: Some(Condition::Exists) };
    let agreed = update(&nodes[1], "two", terms(), Some("k")).await.unwrap();
    assert_eq!(agreed.version.number, Some(2));
    nodes[1].confirm().await;
    let sent = sent_of(&nodes[1], &agreed);
    for at in [0, 1] {
        nodes[at].stop().await;
    }
    alone(&mut nodes[2]).await;
    assert_eq!(nodes[2].running().records.intake().take_in(vec![sent]).await.unwrap(), 1);
    assert_eq!(numbers(&nodes[2]), [Some(1), None]);
    let unknown = update(&nodes[2], "two", terms(), Some("k")).await;
    assert_eq!(unknown.err(), Some(NoAuthority::OutcomeUnknown(Some(agreed.version.id)).into()));
    nodes[2].stop().await;
    start_all(&mut nodes).await;
    for node in &nodes {
        node.confirm().await;
        let again = update(node, "two", terms(), Some("k")).await.unwrap();
        assert_eq!((again.version.id, again.version.number), (agreed.version.id, Some(2)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_version_of_the_very_time_of_one_that_was_agreed_is_passed_over() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut nodes = three_stopped_that_know(&names).await;
    // Clocks that stand still: both sides stamp the same times, and of half of them the kept one has the greater id.
    nodes.iter().for_each(|node| node.clock.advance(1000));
    let mut kept = Vec::new();
    alone(&mut nodes[1]).await;
    for name in names {
        let vault = &nodes[1].running().vault;
        let written =
            vault.update(&ann(), &path(name), new_value("apart"), UpdateTerms::default(), None).await;
        kept.push(written.unwrap().version.id);
    }
    nodes[1].stop().await;
    for at in [0, 2] {
        nodes[at].start(at == 0, &[], None).await;
    }
    for name in names {
        assert_eq!(update_of(&nodes[2], name, "together").await.version.number, Some(2));
    }
    for at in [0, 2] {
        nodes[at].stop().await;
    }
    start_all(&mut nodes).await;
    nodes[1].confirm().await;
    timeout(super::DEADLINE, nodes[1].running().vault.offer_kept()).await.expect("offering ends").unwrap();
    for (name, id) in names.into_iter().zip(&kept) {
        let vault = &nodes[1].running().vault;
        let read = vault.read(&ann(), &path(name), Which::Id(*id), Consistency::Local).await.unwrap();
        assert_eq!(read.summary.version.state, State::Superseded, "{name}");
        assert_eq!(nodes[1].read(name).await, "together", "what was agreed holds");
    }
}
