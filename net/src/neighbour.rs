//! An enrolled peer as this node deals with it: the link to it, the connection from it, what it may have in
//! flight, what went between. All neighbours are on one map, which never has more keys than were enrolled.
//! Knows nothing of requests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use covault_model::id::NodeId;
use quinn::Connection;
use tokio::sync::Semaphore;

use crate::{
    lane::{Lanes, room_for},
    limits::Limits,
    link::Link,
    reason::Reason,
    stats::{PeerStats, Traffic},
    trust::Trust,
};

/// An enrolled peer.
#[derive(Debug)]
pub(crate) struct Neighbour {
    /// Who it is.
    pub(crate) node: NodeId,
    /// The way to it.
    pub(crate) link: Arc<Link>,
    /// The newest connection from it; none if it has not dialled, or has gone.
    from_it: Mutex<Option<Connection>>,
    /// What this node asks of it.
    pub(crate) calls: Lanes,
    /// What it asks of this node. Outlives its connections, so that dialling again gives no new room.
    pub(crate) asks: Lanes,
    /// Answers that it asked for and has not taken, in bytes.
    pub(crate) answers: Arc<Semaphore>,
    /// What went between.
    pub(crate) traffic: Traffic,
}

impl Neighbour {
    fn new(node: NodeId, limits: &Limits) -> Self {
        Self {
            node,
            link: Arc::new(Link::new(node)),
            from_it: Mutex::new(None),
            calls: Lanes::of_one(limits),
            asks: Lanes::of_one(limits),
            answers: room_for(limits.answer_bytes_per_peer),
            traffic: Traffic::default(),
        }
    }

    /// Keeps a connection that came from it, in place of the one before, which is returned.
    pub(crate) fn came(&self, connection: &Connection) -> Option<Connection> {
        self.traffic.connected();
        self.connection().replace(connection.clone()).filter(|old| old.close_reason().is_none())
    }

    /// Forgets a connection that has ended, unless a newer one took its place.
    pub(crate) fn left(&self, connection: &Connection) {
        let mut from_it = self.connection();
        if from_it.as_ref().is_some_and(|held| held.stable_id() == connection.stable_id()) {
            *from_it = None;
        }
    }

    /// Closes what there is between this node and it. True if there was something.
    fn remove(&self) -> bool {
        let connected = self.connection().take();
        if let Some(connection) = &connected {
            connection.close(Reason::Removed.on_wire(), &[]);
        }
        self.link.remove() || connected.is_some()
    }

    /// The connections there are with it, in either direction.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.link.up().into_iter().chain(self.connection().clone()).collect()
    }

    fn stats(&self) -> PeerStats {
        let connected = self.connection().as_ref().is_some_and(|held| held.close_reason().is_none());
        self.traffic.read(self.link.is_up(), connected)
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.from_it.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All neighbours.
#[derive(Debug, Default)]
pub(crate) struct Neighbours(Mutex<BTreeMap<NodeId, Arc<Neighbour>>>);

impl Neighbours {
    /// The neighbour with this key, if it is enrolled. Looks it up under the map's lock, and
    /// [`Neighbours::follow`] takes that lock after the set was replaced: whoever comes before it is removed by
    /// it, whoever comes after it is not let in.
    pub(crate) fn get(&self, node: NodeId, trust: &Trust, limits: &Limits) -> Option<Arc<Neighbour>> {
        let mut all = self.all();
        trust
            .contains(&node)
            .then(|| all.entry(node).or_insert_with(|| Arc::new(Neighbour::new(node, limits))).clone())
    }

    /// Closes what there is with nodes that are not enrolled any more, and returns them; gives all others a
    /// fresh chance, since their addresses may have changed.
    pub(crate) fn follow(&self, trust: &Trust) -> Vec<NodeId> {
        let mut removed = Vec::new();
        self.all().retain(|node, neighbour| {
            let enrolled = trust.contains(node);
            if enrolled {
                neighbour.link.wake();
            } else if neighbour.remove() {
                removed.push(*node);
            }
            enrolled
        });
        removed
    }

    pub(crate) fn stats(&self) -> BTreeMap<NodeId, PeerStats> {
        self.all().iter().map(|(node, neighbour)| (*node, neighbour.stats())).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Neighbour>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
