//! `sim run`: many seeds, each in a process of its own, several side by side. Says which of them failed by which rules,
//! how to see it again, and what all of them tried together. Knows nothing of how a run is judged.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;

use super::{
    Children, Ending, Seeds,
    child::{Cage, Left},
    crew,
    failure::Failure,
    one,
    progress::Progress,
    which,
};
use crate::{plan::Plan, summary::Summary, telling, verdict::Verdict};

/// As many violations of one seed are printed; the others are counted.
const SHOWN_MAX: usize = 10;

/// Run many seeds and judge each
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    children: Children,
    /// A folder for the summary, and for the stories and logs of seeds that fail.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs them.
pub fn run(args: &RunArgs) -> Result<Ending, Failure> {
    let (cage, jobs, begun) = (args.children.cage()?, args.children.jobs(), Instant::now());
    if let Some(out) = &args.out {
        fs::create_dir_all(out).map_err(Failure::file(out))?;
    }
    let mut summary = Summary::default();
    let mut progress = Progress::of(args.seeds.seeds);
    let mut failure = None;
    let work = |plan| try_plan(&cage, &plan, args.out.as_deref());
    crew::each(args.seeds.plans(), jobs, work, |tried| match tried {
        Ok(verdict) => {
            progress.done(verdict.holds());
            summary.add(&verdict);
            if !verdict.holds() {
                progress.say(&told(&verdict));
            }
        }
        Err(error) => failure = Some(error),
    });
    drop(progress);
    if let Some(failure) = failure {
        return Err(failure);
    }
    if let Some(out) = &args.out {
        one::write(&out.join("summary.json"), &summary)?;
    }
    println!("{summary}\n{}", summary.pace(begun.elapsed(), jobs));
    Ok(if summary.failing.is_empty() { Ending::Well } else { Ending::Ill })
}

/// Runs one, and keeps what it left if it failed and there is a folder for it.
fn try_plan(cage: &Cage, plan: &Plan, out: Option<&Path>) -> Result<Verdict, Failure> {
    let Some(out) = out else { return Ok(cage.judge(plan)?.verdict) };
    let Left { verdict, story, log } = cage.hear_failure(plan)?;
    if !verdict.holds() {
        let seed = plan.seed;
        let log_path = out.join(format!("{seed}.stderr.txt"));
        fs::write(&log_path, log).map_err(Failure::file(&log_path))?;
        if let Some(story) = story {
            one::write(&out.join(format!("{seed}.story.json")), &story)?;
        }
    }
    Ok(verdict)
}

/// What is said of a seed that failed.
fn told(verdict: &Verdict) -> String {
    let mut lines = telling::plan(&verdict.plan);
    lines.extend(violations(verdict));
    lines.push(format!("see it again: {}", which::replays(&verdict.plan)));
    lines.join("\n") + "\n"
}

/// The violations of a verdict, in lines.
pub fn violations(verdict: &Verdict) -> Vec<String> {
    let line = |violation: &crate::checkers::Violation| {
        format!("VIOLATED {} at {:.3} s: {}", violation.rule, violation.at_us as f64 / 1e6, violation.says)
    };
    let mut lines: Vec<String> = verdict.violations.iter().take(SHOWN_MAX).map(line).collect();
    if SHOWN_MAX < verdict.violations.len() {
        lines.push(format!("and {} more", verdict.violations.len() - SHOWN_MAX));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict;

    #[test]
    fn a_seed_that_failed_is_told_with_its_plan_its_violations_and_the_way_to_see_it_again() {
        let mut verdict =
            Verdict::without_a_story(Plan::draw(77), verdict::HUNG, "it was ended after 5s".into());
        let one = verdict.violations[0].clone();
        verdict.violations.extend(vec![one; 20]);
        let told = told(&verdict);
        for part in [
            "seed 77: ",
            "VIOLATED a run ends in time at 0.000 s: it was ended after 5s",
            "and 11 more",
            "see it again: cargo run --release -p sim -- replay 77",
        ] {
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
    }
}
