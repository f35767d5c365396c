//! The one connection that this node keeps to a peer, for its own requests. It is dialled when a call needs
//! it; a peer that could not be reached rests, longer each time, and calls made meanwhile are told so at once.
//! Two nodes that dial each other have two connections, one for each direction, so neither has to yield.
//! Knows nothing of what is asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use covault_model::id::NodeId;
use quinn::{ConnectError, Connection, ConnectionError, TransportErrorCode};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    error::{Loss, Unreachable},
    hello::{HELLO_LEN, Hello},
    limits::Limits,
    reason::Reason,
    shared::Shared,
    stream::{Exchange, Fault, reason_of},
    tls::SERVER_NAME,
    trust::Peer,
};

type Dialled = Result<Connection, Unreachable>;

/// Where a link stands.
#[derive(Debug)]
enum State {
    /// Not dialled, or broken: the next call dials.
    Down,
    /// Being dialled; whoever wants the link waits for the outcome.
    Dialling(watch::Receiver<Option<Dialled>>),
    Up(Connection, Silence),
    /// Not dialled before this moment, since the last dial failed.
    Resting(Instant, Unreachable),
    /// Its node is not enrolled any more.
    Removed,
}

impl State {
    /// The state for a request that is to be made now: up only if the connection is good for it.
    fn ask(&mut self, shared: &Shared, node: NodeId) -> &mut Self {
        if let Self::Up(connection, silence) = self {
            if silence.is_longer_at(Instant::now(), shared.limits.silence_max) {
                shared.refuse(connection, Some(node), Reason::Silent);
            }
            if connection.close_reason().is_some() {
                *self = Self::Down;
            }
        }
        self
    }
}

/// Whether a connection is still good for asking. A direction that was cut for a while may leave it of no use: what the
/// peer answers waits for its congestion control, whose next try comes after twice the time that the one before it took,
/// while its acknowledgements go out and keep the connection from being idle.
#[derive(Debug, Default)]
struct Silence(Option<Unanswered>);

/// Requests that were made one after another, none of which was answered.
#[derive(Debug)]
struct Unanswered {
    since: Instant,
    latest: Instant,
}

impl Silence {
    /// Notes a request, and says whether `most` has gone by with requests, and no answer to any. A request that has waited
    /// alone for half as long says nothing: it may have been let go by whoever made it, or take its time.
    fn is_longer_at(&mut self, now: Instant, most: Duration) -> bool {
        let unanswered = self.0.take().filter(|requests| now - requests.latest < most / 2);
        let since = unanswered.map_or(now, |requests| requests.since);
        self.0 = Some(Unanswered { since, latest: now });
        most <= now - since
    }
}

/// The way to one peer.
#[derive(Debug)]
pub(crate) struct Link {
    node: NodeId,
    state: Mutex<State>,
    /// Dials that failed since the last one that did not; held only while `state` is.
    failures: Mutex<u32>,
}

impl Link {
    pub(crate) fn new(node: NodeId) -> Self {
        Self { node, state: Mutex::new(State::Down), failures: Mutex::new(0) }
    }

    /// The connection, dialled if there is none, or if the one there is has been silent for too long.
    pub(crate) async fn connection(self: &Arc<Self>, shared: &Arc<Shared>) -> Dialled {
        let mut outcome = match self.state().ask(shared, self.node) {
            State::Up(connection, _) => return Ok(connection.clone()),
            State::Resting(until, why) if Instant::now() < *until => return Err(*why),
            State::Removed => return Err(Unreachable::Rejected(Reason::Removed)),
            State::Dialling(outcome) => outcome.clone(),
            state => {
                let (tell, outcome) = watch::channel(None);
                *state = State::Dialling(outcome.clone());
                // A task of its own: a caller that gives up does not spoil the dial for the others.
                tokio::spawn(self.clone().dial(shared.clone(), tell));
                outcome
            }
        };
        let told = outcome.wait_for(Option::is_some).await.map_err(|_| Unreachable::Closed)?;
        told.clone().unwrap_or(Err(Unreachable::Closed))
    }

