//! Tokens on several nodes: issued on both sides of a cut they are one, what was missed is found, a miss is true,
//! a destroyed epoch stays so on a node that was away, and a hostile member gets nothing in. Shows T1 to T6.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use covault_model::{
    canonical::Scalar,
    command::{Action, Command},
    epoch::{Epoch, epochs_of},
    field::{FieldRule, Format, OpaqueToken},
    hlc::{Hlc, Millis},
    id::{CommandId, MappingId},
    issue::{Issue, IssueHeader, Mapping, Scope},
    limits::SKEW_MS_MAX,
    name::{FieldPointer, FieldType, MasterKeyName},
    refusal::{CallerMistake, NoAuthority, NodeFault, Refusal},
};
use covault_seal::{EpochKey, Keyring, Misfit, Plaintext};

use super::{EAGER, Node, ann, eventually, id, key, three};
use crate::vault::{Issued, Placed, Proposal, Sought, TokenRequest};

fn field() -> FieldRule {
    let pointer = FieldPointer::default();
    FieldRule { pointer, format: Format::Opaque, kind: FieldType::default() }
}

fn propose(key: &EpochKey, values: &[String]) -> Result<Proposal, Misfit> {
    let (mut placed, mut mappings) = (Vec::new(), Vec::new());
    for value in values {
        let form = Plaintext::new(Scalar::Text(value).canonical().unwrap().to_vec());
        let token = key.token(&field(), &form)?;
        placed.push(Placed { pointer: String::new(), at: 0..0, token: token.text });
        mappings.push(token.mapping);
    }
    mappings.sort_by_key(|mapping| mapping.0);
    Ok(Proposal { scope: key.scope().clone(), placed, mappings })
}

async fn try_tokenize(node: &Node, values: &[String]) -> Result<(Vec<String>, Issued), Refusal> {
    let request = TokenRequest { values: values.len(), rules: &[], key: None, says: b"" };
    let asked = node.running().vault.tokenize(&ann(), request, |key| propose(key, values)).await?;
    Ok((asked.0.placed.into_iter().map(|placed| placed.token).collect(), asked.1))
}

async fn tokenize(node: &Node, values: &[String]) -> (Vec<String>, Issued) {
    try_tokenize(node, values).await.unwrap()
}

async fn detokenize(node: &Node, tokens: &[String]) -> Result<Vec<String>, Refusal> {
    let sought: Vec<Sought> = tokens.iter().map(|token| Sought::of(token, &field(), None)).collect();
    let (values, _) = node.running().vault.detokenize(&ann(), &sought).await?;
    let text = |value: &Plaintext| String::from_utf8(value.expose_plaintext()[1..].to_vec()).unwrap();
    Ok(values.iter().map(text).collect())
}

fn values(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{of} {at}")).collect()
}

fn held(node: &Node) -> (u64, u64) {
    node.running().store.view().unwrap().rows().tokens().unwrap()
}

fn scope(epoch: u32) -> Scope {
    Scope { owner: ann().session.caller, epoch: Epoch(epoch) }
}

fn digests(node: &Node) -> Vec<(u8, covault_store::IssueDigest)> {
    node.running().store.view().unwrap().rows().issue_digests(&scope(1)).unwrap()
}

/// What the node has that may be on too few others.
fn unspread(node: &Node) -> usize {
    node.running().store.view().unwrap().rows().unspread_after(None, usize::MAX).unwrap().len()
}

async fn agree(node: &Node, number: u8, action: Action) {
    let (by, at) = (ann().session.caller, node.clock.0.load(Ordering::Relaxed));
    let command = Command { id: CommandId([number; 16]), by, at: Millis(at), idempotency: None, action };
    node.running().consensus.propose(command, 1024).await.unwrap().outcome.unwrap();
}

