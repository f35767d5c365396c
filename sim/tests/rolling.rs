//! A rolling restart is over before its world counts as made good: what a node does not answer while it is started again
//! is not held against it. Knows nothing of what else a plan can do.

use std::{fs, path::Path, process::Command};

use sim::{
    fault::{Fault, Harm},
    plan::Plan,
    story::{Event, Story, What},
};

#[test]
fn a_world_is_made_good_only_when_a_rolling_restart_is_over() {
    let root = tempfile::tempdir().expect("a folder");
    let (plan, story) = (root.path().join("plan.json"), root.path().join("story.json"));
    let steady = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/steady.json");
    let steady: Plan = serde_json::from_slice(&fs::read(steady).expect("the plan")).expect("a plan");
    let rolling = Harm { at_ms: 0, for_ms: 1, fault: Fault::Rolling };
    let short = Plan { clients: 1, harm_ms: 1, heal_ms: 10_000, harms: vec![rolling], ..steady };
    fs::write(&plan, serde_json::to_vec(&short).expect("JSON")).expect("a file");

    let one = ["one".as_ref(), "--plan".as_ref(), plan.as_os_str(), "--story".as_ref(), story.as_os_str()];
    let ran = Command::new(env!("CARGO_BIN_EXE_sim")).args(one).output().expect("the program starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));

    let story: Story = serde_json::from_slice(&fs::read(&story).expect("the story")).expect("a story");
    let harmed = story.events.iter().position(|event| matches!(event.what, What::Harmed(_))).expect("harm");
    let healed = story.events.iter().position(|event| matches!(event.what, What::Healed)).expect("healing");
    let stopped = |event: &&Event| matches!(event.what, What::Stopped { .. });
    assert_eq!(story.events[harmed..healed].iter().filter(stopped).count(), short.nodes);
}
