//! A question that many may ask at once and that one answer serves: one is asked at a time, and whoever comes while it is
//! under way waits for the next, since that answer may be about a moment before. So strangers who ask for much have little
//! asked. Keeps N4 with whoever asks. Knows nothing of what is asked.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Answers of one kind, each good for all who came before it was asked for.
pub(super) struct Shared<T> {
    /// How many times it was asked.
    asked: AtomicU64,
    /// The last answer, and which it is; held while another is under way.
    last: Mutex<Option<(u64, T)>>,
}

impl<T: Clone> Shared<T> {
    pub fn new() -> Self {
        Self { asked: AtomicU64::new(0), last: Mutex::new(None) }
    }

    /// What came of an `ask` that began after this call.
    pub async fn answer(&self, ask: impl Future<Output = T>) -> T {
        let before = self.asked.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        match &*last {
            Some((number, answer)) if before < *number => answer.clone(),
            _ => {
                let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
                let answer = ask.await;
                *last = Some((number, answer.clone()));
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::poll_fn,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn poll<T>(waiting: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        waiting.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn whoever_comes_while_it_is_asked_shares_the_next_answer() {
        let (shared, asked, open) = (Shared::new(), Cell::new(0), Cell::new(false));
        let ask = || async {
            asked.set(asked.get() + 1);
            let number = asked.get();
            poll_fn(|_| if open.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            number
        };
        let (mut first, mut second, mut third) =
            (pin!(shared.answer(ask())), pin!(shared.answer(ask())), pin!(shared.answer(ask())));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        assert_eq!(asked.get(), 1, "one is asked at a time");
        open.set(true);
        assert_eq!(poll(first.as_mut()), Poll::Ready(1));
        assert_eq!(poll(second.as_mut()), Poll::Ready(2), "the first was asked before it came");
        assert_eq!(poll(third.as_mut()), Poll::Ready(2));
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn who_asks_and_goes_away_keeps_nobody_waiting() {
        let shared = Shared::new();
        {
            let mut gone = pin!(shared.answer(std::future::pending()));
            assert!(poll(gone.as_mut()).is_pending());
        }
        assert_eq!(poll(pin!(shared.answer(std::future::ready(7)))), Poll::Ready(7));
    }
}
