//! Several nodes as processes, reached over HTTP: what is agreed on one is there on the others, a node that is
//! killed changes nothing that a client must know about, and a minority says what it is (R1, R2). Three nodes
//! of `covault dev`. Knows nothing of how they talk.

use serde_json::{Value, json};

use crate::support::{Cluster, covault, eventually};

fn create(name: &str) -> serde_json::Value {
    json!({"name": name, "value": format!("value of {name}")})
}

#[test]
fn what_is_created_on_any_node_is_read_on_every_other_at_once_and_once_only() {
    let cluster = Cluster::start(3);
    let node = &cluster.ready()["nodes"][2];
    for field in ["id", "url", "quic", "pid", "data"] {
        assert!(!node[field].is_null(), "{field} is in the ready file: {node}");
    }
    for place in cluster.places().cycle().take(9).enumerate() {
        let (round, by) = place;
        let name = format!("app/{round}");
        cluster.member(by).post("/v1/secrets", &create(&name)).expect(201);
        for other in cluster.places() {
            assert_eq!(cluster.member(other).value(&name), format!("value of {name}"));
            let again = cluster.member(other).post("/v1/secrets", &create(&name));
            again.expect_problem(409, "secret_exists");
        }
    }
    let updated = cluster.member(1).put("/v1/secrets/app/0", &json!({"value": "second"})).expect(200);
    assert_eq!(updated.at("/replication/members"), 3);
    assert_eq!(updated.at("/version/number"), 2);
    let status = cluster.member(0).get("/v1/status").expect(200);
    assert_eq!(status.at("/members").as_array().unwrap().len(), 3);
}

#[test]
fn a_killed_node_changes_nothing_that_a_client_must_know_and_catches_up() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader(0);
    let others: Vec<usize> = cluster.places().filter(|place| *place != leader).collect();
    cluster.member(leader).create("before", "there");
    cluster.kill(leader);
    for (round, by) in others.iter().cycle().take(6).enumerate() {
        let name = format!("after/{round}");
        cluster.member(*by).post("/v1/secrets", &create(&name)).expect(201);
        for other in &others {
            assert_eq!(cluster.member(*other).value(&name), format!("value of {name}"));
        }
    }
    assert_eq!(cluster.member(others[0]).value("before"), "there");
    cluster.member(others[1]).get("/v1/secrets/never").expect_problem(404, "not_found");
    let told = eventually("the death to be reported", || {
        let output = cluster.process().output();
        output.contains(&format!("node {} (process", leader + 1)).then_some(output)
    });
    assert!(told.contains("has ended"), "{told}");
    cluster.restart(leader);
    for round in 0..6 {
        let name = format!("after/{round}");
        assert_eq!(cluster.member(leader).value(&name), format!("value of {name}"));
    }
    cluster.member(leader).create("again", "and takes part");
    assert_eq!(cluster.member(others[0]).value("again"), "and takes part");
}

