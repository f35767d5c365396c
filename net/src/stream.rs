//! One stream of a connection as a request and its answer travel on it. What is not whole is never taken for
//! whole: a sending half that is let go before its end is reset, not finished.
//! Knows nothing of peers, lanes and what the bytes are for.

use bytes::Bytes;
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};

use crate::{frame::HEAD_LEN, reason::Reason};

/// How much is made room for at once while a body comes in: a length is a claim until its bytes are here.
const ROOM_STEP: usize = 64 << 10;

/// Why an exchange has no good end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is gone.
    Connection,
    /// The other side let go of the stream, and said why.
    GivenUp(Reason),
    /// This side lets go of the stream.
    GiveUp(Reason),
    /// The other side breaks the protocol: the connection must end.
    Violation(Reason),
}

/// One stream, both halves.
pub(crate) struct Exchange {
    send: SendStream,
    recv: RecvStream,
    /// Whether the sending half has its end: finished, or reset with a reason.
    ended: bool,
}

impl Exchange {
    pub(crate) fn new((send, recv): (SendStream, RecvStream)) -> Self {
        Self { send, recv, ended: false }
    }

    /// Sends all of a frame and ends this half.
    pub(crate) async fn write(&mut self, head: &[u8], body: Bytes) -> Result<(), Fault> {
        self.send.write_all(head).await?;
        self.send.write_chunk(body).await?;
        self.ended = true;
        self.send.finish().map_err(|_| Fault::Connection)
    }

    /// Reads exactly so many bytes.
    pub(crate) async fn read<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        match self.recv.read_exact(&mut bytes).await {
            Ok(()) => Ok(bytes),
            Err(ReadExactError::FinishedEarly(_)) => Err(Fault::Violation(Reason::MalformedFrame)),
            Err(ReadExactError::ReadError(error)) => Err(error.into()),
        }
    }

    /// Reads the head of a frame.
    pub(crate) async fn read_head(&mut self) -> Result<[u8; HEAD_LEN], Fault> {
        self.read().await
    }

    /// Reads `length` bytes and the end of the stream.
    pub(crate) async fn read_body(&mut self, length: usize) -> Result<Bytes, Fault> {
        let mut body = Vec::new();
        while body.len() < length {
            let missing = length - body.len();
            let chunk = self.recv.read_chunk(missing, true).await?;
            let chunk = chunk.ok_or(Fault::Violation(Reason::MalformedFrame))?;
            if body.capacity() - body.len() < chunk.bytes.len() {
                // Doubles, so that growing stays cheap, but never beyond what was announced.
                let step = ROOM_STEP.max(body.len()).max(chunk.bytes.len());
                body.reserve_exact(step.min(missing));
            }
            body.extend_from_slice(&chunk.bytes);
        }
        self.read_end().await?;
        Ok(body.into())
    }

    /// Reads the end of the stream, and nothing before it.
    pub(crate) async fn read_end(&mut self) -> Result<(), Fault> {
        match self.recv.read_chunk(1, true).await? {
            None => Ok(()),
            Some(_) => Err(Fault::Violation(Reason::MalformedFrame)),
        }
    }

    /// Waits until the other side has all that was sent, or is gone.
    pub(crate) async fn taken(&mut self) {
        let _ = self.send.stopped().await;
    }

    /// Lets go of both halves and says why.
    pub(crate) fn give_up(mut self, reason: Reason) {
        self.ended = true;
        // A half that has ended already needs no reason.
        let _ = self.send.reset(reason.on_wire());
        let _ = self.recv.stop(reason.on_wire());
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.send.reset(Reason::Abandoned.on_wire());
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::GivenUp(reason_of(code)),
            _ => Self::Connection,
        }
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::GivenUp(reason_of(code)),
            _ => Self::Connection,
        }
    }
}

/// A code of another release says only that the stream was let go.
pub(crate) fn reason_of(code: quinn::VarInt) -> Reason {
    Reason::from_code(code.into_inner()).unwrap_or(Reason::Abandoned)
}
