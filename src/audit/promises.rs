//! How many lines are promised, and how many more may be before anybody looks for room. Keeps U1 with the log: counted
//! without a lock, and never too low.
//! Knows nothing of bytes, lines or files.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What is promised and what can be.
#[derive(Debug, Default)]
pub(super) struct Promises {
    open: AtomicU64,
    /// How many more can be given; below one, somebody has to look.
    free: AtomicI64,
}

impl Promises {
    /// Gives one more, which is open in any case. Whether there was room; if not, the caller has to find some.
    #[must_use]
    pub fn give(&self) -> bool {
        // First it is open. So whoever stops promises and then counts them has all that were given before.
        self.open.fetch_add(1, Ordering::Relaxed);
        0 < self.free.fetch_sub(1, Ordering::AcqRel)
    }

    /// One was kept, or nobody waits for it.
    pub fn end(&self) {
        self.open.fetch_sub(1, Ordering::Release);
    }

    /// From now on somebody has to look.
    pub fn stop(&self) {
        self.free.swap(0, Ordering::AcqRel);
    }

    /// How many are open. Of those that ended, whoever counts has seen what kept them.
    pub fn count(&self) -> u64 {
        self.open.load(Ordering::Acquire)
    }

    /// So many more can be given. To be called by whoever stopped them, and by one at a time.
    pub fn go_on(&self, more: u64) {
        self.free.store(more as i64, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{sync::Mutex, thread};

    use super::*;

    #[test]
    fn no_more_are_given_than_there_is_room_for() {
        let promises = Promises::default();
        assert!(!promises.give(), "nobody has looked for room yet");
        promises.go_on(2);
        assert_eq!([promises.give(), promises.give(), promises.give()], [true, true, false]);
        assert_eq!(promises.count(), 4);
        promises.end();
        assert!(!promises.give(), "what ended is room that somebody has to find");
    }

    #[test]
    fn whoever_looks_for_room_misses_no_promise_that_is_given_meanwhile() {
        const ROOM: u64 = 5;
        let (promises, held, looking) = (Promises::default(), AtomicU64::new(0), Mutex::new(()));
        let look = || {
            let _alone = looking.lock().unwrap();
            promises.stop();
            let rest = ROOM.checked_sub(promises.count());
            rest.inspect(|rest| promises.go_on(*rest)).is_some()
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if promises.give() || look() {
                            assert!(
                                held.fetch_add(1, Ordering::SeqCst) < ROOM,
                                "more are kept than there is room"
                            );
                            held.fetch_sub(1, Ordering::SeqCst);
                        }
                        promises.end();
                    }
                });
            }
        });
    }
}
