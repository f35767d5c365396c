//! `sim shrink`: a plan that fails, made small while the same rule is violated. Prints what is left as JSON, and the
//! command that runs it. Each try is a process of its own. Knows nothing of how plans are made smaller.

use std::{fs, path::PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::{Children, Ending, failure::Failure, run, which::Which};
use crate::{plan::Plan, shrinker, telling};

/// Make a plan that fails small
#[derive(Args)]
pub struct ShrinkArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    children: Children,
    /// As many plans are tried.
    #[arg(long, value_name = "N", default_value_t = 200)]
    tries: u32,
    /// Where the small plan goes.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Makes it small.
pub fn run(args: &ShrinkArgs) -> Result<Ending, Failure> {
    let (plan, cage) = (args.which.plan()?, args.children.cage()?);
    let verdict = cage.judge(&plan)?.verdict;
    let Some(violation) = verdict.violations.first() else {
        println!("every rule held: there is nothing to shrink");
        return Ok(Ending::Well);
    };
    run::violations(&verdict).iter().for_each(|line| println!("{line}"));
    let mut failure = None;
    let bar = ProgressBar::new_spinner().with_message(format!("plans that violate {}", violation.rule));
    let small = shrinker::shrink(plan, args.tries, |plan| {
        bar.inc(1);
        match cage.judge(plan) {
            Ok(left) => left.verdict.violates(&violation.rule),
            Err(error) => {
                failure = Some(error);
                false
            }
        }
    });
    bar.finish_and_clear();
    match failure {
        Some(failure) => Err(failure),
        None => say(&small, args),
    }
}

fn say(small: &Plan, args: &ShrinkArgs) -> Result<Ending, Failure> {
    telling::plan(small).iter().for_each(|line| println!("{line}"));
    let text = serde_json::to_string_pretty(small).expect("a plan is data and has a text");
    let default = || PathBuf::from(format!("plan-{}.json", small.seed));
    let path = args.out.clone().unwrap_or_else(default);
    fs::write(&path, &text).map_err(Failure::file(&path))?;
    println!("{text}");
    println!("see it: cargo run --release -p sim -- replay --plan {}", path.display());
    Ok(Ending::Ill)
}
