//! Leadership handed over by a node that is about to stop, so that nobody has to notice its silence first, or that has no
//! room for what others write. It orders nothing more, lets what is under way be agreed, and asks a voter that has all of
//! the log to stand for election; it gives that one its vote, and knows its leader a moment later. Keeps R6. Knows nothing
//! of what stops, or why.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use covault_model::id::NodeId;
use covault_net::Channel;
use openraft::{BasicNode, RaftMetrics};
use tokio::time::timeout;

use super::{
    super::message::{LeaderAsk, LeaderTold},
    Leader,
};

/// How long handing over may take. Who waits meanwhile is not refused.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(1);
/// How long a node that stands for election waits for its votes before it stands again.
const STAND_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A leader without room for a write of so many bytes refuses what the others have room for.
const ROOM_TO_LEAD_BYTES: u64 = 64 << 10;

type Metrics = RaftMetrics<NodeId, BasicNode>;

impl Leader {
    /// To be called before this node stops. If it leads, returns once another is known to lead instead, or when
    /// nobody takes over in time: then an election follows once this node is gone. From now on it takes over from
    /// nobody.
    pub async fn hand_over(&self) {
        self.stops.store(true, Ordering::Relaxed);
        if self.leads_others() {
            self.pass_on_in_time().await;
        }
    }

    /// Has another lead, if this node leads without room and a voter has all of the log by now. Whether it lacks room.
    pub async fn yield_without_room(&self) -> bool {
        let lacks_room = !self.has_room_to_lead();
        let is_other_level = || level(&self.raft.metrics().borrow(), &BTreeSet::from([self.me])).is_some();
        if lacks_room && self.leads_others() && is_other_level() {
            self.pass_on_in_time().await;
        }
        lacks_room
    }

    fn has_room_to_lead(&self) -> bool {
        self.log.store().room().is_ok_and(|room| room.fits(ROOM_TO_LEAD_BYTES))
    }

    async fn pass_on_in_time(&self) {
        match timeout(HAND_OVER_WITHIN, self.pass_on()).await {
            Ok(Some(heir)) => tracing::info!(to = %heir, "the leadership was handed over"),
            Ok(None) | Err(_) => tracing::info!("nobody took the leadership over"),
        }
    }

    fn leads_others(&self) -> bool {
        let seen = self.leadership.borrow();
        seen.current_leader == Some(self.me)
            && seen.membership_config.voter_ids().any(|voter| voter != self.me)
    }

    /// Who leads instead; none when there is nobody, or nobody willing.
    async fn pass_on(&self) -> Option<NodeId> {
        // What is under way has gone through when the gate can be held alone; what comes after waits before it, and
        // finds another leader behind it.
        let _closed = self.gate.write().await;
        let agreed = self.raft.ensure_linearizable().await.ok()??;
        let mut unwilling = BTreeSet::from([self.me]);
        loop {
            let heir = self.heir(agreed.index, &unwilling).await?;
            let told = self.peers.ask(heir, Channel::Forward, &LeaderAsk::Stand, HAND_OVER_WITHIN).await;
            if matches!(told, Ok(LeaderTold::Stands)) {
                break;
            }
            unwilling.insert(heir);
        }
        let mut leadership = self.leadership.clone();
        let other = |leader: Option<NodeId>| leader.filter(|leader| *leader != self.me);
        let seen = leadership.wait_for(|seen| other(seen.current_leader).is_some()).await;
        seen.ok().and_then(|seen| other(seen.current_leader))
    }

    /// A voter that has all of the log, which goes to `agreed` at least, as soon as there is one; none when all are
    /// unwilling.
    async fn heir(&self, agreed: u64, unwilling: &BTreeSet<NodeId>) -> Option<NodeId> {
        let mut metrics = self.raft.metrics();
        let seen = metrics.wait_for(|seen| {
            let willing = seen.membership_config.voter_ids().any(|voter| !unwilling.contains(&voter));
            !willing || (Some(agreed) <= seen.last_log_index && level(seen, unwilling).is_some())
        });
        level(&*seen.await.ok()?, unwilling)
    }

    /// Stands for election if whoever asks is the leader; not while this node is stopping itself, nor without room.
    pub fn stand(&self, from: NodeId) -> LeaderTold {
        let is_asked_by_leader = self.leadership.borrow().current_leader == Some(from);
        if !is_asked_by_leader || !self.has_room_to_lead() || self.stops.load(Ordering::Relaxed) {
            return LeaderTold::NotProposed(None);
        }
        let heir = self.clone();
        tokio::spawn(async move { timeout(HAND_OVER_WITHIN, heir.campaign(from)).await });
        LeaderTold::Stands
    }

    /// Stands for election until another than `before` leads. The others may refuse once or twice: whoever has heard of
    /// its leader a moment ago gives its vote to nobody else.
    async fn campaign(&self, before: NodeId) {
        let mut leadership = self.leadership.clone();
        while self.raft.trigger().elect().await.is_ok() {
            let decided = leadership.wait_for(|seen| seen.current_leader.is_some_and(|now| now != before));
            if timeout(STAND_AGAIN_AFTER, decided).await.is_ok() {
                return;
            }
        }
    }
}

/// A voter whose log goes as far as the leader's, other than these.
fn level(seen: &Metrics, but: &BTreeSet<NodeId>) -> Option<NodeId> {
    let replication = seen.replication.as_ref()?;
    let matched = |voter: &NodeId| replication.get(voter).copied().flatten().map(|id| id.index);
    let mut voters = seen.membership_config.voter_ids();
    voters.find(|voter| !but.contains(voter) && matched(voter) == seen.last_log_index)
}
