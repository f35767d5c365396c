//! Hybrid time under clocks that stand still, jump and run backwards. Shows V4.
//! Knows nothing of any real clock.

use covault_model::{
    hlc::{Hlc, HybridClock, Millis},
    limits::SKEW_MS_MAX,
};
use proptest::{
    collection::vec,
    prelude::{any, prop_oneof, proptest},
};

/// Ticks once at each of `walls`; every tick must come after the one before it and not before its wall.
fn check_ticks(clock: &mut HybridClock, walls: impl IntoIterator<Item = u64>) {
    for wall in walls {
        let before = clock.last();
        let tick = clock.tick(Millis(wall));
        assert!(before < tick, "{tick:?} at {wall} is not after {before:?}");
        assert!(Hlc::start_of(Millis(wall)) <= tick, "{tick:?} is before its wall {wall}");
        assert_eq!(clock.last(), tick);
    }
}

#[test]
fn ticks_rise_while_the_wall_clock_stands_still() {
    let mut clock = HybridClock::resume_after(Hlc::default());
    check_ticks(&mut clock, std::iter::repeat_n(1_000, 70_000));
    assert_eq!(clock.last().millis(), Millis(1_001), "a full counter carries into the milliseconds");
}

#[test]
fn ticks_rise_while_the_wall_clock_runs_backwards() {
    check_ticks(&mut HybridClock::resume_after(Hlc::default()), (0..1_000).rev());
}

#[test]
fn a_tick_follows_the_wall_clock_when_that_is_ahead() {
    let mut clock = HybridClock::resume_after(Hlc::start_of(Millis(5)));
    assert_eq!(clock.tick(Millis(9)), Hlc::start_of(Millis(9)));
}

#[test]
fn a_clock_that_was_restored_gives_only_later_times() {
    let stored = Hlc::end_of(Millis(9_000));
    let tick = HybridClock::resume_after(stored).tick(Millis(10));
    assert!(stored < tick);
    assert_eq!(tick, Hlc::start_of(Millis(9_001)));
}

#[test]
fn a_time_from_elsewhere_counts_up_to_the_skew_bound_and_not_beyond() {
    let now = Millis(1_000_000);
    let bound = Millis(now.0 + SKEW_MS_MAX);
    for (seen, counts) in [
        (Hlc::default(), true),
        (Hlc::start_of(now), true),
        (Hlc::start_of(bound), true),
        (Hlc::end_of(bound), true),
        (Hlc::end_of(bound).next(), false),
        (Hlc(u64::MAX), false),
    ] {
        let start = Hlc::start_of(Millis(77));
        let mut clock = HybridClock::resume_after(start);
        assert_eq!(seen.is_beyond_skew(now), !counts, "{seen:?}");
        assert_eq!(clock.observe(seen, now), counts, "{seen:?}");
        let expected = if counts { seen.max(start) } else { start };
        assert_eq!(clock.last(), expected, "{seen:?}: nothing of a refused time stays");
    }
}

#[test]
fn a_wall_clock_at_its_end_neither_wraps_nor_panics() {
    let end = Millis(u64::MAX);
    assert!(!Hlc(u64::MAX).is_beyond_skew(end));
    assert_eq!(Hlc::start_of(end).millis(), Millis(u64::MAX >> 16));
    assert_eq!(Hlc::end_of(end), Hlc(u64::MAX));
    assert_eq!(Hlc(u64::MAX).next(), Hlc(u64::MAX));
    check_ticks(&mut HybridClock::resume_after(Hlc::default()), [u64::MAX, 0, u64::MAX]);
}

#[test]
fn a_millisecond_is_48_bits_above_16_of_counter() {
    assert_eq!(Hlc::start_of(Millis(1)), Hlc(0x1_0000));
    assert_eq!(Hlc::end_of(Millis(1)), Hlc(0x1_ffff));
    assert_eq!(Hlc(0x1_ffff).millis(), Millis(1));
    assert_eq!(Hlc::end_of(Millis(1)).next(), Hlc::start_of(Millis(2)));
    assert_eq!(format!("{:?}", Hlc(0x2_0003)), "Hlc(2+3)");
}

proptest! {
    #[test]
    fn ticks_rise_under_any_wall_clock_and_over_restarts(
        last in 0..u64::MAX / 2,
        days in vec(vec(prop_oneof![0..2_000_000_000_000_u64, 5_u64..9, any::<u64>()], 1..40), 1..5),
    ) {
        let mut clock = HybridClock::resume_after(Hlc(last));
        for walls in days {
            check_ticks(&mut clock, walls);
            clock = HybridClock::resume_after(clock.last());
        }
    }

    #[test]
    fn what_was_seen_and_counted_lies_before_every_later_tick(
        seen in vec((any::<u64>(), 0..100_000_u64), 1..40),
    ) {
        let mut clock = HybridClock::resume_after(Hlc::default());
        for (seen, now) in seen {
            let (before, seen, now) = (clock.last(), Hlc(seen >> 30), Millis(now));
            if clock.observe(seen, now) {
                assert!(seen < clock.tick(now));
            } else {
                assert_eq!(clock.last(), before);
                assert!(now.0 + SKEW_MS_MAX < seen.millis().0);
            }
        }
    }
}
