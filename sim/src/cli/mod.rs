//! The commands of the simulator, one file each, and the way from the command line to an exit code. Knows nothing of
//! what happens in a world.

mod child;
mod crew;
mod failure;
mod mutants;
mod one;
mod progress;
mod replay;
mod report;
mod run;
mod shrink;
mod twice;
mod which;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};

use child::Cage;
use failure::Failure;

use crate::plan::Plan;

/// Whole Covault clusters on a simulated network, clock and disk, from one seed.
#[derive(Parser)]
#[command(name = "sim", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 every rule held, 1 one did not or the command failed, 2 usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::RunArgs),
    Replay(replay::ReplayArgs),
    Twice(twice::TwiceArgs),
    Shrink(shrink::ShrinkArgs),
    Mutants(mutants::MutantsArgs),
    Report(report::ReportArgs),
    #[command(hide = true)]
    One(one::OneArgs),
}

/// How a command ended that could do what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Every rule held.
    Well,
    /// One did not.
    Ill,
}

/// Which seeds, and which worlds of theirs.
#[derive(Args)]
struct Seeds {
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// The first of them.
    #[arg(long, value_name = "S", default_value_t = 1)]
    first: u64,
    /// Their small worlds: three nodes, harmed for a shorter time.
    #[arg(long)]
    small: bool,
}

impl Seeds {
    /// The plans of these seeds.
    fn plans(&self) -> impl Iterator<Item = Plan> + Send {
        let draw = if self.small { Plan::draw_small } else { Plan::draw };
        (self.first..self.first.saturating_add(self.seeds)).map(draw)
    }
}

/// How children are run.
#[derive(Args)]
struct Children {
    /// How many at once; as many as there are cores unless told.
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// The longest that one run may take, in real seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
}

impl Children {
    fn jobs(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or(cores, usize::from)
    }

    fn cage(&self) -> Result<Cage, Failure> {
        Cage::of_this_program(Duration::from_secs(self.patience))
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Twice(args) => twice::run(&args),
        Command::Shrink(args) => shrink::run(&args),
        Command::Mutants(args) => mutants::run(&args),
        Command::Report(args) => report::run(&args),
        Command::One(args) => one::run(&args),
    };
    match ended {
        Ok(Ending::Well) => ExitCode::SUCCESS,
        Ok(Ending::Ill) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn refused(line: &str) -> ErrorKind {
        match Cli::try_parse_from(line.split(' ')) {
            Ok(_) => panic!("{line} is a command line"),
            Err(error) => error.kind(),
        }
    }

    #[test]
    fn the_list_of_commands_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_seeds_or_no_jobs_or_words_for_numbers_are_refused() {
        assert_eq!(refused("sim run --seeds 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("sim run --jobs 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("sim run --first one"), ErrorKind::ValueValidation);
    }

    #[test]
    fn what_is_to_be_run_is_named_once() {
        assert_eq!(refused("sim replay"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("sim shrink"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("sim replay 1 --plan p.json"), ErrorKind::ArgumentConflict);
        assert_eq!(refused("sim replay --small --plan p.json"), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_report_needs_a_file_and_is_of_seeds_or_of_stories() {
        assert_eq!(refused("sim report"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("sim report --html f --stories d --seeds 2"), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn seeds_end_with_the_largest_number() {
        let seeds = Seeds { seeds: 5, first: u64::MAX - 1, small: false };
        assert_eq!(seeds.plans().map(|plan| plan.seed).collect::<Vec<_>>(), [u64::MAX - 1]);
    }
}
