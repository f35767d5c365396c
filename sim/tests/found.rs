//! Plans whose runs broke a rule once: `found/` has each, named for what was wrong. A run is a function of its plan, and
//! the rules hold in all of these now. Runs the program, a process for each plan. Knows nothing of what they try.

use std::{fs, path::Path, process::Command};

#[test]
fn what_was_wrong_once_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/found");
    let mut plans: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    plans.sort();
    assert!(!plans.is_empty());
    for plan in plans {
        let ran = Command::new(env!("CARGO_BIN_EXE_sim")).arg("replay").arg("--plan").arg(&plan).output();
        let ran = ran.expect("the program starts");
        let said = String::from_utf8_lossy(&ran.stdout);
        let verdict: Vec<&str> = said.lines().filter(|line| line.starts_with("VIOLATED")).collect();
        assert!(
            ran.status.success(),
            "{}: {verdict:?} {}",
            plan.display(),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}
