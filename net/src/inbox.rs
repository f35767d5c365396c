//! Requests as they come in, each with the way to answer it. A request counts against its peer's lanes until
//! its reply is used or dropped. Knows nothing of links and streams.

use bytes::Bytes;
use covault_model::id::NodeId;
use tokio::sync::{mpsc, oneshot};

use crate::{frame::Channel, lane::Room};

/// Who sent a request: the key was proved in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A peer, enrolled when its request was taken.
    Peer(NodeId),
    /// Somebody who asks to be enrolled. The key is theirs; nothing else is known of them.
    Stranger(NodeId),
}

/// A request to answer.
#[derive(Debug)]
pub struct Incoming {
    /// Who sent it.
    pub from: Asker,
    /// What it is for.
    pub channel: Channel,
    /// Its bytes: any bytes that somebody chose.
    pub request: Bytes,
    /// The way to answer it.
    pub reply: Reply,
}

/// What was answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Sent(Bytes),
    Refused(u16),
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Answering {
    pub answer: Answer,
    /// What the request holds until its answer has been written.
    pub rooms: Vec<Room>,
    /// Dropped once the asker has the answer or is gone; absent if nobody waits for that.
    pub taken: Option<oneshot::Sender<()>>,
}

/// The way to answer one request. Dropping it tells the peer that there will be no answer.
#[derive(Debug)]
pub struct Reply {
    to: oneshot::Sender<Answering>,
    rooms: Vec<Room>,
}

impl Reply {
    /// A reply that holds `rooms` until its answer has been written.
    pub(crate) fn new(rooms: Vec<Room>) -> (Self, oneshot::Receiver<Answering>) {
        let (to, answered) = oneshot::channel();
        (Self { to, rooms }, answered)
    }

    /// Answers with `answer`, of no more bytes than the request's channel allows. Does not wait; a peer that is
    /// gone gets nothing.
    pub fn send(self, answer: Bytes) {
        self.answer(Answer::Sent(answer), None);
    }

    /// As [`Reply::send`], and waits until the peer has the answer or is gone: closing the endpoint then loses
    /// nothing. Takes no longer than a frame may.
    pub async fn deliver(self, answer: Bytes) {
        let (taken, until_taken) = oneshot::channel();
        self.answer(Answer::Sent(answer), Some(taken));
        // It ends by being dropped.
        let _ = until_taken.await;
    }

    /// Refuses with a code that the channel's users understand.
    pub fn refuse(self, code: u16) {
        self.answer(Answer::Refused(code), None);
    }

    fn answer(self, answer: Answer, taken: Option<oneshot::Sender<()>>) {
        let _ = self.to.send(Answering { answer, rooms: self.rooms, taken });
    }
}

/// Where requests come in, in the order in which they were complete.
#[derive(Debug)]
pub struct Inbox(pub(crate) mpsc::Receiver<Incoming>);

impl Inbox {
    /// Waits for the next request; none once the endpoint is closed.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.0.recv().await
    }
}