/// Three nodes whose cluster knows the key that their vaults have.
async fn keyed() -> Vec<Node> {
    let nodes = three(Some(EAGER)).await;
    let keys = nodes[0].running().vault.observe().unwrap().keys;
    let ring = covault_seal::Keyring::generate(&mut |bytes| bytes.fill(7));
    let name = keys.active.unwrap();
    let check = ring.check(&name).unwrap();
    agree(&nodes[0], 200, Action::KnowKey(name, check)).await;
    for node in &nodes {
        node.confirm().await;
    }
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_the_same_on_every_node_and_kept_by_a_majority_when_told() {
    let nodes = keyed().await;
    let (first, issued) = tokenize(&nodes[0], &values("v", 3)).await;
    let replication = issued.replication.unwrap();
    assert!(replication.quorum <= replication.acknowledged, "{replication:?}");
    assert_eq!(issued.new, 3);
    for node in &nodes {
        assert_eq!(tokenize(node, &values("v", 3)).await.0, first);
        assert_eq!(detokenize(node, &first).await.unwrap(), values("v", 3), "found where it is asked");
    }
    eventually("all have them", || nodes.iter().all(|node| held(node).0 == 3)).await;
    nodes.iter().for_each(Node::check_views);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_issued_on_both_sides_of_a_cut_is_one_afterwards() {
    let mut nodes = keyed().await;
    for node in &mut nodes {
        node.stop().await;
    }
    let mut tokens = Vec::new();
    for node in &mut nodes {
        node.patience = Duration::from_secs(1);
        node.start(node.number == 1, &[], None).await;
        let mine = [values("both", 300), values(&format!("only {}", node.number), 20)].concat();
        let (given, issued) = tokenize(node, &mine).await;
        assert_eq!(issued.replication.unwrap().acknowledged, 1, "nobody else has them");
        tokens.push(given);
        node.stop().await;
        node.patience = super::DEADLINE;
    }
    assert!(tokens.iter().all(|given| given[..300] == tokens[0][..300]), "the same without a word");
    for node in &mut nodes {
        node.start(node.number == 1, &[], Some(EAGER)).await;
    }
    eventually("all have the same issues", || nodes.iter().all(|node| digests(node) == digests(&nodes[0])))
        .await;
    for node in &nodes {
        eventually("each mapping counts, and once", || held(node).0 == 360).await;
        assert_eq!(detokenize(node, &tokens[1]).await.unwrap().len(), 320);
        node.check_views();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_finds_many_issues_and_only_what_it_lacks() {
    let mut nodes = keyed().await;
    nodes[2].stop().await;
    for at in 0..400 {
        tokenize(&nodes[at % 2], &values(&format!("{at}"), 2)).await;
    }
    nodes[2].start(false, &[], Some(EAGER)).await;
    eventually("it has caught up", || digests(&nodes[2]) == digests(&nodes[0])).await;
    // Mappings that wait to be filed are counted a moment after their issue is there.
    eventually("all of it counts", || held(&nodes[2]) == (800, 400)).await;
    nodes[2].check_views();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_true_or_it_is_not_told() {
    let mut nodes = keyed().await;
    let unknown = [OpaqueToken { epoch: Epoch(1), mapping: MappingId([1; 16]) }.text()];
    assert_eq!(detokenize(&nodes[0], &unknown).await, Err(CallerMistake::NotFound.into()));
    nodes[0].stop().await;
    // Alone, it is not to wait long for the others.
    nodes[0].patience = Duration::from_secs(2);
    nodes[0].start(true, &[], Some(EAGER)).await;
    nodes[1].stop().await;
    nodes[2].stop().await;
    eventually("it knows that it is alone", || !nodes[0].running().consensus.has_majority()).await;
    for token in [&unknown[0], "no token"] {
        let told = detokenize(&nodes[0], &[token.to_owned()]).await;
        assert_eq!(told, Err(NoAuthority::Unconfirmed.into()), "{token}");
    }
    let (alone, issued) = tokenize(&nodes[0], &values("alone", 1)).await;
    assert_eq!((issued.epoch, issued.standing.as_str(), issued.is_kept), (Epoch(1), "minority", false));
    assert_eq!(detokenize(&nodes[0], &alone).await.unwrap(), values("alone", 1));
    nodes[1].agrees_only = true;
    nodes[1].start(false, &[], None).await;
    eventually("it has a majority", || nodes[0].running().consensus.has_majority()).await;
    nodes[0].running().vault.look_for_spread().await.unwrap();
    let (_, again) = tokenize(&nodes[0], &values("alone", 1)).await;
    assert!(!again.is_kept, "the majority has not got it yet");
    nodes[1].stop().await;
    nodes[1].agrees_only = false;
    nodes[1].start(false, &[], Some(EAGER)).await;
    let begun = std::time::Instant::now();
    while !tokenize(&nodes[0], &values("alone", 1)).await.1.is_kept {
        assert!(begun.elapsed() < super::DEADLINE, "it did not spread");
        nodes[0].running().vault.look_for_spread().await.unwrap();
    }
    assert_eq!(held(&nodes[1]).0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_behind_does_not_say_that_there_is_no_such_token() {
    let nodes = keyed().await;
    let behind = &nodes[2].clock.0;
    behind.fetch_sub(SKEW_MS_MAX + 10_000, Ordering::Relaxed);
    let (tokens, issued) = tokenize(&nodes[0], &values("v", 1)).await;
    assert!(issued.is_kept, "two of three have it");
    assert_eq!(detokenize(&nodes[2], &tokens).await, Err(NoAuthority::Unconfirmed.into()));
    behind.fetch_add(SKEW_MS_MAX + 10_000, Ordering::Relaxed);
    assert_eq!(detokenize(&nodes[2], &tokens).await.unwrap(), values("v", 1), "once its clock is right");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_alone_is_not_called_kept_after_a_restart_until_it_is() {
    let mut nodes = keyed().await;
    for node in &mut nodes[1..] {
        node.stop().await;
    }
    eventually("it knows that it is alone", || !nodes[0].running().consensus.has_majority()).await;
    let (alone, issued) = tokenize(&nodes[0], &values("alone", 2)).await;
    assert!(!issued.is_kept);
    nodes[0].stop().await;
    nodes[1].agrees_only = true;
    nodes[1].start(false, &[], None).await;
    nodes[0].start(true, &[], None).await;
    eventually("it has a majority", || nodes[0].running().consensus.has_majority()).await;
    let (_, again) = tokenize(&nodes[0], &values("alone", 1)).await;
    assert!(!again.is_kept, "no other node has it");
    assert_eq!((again.new, again.replication.unwrap().acknowledged), (0, 1));
    let (_, other) = tokenize(&nodes[0], &values("other", 1)).await;
    assert!(!other.is_kept);
    nodes[0].running().vault.look_for_spread().await.unwrap();
    assert_eq!(unspread(&nodes[0]), 3, "nobody has told that it has them");
    nodes[1].stop().await;
    nodes[1].agrees_only = false;
    nodes[1].start(false, &[], None).await;
    let begun = std::time::Instant::now();
    while !tokenize(&nodes[0], &values("alone", 1)).await.1.is_kept {
        assert!(begun.elapsed() < super::DEADLINE, "it is not spread by those who ask for it");
    }
    assert_eq!(held(&nodes[1]).0, 2, "it was sent with all that was made with it");
    assert_eq!(detokenize(&nodes[1], &alone).await.unwrap(), values("alone", 2));
    let (_, settled) = tokenize(&nodes[0], &values("alone", 2)).await;
    assert!(settled.is_kept && settled.replication.is_none(), "nobody need be asked any more");
    nodes[1].running().records.reconcile_all(id(1)).await.unwrap();
    nodes[0].running().vault.look_for_spread().await.unwrap();
    assert_eq!(unspread(&nodes[0]), 0, "others have all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_found_when_all_who_had_it_are_gone_and_another_joined_meanwhile() {
    let mut nodes = keyed().await;
    nodes[2].stop().await;
    let (tokens, issued) = tokenize(&nodes[0], &values("v", 3)).await;
    assert!(issued.is_kept, "the first and the second have it");
    // What it still sends goes with it, and nobody goes on rounds: only the change of those that vote brings it to others.
    nodes[0].stop().await;
    nodes[0].start(true, &[], None).await;
    nodes[2].start(false, &[], None).await;
    nodes[2].confirm().await;
    nodes[1].stop().await;
    nodes[2].agree(Action::RemoveNode(id(2))).await;
    nodes[2].running().consensus.expel(id(2)).await.unwrap();
    assert_eq!(held(&nodes[2]).0, 0);
    nodes.push(Node::new(4));
    let known = [(1, nodes[0].address), (3, nodes[2].address)];
    nodes[3].start(false, &known, None).await;
    let leader = nodes[2].running().consensus.standing().leader.unwrap();
    let leader = if leader == id(3) { &nodes[2] } else { &nodes[0] };
    leader.admit(&nodes[3]).await;
    nodes[0].stop().await;
    for at in [2, 3] {
        assert_eq!(detokenize(&nodes[at], &tokens).await.unwrap(), values("v", 3), "node {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vote_is_taken_away_while_the_others_lack_what_was_told_to_exist() {
    let mut nodes = keyed().await;
    let ids = |numbers: &[u8]| BTreeSet::from_iter(numbers.iter().map(|number| id(*number)));
    let may = async |node: &Node, before: &[u8], after: &[u8]| {
        node.running().records.may_vote_next(&ids(before), &ids(after)).await
    };
    assert!(may(&nodes[0], &[1, 2], &[1]).await, "it looks through the other one");
    nodes[1].stop().await;
    assert!(!may(&nodes[0], &[1, 2], &[1]).await, "what only the other one has is lost");
    assert!(!may(&nodes[0], &[1, 2], &[1, 2, 3]).await);
    assert!(may(&nodes[0], &[1, 2, 3], &[1, 3]).await, "of three two had it, and one of them is there");
    assert!(!may(&nodes[0], &[1, 2, 3, 4], &[1, 3, 4]).await, "two of four may have it, and both be away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_cluster_came_to_know_under_another_value_is_not_used() {
    const RIGHT: &str = "mk-2 = \"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\"\n";
    const WRONG: &str = "mk-2 = \"CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=\"\n";
    let mut nodes = keyed().await;
    let name = MasterKeyName::parse("mk-2").unwrap();
    for (node, keys) in nodes.iter_mut().zip([RIGHT, WRONG, RIGHT]) {
        node.more_keys = keys;
        node.stop().await;
    }
    for node in &mut nodes {
        node.start(node.number == 1, &[], Some(EAGER)).await;
    }
    let ring = Keyring::parse(format!("active = \"mk-2\"\n\n[keys]\n{RIGHT}").as_bytes(), "a test").unwrap();
    agree(&nodes[0], 200, Action::KnowKey(name.clone(), ring.check(&name).unwrap())).await;
    let (old, _) = tokenize(&nodes[1], &values("old", 2)).await;
    agree(&nodes[0], 201, Action::ActivateEpoch(ann().session.caller, Epoch(2), name.clone())).await;
    nodes[1].confirm().await;
    let (tokens, _) = tokenize(&nodes[0], &values("v", 2)).await;
    let refused = Some(NodeFault::MasterKeyUnavailable(Some(name.clone())).into());
    assert_eq!(try_tokenize(&nodes[1], &values("v", 2)).await.err(), refused);
    assert_eq!(detokenize(&nodes[1], &tokens).await.err(), refused);
    let any: Vec<_> = old.iter().filter_map(|token| OpaqueToken::parse(token)).collect();
    let any: Vec<_> = any.into_iter().map(|token| Sought::InAny(token.mapping)).collect();
    let (values, _) = nodes[1].running().vault.detokenize(&ann(), &any).await.expect("of another epoch");
    assert_eq!(values.len(), 2);
    let keys = nodes[1].running().vault.observe().unwrap().keys;
    assert_eq!(keys.unavailable, [name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_epoch_stays_so_on_a_node_that_was_away() {
    let mut nodes = keyed().await;
    let (old, _) = tokenize(&nodes[2], &values("old", 5)).await;
    eventually("all have them", || nodes.iter().all(|node| held(node).0 == 5)).await;
    nodes[2].stop().await;
    let key = nodes[0].running().vault.observe().unwrap().keys.active.unwrap();
    agree(&nodes[0], 201, Action::ActivateEpoch(ann().session.caller, Epoch(2), key)).await;
    agree(&nodes[0], 202, Action::DestroyEpoch(ann().session.caller, Epoch(1))).await;
    nodes[1].confirm().await;
    for node in &nodes[..2] {
        let store = &node.running().store;
        while store.write_now(|txn| txn.shred(&scope(1), 100)).unwrap() != 0 {}
    }
    nodes[2].start(false, &[], Some(EAGER)).await;
    nodes[2].confirm().await;
    for node in &nodes {
        assert_eq!(detokenize(node, &old).await, Err(CallerMistake::NotFound.into()));
    }
    assert_eq!(held(&nodes[2]).0, 5, "its own are still to be erased");
    let gained = nodes[0].running().records.reconcile_all(id(3)).await.unwrap();
    assert_eq!((gained, held(&nodes[0]).0), (0, 0), "and do not come back from it");
    let (new, issued) = tokenize(&nodes[2], &values("old", 5)).await;
    assert_eq!(issued.epoch, Epoch(2));
    assert_eq!(detokenize(&nodes[0], &new).await.unwrap(), values("old", 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_an_epoch_that_is_gone_are_not_called_kept_by_a_node_that_lags() {
    let nodes = keyed().await;
    let late = &nodes[2];
    tokenize(late, &values("old", 2)).await;
    // Its store takes nothing in for now, so that what is agreed is in its log and not carried out.
    let (release, held_up) = std::sync::mpsc::channel::<()>();
    late.running().store.write(move |_| Ok(held_up.recv().is_ok()), |_| ());
    let key = nodes[0].running().vault.observe().unwrap().keys.active.unwrap();
    agree(&nodes[0], 201, Action::ActivateEpoch(ann().session.caller, Epoch(2), key)).await;
    agree(&nodes[0], 202, Action::DestroyEpoch(ann().session.caller, Epoch(1))).await;
    let (_, issued) = tokenize(late, &values("old", 2)).await;
    assert_eq!((issued.epoch, issued.is_kept), (Epoch(1), false));
    let new = values("new", 2);
    let (waited, ()) = tokio::join!(try_tokenize(late, &new), async { release.send(()).unwrap() });
    let (tokens, issued) = waited.unwrap();
    assert_eq!((issued.epoch, issued.is_kept), (Epoch(2), true), "it has heard of it by then");
    assert_eq!(detokenize(&nodes[0], &tokens).await.unwrap(), new);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_does_not_count_changes_nothing() {
    let nodes = keyed().await;
    let intake = nodes[0].running().records.intake();
    let now = nodes[0].clock.0.load(Ordering::Relaxed);
    let made = |author: u8, scope: Scope, at: u64| {
        let header = IssueHeader {
            scope,
            time: Hlc::start_of(Millis(at)),
            author: key(author).node_id(),
            idempotency: None,
            mappings: vec![Mapping(MappingId([author; 16]), vec![0; 20])],
        };
        Issue::sign(header, &key(author)).to_bytes()
    };
    let stranger =
        Scope { owner: covault_model::name::CallerName::parse("nobody").unwrap(), epoch: Epoch(1) };
    for (bytes, code) in [
        (made(99, scope(1), now), "unknown_author"),
        (made(2, scope(2), now), "early_record"),
        (made(2, stranger, now), "early_record"),
        (made(2, scope(1), now + 60_000), "early_record"),
    ] {
        let before = intake.faults();
        let taken = intake.take_in_issues(vec![bytes.into()]).await.unwrap();
        assert_eq!((taken.kept, taken.new), (0, 0), "{code}");
        let after = intake.faults();
        assert!(
            after.iter().any(|(fault, count)| fault.code() == code && before.get(fault) != Some(count)),
            "{code}"
        );
    }
    let mut forged = made(2, scope(1), now);
    *forged.last_mut().unwrap() ^= 1;
    let message = vec![made(2, scope(1), now).into(), forged.into()];
    assert!(intake.take_in_issues(message).await.is_err(), "nothing of it counts");
    assert_eq!(held(&nodes[0]), (0, 0));
    let view = nodes[0].running().store.view().unwrap();
    assert!(epochs_of(&view.rows(), &ann().session.caller).unwrap().is_some());
}
