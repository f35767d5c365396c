//! What three and five nodes answer while the wires between them are cut, slow or lossy, cell by cell of the table in
//! docs/failure.md: in both directions and in one, for a node that leads and for one that does not, and for halves of
//! the cluster. It never takes for ever, the leader does not change for ever, and afterwards everything acknowledged
//! is on every node and all tell the same (D1, E2, V3, X5, X7, R1, R2, T2).
//! `COVAULT_SEED` repeats which packets are lost.

use crate::support::{
    Chance, Trial, Wire, Wires,
    trial::{ALONE, Row, SERVES},
};

/// What is done to the wires, and which nodes reach no majority by it.
struct Fault {
    name: &'static str,
    wire: Wire,
    /// Whether it is done to the wire from one place to another, given the places in the order of [`Fault::order`].
    to: fn(usize, usize) -> bool,
    /// How many of the first places reach no majority.
    alone: usize,
    /// How many of the next ones may reach one or not.
    either: usize,
}

const CUT_OFF: Fault =
    Fault { name: "cut off", wire: Wire::CUT, to: |from, to| from == 0 || to == 0, alone: 1, either: 0 };
const NOT_HEARD: Fault =
    Fault { name: "hears and is not heard", wire: Wire::CUT, to: |from, _| from == 0, alone: 1, either: 0 };
const HEARS_NOT: Fault =
    Fault { name: "is heard and does not hear", wire: Wire::CUT, to: |_, to| to == 0, alone: 1, either: 0 };
const TOO_FAR: Fault = Fault {
    name: "too far away",
    wire: Wire::slow(150),
    to: |from, to| from == 0 || to == 0,
    alone: 0,
    either: 1,
};
const FAR_AWAY: Fault = Fault {
    name: "far away",
    wire: Wire::slow(20),
    to: |from, to| from == 0 || to == 0,
    alone: 0,
    either: 0,
};
const ALL_FAR: Fault =
    Fault { name: "all far apart", wire: Wire::slow(20), to: |_, _| true, alone: 0, either: 0 };
const ON_OTHER_CONTINENTS: Fault =
    Fault { name: "on other continents", wire: Wire::slow(125), to: |_, _| true, alone: 0, either: 0 };
const LOSSY: Fault =
    Fault { name: "a packet in twenty lost", wire: Wire::lossy(5), to: |_, _| true, alone: 0, either: 0 };
const TWO_AND_THREE: Fault = Fault {
    name: "two and three",
    wire: Wire::CUT,
    to: |from, to| (from < 2) != (to < 2),
    alone: 2,
    either: 0,
};
const TWO_TWO_ONE: Fault = Fault {
    name: "two, two and one",
    wire: Wire::CUT,
    to: |from, to| from / 2 != to / 2,
    alone: 5,
    either: 0,
};

/// Has the fault strike, the node at `first` before all others, and heal again.
fn strike(trial: &Trial, wires: &Wires, fault: &Fault, first: usize) {
    let order = [vec![first], trial.cluster.others_than(first)].concat();
    let rank = |place: usize| order.iter().position(|other| *other == place).unwrap();
    wires.set(fault.wire, |from, to| (fault.to)(rank(from), rank(to)));
    let (alone, rest) = order.split_at(fault.alone);
    let others = &rest[fault.either..];
    alone.iter().for_each(|place| trial.until_alone(*place));
    let rows =
        |places: &[usize], row| places.iter().map(|place| (*place, row)).collect::<Vec<(usize, &Row)>>();
    trial.check_come_to(&[rows(alone, &ALONE), rows(others, &SERVES)].concat());
    wires.heal();
    trial.check_come_to(&rows(&order, &SERVES));
    trial.healed();
}

/// Each fault with the leader hit first, or with another node.
fn survive(nodes: usize, faults: &[(Fault, bool)]) {
    let mut chance = Chance::announced("faults");
    survive_in(Trial::start_wired(nodes, chance.next()), faults);
}

fn survive_in((trial, wires): (Trial, Wires), faults: &[(Fault, bool)]) {
    let nodes = trial.cluster.places().len();
    for (fault, hits_leader) in faults {
        let leader = trial.cluster.leader(0);
        let first = if *hits_leader { leader } else { (leader + 1) % nodes };
        let whom = if *hits_leader { "the leader" } else { "another" };
        println!("faults: {nodes} nodes, {}: {whom}", fault.name);
        let lost = wires.lost();
        strike(&trial, &wires, fault, first);
        assert!(fault.wire.loses() == (lost < wires.lost()), "the fault did what it is called");
    }
    trial.cluster.stop_and_check();
}

#[test]
fn three_nodes_whose_wires_fail_answer_as_the_table_says_and_heal() {
    survive(
        3,
        &[
            (CUT_OFF, true),
            (CUT_OFF, false),
            (NOT_HEARD, true),
            (NOT_HEARD, false),
            (HEARS_NOT, true),
            (HEARS_NOT, false),
            (TOO_FAR, true),
            (TOO_FAR, false),
            (FAR_AWAY, true),
            (FAR_AWAY, false),
            (ALL_FAR, true),
            (LOSSY, true),
        ],
    );
}

#[test]
fn nodes_that_are_told_how_far_apart_they_are_agree_over_that_distance() {
    let mut chance = Chance::announced("faults");
    let trial = Trial::start_far_apart(3, chance.next());
    survive_in(trial, &[(ON_OTHER_CONTINENTS, true), (CUT_OFF, true)]);
}

#[test]
fn five_nodes_whose_wires_fail_answer_as_the_table_says_and_heal() {
    survive(
        5,
        &[
            (CUT_OFF, true),
            (NOT_HEARD, true),
            (HEARS_NOT, true),
            (HEARS_NOT, false),
            (FAR_AWAY, true),
            (ALL_FAR, true),
            (LOSSY, true),
            (TWO_AND_THREE, true),
            (TWO_AND_THREE, false),
            (TWO_TWO_ONE, true),
        ],
    );
}
