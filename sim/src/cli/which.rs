//! Which run: that of a seed, or that of a plan in a file. A plan is checked before anything runs by it. Knows nothing
//! of what is done with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::plan::Plan;

/// A run.
#[derive(Args)]
pub struct Which {
    /// The seed that draws its plan.
    #[arg(required_unless_present = "plan")]
    seed: Option<u64>,
    /// A file with its plan, as `shrink` prints it.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    plan: Option<PathBuf>,
    /// The seed's small world.
    #[arg(long, conflicts_with = "plan")]
    small: bool,
    /// With this known bug, by its name.
    #[arg(long, value_name = "NAME", conflicts_with = "plan")]
    mutant: Option<String>,
}

impl Which {
    /// Its plan.
    pub fn plan(&self) -> Result<Plan, Failure> {
        if let Some(path) = &self.plan {
            return read_plan(path);
        }
        let draw = if self.small { Plan::draw_small } else { Plan::draw };
        let plan = Plan { mutant: self.mutant.clone(), ..draw(self.seed.unwrap_or_default()) };
        plan.flaw().map_or(Ok(plan), |flaw| Err(Failure::Absent(flaw)))
    }
}

fn read_plan(path: &Path) -> Result<Plan, Failure> {
    let plan: Plan = read(path, "a plan")?;
    match plan.flaw() {
        None => Ok(plan),
        Some(why) => Err(Failure::Content { path: path.to_owned(), what: "a plan", why }),
    }
}

/// What a JSON file holds.
pub fn read<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, Failure> {
    let text = fs::read(path).map_err(Failure::file(path))?;
    let wrong =
        |error: serde_json::Error| Failure::Content { path: path.to_owned(), what, why: error.to_string() };
    serde_json::from_slice(&text).map_err(wrong)
}

/// The command that runs the plan of a seed again.
pub fn replays(plan: &Plan) -> String {
    let mutant = plan.mutant.as_ref().map(|name| format!(" --mutant {name}")).unwrap_or_default();
    let sound = Plan { mutant: None, ..plan.clone() };
    let small = if sound == Plan::draw_small(plan.seed) { " --small" } else { "" };
    format!("cargo run --release -p sim -- replay {}{small}{mutant}", plan.seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.json");
        fs::write(&path, text).expect("a file");
        (folder, path)
    }

    #[test]
    fn a_plan_in_a_file_is_the_plan_that_was_printed() {
        let plan = Plan::draw(7);
        let (_folder, path) = file(&serde_json::to_string(&plan).expect("JSON"));
        assert_eq!(read_plan(&path).expect("a plan"), plan);
    }

    #[test]
    fn the_small_world_of_a_seed_is_run_again_as_one() {
        let again = |plan: &Plan| replays(plan).ends_with("replay 7 --small");
        assert!(again(&Plan::draw_small(7)) && !again(&Plan::draw(7)));
    }

    #[test]
    fn the_world_of_a_known_bug_is_run_again_with_it() {
        let plan = Plan { mutant: Some("create-twice".into()), ..Plan::draw_small(7) };
        assert!(replays(&plan).ends_with("replay 7 --small --mutant create-twice"));
        let of = |mutant: &str| {
            Which { seed: Some(7), plan: None, small: true, mutant: Some(mutant.into()) }.plan()
        };
        assert_eq!(of("create-twice").expect("a plan"), plan);
        let said = of("no-such").expect_err("no bug").to_string();
        assert!(said.contains("no known bug of the name no-such"), "{said}");
    }

    #[test]
    fn what_is_no_plan_is_refused_with_its_path_and_the_reason() {
        let (_folder, path) = file("{\"seed\": 1}");
        let said = read_plan(&path).expect_err("no plan").to_string();
        assert!(
            said.contains("plan.json cannot be read as a plan") && said.contains("missing field"),
            "{said}"
        );
    }

    #[test]
    fn a_plan_that_cannot_be_run_is_refused() {
        let plan = Plan { nodes: 90, ..Plan::draw(7) };
        let (_folder, path) = file(&serde_json::to_string(&plan).expect("JSON"));
        let said = read_plan(&path).expect_err("no plan").to_string();
        assert!(said.contains("3 to 7 nodes"), "{said}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let said = read_plan(Path::new("no/such.json")).expect_err("no file").to_string();
        assert!(said.starts_with("no/such.json: "), "{said}");
    }
}
