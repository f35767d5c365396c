//! What is left when nodes are lost for good: one dead node replaced, and a whole cluster made again from what one
//! node had. Shows M4 and, from outside, what becomes of versions without a number (X7).
//! Knows nothing of how nodes talk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{
    Client, Cluster, Place, Process, covault, eventually,
    joining::{invite, join, roles, start, until_all_vote},
};

fn text(path: &Path) -> &str {
    path.to_str().expect("an ASCII path")
}

fn labels(client: &Client, name: &str) -> Value {
    client.get(&format!("/v1/secrets/{name}")).expect(200).at("/labels")
}

/// Waits until the secret has these labels: they travel beside the log.
fn until_labelled(client: &Client, name: &str, wanted: &Value) {
    eventually("the labels to come", || (labels(client, name) == *wanted).then_some(()));
}

/// A node that joins the cluster of `admin` with this keyring, running.
fn joined(admin: &Client, keyring: &Path) -> (Place, Process) {
    let place = Place::empty();
    join(&place, &invite(admin)).expect(0);
    fs::copy(keyring, place.keyring()).unwrap();
    let node = start(&place);
    (place, node)
}

/// A node restored from `backup` that its peers reach at `quic`, running, and what the command told of it.
fn restored(backup: &Path, keyring: &Path, quic: &str) -> (Place, Process, Value) {
    let place = Place::empty();
    let told = covault(&["--json", "restore", text(backup), "--data", text(&place.data())]).expect(0).json();
    fs::copy(keyring, place.keyring()).unwrap();
    let node = place.serve(&format!("[quic]\nlisten = {quic:?}\n"), &[]);
    (place, node, told)
}

/// Has the leader, which both others have just left, write down something that no other node has. Whoever asked
/// is told that nobody knows what becomes of it.
fn heard_by_the_leader_alone(cluster: &mut Cluster) -> (usize, String) {
    for round in 0..20 {
        let leader = cluster.leader(0);
        for other in cluster.places().filter(|place| *place != leader) {
            cluster.pause(other);
        }
        let name = format!("last/words-{round}");
        let made = cluster.member(leader).post("/v1/secrets", &json!({"name": name, "value": "heard"}));
        if made.code() == "outcome_unknown" {
            return (leader, name);
        }
        cluster.resume();
    }
    panic!("no leader took anything down before it noticed that it was alone");
}

/// A backup of a node that was killed while it had heard more than it had carried out.
fn backed_up_with_log(data: &Path, backup: PathBuf) -> PathBuf {
    let arguments = ["--json", "backup", "--data", text(data), "--to", text(&backup)];
    let refused = covault(&arguments).expect(1);
    assert!(refused.stderr.contains("--with-log"), "{}", refused.stderr);
    assert!(!backup.exists(), "nothing is copied");
    let made = covault(&[&arguments[..], &["--with-log"]].concat()).expect(0).json();
    assert!(1 <= made["entries_from_log"].as_u64().unwrap(), "{made}");
    assert_eq!(made["lacking"], 0);
    backup
}

/// A node of the old cluster is refused by the new one, of which `admin` is a client.
fn check_is_let_in_no_more(cluster: &mut Cluster, old: usize, admin: &Client) {
    // A node of the old cluster that runs again finds nobody, though one answers where its peer was.
    cluster.restart(old);
    let asked = json!({"name": "from/the-old", "value": "x"});
    cluster.member(old).post("/v1/secrets", &asked).expect_problem(503, "quorum_unavailable");
    assert_eq!(roles(admin).len(), 3);
    // Its key is let in no more.
    let back = Place::empty();
    fs::create_dir_all(back.data()).unwrap();
    fs::copy(cluster.data(old).join("node.key"), back.data().join("node.key")).unwrap();
    let refused = join(&back, &invite(admin)).expect(1);
    assert!(refused.stderr.contains("(node_known)"), "{}", refused.stderr);
}

/// What was agreed, kept and granted before the nodes were lost is there for `here`, a client of a node after it.
fn check_has_all(here: &Client, grantees_token: &str, owner: &str) {
    assert_eq!(here.value("db/a"), "three");
    assert_eq!(here.get("/v1/secrets/db/a?version=1").expect(200).text("/value"), "one");
    until_labelled(here, "db/a", &json!({"site": "old"}));
    let path = format!("/v1/secrets/db/a?owner={owner}");
    assert_eq!(here.with_token(grantees_token).get(&path).expect(200).text("/value"), "three");
    here.post("/v1/secrets", &json!({"name": "db/a", "value": "x"})).expect_problem(409, "secret_exists");
}

