//! Every bound of the protocol between peers in one struct, with the transport parameters that keep them. What
//! one peer can make this node hold is bounded by QUIC before anything here reads it, then by the peer's
//! lanes, then by the lanes that all peers share.
//! Knows nothing of who the peers are.

use std::{sync::Arc, time::Duration};

use quinn::{IdleTimeout, ServerConfig, TransportConfig, VarInt};

use crate::{error::NetError, frame::FRAME_BYTES_MAX};

/// Streams that a connection has before it is judged: the hello, and a stranger's one request.
const STREAMS_UNJUDGED: u32 = 2;
/// Unread bytes that a connection may have sent before it is judged.
const UNREAD_UNJUDGED: u32 = 64 << 10;
/// What a round trip is taken for before one was measured: nodes are near each other, and a dial whose first
/// packet is lost should not wait a second for the next one.
const ROUND_TRIP_GUESS: Duration = Duration::from_millis(100);
/// The longest deadline or rest; what adds up times stays far from their end.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Packets that quinn keeps for handshakes that have not been looked at yet, in bytes: each, and all.
const INCOMING_BUFFER: u64 = 16 << 10;
const INCOMING_BUFFERS: u64 = 1 << 20;

/// The bounds. The default suits a node with up to eight peers. The requests per peer must be the same on all
/// nodes: a node that asks more than its peer takes fills the streams that its own Raft requests need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests of one peer, or to one peer, in flight on all channels but Raft; of an API process, on Serve. More wait.
    pub requests_per_peer: u32,
    /// Requests of one peer, or to one peer, in flight on the channel Raft.
    pub raft_requests_per_peer: u32,
    /// Requests of all peers in flight, on Raft, on Serve and on all other channels, each by itself. More wait.
    pub requests_in_all: u32,
    /// Bytes of requests of one peer, and of answers from it, held at a time; on Raft, on Serve and on all others,
    /// each by itself. More wait, unread.
    pub bytes_per_peer: u32,
    /// Bytes of requests of all peers held at a time; on Raft, on Serve and on all other channels, each by itself.
    pub bytes_in_all: u32,
    /// Bytes of answers that one peer has asked for and not taken. An answer beyond is dropped, and the
    /// request given up as [`Reason::Busy`](crate::Reason::Busy).
    pub answer_bytes_per_peer: u32,
    /// Bytes that a stream may carry before they are read. Large enough for a busy local network: it is the
    /// most that one stream moves in a round trip.
    pub unread_bytes_per_stream: u32,
    /// Bytes written to one peer that it has not acknowledged.
    pub unsent_bytes_per_peer: u32,
    /// Strangers served at a time.
    pub strangers: u32,
    /// Connections judged at a time. Beyond half of it, an address must first prove that it is real; beyond
    /// all of it, connections are refused.
    pub handshakes: u32,
    /// From the first packet of a connection until it has been judged, on either side.
    pub handshake_deadline: Duration,
    /// From a stranger's hello until it has its answer.
    pub stranger_deadline: Duration,
    /// From the first byte of a request until its last, and again for an answer to be taken.
    pub frame_deadline: Duration,
    /// Silence after which a connection is given up.
    pub idle_max: Duration,
    /// How often a link that is not used says that it is there.
    pub keep_alive: Duration,
    /// For how long requests on a link may be made and none be answered before it is dialled anew.
    pub silence_max: Duration,
    /// How long a peer rests, at most, after the first dial of it that failed. Doubles with each failure.
    pub rest_min: Duration,
    /// How long a peer rests at most.
    pub rest_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_peer: 128,
            raft_requests_per_peer: 8,
            requests_in_all: 1024,
            bytes_per_peer: 32 << 20,
            bytes_in_all: 128 << 20,
            answer_bytes_per_peer: 64 << 20,
            unread_bytes_per_stream: 128 << 10,
            unsent_bytes_per_peer: 8 << 20,
            strangers: 4,
            handshakes: 64,
            handshake_deadline: Duration::from_secs(3),
            stranger_deadline: Duration::from_secs(10),
            frame_deadline: Duration::from_secs(30),
            idle_max: Duration::from_secs(8),
            keep_alive: Duration::from_secs(2),
            silence_max: Duration::from_secs(5),
            rest_min: Duration::from_millis(50),
            rest_max: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// Refuses bounds under which a frame that is allowed could wait for ever, or nothing could move at all.
    pub(crate) fn check(&self) -> Result<(), NetError> {
        let frame = FRAME_BYTES_MAX as u32;
        let counts = [self.requests_per_peer, self.raft_requests_per_peer, self.requests_in_all];
        let sound = [
            (!counts.contains(&0), "there must be room for a request"),
            (self.streams_per_peer().is_some(), "there are more requests than streams"),
            (self.unread_bytes_per_peer().is_some(), "the unread bytes do not fit a window"),
            (frame <= self.bytes_per_peer, "a peer needs room for the largest frame"),
            (self.bytes_per_peer <= self.bytes_in_all, "all peers have more room than one"),
            (frame <= self.answer_bytes_per_peer, "a peer needs room for the largest answer"),
            (0 < self.unread_bytes_per_stream, "a stream must move"),
            (0 < self.unsent_bytes_per_peer, "a link must move"),
            (0 < self.handshakes, "somebody must be able to connect"),
            (self.keep_alive < self.idle_max, "a link must speak before it is given up"),
            (!self.silence_max.is_zero(), "a link needs time to answer"),
            (self.rest_min <= self.rest_max, "the longest rest is shorter than the shortest"),
            (self.rest_max <= LONGEST_WAIT, "a rest is longer than a day"),
            (IdleTimeout::try_from(self.idle_max).is_ok(), "the silence is too long to be told"),
        ];
        sound.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(NetError::Limits(why)))
    }

    /// Streams that an enrolled peer may have open: those of both lanes.
    fn streams_per_peer(&self) -> Option<u32> {
        self.requests_per_peer.checked_add(self.raft_requests_per_peer)
    }

    /// Bytes that an enrolled peer may have sent and this node not read: as many as its streams allow
    /// together, so that no stream can hold up another by filling a window that they share.
    fn unread_bytes_per_peer(&self) -> Option<u32> {
        self.streams_per_peer()?.checked_mul(self.unread_bytes_per_stream)
    }

    /// What an enrolled peer gets beyond what a connection has before it is judged.
    pub(crate) fn widen(&self, connection: &quinn::Connection) {
        let (streams, unread) = (self.streams_per_peer(), self.unread_bytes_per_peer());
        connection.set_max_concurrent_bi_streams(streams.unwrap_or(STREAMS_UNJUDGED).into());
        connection.set_receive_window(unread.unwrap_or(UNREAD_UNJUDGED).into());
    }

    /// What holds for connections that come in. The dialling side keeps them alive.
    pub(crate) fn accepting(&self) -> Arc<TransportConfig> {
        let mut config = self.transport();
        config.max_concurrent_bidi_streams(STREAMS_UNJUDGED.into()).receive_window(UNREAD_UNJUDGED.into());
        Arc::new(config)
    }

    /// What holds for connections that go out: the other side only answers, so it may open nothing.
    pub(crate) fn dialling(&self) -> Arc<TransportConfig> {
        let mut config = self.transport();
        let window = self.unread_bytes_per_peer().unwrap_or(UNREAD_UNJUDGED);
        config
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .receive_window(window.into())
            .keep_alive_interval(Some(self.keep_alive));
        Arc::new(config)
    }

    /// What holds for both: no one-way streams and no datagrams, since nothing uses them.
    fn transport(&self) -> TransportConfig {
        let mut config = TransportConfig::default();
        config
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .initial_rtt(ROUND_TRIP_GUESS)
            .stream_receive_window(self.unread_bytes_per_stream.into())
            .send_window(self.unsent_bytes_per_peer.into())
            .max_idle_timeout(IdleTimeout::try_from(self.idle_max).ok());
        config
    }

    /// Bounds what handshakes may hold before this crate sees them. Nodes do not change their addresses, so a
    /// connection that wanders to another one is not followed.
    pub(crate) fn bound_handshakes(&self, server: &mut ServerConfig) {
        server
            .max_incoming(self.handshakes as usize)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(INCOMING_BUFFERS)
            .migration(false);
    }
}
