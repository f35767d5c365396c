//! What three and five nodes answer while one or two of them are killed, paused, left alone, without the right key or on an
//! empty disk, cell by cell of the table in docs/failure.md; and that afterwards everything acknowledged is on every
//! node and all tell the same (D1, E2, V3, X5, X7, R1, R2, S3, T2). `faults.rs` harms the wires between them instead.

use std::{fs, path::Path, thread};

use serde_json::{Value, json};

use crate::support::{
    Trial, covault, eventually,
    joining::until_all_vote,
    trial::{ALONE, KEYLESS, SERVES},
};

#[test]
fn a_killed_node_stops_nothing_and_comes_back_with_its_old_state() {
    let mut trial = Trial::start(3);
    for place in trial.cluster.places() {
        trial.check_comes_to(place, &SERVES);
    }
    for leads in [false, true] {
        let leader = trial.cluster.leader(0);
        let killed = if leads { leader } else { (leader + 1) % 3 };
        trial.cluster.kill(killed);
        for other in trial.cluster.others_than(killed) {
            trial.check_comes_to(other, &SERVES);
        }
        trial.cluster.restart(killed);
        trial.check_comes_to(killed, &SERVES);
        trial.healed();
    }
    trial.cluster.stop_and_check();
}

#[test]
fn a_paused_node_stops_nothing_and_goes_on_where_the_others_are() {
    let mut trial = Trial::start(3);
    for leads in [false, true] {
        let leader = trial.cluster.leader(0);
        let paused = if leads { leader } else { (leader + 1) % 3 };
        trial.cluster.pause(paused);
        for other in trial.cluster.others_than(paused) {
            trial.check_comes_to(other, &SERVES);
        }
        trial.cluster.resume();
        trial.check_comes_to(paused, &SERVES);
        trial.healed();
    }
    trial.cluster.stop_and_check();
}

#[test]
fn a_node_left_alone_creates_nothing_keeps_updates_and_serves_what_it_has() {
    let mut trial = Trial::start(3);
    for leads in [false, true] {
        let leader = trial.cluster.leader(0);
        let alone = if leads { leader } else { (leader + 1) % 3 };
        let others = trial.cluster.others_than(alone);
        others.into_iter().for_each(|other| trial.cluster.pause(other));
        trial.until_alone(alone);
        trial.check(alone, &ALONE);
        trial.cluster.resume();
        for place in trial.cluster.places() {
            trial.check_comes_to(place, &SERVES);
        }
        trial.healed();
    }
    trial.cluster.stop_and_check();
}

#[test]
fn two_of_five_nodes_killed_or_paused_stop_nothing() {
    let mut trial = Trial::start(5);
    let leader = trial.cluster.leader(0);
    let harmed = [leader, (leader + 1) % 5];
    let others: Vec<usize> = (2..5).map(|step| (leader + step) % 5).collect();
    let serve = |places: &[usize]| places.iter().map(|place| (*place, &SERVES)).collect::<Vec<_>>();
    harmed.into_iter().for_each(|place| trial.cluster.kill(place));
    trial.check_come_to(&serve(&others));
    harmed.into_iter().for_each(|place| trial.cluster.restart(place));
    trial.check_come_to(&serve(&Vec::from_iter(trial.cluster.places())));
    let leader = trial.cluster.leader(0);
    let others: Vec<usize> = (1..4).map(|step| (leader + step) % 5).collect();
    let harmed: Vec<usize> = trial.cluster.places().filter(|place| !others.contains(place)).collect();
    harmed.into_iter().for_each(|place| trial.cluster.pause(place));
    trial.check_come_to(&serve(&others));
    trial.cluster.resume();
    trial.check_come_to(&serve(&Vec::from_iter(trial.cluster.places())));
    trial.healed();
    trial.cluster.stop_and_check();
}

#[test]
fn a_node_that_comes_back_on_an_old_copy_of_its_disk_is_brought_level() {
    [3, 5].into_iter().for_each(come_back_on_an_old_copy);
}

