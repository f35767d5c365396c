//! `sim replay`: runs one seed again, in this process, and tells what happened line by line, and then the verdict. Knows
//! nothing of other runs.

use clap::Args;
use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime},
};

use super::{Ending, failure::Failure, one, run, which::Which};
use crate::{
    journal::{self, Journal},
    telling,
};

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
    let journal = if args.trace { traced() } else { Journal::default() };
    telling::plan(&plan).iter().for_each(|line| println!("{line}"));
    let (verdict, story) = one::judge(plan, root.path(), journal);
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

/// Has logs written, and a journal that is written as it happens.
fn traced() -> Journal {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,turmoil=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SimulatedTime)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    Journal::aloud()
}

/// The clock of the world, in the form of the journal.
struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, to: &mut Writer<'_>) -> std::fmt::Result {
        write!(to, "{:>10.3} ms", journal::now().as_secs_f64() * 1e3)
    }
}
