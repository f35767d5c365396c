//! One timer for every wait of a connection. A connection waits for the head of each of its requests, and mostly not for
//! long: to set a timer and take it away each time costs more than to leave one set, which goes off once in a while and is
//! then set for what is waited for by then.
//! Knows nothing of what is waited for.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{self, Duration},
};

use hyper::rt::{Sleep, Timer};
use tokio::time::{Instant, Sleep as TokioSleep, sleep_until};

/// The timer of one connection, in whose task everything waits that it is asked for.
#[derive(Clone, Default)]
pub struct Alarm(Arc<Mutex<Option<Pin<Box<TokioSleep>>>>>);

/// A wait. The alarm is set for its end or earlier, once it was looked at.
struct Wait {
    alarm: Alarm,
    until: Instant,
}

impl Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until((Instant::now() + duration).into())
    }

    fn sleep_until(&self, deadline: time::Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { alarm: self.clone(), until: deadline.into() })
    }

    fn now(&self) -> time::Instant {
        Instant::now().into()
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(self.until)));
        if self.until < alarm.deadline() {
            alarm.as_mut().reset(self.until);
        }
        while alarm.as_mut().poll(context).is_ready() {
            if self.until <= alarm.deadline() {
                return Poll::Ready(());
            }
            // It was set for a wait before this one.
            alarm.as_mut().reset(self.until);
        }
        Poll::Pending
    }
}

impl Sleep for Wait {}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_time_whatever_was_waited_for_before() {
        let alarm = Alarm::default();
        for (seconds, looked_at_for) in [(10, 1), (5, 4), (30, 29), (3, 0), (20, 20), (1, 1)] {
            let began = Instant::now();
            let wait = alarm.sleep(seconds * SECOND);
            let early = timeout(looked_at_for * SECOND, wait).await;
            assert_eq!(early.is_ok(), seconds == looked_at_for, "{seconds} s");
            assert_eq!(began.elapsed().as_secs(), u64::from(looked_at_for));
        }
        let began = Instant::now();
        alarm.sleep(7 * SECOND).await;
        assert_eq!(began.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_that_follow_each_other_set_the_alarm_once() {
        let alarm = Alarm::default();
        let set_for = || alarm.0.lock().ok()?.as_ref().map(|alarm| alarm.deadline());
        let mut first = None;
        for _ in 0..9 {
            let left = timeout(SECOND, alarm.sleep(10 * SECOND)).await;
            assert!(left.is_err());
            assert_eq!(*first.get_or_insert_with(set_for), set_for());
        }
    }
}
