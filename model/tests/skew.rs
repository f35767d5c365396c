//! When a node takes its own clock for wrong. Shows V5.

use covault_model::{limits::SKEW_MS_MAX, skew::Skew};

const BOUND: i64 = SKEW_MS_MAX as i64;
const WILD: [i64; 4] = [i64::MIN, -1_000_000, 1_000_000, i64::MAX];

fn is_wrong(others: &[i64]) -> bool {
    Skew::against(others.iter().copied().map(Skew)).is_beyond_bound()
}

/// Every choice of `count` of what a liar may say.
fn lies(count: usize) -> Vec<Vec<i64>> {
    (0..count).fold(vec![Vec::new()], |shorter, _| {
        let longer = |lies: &Vec<i64>| WILD.map(|lie| [lies.as_slice(), &[lie]].concat());
        shorter.iter().flat_map(longer).collect()
    })
}

#[test]
fn fewer_than_half_of_the_members_cannot_stop_a_sound_clock_whatever_they_say() {
    for liars in 0..=3 {
        // As many honest ones as liars at least, itself among them.
        for honest in [vec![1; liars], vec![-BOUND; liars], vec![BOUND; liars]] {
            for lies in lies(liars) {
                let others = [&lies[..], &honest[..honest.len().saturating_sub(1)]].concat();
                assert!(!is_wrong(&others), "{others:?}");
            }
        }
    }
}

#[test]
fn a_clock_that_most_others_contradict_is_wrong() {
    for ahead in [BOUND + 1, -BOUND - 1, i64::MAX, i64::MIN] {
        assert!(is_wrong(&[ahead, ahead]));
        assert!(is_wrong(&[ahead, ahead, ahead]));
        assert!(is_wrong(&[ahead, ahead, ahead, 0]));
    }
    assert!(!is_wrong(&[BOUND, BOUND]), "as far as it may be");
}

#[test]
fn of_two_clocks_neither_is_judged_by_the_other_alone() {
    assert!(!is_wrong(&[]));
    assert!(WILD.iter().all(|said| !is_wrong(&[*said])));
    assert!(!is_wrong(&[BOUND + 1, BOUND + 1, 0]), "two against two");
}

#[test]
fn the_skew_says_which_way_and_how_far() {
    assert_eq!(Skew::against([Skew(-70), Skew(-50)]), Skew(50), "others behind it: it is ahead");
    assert_eq!(Skew::against([Skew(70), Skew(50), Skew(i64::MAX)]), Skew(-50));
    assert_eq!(Skew::against([]), Skew(0));
}
