//! How many requests may be in flight, and how many of their bytes held. Raft has a lane of its own, so that
//! requests which wait for an agreement can never hold up the agreement they wait for; so have API processes, whose
//! requests may wait for what nodes ask each other.
//! Knows nothing of what travels in a lane.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{frame::Channel, limits::Limits};

/// Room for requests and for their bytes.
#[derive(Debug)]
pub(crate) struct Lane {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A part of a lane in use; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    _permit: OwnedSemaphorePermit,
}

impl Lane {
    fn new(requests: u32, bytes: u32) -> Self {
        Self { requests: room_for(requests), bytes: room_for(bytes) }
    }

    /// Waits for room for one request.
    pub(crate) async fn enter(&self) -> Room {
        take(&self.requests, 1).await
    }

    /// Waits for room for `length` bytes, which are no more than a frame may have.
    pub(crate) async fn hold(&self, length: usize) -> Room {
        take(&self.bytes, length as u32).await
    }
}

/// How many lanes there are.
pub(crate) const LANES: usize = 3;

/// All of them.
#[derive(Debug)]
pub(crate) struct Lanes {
    raft: Lane,
    serve: Lane,
    other: Lane,
}

impl Lanes {
    /// Of one peer.
    pub(crate) fn of_one(limits: &Limits) -> Self {
        let bytes = limits.bytes_per_peer;
        Self {
            raft: Lane::new(limits.raft_requests_per_peer, bytes),
            serve: Lane::new(limits.requests_per_peer, bytes),
            other: Lane::new(limits.requests_per_peer, bytes),
        }
    }

    /// Of all peers together.
    pub(crate) fn of_all(limits: &Limits) -> Self {
        let lane = || Lane::new(limits.requests_in_all, limits.bytes_in_all);
        Self { raft: lane(), serve: lane(), other: lane() }
    }

    /// The lane of `channel`.
    pub(crate) fn of(&self, channel: Channel) -> &Lane {
        match channel {
            Channel::Raft => &self.raft,
            Channel::Serve => &self.serve,
            Channel::Forward | Channel::Records | Channel::Control | Channel::Join => &self.other,
        }
    }
}

/// Room for so many.
pub(crate) fn room_for(many: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(many as usize))
}

/// Takes room if it is there.
pub(crate) fn try_take(from: &Arc<Semaphore>, many: u32) -> Option<Room> {
    from.clone().try_acquire_many_owned(many).ok().map(|permit| Room { _permit: permit })
}

async fn take(from: &Arc<Semaphore>, many: u32) -> Room {
    let permit = from.clone().acquire_many_owned(many).await.expect("a lane is never closed");
    Room { _permit: permit }
}
