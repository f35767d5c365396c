//! The line of a secret's versions, and the state of each. Shows V3 on every small line and on random
//! long ones. Knows nothing of where the line is kept.

use covault_model::{
    hlc::{Hlc, Millis},
    id::RecordId,
    line::{Place, Standing, State, Validity, last_place_at},
};
use proptest::{
    collection::btree_set,
    prelude::{Strategy, any, proptest},
};

fn place(time: u64, id: u8) -> Place {
    Place { time: Hlc(time), id: RecordId([id; 32]) }
}

/// Each place of the line with the stretch in which it is in force.
fn validities(line: &[Place]) -> Vec<(Place, Validity)> {
    let next = |at: usize| line.get(at + 1);
    line.iter().enumerate().map(|(at, place)| (*place, Validity::between(place, next(at)))).collect()
}

fn check(line: &[Place], time: Hlc) {
    let in_force: Vec<Place> = validities(line)
        .into_iter()
        .filter(|(_, validity)| validity.covers(time))
        .map(|(place, _)| place)
        .collect();
    // The greatest place whose time has come, by a search of the test's own.
    let expected = line.iter().rfind(|place| place.time <= time);
    assert_eq!(in_force, Vec::from_iter(expected.copied()), "at {time:?} of {line:?}");
}

#[test]
fn exactly_one_version_is_in_force_at_any_time_of_any_small_line() {
    let places: Vec<Place> = (1..=3).flat_map(|time| (1..=3).map(move |id| place(time, id))).collect();
    for chosen in 0_u32..1 << places.len() {
        let line: Vec<Place> =
            places.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1).map(|(_, p)| *p).collect();
        for time in 0..=4 {
            check(&line, Hlc(time));
        }
    }
}

#[test]
fn of_two_versions_of_one_time_the_greater_id_is_in_force() {
    let line = [place(5, 1), place(5, 2), place(9, 0)];
    let [(_, first), (_, second), (_, third)] = validities(&line)[..] else { panic!("three places") };
    assert_eq!((first.from, first.to), (Hlc(5), Some(Hlc(5))), "in force for no time at all");
    assert_eq!((second.from, second.to), (Hlc(5), Some(Hlc(9))));
    assert_eq!((third.from, third.to), (Hlc(9), None), "the last one is open");
    assert!(!first.covers(Hlc(5)));
    assert!(second.covers(Hlc(5)) && second.covers(Hlc(8)) && !second.covers(Hlc(9)));
    assert!(third.covers(Hlc(9)) && third.covers(Hlc(u64::MAX)));
}

#[test]
fn the_line_is_ordered_by_time_and_then_by_id() {
    assert!(place(1, 9) < place(2, 0));
    assert!(place(2, 0) < place(2, 1));
}

#[test]
fn a_millisecond_takes_in_all_its_versions_and_none_later() {
    let end = last_place_at(Millis(7));
    assert!(Place { time: Hlc::end_of(Millis(7)), id: RecordId([0xff; 32]) } <= end);
    assert!(Place { time: Hlc::start_of(Millis(7)), id: RecordId([0; 32]) } <= end);
    assert!(end < Place { time: Hlc::start_of(Millis(8)), id: RecordId([0; 32]) });
}

/// Rows: agreed, passed over, last. Columns: neither, deleted, destroyed, deleted and destroyed.
const STATES: [(bool, bool, bool, [State; 4]); 8] = {
    const fn row(kept: State) -> [State; 4] {
        [kept, State::Deleted, State::Destroyed, State::Destroyed]
    }
    [
        (false, false, false, row(State::Provisional)),
        (false, false, true, row(State::Provisional)),
        (false, true, false, row(State::Superseded)),
        (false, true, true, row(State::Superseded)),
        (true, false, false, row(State::Past)),
        (true, false, true, row(State::Current)),
        (true, true, false, row(State::Past)),
        (true, true, true, row(State::Current)),
    ]
};

#[test]
fn every_standing_has_the_state_of_the_table() {
    for (agreed, passed_over, last, states) in STATES {
        for (column, expected) in states.into_iter().enumerate() {
            let (deleted, destroyed) = (column & 1 == 1, column & 2 == 2);
            let standing = Standing { agreed, passed_over, last, deleted, destroyed };
            assert_eq!(State::of(standing), expected, "{standing:?}");
        }
    }
}

#[test]
fn states_are_called_what_the_contract_calls_them() {
    let states = [
        State::Current,
        State::Past,
        State::Provisional,
        State::Superseded,
        State::Deleted,
        State::Destroyed,
    ];
    let words = states.map(State::as_str);
    assert_eq!(words, ["current", "past", "provisional", "superseded", "deleted", "destroyed"]);
}

proptest! {
    #[test]
    fn exactly_one_version_is_in_force_at_any_time_of_any_line(
        line in btree_set((0..200_u64, any::<u8>()).prop_map(|(time, id)| place(time, id)), 0..60),
        time in 0..210_u64,
    ) {
        let line: Vec<Place> = line.into_iter().collect();
        check(&line, Hlc(time));
        for place in &line {
            check(&line, place.time);
        }
        for pair in validities(&line).windows(2) {
            assert_eq!(pair[0].1.to, Some(pair[1].1.from), "no gap and no overlap");
        }
    }
}
