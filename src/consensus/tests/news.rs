//! What is agreed is told with the next entry, or a moment later if none comes, or at once if another node asked.
//! Shows R1 and R5.

#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use covault_model::registry::Outcome;
use covault_store::{Options, PILE_MAX, Store, WriterMode};
use openraft::{
    BasicNode, CommittedLeaderId, EntryPayload, RaftNetwork, RaftNetworkFactory, Vote,
    network::RPCOption,
    raft::{AppendEntriesRequest, AppendEntriesResponse},
};
use tempfile::TempDir;
use tokio::sync::watch;

use super::three::{DEADLINE, eventually, id, know_key, leader_of, three};
use crate::consensus::{
    log::LogStore,
    network::{Heard, Link, Links, Peers, Reach},
    news::{self, News},
    types::{Entry, LogId, Types},
};

const TERM: u64 = 3;

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(TERM, id(1)), index)
}

/// A question with nothing but news to one that has the log up to 7.
fn news_question() -> AppendEntriesRequest<Types> {
    AppendEntriesRequest {
        vote: Vote::new_committed(TERM, id(1)),
        prev_log_id: Some(log_id(7)),
        entries: Vec::new(),
        leader_commit: Some(log_id(7)),
    }
}

/// A way to a peer that cannot be reached, so that a question which is not put off fails.
async fn link_to_nobody(news: News) -> (Link, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        map_bytes: 64 << 20,
        create: true,
        sync: false,
        writer: WriterMode::Inline,
        pile_max: PILE_MAX,
    };
    let store = Arc::new(Store::open(dir.path(), options).unwrap());
    let log = LogStore::new(store, id(1), true, news.clone()).unwrap();
    let link = Links::new(Peers::over(None), log, news, watch::channel(()).0)
        .new_client(id(2), &BasicNode::default())
        .await;
    (link, dir)
}

#[tokio::test]
async fn only_news_for_one_that_has_just_agreed_is_put_off() {
    let (mut link, _dir) = link_to_nobody(News::default()).await;
    let question = news_question();
    let mut is_put_off = async |question: &AppendEntriesRequest<Types>, heard: Option<Heard>| {
        link.heard = heard;
        let told = link.append_entries(question.clone(), RPCOption::new(Duration::from_secs(1))).await;
        told.is_ok_and(|told| matches!(told, AppendEntriesResponse::Success))
    };
    let reach = Reach { up_to: question.prev_log_id, agreed: Some(log_id(6)) };
    let heard = |at| Some(Heard { vote: question.vote, reach, at });
    let just_now = || heard(tokio::time::Instant::now());
    // Now may be long ago on a busy machine.
    let begun = Instant::now();
    while !is_put_off(&question, just_now()).await {
        assert!(begun.elapsed() < DEADLINE, "it is never put off");
    }
    let entry = Entry { log_id: log_id(8), payload: EntryPayload::Blank };
    let others = [
        AppendEntriesRequest { entries: vec![entry], ..question.clone() },
        AppendEntriesRequest { prev_log_id: Some(log_id(6)), ..question.clone() },
        AppendEntriesRequest { vote: Vote::new_committed(TERM + 1, id(1)), ..question.clone() },
    ];
    for other in &others {
        assert!(!is_put_off(other, just_now()).await, "{other:?}");
    }
    assert!(!is_put_off(&question, None).await, "nothing was heard of it");
    assert!(
        !is_put_off(&question, heard(tokio::time::Instant::now() - news::WAITS)).await,
        "that is long ago"
    );
}

#[tokio::test]
async fn what_a_peer_was_told_a_moment_ago_is_not_told_again() {
    let news = News::default();
    let (mut link, _dir) = link_to_nobody(news.clone()).await;
    let question = news_question();
    let mut is_sent = async |agreed| {
        let reach = Reach { up_to: question.prev_log_id, agreed };
        link.heard = Some(Heard { vote: question.vote, reach, at: tokio::time::Instant::now() });
        // So that nothing waits.
        news.is_asked_for();
        link.append_entries(question.clone(), RPCOption::new(Duration::from_secs(1))).await.is_err()
    };
    // Now may be long ago on a busy machine.
    let begun = Instant::now();
    while is_sent(question.leader_commit).await {
        assert!(begun.elapsed() < DEADLINE, "it is sent each time");
    }
    assert!(is_sent(Some(log_id(6))).await, "that is news");
    assert!(is_sent(None).await, "what it was told was held back");
}

#[tokio::test]
async fn news_is_told_at_once_while_other_nodes_ask() {
    let news = News::default();
    assert!(news.put_off());
    news.is_asked_for();
    assert!(!news.put_off());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_agreed_is_told_though_nothing_follows_it() {
    let nodes = three().await;
    let leader = leader_of(&nodes).await;
    for node in &nodes {
        node.consensus().confirm().await.unwrap();
        // Without heartbeats nothing but the entry brings it about.
        node.consensus().raft.runtime_config().heartbeat(false);
        node.consensus().raft.runtime_config().elect(false);
    }
    for number in 1..=3 {
        let applied = nodes[leader].consensus().propose(know_key(number, 1), 100).await.unwrap();
        assert_eq!(applied.outcome, Ok(Outcome::Done));
    }
    eventually("all have it", || nodes.iter().all(|node| node.known(3).is_some())).await;
    let follower = &nodes[(leader + 1) % 3];
    let applied = follower.consensus().propose(know_key(4, 1), 100).await.unwrap();
    assert_eq!((applied.outcome, follower.known(4).is_some()), (Ok(Outcome::Done), true));
}
