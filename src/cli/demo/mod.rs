//! `covault demo`: three nodes of this machine show what a cluster does, and each claim is checked as it goes.
//! Works through HTTP and signals only, as anybody could. Knows nothing of how a cluster is made; `trial` does.

mod check;
mod cluster;
mod cut_off;
mod env;
mod folder;
mod healthy;
mod history;
mod killed;
mod narration;
mod tokens;

use std::{net::SocketAddr, time::Instant};

use clap::Args;

use super::{failure::Failure, output::Output, serve, trial::Trial};
use cluster::Cluster;
use folder::Folder;
use narration::Narration;

const NODES: usize = 3;
/// The secret that the whole demo is about.
const SECRET: &str = "app/db";

/// Show what a cluster of three nodes does when nodes fail, and check it.
///
/// Starts three nodes as processes in a temporary folder, writes and reads, kills one, cuts one off, brings them
/// back, encrypts a `.env` file, turns values into tokens, and says of each claim whether it holds and what was seen.
/// Ends with 1 at the first that does not. Takes about half a minute and leaves nothing behind.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault demo\n  covault demo --json\n  covault demo --keep\n\n\
    With --json each claim is one object on a line of its own: claim, holds, seen.")]
pub struct DemoArgs {
    /// Leave the data and the logs of the nodes, and say where they are.
    #[arg(long)]
    keep: bool,
}

impl DemoArgs {
    /// Shows and checks everything.
    ///
    /// # Errors
    /// When a claim does not hold, when the nodes cannot be started, or when it is told to stop.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let folder = Folder::new(self.keep)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new("cannot_start", error.to_string()))?;
        let shown = runtime.block_on(show(&folder, output));
        if self.keep {
            output.note(&format!("data and logs are left in {}", folder.path().display()));
        }
        shown
    }
}

/// Runs the demo on a cluster in `folder`; the nodes have stopped when it returns.
async fn show(folder: &Folder, output: &Output) -> Result<(), Failure> {
    let stopping = serve::stop_signal()?;
    tokio::pin!(stopping);
    let mut trial = Trial::of(folder.path(), SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let shown = tokio::select! {
        () = &mut stopping => Err(Failure::new("interrupted", "told to stop before all was shown")),
        shown = play(&mut trial, folder, output) => shown,
    };
    trial.stop();
    shown
}

/// The demo from its first claim to its last.
async fn play(trial: &mut Trial, folder: &Folder, output: &Output) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut narration = Narration::new(output);
    narration.say(&format!(
        "Three nodes are started, each a process of its own, with their data in\n  {}\n\
         They agree over QUIC on this machine. The demo asks them over HTTP, as any program would.",
        folder.path().display()
    ))?;
    trial.start(NODES).await?;
    let mut cluster = Cluster::new(trial);
    narration.say(&cluster.described())?;
    healthy::show(&cluster, &mut narration).await?;
    env::show(&cluster, &mut narration).await?;
    killed::show(&mut cluster, &mut narration).await?;
    cut_off::show(&mut cluster, &mut narration).await?;
    history::show(&cluster, &mut narration).await?;
    tokens::show(&mut cluster, &mut narration).await?;
    narration.end(begun.elapsed())
}