    async fn dial(self: Arc<Self>, shared: Arc<Shared>, tell: watch::Sender<Option<Dialled>>) {
        let mut dialled = match (shared.trust.peer(&self.node), shared.cluster) {
            (None, _) => Err(Unreachable::Rejected(Reason::Removed)),
            (_, None) => Err(Unreachable::Rejected(Reason::WrongCluster)),
            (Some(Peer { addr: None, .. }), _) => Err(Unreachable::BadAddress),
            (Some(Peer { addr: Some(addr), .. }), Some(cluster)) => {
                dial(&shared, addr, self.node, Hello::Peer(cluster)).await
            }
        };
        self.settle(&shared, &mut dialled);
        tell.send_replace(Some(dialled));
    }

    /// Keeps the outcome of a dial, unless the link was removed while it was made.
    fn settle(&self, shared: &Shared, dialled: &mut Dialled) {
        let mut state = self.state();
        if let (State::Removed, Ok(connection)) = (&*state, &*dialled) {
            connection.close(Reason::Removed.on_wire(), &[]);
            *dialled = Err(Unreachable::Rejected(Reason::Removed));
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures = if dialled.is_ok() { 0 } else { failures.saturating_add(1) };
        if matches!(*state, State::Removed) {
            return;
        }
        *state = match dialled {
            Ok(connection) => State::Up(connection.clone(), Silence::default()),
            Err(why) => {
                let rest = rest(&shared.limits, *failures, shared.chance.draw());
                tracing::debug!(peer = %self.node, reason = %why, ?rest, "a dial failed");
                State::Resting(Instant::now() + rest, *why)
            }
        };
    }

    /// A request was answered, in whatever way.
    pub(crate) fn heard(&self) {
        if let State::Up(_, silence) = &mut *self.state() {
            *silence = Silence::default();
        }
    }

    /// Ends a rest: there is news of the peer.
    pub(crate) fn wake(&self) {
        let mut state = self.state();
        if matches!(*state, State::Resting(..)) {
            *state = State::Down;
        }
    }

    /// Closes the link for good. True if there was one.
    pub(crate) fn remove(&self) -> bool {
        match std::mem::replace(&mut *self.state(), State::Removed) {
            State::Up(connection, _) => {
                connection.close(Reason::Removed.on_wire(), &[]);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up().is_some()
    }

    /// The connection, if there is one.
    pub(crate) fn up(&self) -> Option<Connection> {
        match &*self.state() {
            State::Up(connection, _) if connection.close_reason().is_none() => Some(connection.clone()),
            _ => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between a half and all of the time that so many failures deserve: nodes that fell together do not all come
/// back at the same moment.
fn rest(limits: &Limits, failures: u32, chance: [u8; 2]) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = limits.rest_min.saturating_mul(1 << doublings).min(limits.rest_max);
    whole / 2 + (whole / 2).mul_f64(f64::from(u16::from_be_bytes(chance)) / f64::from(u16::MAX))
}

/// Connects to `expected` at `addr`, and returns only when the other side has judged this node and said so.
pub(crate) async fn dial(shared: &Shared, addr: SocketAddr, expected: NodeId, hello: Hello) -> Dialled {
    let attempt = async {
        let config = shared.client_config(expected).map_err(|_| Unreachable::NotThisNode)?;
        let connecting =
            shared.quinn.connect_with(config, addr, SERVER_NAME).map_err(|error| match error {
                ConnectError::EndpointStopping => Unreachable::Closed,
                _ => Unreachable::BadAddress,
            })?;
        let connection = connecting.await.map_err(|error| unreachable(&error))?;
        match greet(&connection, hello).await {
            Ok(()) => Ok(connection),
            Err(Fault::Violation(reason)) => {
                shared.refuse(&connection, Some(expected), reason);
                Err(Unreachable::Rejected(reason))
            }
            Err(Fault::GivenUp(reason) | Fault::GiveUp(reason)) => Err(Unreachable::Rejected(reason)),
            Err(Fault::Connection) => {
                Err(connection.close_reason().map_or(Unreachable::Broken, |error| unreachable(&error)))
            }
        }
    };
    let dialled = timeout(shared.limits.handshake_deadline, attempt).await;
    let dialled = dialled.unwrap_or(Err(Unreachable::NoAnswer));
    if dialled.as_ref().is_err_and(|why| *why == Unreachable::NotThisNode) {
        shared.refusals.count(Reason::Handshake);
        tracing::warn!(peer = %expected, %addr, "another node answers at the address of this peer");
    }
    dialled
}

/// Says hello and waits for the other's, which must be the same.
async fn greet(connection: &Connection, hello: Hello) -> Result<(), Fault> {
    let streams = connection.open_bi().await.map_err(|_| Fault::Connection)?;
    let mut exchange = Exchange::new(streams);
    exchange.write(&hello.to_bytes(), Bytes::new()).await?;
    let answered = read_hello(&mut exchange).await?;
    if answered == hello { Ok(()) } else { Err(Fault::Violation(Reason::WrongCluster)) }
}

/// Reads the hello that stands alone on its stream.
pub(crate) async fn read_hello(exchange: &mut Exchange) -> Result<Hello, Fault> {
    let malformed = |fault| match fault {
        Fault::Violation(_) => Fault::Violation(Reason::MalformedHello),
        fault => fault,
    };
    let bytes = exchange.read::<HELLO_LEN>().await.map_err(malformed)?;
    let hello = Hello::from_bytes(&bytes).map_err(Fault::Violation)?;
    exchange.read_end().await.map_err(malformed)?;
    Ok(hello)
}

fn unreachable(error: &ConnectionError) -> Unreachable {
    match error {
        ConnectionError::ApplicationClosed(close) => Unreachable::Rejected(reason_of(close.error_code)),
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            Unreachable::Rejected(Reason::TooManyHandshakes)
        }
        ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::VersionMismatch => Unreachable::NotThisNode,
        ConnectionError::LocallyClosed => Unreachable::Closed,
        ConnectionError::TimedOut | ConnectionError::Reset => Unreachable::NoAnswer,
        ConnectionError::CidsExhausted => Unreachable::BadAddress,
    }
}

/// What a connection that ended means for a request that was on it.
pub(crate) fn loss(connection: &Connection) -> Loss {
    match connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(close)) => Loss::GivenUp(reason_of(close.error_code)),
        _ => Loss::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Limits, Silence, rest};

    #[test]
    fn a_rest_doubles_with_each_failure_up_to_its_bound() {
        let limits = Limits {
            rest_min: Duration::from_secs(1),
            rest_max: Duration::from_secs(6),
            ..Limits::default()
        };
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (4, 6), (5, 6), (u32::MAX, 6)] {
            let whole = Duration::from_secs(seconds);
            assert_eq!(rest(&limits, failures, [0xff, 0xff]), whole);
            assert_eq!(rest(&limits, failures, [0, 0]), whole / 2, "half of it is left to chance");
        }
    }

    #[test]
    fn requests_without_an_answer_are_a_silence_once_there_were_some_for_long() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut silence = Silence::default();
        let is_longer =
            |silence: &mut Silence, at: u32| silence.is_longer_at(start + at * second, 4 * second);
        assert_eq!([0, 1, 2, 3, 4].map(|at| is_longer(&mut silence, at)), [false, false, false, false, true]);
        silence = Silence::default();
        assert_eq!([5, 6, 7, 8].map(|at| is_longer(&mut silence, at)), [false; 4], "an answer ended it");
        assert!(!is_longer(&mut silence, 10), "nothing was asked meanwhile");
        assert_eq!([11, 12, 13, 14].map(|at| is_longer(&mut silence, at)), [false, false, false, true]);
    }
}
