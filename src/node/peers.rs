//! A node among its peers: the door opened before agreement begins, since agreement talks through it; whoever
//! asks answered; the members of the cluster followed, so that whoever is one is let in and nobody else is.
//! Keeps R3 by letting nobody but vault nodes ask anything of agreement. Knows nothing of secrets.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use covault_model::{
    DecodeError,
    id::{ClusterId, NodeId},
    limits::MEMBERS_MAX,
    refusal::NoAuthority,
    registry::Registry,
    roster::{NodeAddress, Roster},
};
use covault_net::{
    Asker, Channel, Doors, Endpoint, Inbox, Incoming, Limits, NodeIdentity, Peer, Role, Setup, Trust,
};
use covault_store::Store;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{
    clocks,
    config::QuicConfig,
    enrolment::{self, Shown, Told},
    error::StartError,
    joining,
    serving::ApiService,
    whereabouts,
};
use crate::{
    consensus::{Consensus, Member},
    host::Host,
    merge::{Neighbours, Records},
    relay::{Known, Serving},
    vault::{Clocks, Vault},
};

/// How often addresses that changed are looked for; a change of the members is followed at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a peer may take to say who there is.
const ASK_WITHIN: Duration = Duration::from_millis(500);

/// The way to the peers, before anybody is behind it.
pub(super) struct Door {
    pub endpoint: Endpoint,
    /// Where peers reach this node.
    pub address: NodeAddress,
    /// What the clocks of the peers say.
    pub clocks: Arc<Clocks>,
    inbox: Inbox,
    trust: Trust,
    host: Arc<dyn Host>,
}

impl Door {
    /// Opens it for a member of `cluster`, or for a node that is to become one.
    pub fn open(
        config: &QuicConfig,
        identity: &NodeIdentity,
        cluster: Option<ClusterId>,
        host: &Arc<dyn Host>,
    ) -> Result<Self, StartError> {
        let refused = |why: String| StartError::Peers(config.listen, why);
        config.check().map_err(|why| refused(why.into()))?;
        let socket = host.udp(config.listen).map_err(|error| refused(error.to_string()))?;
        let (host, chance) = (host.clone(), host.clone());
        let setup = Setup {
            cluster,
            limits: Limits::default(),
            chance: Box::new(move |bytes: &mut [u8]| chance.fill(bytes)),
            doors: Doors::Open,
        };
        let trust = Trust::new(BTreeMap::new());
        let opened = Endpoint::start(identity.key(), socket, trust.clone(), setup);
        let (endpoint, inbox) = opened.map_err(|error| refused(error.to_string()))?;
        let bound = endpoint.local_addr().map_err(|error| refused(error.to_string()))?;
        let address = NodeAddress(config.advertise.unwrap_or(bound));
        Ok(Self { endpoint, address, clocks: Arc::default(), inbox, trust, host })
    }

    /// The way of records through it.
    pub fn neighbours(&self) -> Neighbours {
        Neighbours { endpoint: self.endpoint.clone(), trust: self.trust.clone() }
    }

    /// Begins to answer, and to follow the members.
    pub fn serve(
        self,
        here: Here,
        consensus: &Consensus,
        records: &Records,
        store: &Arc<Store>,
    ) -> PeerService {
        let (consensus, records, vault) = (consensus.clone(), records.clone(), Arc::new(OnceLock::new()));
        let apis = ApiService::new(consensus.clone(), vault.clone());
        let served = apis.clone();
        let (trust, answers, host) = (self.trust.clone(), vault.clone(), self.host);
        let answering =
            Answering { consensus: consensus.clone(), records, trust, vault: answers, apis, host };
        let told = here.joining.as_ref().map(|joining| joining.members.clone()).unwrap_or_default();
        let asking = clocks::ask_all(self.endpoint.clone(), consensus.clone(), self.clocks, here.node);
        let following = Following {
            here,
            trust: self.trust,
            endpoint: self.endpoint.clone(),
            consensus,
            store: store.clone(),
            told,
        };
        let tasks = vec![
            tokio::spawn(answer_all(self.inbox, answering)),
            tokio::spawn(following.run()),
            tokio::spawn(asking),
        ];
        PeerService { endpoint: self.endpoint, vault, apis: served, tasks }
    }
}

