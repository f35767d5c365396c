//! `sim mutants`: shows that the rules bite. Each known bug is turned on, and small worlds are run until one of them is
//! found to break a rule, or until there were too many: first that of the seed that found this bug before. Knows nothing
//! of what the bugs are.

use clap::Args;
use covault_model::mutant::Mutant;

use super::{Children, Ending, child::Cage, crew, failure::Failure, which};
use crate::{plan::Plan, verdict::Verdict};

/// Turn on each known bug and see it found
#[derive(Args)]
pub struct MutantsArgs {
    /// Only this one.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// As many seeds are tried for each.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// The first of them, for all bugs; for each the seed that found it before unless told.
    #[arg(long, value_name = "S")]
    first: Option<u64>,
    #[command(flatten)]
    children: Children,
}

/// What came of one bug.
struct Hunt {
    mutant: Mutant,
    /// The first seed that found it, with what it said, and how many were run.
    found: Option<(Verdict, u64)>,
}

/// Hunts them.
pub fn run(args: &MutantsArgs) -> Result<Ending, Failure> {
    let wanted = |mutant: &Mutant| args.only.as_ref().is_none_or(|name| name == mutant.name());
    let mutants: Vec<Mutant> = Mutant::ALL.iter().copied().filter(wanted).collect();
    if mutants.is_empty() {
        let names = Mutant::ALL.iter().map(|mutant| mutant.name()).collect::<Vec<_>>().join(", ");
        return Err(Failure::Absent(format!("no known bug has that name; there are {names}")));
    }
    let cage = args.children.cage()?;
    let (mut missed, mut failure) = (0, None);
    let work = |mutant| {
        let first = args.first.unwrap_or_else(|| found_by(mutant));
        hunt(&cage, mutant, first..first.saturating_add(args.seeds))
    };
    crew::each(mutants.iter().copied(), args.children.jobs(), work, |hunted| match hunted {
        Ok(hunt) => {
            missed += usize::from(hunt.found.is_none());
            println!("{}", told(&hunt, args.seeds));
        }
        Err(error) => failure = Some(error),
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    println!("{} of {} known bugs were found", mutants.len() - missed, mutants.len());
    Ok(if missed == 0 { Ending::Well } else { Ending::Ill })
}

/// The seed whose small world was seen to find a bug. What a seed draws changes with the simulator; then the seeds after
/// it are tried, and this is to be brought up to date.
fn found_by(mutant: Mutant) -> u64 {
    match mutant {
        Mutant::MajorityOfOne => 20,
        Mutant::UnsyncedLog => 14,
        Mutant::ForgottenVote => 5,
        Mutant::OutOfOrder => 11,
        Mutant::OpenHistory => 5,
        Mutant::UnconditionalEpoch | Mutant::ForgedRecords => 3,
        Mutant::SharedTokens | Mutant::EarlyToken => 2,
        Mutant::BlindMiss => 21_660,
        Mutant::CreateTwice
        | Mutant::AnyCondition
        | Mutant::ForgottenKey
        | Mutant::HalfOfMany
        | Mutant::DestroyedStays
        | Mutant::LostMarks
        | Mutant::StaleMiss
        | Mutant::StaleView => 1,
    }
}

fn hunt(cage: &Cage, mutant: Mutant, seeds: std::ops::Range<u64>) -> Result<Hunt, Failure> {
    for (tried, seed) in (1..).zip(seeds) {
        let plan = Plan { mutant: Some(mutant.name().into()), ..Plan::draw_small(seed) };
        let verdict = cage.judge(&plan)?.verdict;
        if !verdict.holds() {
            return Ok(Hunt { mutant, found: Some((verdict, tried)) });
        }
    }
    Ok(Hunt { mutant, found: None })
}

fn told(hunt: &Hunt, seeds: u64) -> String {
    let name = hunt.mutant.name();
    match &hunt.found {
        None => format!("{name:<20} NOT FOUND in {seeds} seeds: {}", hunt.mutant.says()),
        Some((verdict, tried)) => {
            let first = verdict.violations.first();
            let (rule, says) = first.map_or(("", ""), |first| (first.rule.as_str(), first.says.as_str()));
            let again = which::replays(&verdict.plan);
            format!("{name:<20} found in {tried} seeds, by {rule}: {says}\n  see it again: {again}")
        }
    }
}
