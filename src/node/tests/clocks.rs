//! Three whole nodes whose clocks are set by hand. Shows V5: who is off stamps nothing and says so, reads go on, the
//! others do not mind, and it comes back by itself.

use std::{fs, path::Path, sync::Arc};

use covault_model::{
    invitation::JoinToken,
    limits::SKEW_MS_MAX,
    refusal::{NodeFault, Refusal},
    skew::Skew,
};
use tempfile::TempDir;

use super::{Clock, ann, bound, eventually, loopback, new_value, path};
use crate::{
    node::{DEFAULT_KEYRING_FILE, Node, NodeConfig, QuicConfig, join},
    vault::{Consistency, Invitee, Patch, UpdateTerms, Vault, Which},
};

/// So far that it is still beyond the bound while these clocks stand still between two readings.
const FAR: u64 = SKEW_MS_MAX + 20_000;

struct Whole {
    node: Node,
    clock: Arc<Clock>,
    config: NodeConfig,
    dir: TempDir,
}

impl Whole {
    fn vault(&self) -> &Vault {
        self.node.vault()
    }

    /// How far the clock of each other member is ahead of this one's, as far as is known.
    fn ahead(&self) -> Vec<Option<Skew>> {
        let others = self.vault().observe().unwrap().members.into_iter();
        others.filter(|member| member.node != self.vault().node()).map(|member| member.clock_ahead).collect()
    }
}

fn config(dir: &Path, quic: QuicConfig) -> NodeConfig {
    NodeConfig {
        create: true,
        admin: ann().session.caller,
        map_bytes: 64 << 20,
        quic: Some(quic),
        ..NodeConfig::at(dir)
    }
}

fn at_home() -> (TempDir, Arc<Clock>, QuicConfig) {
    let clock = Arc::new(Clock(1_800_000_000_000.into()));
    (tempfile::tempdir().unwrap(), clock, QuicConfig::at(loopback()))
}

async fn founded() -> Whole {
    let (dir, clock, quic) = at_home();
    let config = config(dir.path(), quic);
    let node = Node::start(config.clone(), clock.clone()).await.unwrap();
    Whole { node, clock, config: NodeConfig { create: false, ..config }, dir }
}

async fn joined(first: &Whole) -> Whole {
    let invited = first.vault().invite(&ann(), Invitee::Node, 60, None).await.unwrap();
    let text = invited.text.unwrap();
    let token = JoinToken::parse(std::str::from_utf8(text.expose_plaintext()).unwrap()).unwrap();
    let (dir, clock, quic) = at_home();
    let joined = join(dir.path(), &token, quic, clock.clone()).await.unwrap();
    fs::copy(first.dir.path().join(DEFAULT_KEYRING_FILE), dir.path().join(DEFAULT_KEYRING_FILE)).unwrap();
    let config = NodeConfig { create: false, ..config(dir.path(), joined.quic) };
    drop(bound(joined.quic.listen).await);
    let node = Node::start(config.clone(), clock.clone()).await.unwrap();
    Whole { node, clock, config, dir }
}

async fn three() -> Vec<Whole> {
    let first = founded().await;
    let (second, third) = (joined(&first).await, joined(&first).await);
    let nodes = vec![first, second, third];
    let all_heard =
        || nodes.iter().all(|node| node.ahead().len() == 2 && node.ahead().iter().all(Option::is_some));
    eventually("all have heard of each other's clocks", all_heard).await;
    nodes
}

fn skewed<T>(answer: Result<T, Refusal>) -> bool {
    matches!(answer, Err(Refusal::Operator(NodeFault::ClockSkew)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_off_stamps_nothing_and_comes_back_by_itself() {
    let nodes = three().await;
    nodes[0].vault().create(&ann(), &path("a"), new_value("one"), None).await.unwrap();
    let (off, vault) = (&nodes[2], nodes[2].vault());
    assert_eq!(vault.ready(), Ok(()));
    off.clock.advance(FAR);
    assert!(skewed(vault.ready()), "noticed when it jumps");
    assert!(skewed(vault.create(&ann(), &path("b"), new_value("x"), None).await));
    assert!(skewed(vault.update(&ann(), &path("a"), new_value("x"), UpdateTerms::default(), None).await));
    let patch = Patch { labels: Default::default(), description: Some(None) };
    assert!(skewed(vault.patch(&ann(), &path("a"), patch, None).await));
    assert!(skewed(vault.invite(&ann(), Invitee::Node, 60, None).await.map(drop)));
    let read = vault.read(&ann(), &path("a"), Which::Current, Consistency::Quorum).await.unwrap();
    assert_eq!(read.value.expose_plaintext(), b"one", "reads go on");
    let said = vault.observe().unwrap().clock_skew;
    assert!(Skew(FAR as i64 - 20_000) < said && said <= Skew(FAR as i64), "{said:?}");

    // The others see it, and take no notice.
    let seen = || nodes[0].ahead().iter().flatten().any(|ahead| ahead.is_beyond_bound());
    eventually("another sees which clock is off", seen).await;
    for node in &nodes[..2] {
        assert_eq!(node.vault().ready(), Ok(()));
    }
    nodes[1].vault().create(&ann(), &path("b"), new_value("two"), None).await.unwrap();

    off.clock.0.fetch_sub(FAR, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(vault.ready(), Ok(()));
    vault.create(&ann(), &path("c"), new_value("three"), None).await.unwrap();
    for whole in nodes {
        whole.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_with_its_clock_off_stamps_nothing_from_the_first_moment() {
    let mut nodes = three().await;
    let Whole { node, clock, config, dir } = nodes.pop().unwrap();
    node.stop().await;
    clock.advance(FAR);
    drop(bound(config.quic.unwrap().listen).await);
    let node = Node::start(config, clock).await.unwrap();
    let told = node.vault().create(&ann(), &path("a"), new_value("x"), None).await;
    assert!(skewed(told), "it has heard of the others' clocks before it serves");
    node.stop().await;
    for whole in nodes {
        whole.node.stop().await;
    }
    drop(dir);
}