#[test]
fn a_cluster_comes_back_from_the_one_node_that_is_left() {
    let mut cluster = Cluster::start(3);
    let (member, admin) = (cluster.member(0), cluster.admin(0));
    member.create("db/a", "one");
    member.update("db/a", "two");
    member.patch("/v1/secrets/db/a", &json!({"labels": {"site": "old"}})).expect(200);
    let late = admin.post("/v1/callers", &json!({"name": "late"})).expect(201).text("/token");
    let owner = member.get("/v1/self").expect(200).text("/name");
    let grant = json!({"grantee": "late", "prefix": "db/", "access": "read"});
    member.post("/v1/grants", &grant).expect(201);
    for place in cluster.places() {
        until_labelled(&cluster.member(place), "db/a", &json!({"site": "old"}));
    }
    let (left, unknown) = heard_by_the_leader_alone(&mut cluster);
    let kept = cluster.member(left).put("/v1/secrets/db/a", &json!({"value": "three"})).expect(202);
    let (data, old): (_, Vec<String>) =
        (cluster.data(left), cluster.places().map(|at| cluster.id(at)).collect());
    cluster.places().for_each(|place| cluster.kill(place));

    let backup = backed_up_with_log(&data, cluster.folder().join("backup"));
    let keyring = data.join("master.keys");
    // Where one of the dead was reached, so that the old nodes would find the new one if they could.
    let dead = (left + 1) % 3;
    let quic = cluster.ready()["nodes"][dead]["quic"].as_str().unwrap().to_owned();
    let (first, _node, told) = restored(&backup, &keyring, &quic);
    let replaced: Vec<&str> = told["replaces"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(old.iter().all(|id| replaced.contains(&id.as_str())) && replaced.len() == 3, "{told}");
    assert!(told["last_log_index"].is_u64() && told["newest_record_at"].is_string(), "{told}");
    let (member, admin) = (member.at(&first.url()), admin.at(&first.url()));
    assert_eq!(roles(&admin), [(told["node"].as_str().unwrap().to_owned(), "leader".to_owned())]);
    assert_eq!(member.value(&unknown), "heard");
    eventually("what was kept to be agreed", || {
        let newest = member.history("db/a").swap_remove(0);
        (newest["number"] == 3 && newest["id"] == kept.at("/version/id")).then_some(())
    });

    let others = [joined(&admin, &keyring), joined(&admin, &keyring)];
    until_all_vote(&admin, 3);
    for place in [&first, &others[0].0, &others[1].0] {
        check_has_all(&member.at(&place.url()), &late, &owner);
    }
    check_is_let_in_no_more(&mut cluster, left, &admin);
}

#[test]
fn a_dead_node_is_replaced_and_its_cluster_bears_another_death() {
    let mut cluster = Cluster::start(3);
    let (dead, remaining) = (2, [0, 1]);
    cluster.member(dead).create("by/the-dead", "one");
    cluster.member(dead).patch("/v1/secrets/by/the-dead", &json!({"labels": {"from": "it"}})).expect(200);
    for place in remaining {
        until_labelled(&cluster.member(place), "by/the-dead", &json!({"from": "it"}));
    }
    cluster.kill(dead);
    eventually("the others to agree without it", || {
        let made = cluster.member(0).post("/v1/secrets", &json!({"name": "meanwhile", "value": "two"}));
        (made.status == 201 || made.code() == "secret_exists").then_some(())
    });
    let (admin, gone) = (cluster.admin(0), cluster.id(dead));
    let named = admin.get("/v1/members").expect(200).at("/members");
    assert!(named.as_array().unwrap().iter().any(|member| member["node"] == gone.as_str()), "until removed");
    admin.delete(&format!("/v1/members/{gone}")).expect(204);
    until_all_vote(&admin, 2);
    let (new, _node) = joined(&admin, &cluster.data(0).join("master.keys"));
    until_all_vote(&admin, 3);
    let there = cluster.member(0).at(&new.url());
    assert_eq!((there.value("by/the-dead"), there.value("meanwhile")), ("one".into(), "two".into()));
    until_labelled(&there, "by/the-dead", &json!({"from": "it"}));

    // Two of the three are a majority again.
    cluster.kill(1);
    eventually("the new node to agree with the one that is left", || {
        let made = there.post("/v1/secrets", &json!({"name": "afterwards", "value": "three"}));
        (made.status == 201 || made.code() == "secret_exists").then_some(())
    });
    assert_eq!(cluster.member(0).value("afterwards"), "three");
}

#[test]
fn a_vault_of_one_node_grows_after_it_was_restored() {
    let place = Place::initialised();
    let mut node = place.serve("", &[]);
    place.admin().post("/v1/secrets", &json!({"name": "a", "value": "1", "labels": {"k": "v"}})).expect(201);
    place.admin().patch("/v1/secrets/a", &json!({"labels": {"k": "w"}})).expect(200);
    node.ask_to_stop();
    node.wait();
    let backup = place.path("backup");
    covault(&["backup", "--data", text(&place.data()), "--to", text(&backup)]).expect(0);
    let (first, _first_node, _) = restored(&backup, &place.keyring(), "127.0.0.1:0");
    let admin = place.admin().at(&first.url());
    let (second, _second_node) = joined(&admin, &place.keyring());
    until_all_vote(&admin, 2);
    let there = admin.at(&second.url());
    assert_eq!(there.value("a"), "1");
    until_labelled(&there, "a", &json!({"k": "w"}));
}
