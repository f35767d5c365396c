//! `sim twice`: each seed run two times, in two processes, and every event and packet compared. Says what differed first.
//! Knows nothing of rules.

use clap::Args;

use super::{Children, Ending, Seeds, child::Cage, crew, failure::Failure, progress::Progress, which};
use crate::{
    plan::Plan,
    story::{Event, Story},
};

/// Run each seed twice and compare the two
#[derive(Args)]
pub struct TwiceArgs {
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    children: Children,
}

/// Runs and compares them.
pub fn run(args: &TwiceArgs) -> Result<Ending, Failure> {
    let cage = args.children.cage()?;
    let mut progress = Progress::of(args.seeds.seeds);
    let (mut differing, mut failure) = (0, None);
    let work = |plan| compare(&cage, &plan).map(|difference| (plan, difference));
    crew::each(args.seeds.plans(), args.children.jobs(), work, |compared| match compared {
        Ok((plan, difference)) => {
            progress.done(difference.is_none());
            if let Some(difference) = difference {
                differing += 1;
                progress.say(&told(&plan, &difference));
            }
        }
        Err(error) => failure = Some(error),
    });
    drop(progress);
    if let Some(failure) = failure {
        return Err(failure);
    }
    println!("{} seeds run twice, {differing} of them not the same both times", args.seeds.seeds);
    Ok(if differing == 0 { Ending::Well } else { Ending::Ill })
}

/// What is said of a seed whose two runs were not the same.
fn told(plan: &Plan, difference: &str) -> String {
    format!("seed {}: {difference}\nsee one of them: {}", plan.seed, which::replays(plan))
}

fn compare(cage: &Cage, plan: &Plan) -> Result<Option<String>, Failure> {
    let (one, other) = (cage.hear(plan)?, cage.hear(plan)?);
    Ok(match (&one.story, &other.story) {
        (Some(one), Some(other)) => difference(one, other),
        _ if one.verdict == other.verdict => None,
        _ => Some(format!(
            "one run gave no story: {:?} and {:?}",
            one.verdict.violations, other.verdict.violations
        )),
    })
}

/// What differs first, if anything does.
fn difference(one: &Story, other: &Story) -> Option<String> {
    let said = |event: Option<&Event>| match event {
        Some(event) => format!("at {:.3} ms {:?}", event.at_us as f64 / 1e3, event.what),
        None => "the end".to_owned(),
    };
    let at = |story: &Story, index: usize| said(story.events.get(index));
    let longer = one.events.len().max(other.events.len());
    if let Some(index) = (0..longer).find(|index| one.events.get(*index) != other.events.get(*index)) {
        return Some(format!(
            "event {index} differs:\n  once  {}\n  twice {}\n  after {}",
            at(one, index),
            at(other, index),
            index.checked_sub(1).map_or("the beginning".to_owned(), |before| at(one, before))
        ));
    }
    if one.kept != other.kept {
        return Some("all events are the same, but not what the nodes kept".to_owned());
    }
    (one.digest != other.digest).then(|| "all events are the same, but not all packets".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        story::{Kept, What},
        telling::tests::{create, story},
    };

    #[test]
    fn a_seed_whose_runs_differ_is_told_with_the_command_that_shows_one() {
        let told = told(&Plan::draw_small(9), "all events are the same, but not all packets");
        assert!(told.starts_with("seed 9: all events") && told.ends_with("replay 9 --small"), "{told}");
    }

    #[test]
    fn two_runs_that_are_the_same_do_not_differ() {
        let mut told = story();
        told.push(1, What::Whole);
        assert_eq!(difference(&told, &told.clone()), None);
    }

    #[test]
    fn the_first_event_that_differs_is_named_with_both_forms_of_it() {
        let (mut one, mut other) = (story(), story());
        for story in [&mut one, &mut other] {
            story.push(1_000, What::Whole);
        }
        one.push(2_000, create(0, "n0"));
        one.push(3_000, What::Healed);
        other.push(2_000, create(0, "n1"));
        let said = difference(&one, &other).expect("they differ");
        assert!(said.starts_with("event 1 differs:"), "{said}");
        assert!(
            said.contains("n0") && said.contains("n1") && said.contains("after at 1.000 ms Whole"),
            "{said}"
        );
        assert!(!said.contains("Healed"), "{said}");
    }

    #[test]
    fn a_run_that_ends_earlier_a_disk_and_a_packet_make_a_difference() {
        let (mut one, other) = (story(), story());
        one.push(1, What::Whole);
        assert!(difference(&one, &other).is_some_and(|said| said.contains("twice the end")));
        let packet = Story { digest: "e".into(), ..story() };
        assert!(difference(&packet, &other).is_some_and(|said| said.contains("not all packets")));
        let disk = Story { kept: vec![Kept::default()], ..story() };
        assert!(difference(&disk, &other).is_some_and(|said| said.contains("what the nodes kept")));
    }
}
