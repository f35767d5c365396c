//! A run in a process of its own, with a bound on real time. A process that panics, is killed, hangs or leaves no
//! verdict fails its plan, with the end of what it wrote to stderr. All of its files are gone afterwards. Knows nothing
//! of what a run does.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{failure::Failure, one, which};
use crate::{
    plan::Plan,
    story::Story,
    verdict::{self, Verdict},
};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// As much of the end of stderr is kept.
const TAIL_BYTES: usize = 4_000;
/// As many lines of it are said with the verdict.
const LINES_SAID: usize = 3;

/// Where children run.
#[derive(Debug, Clone)]
pub struct Cage {
    program: PathBuf,
    patience: Duration,
}

/// What a child left.
pub struct Left {
    /// What its run came to.
    pub verdict: Verdict,
    /// The story, if it was asked for and there is one.
    pub story: Option<Story>,
    /// The end of its stderr.
    pub log: String,
}

impl Cage {
    /// Children are this program, and may take so long.
    pub fn of_this_program(patience: Duration) -> Result<Self, Failure> {
        Ok(Self { program: env::current_exe().map_err(Failure::Start)?, patience })
    }

    /// Runs a plan.
    pub fn judge(&self, plan: &Plan) -> Result<Left, Failure> {
        self.run(plan, None)
    }

    /// Runs a plan and asks for its story.
    pub fn hear(&self, plan: &Plan) -> Result<Left, Failure> {
        self.run(plan, Some("--story"))
    }

    /// Runs a plan and asks for its story if it fails.
    pub fn hear_failure(&self, plan: &Plan) -> Result<Left, Failure> {
        self.run(plan, Some("--story-of-failure"))
    }

    fn run(&self, plan: &Plan, story: Option<&str>) -> Result<Left, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::Start)?;
        let at = |name: &str| folder.path().join(name);
        one::write(&at("plan"), plan)?;
        fs::create_dir(at("root")).map_err(Failure::Start)?;
        let stderr = File::create(at("stderr")).map_err(Failure::Start)?;
        let mut command = Command::new(&self.program);
        command.arg("one").arg("--plan").arg(at("plan")).arg("--root").arg(at("root"));
        command.arg("--verdict").arg(at("verdict"));
        if let Some(story) = story {
            command.arg(story).arg(at("story"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let ended = await_end(command.spawn().map_err(Failure::Start)?, self.patience)?;
        let log = tail(&at("stderr"));
        let verdict = match ended {
            None => broken(plan, verdict::HUNG, &format!("it was ended after {:?}", self.patience), &log),
            Some(status) => which::read(&at("verdict"), "a verdict")
                .unwrap_or_else(|_| broken(plan, verdict::PANICKED, &status.to_string(), &log)),
        };
        let story = which::read(&at("story"), "a story").ok();
        Ok(Left { verdict, story, log })
    }
}

/// Waits for the end; ends it itself when it takes longer than that, and says nothing then.
fn await_end(mut child: Child, patience: Duration) -> Result<Option<ExitStatus>, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(Failure::Start)? {
            return Ok(Some(status));
        }
        if patience <= begun.elapsed() {
            child.kill().map_err(Failure::Start)?;
            child.wait().map_err(Failure::Start)?;
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn broken(plan: &Plan, rule: &str, how: &str, log: &str) -> Verdict {
    let last: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let said = match &last[last.len().saturating_sub(LINES_SAID)..] {
        [] => "it wrote nothing".to_owned(),
        lines => format!("its last words: {}", lines.join(" / ")),
    };
    Verdict::without_a_story(plan.clone(), rule, format!("{how}; {said}"))
}

fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::PermissionsExt,
        sync::{Mutex, PoisonError},
    };

    use super::*;

    /// A script cannot be started while another child, just forked, still has it open.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// What is made of a child that does what the script says.
    fn left_by(script: &str, patience: Duration) -> Left {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("child");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("a program");
        Cage { program, patience }.hear(&Plan::draw(1)).expect("it could be started")
    }

    const LONG: Duration = Duration::from_secs(120);

    #[test]
    fn a_child_that_panics_fails_its_plan_with_its_last_words() {
        let left = left_by("echo first >&2; echo 'index out of bounds' >&2; exit 101", LONG);
        assert!(left.verdict.violates(verdict::PANICKED));
        assert!(left.verdict.violations[0].says.contains("101"));
        assert!(left.verdict.violations[0].says.contains("index out of bounds"));
        assert_eq!(left.verdict.plan, Plan::draw(1));
        assert!(left.story.is_none());
    }

    #[test]
    fn a_child_that_was_killed_fails_its_plan() {
        assert!(left_by("kill -9 $$", LONG).verdict.violates(verdict::PANICKED));
    }

    #[test]
    fn a_child_that_hangs_is_ended_and_fails_its_plan() {
        let left = left_by("exec sleep 600", Duration::ZERO);
        assert!(left.verdict.violates(verdict::HUNG));
    }

    #[test]
    fn a_child_that_ends_well_but_says_nothing_fails_its_plan() {
        assert!(left_by("exit 0", LONG).verdict.violates(verdict::PANICKED));
    }

    #[test]
    fn only_the_end_of_what_was_written_is_kept() {
        let left = left_by("yes | head -c 100000 >&2; echo end >&2; exit 3", LONG);
        assert!(left.log.len() <= TAIL_BYTES && left.log.ends_with("end\n"));
    }
}
