//! Whoever leads, found and asked: to have commands ordered, and up to where a read must wait. Asks again
//! when the leader changes, for as long as its caller waits; asking twice does what asking once does, since
//! a command is known by what it makes, and of one that takes something away it is said when it cannot be known. Keeps R1
//! to R4, and D4 where a snapshot comes in place of what was ordered. Knows nothing of what commands mean.

mod handover;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use covault_model::{
    command::Command,
    id::NodeId,
    refusal::{CallerMistake, NoAuthority, NodeFault, Refusal},
    registry::Registry,
};
use covault_net::Channel;
use covault_store::Applied;
use openraft::{
    BasicNode, ChangeMembers, Membership,
    error::{ClientWriteError, RaftError},
    metrics::RaftServerMetrics,
};
use tokio::{
    sync::{RwLock, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    log::LogStore,
    message::{Change, LeaderAsk, LeaderTold},
    network::{AskError, Peers},
    news::News,
    shared::Shared,
    types::{Batch, Raft},
};

/// How long one question to the leader may take before it is asked again.
const ASK_DEADLINE: Duration = Duration::from_secs(2);
/// A leader that heard of no majority for so long does not speak for one.
const LEADER_SILENT_MAX_MILLIS: u64 = 1000;
/// How long to wait before asking a leader again that did not answer, or does not know that it leads.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The cluster's leader, wherever it is. Cheap to clone.
#[derive(Clone)]
pub struct Leader {
    raft: Raft,
    peers: Peers,
    log: LogStore,
    leadership: watch::Receiver<RaftServerMetrics<NodeId, BasicNode>>,
    me: NodeId,
    news: News,
    /// What this node orders as the leader goes through it; held alone by a handing over.
    gate: Arc<RwLock<()>>,
    /// Whether this node is about to stop.
    stops: Arc<AtomicBool>,
    confirmed: Arc<Shared<()>>,
    read_index: Arc<Shared<Option<u64>>>,
    /// When the last question for the read index was asked that a majority answered.
    answered: Arc<Mutex<Option<Instant>>>,
}

impl Leader {
    pub fn new(raft: Raft, peers: Peers, log: LogStore, me: NodeId, news: News) -> Self {
        let (leadership, gate, stops) = (raft.server_metrics(), Arc::default(), Arc::default());
        let (confirmed, read_index) = (Arc::new(Shared::new()), Arc::new(Shared::new()));
        let answered = Arc::default();
        Self { raft, peers, log, leadership, me, news, gate, stops, confirmed, read_index, answered }
    }

    /// Has `commands` agreed and applied here. While `sent` says so they may be agreed whatever becomes of
    /// the answer.
    pub async fn order(
        &self,
        commands: Arc<Vec<Command>>,
        sent: &AtomicBool,
    ) -> Result<Vec<Applied>, Refusal> {
        let installs = self.log.installs();
        loop {
            let leader = self.known().await;
            let sent_before = sent.swap(true, Ordering::Relaxed);
            let told = if leader == self.me {
                self.order_here(commands.clone()).await
            } else {
                let ask = LeaderAsk::Order(commands.to_vec());
                match self.ask_while_it_leads(leader, &ask).await {
                    Some(Ok(told)) => told,
                    Some(Err(error)) if error.is_undelivered() => LeaderTold::NotProposed(None),
                    Some(Err(_)) | None => LeaderTold::Unknown,
                }
            };
            match told {
                LeaderTold::Ordered(index, applied) if applied.len() == commands.len() => {
                    // The leader itself answers once it has applied.
                    if leader != self.me && !self.applied(index).await {
                        return Err(NoAuthority::OutcomeUnknown(None).into());
                    }
                    if self.log.installs() != installs {
                        self.have(commands.clone()).await?;
                    }
                    let known =
                        |(command, applied)| if sent_before { seen_again(command, applied) } else { applied };
                    return Ok(commands.iter().zip(applied).map(known).collect());
                }
                // That may still be agreed which was sent before.
                LeaderTold::NotProposed(Some(_)) if sent_before => {
                    return Err(NoAuthority::OutcomeUnknown(None).into());
                }
                LeaderTold::NotProposed(Some(refusal)) => return Err(refusal),
                LeaderTold::NotProposed(None) => sent.store(sent_before, Ordering::Relaxed),
                _ => {}
            }
            sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Has what `commands` made be here, though a snapshot came in place of their entry: that says what was agreed, and
    /// has no record of it.
    async fn have(&self, commands: Arc<Vec<Command>>) -> Result<(), Refusal> {
        self.log.insert_named(commands).await.map_err(|error| {
            tracing::error!(%error, code = "storage_failed", "what was agreed could not be kept");
            NoAuthority::OutcomeUnknown(None).into()
        })
    }

    /// Has `command` agreed by `peer`, if that leads. Whether it was.
    pub async fn order_through(&self, peer: NodeId, command: Command) -> bool {
        let ask = LeaderAsk::Order(vec![command]);
        let told = self.peers.ask(peer, Channel::Forward, &ask, ASK_DEADLINE).await;
        matches!(told, Ok(LeaderTold::Ordered(_, applied)) if applied.iter().all(|one| one.outcome.is_ok()))
    }

    /// Asks the leader, for as long as it is that to this node: one that was killed does not say so. `None` when
    /// another was elected meanwhile.
    async fn ask_while_it_leads(
        &self,
        leader: NodeId,
        ask: &LeaderAsk,
    ) -> Option<Result<LeaderTold, AskError>> {
        let mut leadership = self.leadership.clone();
        let replaced = leadership.wait_for(|seen| seen.current_leader.is_some_and(|now| now != leader));
        tokio::select! {
            biased;
            told = self.peers.ask(leader, Channel::Forward, ask, ASK_DEADLINE) => Some(told),
            Ok(_) = replaced => None,
        }
    }

    async fn order_here(&self, commands: Arc<Vec<Command>>) -> LeaderTold {
        if self.has_failed() {
            return LeaderTold::NotProposed(Some(NodeFault::StorageFailed.into()));
        }
        let _passes = self.gate.read().await;
        let cuts = self.log.cuts();
        match self.raft.client_write(Batch::of(commands)).await {
            Ok(response) => LeaderTold::Ordered(response.log_id.index, response.data),
            // Raft says the same of an entry that was cut off here, which others may still have.
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) if self.log.cuts() == cuts => {
                LeaderTold::NotProposed(None)
            }
            // The disk may have failed after the others had been sent it.
            Err(RaftError::Fatal(_) | RaftError::APIError(_)) => LeaderTold::Unknown,
        }
    }

    /// Returns once this node has applied everything that was agreed before the call. Many may ask at once, and each
    /// confirmation is a question to every voter, before which heartbeats wait: so all share one at a time.
    pub async fn confirm(&self) {
        self.confirmed.answer(self.confirm_anew()).await;
    }

    async fn confirm_anew(&self) {
        loop {
            let leader = self.known().await;
            let index = if leader == self.me {
                self.read_index().await
            } else {
                match self.ask_while_it_leads(leader, &LeaderAsk::ReadIndex).await {
                    Some(Ok(LeaderTold::ReadIndex(index))) => Some(index),
                    _ => None,
                }
            };
            if let Some(index) = index
                && self.applied(index).await
            {
                return;
            }
            sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Up to where the log is agreed, if this node leads and a majority says so. This node's own reads and those of its
    /// peers share it.
    async fn read_index(&self) -> Option<u64> {
        let ask = async {
            let asked = Instant::now();
            let (index, _) = self.raft.get_read_log_id().await.ok()?;
            *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
            Some(index.map_or(0, |id| id.index))
        };
        self.read_index.answer(ask).await
    }

    /// Has the members changed. As for [`Self::order`], `sent` says whether it may still come about.
    pub async fn change(&self, change: Change, sent: &AtomicBool) -> Result<(), Refusal> {
        loop {
            let leader = self.known().await;
            sent.store(true, Ordering::Relaxed);
            let told = if leader == self.me {
                self.change_here(change.clone()).await
            } else {
                let ask = LeaderAsk::Change(change.clone());
                let told = self.peers.ask(leader, Channel::Forward, &ask, ASK_DEADLINE).await;
                told.unwrap_or(LeaderTold::Unknown)
            };
            if matches!(told, LeaderTold::Changed) {
                return Ok(());
            }
            sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Changes that were made already are not made again. The registry comes first: who is a member is agreed
    /// there, and a peer that has been taken over cannot bring in others.
    async fn change_here(&self, change: Change) -> LeaderTold {
        match self.log.store().view().and_then(|view| view.rows().roster()) {
            Ok(roster) if change.follows(&roster) => {}
            Ok(_) => return LeaderTold::NotProposed(None),
            Err(_) => return LeaderTold::NotProposed(Some(NodeFault::StorageFailed.into())),
        }
        let _passes = self.gate.read().await;
        let changed = match change {
            Change::Admit(node, address) => {
                self.raft.add_learner(node, BasicNode::new(address), false).await.map(drop)
            }
            Change::Expel(node) => self.expel_here(node).await,
        };
        match changed {
            Ok(()) => LeaderTold::Changed,
            Err(error) => {
                tracing::info!(%error, "the members were not changed");
                LeaderTold::NotProposed(None)
            }
        }
    }

    async fn expel_here(
        &self,
        node: NodeId,
    ) -> Result<(), RaftError<NodeId, ClientWriteError<NodeId, BasicNode>>> {
        let membership = self.leadership.borrow().membership_config.clone();
        if membership.voter_ids().any(|voter| voter == node) {
            let voters = ChangeMembers::RemoveVoters(BTreeSet::from([node]));
            self.raft.change_membership(voters, false).await?;
        } else if membership.nodes().any(|(member, _)| *member == node) {
            let nodes = ChangeMembers::RemoveNodes(BTreeSet::from([node]));
            self.raft.change_membership(nodes, false).await?;
        }
        Ok(())
    }

    /// Makes a voter of a member that has caught up, if this node leads and those that vote are `voters`. Whether
    /// they are so now.
    pub async fn promote(&self, node: NodeId, voters: &BTreeSet<NodeId>) -> bool {
        let _passes = self.gate.read().await;
        if voters_of(self.leadership.borrow().membership_config.membership()) != *voters {
            return false;
        }
        let added = ChangeMembers::AddVoterIds(BTreeSet::from([node]));
        let changed = self.raft.change_membership(added, true).await;
        if let Err(error) = &changed {
            tracing::warn!(peer = %node, %error, "a member that has caught up could not be made a voter yet");
        }
        changed.is_ok()
    }

    /// Whether Raft has ended here, with which this node leads no more, whatever it knew last.
    fn has_failed(&self) -> bool {
        self.raft.metrics().borrow().running_state.is_err()
    }

    /// Answers a peer that takes this node for the leader, or that leads and is about to stop.
    pub async fn answer(&self, from: NodeId, ask: LeaderAsk) -> LeaderTold {
        self.news.is_asked_for();
        match ask {
            _ if self.has_failed() => LeaderTold::NotProposed(None),
            LeaderAsk::ReadIndex => {
                self.read_index().await.map_or(LeaderTold::NotProposed(None), LeaderTold::ReadIndex)
            }
            LeaderAsk::Order(commands) => self.order_for(from, commands).await,
            // Whoever asks has given up by then; meanwhile it would keep one of its places and the gate.
            LeaderAsk::Change(change) => {
                timeout(ASK_DEADLINE, self.change_here(change)).await.unwrap_or(LeaderTold::Unknown)
            }
            LeaderAsk::Stand => self.stand(from),
        }
    }

    async fn order_for(&self, from: NodeId, commands: Vec<Command>) -> LeaderTold {
        if !commands.iter().all(|command| command.is_vouched_for_by(&from)) {
            tracing::warn!(peer = %from, code = "forged_record", "a peer sent commands with records not its own");
            return LeaderTold::NotProposed(Some(NodeFault::Corrupt.into()));
        }
        let bytes = commands.iter().map(Command::payload_len).sum();
        match self.log.store().room() {
            Ok(room) if room.fits(bytes) => {}
            Ok(_) => return LeaderTold::NotProposed(Some(NodeFault::StorageFull.into())),
            Err(_) => return LeaderTold::NotProposed(Some(NodeFault::StorageFailed.into())),
        }
        // Whoever asks has given up by then.
        let told = timeout(ASK_DEADLINE, self.order_here(Arc::new(commands))).await;
        told.unwrap_or(LeaderTold::Unknown)
    }

    /// Whether a majority stands behind this node: it follows a leader, or leads one that answered a moment
    /// ago. A leader that is cut off goes on leading nobody, so it has to be told by their silence.
    pub fn stands(&self) -> bool {
        let leadership = self.leadership.borrow();
        match leadership.current_leader {
            None => false,
            Some(leader) if leader != self.me => true,
            Some(_) if self.is_alone(&leadership) => true,
            Some(_) => self.unanswered_millis().is_some_and(|millis| millis < LEADER_SILENT_MAX_MILLIS),
        }
    }

    /// How long ago a majority was last heard of, this node among it if it votes.
    pub fn majority_heard(&self) -> Option<Duration> {
        let heard = self.peers.heard();
        let voters: Vec<NodeId> = self.leadership.borrow().membership_config.voter_ids().collect();
        let ago =
            |voter: &NodeId| if *voter == self.me { Some(Duration::ZERO) } else { heard.get(voter).copied() };
        let mut silences: Vec<Duration> = voters.iter().filter_map(ago).collect();
        silences.sort_unstable();
        silences.get(voters.len() / 2).copied()
    }

    /// For how many milliseconds no majority has answered this node, if it leads others; none if none has yet.
    pub fn silence(&self) -> Option<u64> {
        let leadership = self.leadership.borrow();
        let leads = leadership.current_leader == Some(self.me);
        let alone = self.is_alone(&leadership);
        self.unanswered_millis().filter(|_| leads && !alone)
    }

    /// Since when no majority has answered this node, as a leader, in milliseconds.
    fn unanswered_millis(&self) -> Option<u64> {
        let told = self.raft.data_metrics().borrow().millis_since_quorum_ack;
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        told.into_iter().chain(answered.map(|asked| asked.elapsed().as_millis() as u64)).min()
    }

    /// Has all who vote hear that this node leads, and this node whether a majority follows it, as often as one is busy
    /// with what it was sent: until it has that, Raft tells it nothing else. Ends when Raft does.
    pub async fn remind(self, mut is_busy: watch::Receiver<()>) {
        while is_busy.changed().await.is_ok() {
            self.read_index().await;
        }
    }

    /// Whether nobody else votes. Every read asks, so that no list of voters is made for it.
    fn is_alone(&self, leadership: &RaftServerMetrics<NodeId, BasicNode>) -> bool {
        let configs = leadership.membership_config.membership().get_joint_config();
        let only_me = |voters: &BTreeSet<NodeId>| voters.len() == 1 && voters.contains(&self.me);
        !configs.is_empty() && configs.iter().all(only_me)
    }

    /// The leader, as soon as there is one that a majority stands behind.
    async fn known(&self) -> NodeId {
        loop {
            let leader = self.leadership.borrow().current_leader;
            if let Some(leader) = leader.filter(|_| self.stands()) {
                return leader;
            }
            // Silence is no event, so this looks again.
            sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Returns once this node has applied the log up to `index`. False if Raft has ended here, so that it never will.
    async fn applied(&self, index: u64) -> bool {
        let wait = self.raft.wait(None);
        wait.applied_index_at_least(Some(index), "what was agreed is applied here").await.is_ok()
    }
}

/// What became of a command that may have been agreed before this: of one that takes something away, that it is not
/// there does not tell who took it.
fn seen_again(command: &Command, applied: Applied) -> Applied {
    match applied.outcome {
        Err(Refusal::Caller(CallerMistake::NotFound)) if command.takes_away() => {
            Applied { outcome: Err(NoAuthority::OutcomeUnknown(None).into()), ..applied }
        }
        _ => applied,
    }
}

/// Those that vote; while they change, those that vote before and after.
pub fn voters_of(membership: &Membership<NodeId, BasicNode>) -> BTreeSet<NodeId> {
    let configs = membership.get_joint_config().iter().cloned();
    configs.reduce(|some, others| &some & &others).unwrap_or_default()
}

/// What becomes of a question that was not answered in time.
pub async fn within<T>(
    deadline: Duration,
    sent: &AtomicBool,
    answer: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    timeout(deadline, answer).await.unwrap_or_else(|_| {
        Err(if sent.load(Ordering::Relaxed) {
            NoAuthority::OutcomeUnknown(None).into()
        } else {
            NoAuthority::QuorumUnavailable.into()
        })
    })
}

#[cfg(test)]
mod tests {
    use covault_model::{
        command::{Action, Command},
        hlc::Millis,
        id::{CommandId, NodeId},
        name::CallerName,
        refusal::{CallerMistake, NoAuthority},
    };
    use covault_store::Applied;

    use super::seen_again;

    #[test]
    fn that_something_is_gone_does_not_tell_a_second_copy_who_took_it() {
        let by = CallerName::parse("ann").expect("a name");
        let told = |action| {
            let command =
                Command { id: CommandId([1; 16]), by: by.clone(), at: Millis(1), idempotency: None, action };
            let gone = Applied { outcome: Err(CallerMistake::NotFound.into()), replayed: false };
            seen_again(&command, gone).outcome.err()
        };
        let unknown = Some(NoAuthority::OutcomeUnknown(None).into());
        assert_eq!(told(Action::RemoveCaller(by.clone())), unknown);
        assert_eq!(told(Action::RemoveNode(NodeId([2; 32]))), unknown);
        assert_eq!(told(Action::SetFields(by.clone(), Vec::new())), Some(CallerMistake::NotFound.into()));
    }
}
