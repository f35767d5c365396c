//! Has a leader that no majority answers keep quiet. Raft has a follower stand for election that hears nothing of its
//! leader; one whose words arrive and whose answers are lost or late, or that still reaches a few, would be followed
//! for as long as that lasts: nothing is agreed, and its followers take themselves for a part of a majority.
//! Keeps R2. Knows nothing of who is elected then.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{leader::Leader, network::Peers, types::Raft};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Has this node say that it leads only while a majority answers it, or now and then to hear whether one does again.
/// Ends when Raft does.
pub async fn keep_quiet(raft: Raft, leader: Leader, peers: Peers) {
    let mut metrics = raft.server_metrics();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            changed = metrics.changed() => if changed.is_err() {
                return;
            },
            _ = ticks.tick() => {}
        }
        let silent = leader.silence();
        peers.keep_quiet(silent.is_some_and(is_to_wait));
    }
}

/// Whether a leader waits for the others to elect another, which is after a silence of a second, for two seconds;
/// and again after two in which it may find that nobody but itself can be elected.
fn is_to_wait(silent_millis: u64) -> bool {
    matches!(silent_millis % 4000, 1000..3000)
}

#[cfg(test)]
mod tests {
    use super::is_to_wait;

    #[test]
    fn a_leader_waits_and_asks_by_turns_for_as_long_as_it_hears_nothing() {
        let turns = [0, 999, 1000, 2999, 3000, 4999, 5000, 6999, 7000].map(is_to_wait);
        assert_eq!(turns, [false, false, true, true, false, false, true, true, false]);
    }
}
