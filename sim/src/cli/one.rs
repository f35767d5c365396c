//! `sim one`: one run in this process, which does nothing else. Others start it for each run, so that nothing of one run
//! is left over in the next. Knows nothing of other runs.

use std::{
    fs, panic,
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

use clap::Args;
use covault::api::{metrics::Metrics, routes::Operation};
use covault_model::mutant::Mutant;

use super::{Ending, failure::Failure, which::Which};
use crate::{
    checkers, interpose,
    journal::Journal,
    logbook,
    plan::Plan,
    story::Story,
    verdict::{self, Verdict},
    world::{self, LOGS},
};

/// One run in this process.
#[derive(Args)]
pub struct OneArgs {
    #[command(flatten)]
    which: Which,
    /// Where the nodes' files go; a temporary folder unless told.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Where the story goes.
    #[arg(long, value_name = "FILE")]
    story: Option<PathBuf>,
    /// Where the story goes if the run fails.
    #[arg(long, value_name = "FILE", conflicts_with = "story")]
    story_of_failure: Option<PathBuf>,
    /// Where the verdict goes.
    #[arg(long, value_name = "FILE")]
    verdict: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: &OneArgs) -> Result<Ending, Failure> {
    let plan = args.which.plan()?;
    let (verdict, story) = match &args.root {
        Some(root) => judge(plan, root, false),
        None => judge(plan, tempfile::tempdir().map_err(Failure::Start)?.path(), false),
    }?;
    let of_failure = args.story_of_failure.as_ref().filter(|_| !verdict.holds());
    if let (Some(path), Some(story)) = (args.story.as_ref().or(of_failure), &story) {
        write(path, story)?;
    }
    if let Some(path) = &args.verdict {
        write(path, &verdict)?;
    }
    Ok(if verdict.holds() { Ending::Well } else { Ending::Ill })
}

/// Runs a plan in this process, which has run none before, and judges it. Somebody may read along on stderr.
pub fn judge(plan: Plan, root: &Path, read_along: bool) -> Result<(Verdict, Option<Story>), Failure> {
    end_with_a_panic();
    logbook::open(&root.join(LOGS), read_along).map_err(Failure::Start)?;
    let journal = if read_along { Journal::aloud() } else { Journal::default() };
    let mutant = Mutant::ALL.iter().find(|mutant| plan.mutant.as_deref() == Some(mutant.name()));
    mutant.into_iter().for_each(|mutant| mutant.turn_on());
    // A clock of the metrics measures the processor's against the machine's, once, and the second has to move meanwhile.
    Metrics::new().answered(Operation::Unknown, 200, Duration::ZERO);
    // In a thread that has drawn nothing yet: what was drawn before, such as the keys of hash maps, is not of the seed.
    let simulated = || {
        interpose::enter(plan.seed);
        world::run(plan.clone(), root, journal)
    };
    let told = thread::scope(|scope| scope.spawn(simulated).join());
    Ok(match told.unwrap_or_else(|_| process::abort()) {
        Ok(story) => (Verdict::on(&story, checkers::all(&story)), Some(story)),
        Err(error) => (Verdict::without_a_story(plan, verdict::UNTOLD, error.to_string()), None),
    })
}

/// Has a panic end the process, in whatever task it is: tokio would go on without that task.
fn end_with_a_panic() {
    let say = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        say(panic);
        process::abort();
    }));
}

/// Writes a file of JSON.
pub fn write(path: &Path, what: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec(what).expect("what is told is data and has a text");
    fs::write(path, text).map_err(Failure::file(path))
}
