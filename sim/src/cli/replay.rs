//! `sim replay`: runs one seed again, in this process, and tells what happened line by line, and then the verdict. Knows
//! nothing of other runs.

use clap::Args;

use super::{Ending, failure::Failure, one, run, which::Which};
use crate::telling;

/// Run one seed again and step through what happened
#[derive(Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    which: Which,
    /// Write the nodes' logs to stderr too, with simulated time and each event as it happens; `RUST_LOG` says how much.
    #[arg(long)]
    trace: bool,
}

/// Replays it.
pub fn run(args: &ReplayArgs) -> Result<Ending, Failure> {
    let plan = args.which.plan()?;
    let root = tempfile::tempdir().map_err(Failure::Start)?;
    telling::plan(&plan).iter().for_each(|line| println!("{line}"));
    let (verdict, story) = one::judge(plan, root.path(), args.trace)?;
    for line in story.iter().flat_map(telling::lines) {
        println!("{line}");
    }
    run::violations(&verdict).iter().for_each(|line| println!("{line}"));
    let seconds = verdict.simulated_us as f64 / 1e6;
    let operations = verdict.coverage.operations();
    let said = if verdict.holds() { "every rule held" } else { "FAILED" };
    println!("{said}: {seconds:.1} simulated seconds, {operations} operations, digest {}", verdict.digest);
    Ok(if verdict.holds() { Ending::Well } else { Ending::Ill })
}
