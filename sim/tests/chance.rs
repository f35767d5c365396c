//! What a thread in a simulation is told when it asks the system for chance and the time, whichever way its libraries
//! ask, and that nobody else is told it. Each simulation here is a thread of its own.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant, SystemTime},
};

use rand::{Rng, TryRng, rngs::SysRng};
use sim::interpose::{self, EPOCH_SECONDS};

/// All that a thread draws: the system's bytes, those of rand's own generator, and the order of a hash map.
type Drawn = (Vec<u8>, Vec<u8>, Vec<u32>);

fn draw() -> Drawn {
    let (mut system, mut thread) = (vec![0; 100], vec![0; 100]);
    SysRng.try_fill_bytes(&mut system).unwrap();
    rand::rng().fill_bytes(&mut thread);
    let map: HashMap<u32, ()> = (0..50).map(|key| (key, ())).collect();
    (system, thread, map.into_keys().collect())
}

/// Runs `work` in a new thread that has entered a simulation.
fn simulated<T: Send + 'static>(seed: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    let begin = move || {
        interpose::enter(seed);
        work()
    };
    thread::spawn(begin).join().unwrap()
}

fn real<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(work).join().unwrap()
}

#[test]
fn the_same_seed_draws_the_same_by_every_way() {
    let (first, second, other) = (simulated(7, draw), simulated(7, draw), simulated(8, draw));
    assert_eq!(first, second);
    assert!(
        first.0 != other.0 && first.1 != other.1 && first.2 != other.2,
        "another seed draws something else"
    );
}

#[test]
fn threads_that_entered_no_simulation_draw_from_the_machine() {
    let begun_by_a_simulated_one = || simulated(7, || real(draw));
    let all =
        [real(draw), real(draw), begun_by_a_simulated_one(), begun_by_a_simulated_one(), simulated(7, draw)];
    for (at, one) in all.iter().enumerate() {
        assert!(all[at + 1..].iter().all(|other| one.0 != other.0 && one.1 != other.1 && one.2 != other.2));
    }
}

#[test]
fn libraries_that_ask_by_number_are_answered_the_same() {
    let ask = || {
        let mut bytes = [0; 32];
        getrandom_by_number::getrandom(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(simulated(7, ask), simulated(7, ask));
    assert_ne!(simulated(7, ask), simulated(8, ask));
    assert_ne!(real(ask), real(ask));
}

#[test]
fn the_wall_clock_is_the_simulations_and_the_others_stand() {
    let since_1970 = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let epoch = Duration::from_secs(EPOCH_SECONDS.cast_unsigned());
    let (before, after, passed) = simulated(7, move || {
        let (before, begun) = (since_1970(), Instant::now());
        interpose::set_elapsed(Duration::from_millis(90_061_001));
        (before, since_1970(), begun.elapsed())
    });
    assert_eq!((before, after), (epoch, epoch + Duration::from_millis(90_061_001)));
    assert_eq!(passed, Duration::ZERO);
    let now = real(since_1970);
    assert!(now != epoch && now <= real(since_1970), "another thread has the machine's clock, which goes on");
}
