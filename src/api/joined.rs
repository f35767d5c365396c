//! A connection that sends a small answer in one piece. Head and body come apart, and to have the system gather
//! them costs more than to copy them. Keeps S1: what was copied is wiped as soon as it is sent.
//! Knows nothing of HTTP.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More bytes than this are not copied.
const JOINED_BYTES_MAX: usize = 4096;

/// A stream whose small pieces are joined before they are sent.
pub struct Joined<S> {
    stream: S,
    /// Empty but while pieces are sent.
    room: Vec<u8>,
}

impl<S> Joined<S> {
    /// The same stream, joining what is small.
    pub fn new(stream: S) -> Self {
        Self { stream, room: Vec::new() }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut S>
    where
        S: Unpin,
    {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Joined<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Joined<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, room } = self.get_mut();
        if JOINED_BYTES_MAX < pieces.iter().map(|piece| piece.len()).sum() {
            return Pin::new(stream).poll_write_vectored(cx, pieces);
        }
        pieces.iter().for_each(|piece| room.extend_from_slice(piece));
        let sent = Pin::new(stream).poll_write(cx, room);
        room.fill(0);
        room.clear();
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::task::Waker;

    use super::*;

    /// Takes at most so many bytes at a time, and remembers how they came.
    struct Taker {
        most: usize,
        came: Vec<Vec<u8>>,
        vectored: usize,
    }

    impl AsyncWrite for Taker {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taker = self.get_mut();
            let len = bytes.len().min(taker.most);
            taker.came.push(bytes[..len].to_vec());
            Poll::Ready(Ok(len))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.get_mut().vectored += 1;
            Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn send(joined: &mut Joined<Taker>, pieces: [&[u8]; 2]) -> usize {
        let pieces = pieces.map(IoSlice::new);
        match Pin::new(joined).poll_write_vectored(&mut Context::from_waker(Waker::noop()), &pieces) {
            Poll::Ready(Ok(sent)) => sent,
            other => panic!("{other:?}"),
        }
    }

    fn joined(most: usize) -> Joined<Taker> {
        Joined::new(Taker { most, came: Vec::new(), vectored: 0 })
    }

    #[test]
    fn a_small_answer_is_sent_in_one_piece_and_not_kept() {
        let mut small = joined(usize::MAX);
        assert_eq!(send(&mut small, [b"head", b"value"]), 9);
        assert_eq!(small.stream.came, [b"headvalue"]);
        assert!(small.room.is_empty() && 9 <= small.room.capacity());
        assert_eq!(small.stream.vectored, 0);
    }

    #[test]
    fn what_was_not_taken_is_sent_again_by_whoever_has_it() {
        let mut slow = joined(6);
        assert_eq!(send(&mut slow, [b"head", b"value"]), 6);
        assert_eq!(send(&mut slow, [b"", b"lue"]), 3);
        assert_eq!(slow.stream.came.concat(), b"headvalue");
    }

    #[test]
    fn a_large_answer_is_not_copied() {
        let mut large = joined(usize::MAX);
        assert_eq!(send(&mut large, [b"head", &[0; JOINED_BYTES_MAX]]), JOINED_BYTES_MAX + 4);
        assert_eq!((large.stream.vectored, large.room.capacity()), (1, 0));
    }
}
