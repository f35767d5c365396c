//! Work on many things with a few hands: each hand takes the next one when it is done with the last. What comes of them
//! is handed over as it comes, in one thread. Knows nothing of the work.

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
};

/// Does `work` on each, with so many `hands`; `done` gets what comes of it, in the order in which it comes.
pub fn each<In: Send, Out: Send>(
    things: impl Iterator<Item = In> + Send,
    hands: usize,
    work: impl Fn(In) -> Out + Sync,
    mut done: impl FnMut(Out),
) {
    let things = Mutex::new(things);
    let (sender, receiver) = mpsc::channel();
    let hand = |sender: Sender<Out>| {
        loop {
            let next = things.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(thing) = next else { return };
            if sender.send(work(thing)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..hands {
            let (hand, sender) = (&hand, sender.clone());
            scope.spawn(move || hand(sender));
        }
        drop(sender);
        receiver.iter().for_each(&mut done);
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everything_is_done_once_whatever_the_hands() {
        for hands in [1, 2, 9] {
            let mut done = Vec::new();
            each(0..50, hands, |thing| thing * 2, |out| done.push(out));
            assert_eq!(done.len(), 50);
            assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), (0..50).map(|thing| thing * 2).collect());
        }
    }
}
