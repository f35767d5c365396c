//! A backup of a running node under writes, restored elsewhere, has everything acknowledged before it;
//! a damaged backup is refused.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use crate::support::{Done, Place, covault, eventually};

fn text(path: &Path) -> &str {
    path.to_str().expect("an ASCII path")
}

fn back_up(place: &Place, to: &Path) -> Done {
    covault(&["backup", "--data", text(&place.data()), "--to", text(to)])
}

/// A node elsewhere, restored from the backup, with the keyring of the first.
fn restored(first: &Place, backup: &Path) -> Place {
    let other = first.elsewhere();
    covault(&["restore", text(backup), "--data", text(&other.data())]).expect(0);
    fs::copy(first.keyring(), other.keyring()).unwrap();
    other
}

#[test]
fn a_backup_under_writes_restores_to_everything_acknowledged_before_it() {
    let place = Place::initialised();
    let _node = place.serve("", &[]);
    let admin = place.admin();
    for number in 0..50 {
        admin.create(&format!("before/{number}"), &format!("value {number}"));
    }
    admin.update("before/0", "second");
    let backup = place.path("backup");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                admin.create(&format!("during/{number}"), "x");
            }
        });
        eventually("a write beside the backup", || {
            (admin.get("/v1/secrets/during/3").status == 200).then_some(())
        });
        let ran = back_up(&place, &backup);
        done.store(true, Ordering::SeqCst);
        ran.expect(0);
    });
    let other = restored(&place, &backup);
    let _second = other.serve("", &[]);
    let client = other.admin();
    for number in 1..50 {
        assert_eq!(client.value(&format!("before/{number}")), format!("value {number}"));
    }
    assert_eq!(client.value("before/0"), "second");
    assert_eq!(client.get("/v1/secrets/before/0?version=1").text("/value"), "value 0");
    assert_eq!(client.value("during/3"), "x");
    client.create("after/restore", "goes on");
    client
        .post("/v1/secrets", &json!({"name": "before/1", "value": "x"}))
        .expect_problem(409, "secret_exists");
}

#[test]
fn a_damaged_backup_is_refused() {
    let place = Place::initialised();
    let mut node = place.serve("", &[]);
    for number in 0..20 {
        place.admin().create(&format!("s/{number}"), &"v".repeat(2000));
    }
    let backup = place.path("backup");
    back_up(&place, &backup).expect(0);
    node.kill_hard();
    let file = largest_file(&backup);
    let kept = fs::read(&file).unwrap();
    for (what, damage) in [("changed", 3), ("cut", 2), ("emptied", 1)] {
        let mut bytes = kept.clone();
        match what {
            "changed" => bytes[kept.len() / damage] ^= 0x40,
            "cut" => bytes.truncate(kept.len() / damage),
            _ => bytes.clear(),
        }
        fs::write(&file, &bytes).unwrap();
        let target = place.path(&format!("restored-{what}"));
        let done = covault(&["restore", text(&backup), "--data", text(&target)]);
        assert_eq!(done.code, 1, "a {what} backup was taken: {}", done.all());
        assert!(!done.all().contains("panicked"), "{}", done.all());
    }
}

#[test]
fn neither_backup_nor_restore_overwrites_what_is_there() {
    let place = Place::initialised();
    let _node = place.serve("", &[]);
    place.admin().create("a", "b");
    let backup = place.path("backup");
    back_up(&place, &backup).expect(0);
    back_up(&place, &backup).expect(1);
    covault(&["restore", text(&backup), "--data", text(&place.data())]).expect(1);
    assert_eq!(place.admin().value("a"), "b");
}

/// The file with the most bytes: the backup itself when it is one file.
fn largest_file(path: &Path) -> std::path::PathBuf {
    if path.is_file() {
        return path.to_owned();
    }
    let files = fs::read_dir(path).unwrap().map(|entry| largest_file(&entry.unwrap().path()));
    files.max_by_key(|file| fs::metadata(file).unwrap().len()).expect("a backup has a file")
}

#[test]
fn the_data_of_a_running_node_agrees_with_itself() {
    let place = Place::initialised();
    let _node = place.serve("", &[]);
    let admin = place.admin();
    admin.post("/v1/secrets", &json!({"name": "c", "value": "1", "labels": {"a": "b"}})).expect(201);
    admin.update("c", "2").expect(200);
    admin.post("/v1/destroy/c", &json!({"versions": [1]})).expect(200);
    let checked = covault(&["--json", "check", "--data", text(&place.data())]).expect(0).json();
    assert_eq!((checked["secrets"].clone(), checked["versions"].clone()), (json!(1), json!(2)));
}

#[test]
fn a_backup_of_a_killed_node_has_everything_acknowledged_or_says_what_to_do() {
    let place = Place::initialised();
    let mut refusals = 0;
    for round in 0..12 {
        let mut node = place.serve("", &[]);
        let name = format!("last/{round}");
        place.admin().create(&name, "x");
        node.kill_hard();
        let backup = place.path(&format!("backup-{round}"));
        let ran = back_up(&place, &backup);
        if ran.code == 0 {
            let other = restored(&place, &backup);
            let _second = other.serve("", &[]);
            assert_eq!(other.admin().value(&name), "x");
        } else {
            assert!(ran.stderr.contains("start the node once"), "{}", ran.stderr);
            assert!(!backup.exists(), "nothing is copied");
            refusals += 1;
        }
    }
    let mut node = place.serve("", &[]);
    place.admin().get("/v1/secrets/last/11").expect(200);
    node.ask_to_stop();
    node.wait();
    back_up(&place, &place.path("after")).expect(0);
    println!("{refusals} of 12 kills came before the commit");
}

#[test]
fn a_backup_says_which_folder_of_a_killed_one_is_in_its_way() {
    let place = Place::initialised();
    let backup = place.path("backup");
    let left = place.path("backup.check");
    fs::create_dir(&left).unwrap();
    let refused = back_up(&place, &backup).expect(1);
    assert!(refused.stderr.contains("backup.check"), "{}", refused.stderr);
    assert!(!backup.exists());
    fs::remove_dir(&left).unwrap();
    back_up(&place, &backup).expect(0);
    assert!(!left.exists());
}