/// What a node is told of itself to find its peers.
pub(super) struct Here {
    pub node: NodeId,
    pub data: PathBuf,
    /// What it knows of its cluster before the log has reached it.
    pub joining: Option<Known>,
}

/// The running tasks.
pub(super) struct PeerService {
    endpoint: Endpoint,
    vault: Arc<OnceLock<Vault>>,
    apis: ApiService,
    tasks: Vec<JoinHandle<()>>,
}

impl PeerService {
    /// From now on nodes may ask to be taken in.
    pub fn open_to_strangers(&self, vault: &Vault) {
        // It is set once, after the start.
        let _ = self.vault.set(vault.clone());
    }

    /// From now on API processes are served, in this way.
    pub fn open_to_apis(&self, serving: Serving) {
        self.apis.open(serving);
    }

    /// Lets API processes have what they are waiting for, then closes every connection. Takes no longer than fifteen
    /// seconds.
    pub async fn stop(self) {
        self.apis.close().await;
        self.endpoint.close().await;
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

#[derive(Clone)]
struct Answering {
    consensus: Consensus,
    records: Records,
    trust: Trust,
    /// Absent until the node serves.
    vault: Arc<OnceLock<Vault>>,
    apis: ApiService,
    host: Arc<dyn Host>,
}

async fn answer_all(mut inbox: Inbox, answering: Answering) {
    while let Some(incoming) = inbox.next().await {
        let answering = answering.clone();
        tokio::spawn(async move { answering.answer(incoming).await });
    }
}

impl Answering {
    /// A request that is dropped is one that this release does not answer; the peer is told so.
    async fn answer(&self, Incoming { from, channel, request, reply }: Incoming) {
        let unreadable = |error: DecodeError| {
            tracing::warn!(?from, %channel, %error, "a request of a peer cannot be read");
        };
        let told = match (from, channel) {
            (Asker::Peer(peer), Channel::Raft) if self.is_vault(&peer) => {
                self.consensus.answer_raft(&request).await
            }
            (Asker::Peer(peer), Channel::Forward) if self.is_vault(&peer) => {
                self.consensus.answer_follower(peer, &request).await
            }
            (Asker::Peer(peer), Channel::Records) if self.is_vault(&peer) => {
                match self.records.answer(peer, &request).await {
                    Some(told) => Ok(told),
                    None => return,
                }
            }
            (Asker::Peer(peer), Channel::Control)
                if self.is_vault(&peer) && whereabouts::is_ask(&request) =>
            {
                Ok(whereabouts::write_told(&self.members()))
            }
            (Asker::Peer(peer), Channel::Control) if self.is_vault(&peer) && clocks::is_ask(&request) => {
                Ok(clocks::write_told(self.host.now()))
            }
            (Asker::Peer(peer), Channel::Serve) if self.is_api(&peer) => {
                return self.apis.answer(&request, reply).await.unwrap_or_else(unreadable);
            }
            (Asker::Stranger(node), Channel::Join) => match enrolment::read_ask(node, &request) {
                Ok(shown) => {
                    let told = match (self.vault.get(), shown) {
                        (Some(vault), Shown::ByNode(shown)) => vault.enrol(shown).await,
                        (Some(vault), Shown::ByApi(shown)) => vault.enrol_api(shown).await,
                        (None, _) => Err(NoAuthority::QuorumUnavailable.into()),
                    };
                    log_enrolment(&node, &told);
                    Ok(enrolment::write_told(told))
                }
                Err(error) => Err(error),
            },
            _ => return,
        };
        match told {
            Ok(bytes) => reply.send(bytes.into()),
            Err(error) => unreadable(error),
        }
    }

    /// The members, as far as a majority stands behind it; else it might name one that was taken away.
    fn members(&self) -> Vec<(NodeId, NodeAddress)> {
        let known = self.vault.get().filter(|_| self.consensus.has_majority());
        known.and_then(|vault| vault.reachable().ok()).unwrap_or_default()
    }

    fn is_vault(&self, peer: &NodeId) -> bool {
        is_vault(&self.trust, peer)
    }

    fn is_api(&self, peer: &NodeId) -> bool {
        self.trust.peer(peer).is_some_and(|peer| peer.role == Role::Api)
    }
}

/// Only a node that holds the vault may have commands ordered or members changed.
fn is_vault(trust: &Trust, peer: &NodeId) -> bool {
    trust.peer(peer).is_some_and(|peer| peer.role == Role::Vault)
}

fn log_enrolment(node: &NodeId, told: &Told) {
    match told {
        Ok(_) => tracing::info!(peer = %node, "a stranger was taken in"),
        Err(refusal) => tracing::warn!(peer = %node, code = refusal.code(), "a stranger was not taken in"),
    }
}

/// Follows the members, so that the peers this node trusts are those.
struct Following {
    here: Here,
    trust: Trust,
    endpoint: Endpoint,
    consensus: Consensus,
    store: Arc<Store>,
    /// Nodes that it was told of and does not know of by the log yet.
    told: BTreeMap<NodeId, NodeAddress>,
}

impl Following {
    /// Ends when agreement does.
    async fn run(mut self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut members, mut trusted) = (Vec::new(), BTreeMap::new());
        loop {
            tokio::select! {
                changed = self.consensus.members_after(&members) => match changed {
                    Some(changed) => members = changed,
                    None => return,
                },
                _ = ticks.tick() => self.ask_around(&trusted).await,
            }
            let roster = match self.store.view().and_then(|view| view.rows().roster()) {
                Ok(roster) => roster,
                Err(error) => {
                    tracing::error!(%error, "the addresses of the peers cannot be read");
                    continue;
                }
            };
            self.arrive(&members, &roster);
            let peers = peers_of(self.here.node, &members, &roster, &self.told);
            if peers != trusted {
                trusted.clone_from(&peers);
                self.trust.replace(peers);
            }
        }
    }

    /// While nobody leads this node, asks those it knows who else there is: it may have been away while others
    /// were taken in, and not let in the one that leads now.
    async fn ask_around(&mut self, trusted: &BTreeMap<NodeId, Peer>) {
        if self.consensus.has_majority() {
            return;
        }
        let mut all = BTreeMap::new();
        for (peer, _) in trusted.iter().filter(|(_, peer)| peer.role == Role::Vault) {
            let asked =
                self.endpoint.call(*peer, Channel::Control, whereabouts::write_ask().into(), ASK_WITHIN);
            let Ok(told) = asked.await else { continue };
            match whereabouts::read_told(&told) {
                Ok(told) => all.extend(told.into_iter().take(MEMBERS_MAX)),
                Err(error) => tracing::warn!(%peer, %error, "an answer of a peer cannot be read"),
            }
        }
        // Whoever answers names all there are, so what was told before is out of date.
        if !all.is_empty() {
            self.told = all;
        }
    }

    /// Once this node knows by itself what it was told by others, it lets go of that.
    fn arrive(&mut self, members: &[Member], roster: &Roster) {
        let leader = self.consensus.standing().leader;
        if self.told.is_empty() || !has_arrived(self.here.node, leader, members, roster) {
            return;
        }
        match joining::remove(&self.here.data) {
            Ok(()) => self.told.clear(),
            Err(error) => tracing::error!(%error, "joining.json cannot be removed"),
        }
    }
}

/// Whether the log has told a node of itself and of its leader, and the registry where all members are. Members are known
/// as soon as the log has them, and where they are once that was agreed and carried out: who lets go of the leader in
/// between is never brought that far.
fn has_arrived(me: NodeId, leader: Option<NodeId>, members: &[Member], roster: &Roster) -> bool {
    let is_member = |node: &NodeId| members.iter().any(|member| member.node == *node);
    let peers = peers_of(me, members, roster, &BTreeMap::new());
    let is_known = |member: &Member| member.node == me || peers.contains_key(&member.node);
    is_member(&me) && leader.as_ref().is_some_and(is_member) && members.iter().all(is_known)
}

/// Whom a node trusts, and where they are: the members of Raft, since a node that is taken away must still hear
/// of it, where the registry says they are reached; those it was told of; and the API processes, which it never
/// dials.
fn peers_of(
    me: NodeId,
    members: &[Member],
    roster: &Roster,
    told: &BTreeMap<NodeId, NodeAddress>,
) -> BTreeMap<NodeId, Peer> {
    let mut addresses = told.clone();
    for member in members {
        let known = roster.nodes.get(&member.node).map(|entry| entry.address);
        let address = known.or_else(|| member.address.parse().ok());
        addresses.extend(address.map(|address| (member.node, address)));
    }
    addresses.remove(&me);
    let peer = |NodeAddress(addr)| Peer { addr: Some(addr), role: Role::Vault };
    let nodes = addresses.into_iter().map(|(node, address)| (node, peer(address)));
    let apis = roster.apis.keys().copied().filter(|api| roster.is_api(api));
    apis.map(|api| (api, Peer { addr: None, role: Role::Api })).chain(nodes).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use covault_model::{
        hlc::Millis,
        id::InvitationId,
        roster::{ApiEntry, NodeEntry},
    };

    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn at(port: u16) -> NodeAddress {
        NodeAddress(([127, 0, 0, 1], port).into())
    }

    fn member(number: u8, address: &str) -> Member {
        Member { node: node(number), address: address.into(), voter: true }
    }

    fn ports(peers: &BTreeMap<NodeId, Peer>) -> Vec<(u8, u16)> {
        let port = |peer: &Peer| peer.addr.map_or(0, |addr| addr.port());
        peers.iter().map(|(node, peer)| (node.0[0], port(peer))).collect()
    }

    #[test]
    fn a_node_that_does_not_know_yet_where_its_leader_is_has_not_arrived() {
        // A founder knew no address of its own when it founded.
        let (me, leader, members) = (node(2), Some(node(1)), [member(1, ""), member(2, "127.0.0.1:2")]);
        let mut roster = Roster::default();
        assert!(
            !has_arrived(me, leader, &members, &roster),
            "the log has its members, and nothing is carried out"
        );
        let entry = NodeEntry { address: at(20), since: Millis(1), invitation: None, removed: false };
        roster.nodes.insert(node(1), entry);
        assert!(has_arrived(me, leader, &members, &roster));
        assert!(!has_arrived(me, None, &members, &roster), "nobody leads it");
        assert!(!has_arrived(me, leader, &members[..1], &roster), "it is no member");
    }

    #[test]
    fn peers_are_the_members_where_the_registry_says_they_are() {
        let entry = |removed| NodeEntry { address: at(20), since: Millis(1), invitation: None, removed };
        let mut roster = Roster::default();
        roster.nodes.insert(node(2), entry(false));
        roster.nodes.insert(node(4), entry(false));
        roster.nodes.insert(node(5), entry(true));
        let members =
            [member(1, "127.0.0.1:1"), member(2, "127.0.0.1:2"), member(3, "127.0.0.1:3"), member(5, "")];
        let peers = peers_of(node(1), &members, &roster, &BTreeMap::new());
        assert_eq!(ports(&peers), [(2, 20), (3, 3), (5, 20)], "without itself and who is no member yet");
    }

    /// Shows A1.
    #[test]
    fn an_api_process_that_was_let_in_is_trusted_as_that_until_it_is_taken_away() {
        let entry = |removed| ApiEntry { since: Millis(1), invitation: InvitationId([1; 8]), removed };
        let mut roster = Roster::default();
        roster.apis.insert(node(7), entry(false));
        roster.apis.insert(node(8), entry(true));
        let peers = peers_of(node(1), &[member(2, "127.0.0.1:2")], &roster, &BTreeMap::new());
        assert_eq!(ports(&peers), [(2, 2), (7, 0)]);
        assert_eq!(peers[&node(7)], Peer { addr: None, role: Role::Api });
    }

    #[test]
    fn nobody_but_a_node_that_holds_the_vault_asks_anything_of_agreement() {
        let peer = |role| Peer { addr: Some(at(1).0), role };
        let trust = Trust::new(BTreeMap::from([(node(1), peer(Role::Vault)), (node(2), peer(Role::Api))]));
        assert!(is_vault(&trust, &node(1)));
        assert!(!is_vault(&trust, &node(2)), "a process that serves HTTP only");
        assert!(!is_vault(&trust, &node(3)), "a stranger");
        trust.replace(BTreeMap::new());
        assert!(!is_vault(&trust, &node(1)), "one that was taken away");
    }

    #[test]
    fn a_node_trusts_those_it_was_told_of_as_well() {
        let members = BTreeMap::from([(node(1), at(1)), (node(2), at(2))]);
        let peers = peers_of(node(9), &[member(2, "127.0.0.1:22")], &Roster::default(), &members);
        assert_eq!(ports(&peers), [(1, 1), (2, 22)]);
    }
}