fn come_back_on_an_old_copy(nodes: usize) {
    let mut trial = Trial::start(nodes);
    let old = (trial.cluster.leader(0) + 1) % nodes;
    let (data, copy) = (trial.cluster.data(old), trial.cluster.folder().join("copy"));
    trial.cluster.kill(old);
    copy_folder(&data, &copy);
    trial.cluster.restart(old);
    for place in trial.cluster.places() {
        trial.check_comes_to(place, &SERVES);
    }
    trial.cluster.kill(old);
    fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    trial.cluster.restart(old);
    for place in trial.cluster.places() {
        trial.check_comes_to(place, &SERVES);
    }
    trial.healed();
    trial.cluster.stop_and_check();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_condition_on_what_a_node_has_not_heard_of_yet_is_met() {
    let mut trial = Trial::start(3);
    for _ in 0..5 {
        let behind = (trial.cluster.leader(0) + 1) % 3;
        let other = trial.cluster.others_than(behind)[0];
        let (ahead, behind_client) = (trial.cluster.member(other), trial.cluster.member(behind));
        trial.cluster.pause(behind);
        let agreed = ahead.update("conditional-0", "agreed without it");
        trial.note(&agreed);
        let condition = format!("\"{}\"", agreed.text("/version/id"));
        let ask = || {
            let headers = [("if-match", condition.as_str())];
            behind_client.json("PUT", "/v1/secrets/conditional-0", &headers, &json!({"value": "on that"}))
        };
        let answer = thread::scope(|scope| {
            let asked = scope.spawn(ask);
            trial.cluster.resume();
            asked.join().unwrap()
        });
        assert!(matches!(answer.status, 200 | 503), "{}", answer.shown());
        trial.note(&answer);
    }
    trial.healed();
}

#[test]
fn what_was_kept_alone_is_passed_over_by_what_the_others_agreed_since() {
    let mut trial = Trial::start(3);
    trial.cluster.pause(0);
    trial.cluster.pause(1);
    trial.until_alone(2);
    let kept = trial.cluster.member(2).put("/v1/secrets/updated", &json!({"value": "alone"})).expect(202);
    trial.note(&kept);
    trial.cluster.kill(2);
    trial.cluster.resume();
    let agreed = eventually("the others to agree", || {
        let answer = trial.cluster.member(0).put("/v1/secrets/updated", &json!({"value": "agreed"}));
        trial.note(&answer);
        (answer.status == 200).then_some(answer)
    });
    trial.cluster.restart(2);
    trial.healed();
    for place in trial.cluster.places() {
        let member = trial.cluster.member(place);
        assert_eq!(member.value("updated"), "agreed");
        let passed_over = member.get(&format!("/v1/secrets/updated?version={}", kept.text("/version/id")));
        assert_eq!(passed_over.expect(200).at("/version/state"), "superseded");
        assert_eq!(member.get("/v1/secrets/updated").at("/version/id"), agreed.at("/version/id"));
        let is_superseded = |version: &&Value| version["state"] == "superseded";
        let superseded = member.history("updated").iter().filter(is_superseded).count();
        assert_eq!(member.get("/v1/status").at("/provisional"), superseded, "such stay without a number");
    }
    trial.cluster.stop_and_check();
}

#[test]
fn a_node_with_a_wrong_master_key_says_so_and_keeps_what_the_others_write() {
    let mut trial = Trial::start(3);
    let keyring = trial.cluster.data(2).join("master.keys");
    let right = fs::read_to_string(&keyring).unwrap();
    let mut wrong: toml::Table = right.parse().unwrap();
    let active = wrong["active"].as_str().unwrap().to_owned();
    wrong["keys"][&active] = toml::Value::String(format!("{}=", "A".repeat(43)));
    trial.cluster.kill(2);
    fs::write(&keyring, wrong.to_string()).unwrap();
    trial.cluster.restart(2);
    trial.check_comes_to(2, &KEYLESS);
    trial.check_comes_to(0, &SERVES);
    trial.cluster.kill(1);
    // The node without the key is half of the majority now.
    trial.check_comes_to(0, &SERVES);
    trial.cluster.kill(2);
    fs::write(&keyring, right).unwrap();
    trial.cluster.restart(1);
    trial.cluster.restart(2);
    trial.check_comes_to(2, &SERVES);
    trial.healed();
    trial.cluster.stop_and_check();
}

#[test]
fn an_empty_disk_joins_anew_and_has_everything() {
    [3, 5].into_iter().for_each(join_anew_on_an_empty_disk);
}

fn join_anew_on_an_empty_disk(nodes: usize) {
    let mut trial = Trial::start(nodes);
    let lost = (trial.cluster.leader(0) + 1) % nodes;
    let left = (lost + 1) % nodes;
    trial.cluster.kill(lost);
    let (data, aside) = (trial.cluster.data(lost), trial.cluster.folder().join("aside"));
    fs::rename(&data, &aside).unwrap();
    // With its key and its keyring, and without its data, it is not the one that it was.
    fs::create_dir(&data).unwrap();
    for name in ["covault.toml", "node.key", "master.keys"] {
        fs::copy(aside.join(name), data.join(name)).unwrap();
    }
    let refused = covault(&["node", "--config", data.join("covault.toml").to_str().unwrap()]).expect(1);
    assert!(refused.stderr.contains("no vault"), "{}", refused.stderr);
    trial.check_comes_to(left, &SERVES);
    let admin = trial.cluster.admin(left);
    admin.delete(&format!("/v1/members/{}", trial.cluster.id(lost))).expect(204);
    until_all_vote(&admin, nodes - 1);
    trial.cluster.join_anew(lost);
    let member = trial.cluster.member(lost);
    trial.note(&member.create("by/the/newcomer", "takes part"));
    trial.healed();
    trial.cluster.stop_and_check();
}
