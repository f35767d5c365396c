//! `sim report`: one page that shows runs, drawn from seeds that are run for it or from stories that were kept. A story is
//! let go as soon as it is drawn. Knows nothing of how it is drawn.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Children, Ending, Seeds, crew, failure::Failure, progress::Progress, which};
use crate::{
    checkers,
    report::{self, Page},
    story::Story,
    summary::Summary,
    verdict::Verdict,
};

/// Draw runs on one HTML page
#[derive(Args)]
pub struct ReportArgs {
    /// Where the page goes.
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    children: Children,
    /// A folder that `run --out` wrote: what it kept is drawn, and nothing is run.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["seeds", "first", "small"])]
    stories: Option<PathBuf>,
}

/// Draws it.
pub fn run(args: &ReportArgs) -> Result<Ending, Failure> {
    let mut page = Page::default();
    match &args.stories {
        Some(folder) => of_folder(folder, &mut page)?,
        None => of_seeds(args, &mut page)?,
    }
    fs::write(&args.html, page.html()).map_err(Failure::file(&args.html))?;
    println!("{}", args.html.display());
    Ok(Ending::Well)
}

fn of_seeds(args: &ReportArgs, page: &mut Page) -> Result<(), Failure> {
    let cage = args.children.cage()?;
    let mut progress = Progress::of(args.seeds.seeds);
    let mut failure = None;
    let work = |plan| {
        let left = cage.hear(&plan)?;
        let drawn = left.story.as_ref().map(|story| report::draw(story, &left.verdict));
        Ok((left.verdict, drawn))
    };
    crew::each(args.seeds.plans(), args.children.jobs(), work, |drawn| match drawn {
        Ok((verdict, drawn)) => {
            progress.done(verdict.holds());
            page.add(&verdict, drawn);
        }
        Err(error) => failure = Some(error),
    });
    failure.map_or(Ok(()), Err)
}

fn of_folder(folder: &Path, page: &mut Page) -> Result<(), Failure> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut paths: Vec<PathBuf> =
        listed.map_err(Failure::file(folder))?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let is_story = |path: &&PathBuf| path.to_string_lossy().ends_with(".story.json");
    for path in paths.iter().filter(is_story) {
        let story: Story = which::read(path, "a story")?;
        let verdict = Verdict::on(&story, checkers::all(&story));
        page.add(&verdict, Some(report::draw(&story, &verdict)));
    }
    let summary = folder.join("summary.json");
    if summary.exists() {
        page.summary = which::read::<Summary>(&summary, "a summary")?;
    }
    Ok(())
}