#[test]
fn a_minority_refuses_to_create_says_so_and_stops_when_told_to() {
    let mut cluster = Cluster::start(3);
    cluster.member(0).create("gone", "deleted");
    cluster.member(0).create("kept", "served");
    eventually("the value everywhere", || {
        let answer = cluster.member(2).get("/v1/secrets/kept?consistency=quorum");
        assert_eq!(answer.header("covault-last-contact-ms"), None);
        (answer.status == 200).then_some(())
    });
    cluster.kill(0);
    cluster.kill(1);
    let alone = cluster.member(2);
    eventually("the minority to notice", || {
        (alone.get("/v1/status").expect(200).at("/standing") == "minority").then_some(())
    });
    alone.post("/v1/secrets", &create("refused")).expect_problem(503, "quorum_unavailable");
    alone.get("/ready").expect_problem(503, "quorum_unavailable");
    alone.get("/v1/secrets/refused").expect_problem(503, "unconfirmed");
    for path in ["secrets/kept", "secrets", "history/kept", "epochs", "tokenization", "grants", "self"] {
        let read = alone.get(&format!("/v1/{path}")).expect(200);
        assert_eq!(read.header("covault-standing"), Some("minority"), "{path}");
    }
    let deleted = alone.delete("/v1/secrets/gone").expect(200);
    assert_eq!((deleted.number("/replication/acknowledged"), deleted.number("/replication/quorum")), (1, 2));
    let gone = alone.get("/v1/secrets/gone").expect_problem(410, "version_deleted");
    assert_eq!(gone.header("covault-standing"), Some("minority"));
    let silent_for = || {
        let read = alone.get("/v1/secrets/kept").expect(200);
        read.header("covault-last-contact-ms").and_then(|millis| millis.parse::<u64>().ok())
    };
    let silence = silent_for().expect("a node that had peers knows since when it has none");
    eventually("the silence to grow", || (Some(silence) < silent_for()).then_some(()));
    let agreed = [("prefer", "agreed")];
    alone
        .json("PUT", "/v1/secrets/kept", &agreed, &json!({"value": "no"}))
        .expect_problem(503, "quorum_unavailable");
    let apart = alone.put("/v1/secrets/kept", &json!({"value": "apart"})).expect(202);
    assert_eq!(
        (apart.at("/version/number"), apart.at("/version/state")),
        (Value::Null, json!("provisional"))
    );
    assert_eq!(alone.value("kept"), "apart");
    cluster.process().ask_to_stop();
    assert!(cluster.process().wait().success(), "{}", cluster.process().output());
    cluster.start_again();
    for place in cluster.places() {
        let adopted = eventually("the update to be agreed", || {
            let answer = cluster.member(place).get("/v1/secrets/kept?version=2");
            (answer.status == 200).then_some(answer)
        });
        assert_eq!(adopted.at("/version/id"), apart.at("/version/id"));
        assert_eq!(cluster.member(place).value("kept"), "apart");
    }
    cluster.member(1).post("/v1/secrets", &create("refused")).expect(201);
}

#[test]
fn labels_and_delete_marks_reach_every_node_whoever_was_told() {
    let mut cluster = Cluster::start(3);
    cluster.member(0).create("marked", "v");
    for place in cluster.places() {
        let labels = json!({"labels": {format!("by-{place}"): "1"}});
        cluster.member(place).patch("/v1/secrets/marked", &labels).expect(200);
    }
    let labels = json!({"by-0": "1", "by-1": "1", "by-2": "1"});
    for place in cluster.places() {
        eventually("all labels", || {
            let read = cluster.member(place).get("/v1/secrets/marked").expect(200);
            (read.at("/labels") == labels).then_some(())
        });
    }
    cluster.kill(2);
    cluster.member(0).delete("/v1/secrets/marked").expect(200);
    cluster.restart(2);
    eventually("the mark on the node that was away", || {
        (cluster.member(2).get("/v1/secrets/marked").status == 410).then_some(())
    });
}

#[test]
fn the_nodes_end_with_the_process_that_started_them_however_it_ends() {
    let mut cluster = Cluster::start(3);
    cluster.process().kill_hard();
    for place in cluster.places() {
        let address = cluster.member(place).base().replace("http://", "");
        eventually("the node to be gone", || std::net::TcpStream::connect(&address).is_err().then_some(()));
    }
}

#[test]
fn a_second_start_finds_the_cluster_and_everything_in_it() {
    let mut cluster = Cluster::start(3);
    cluster.member(0).create("kept", "over a restart");
    let before = cluster.ready().clone();
    cluster.process().ask_to_stop();
    assert!(cluster.process().wait().success(), "{}", cluster.process().output());
    cluster.start_again();
    assert_eq!(cluster.places().len(), 3);
    for field in ["admin_token", "member_token"] {
        assert_eq!(cluster.ready()[field], before[field]);
    }
    for place in cluster.places() {
        assert_eq!(cluster.id(place), before["nodes"][place]["id"].as_str().unwrap());
        assert_eq!(cluster.member(place).value("kept"), "over a restart");
    }
    let data = cluster.folder().join("cluster");
    let fewer = covault(&["dev", "--nodes", "2", "--data", data.to_str().unwrap()]).expect(1);
    assert!(fewer.stderr.contains("vault_exists"), "{}", fewer.stderr);
}
