//! Destroy in a cluster: it is agreed, so it reaches a node that was away with the first word it hears, and the
//! payload that this node still had goes back to nobody. Shows X3 and R2. Knows nothing of how payloads travel.

use serde_json::{Value, json};

use crate::support::{Cluster, eventually};

fn states(cluster: &Cluster, place: usize) -> Vec<Value> {
    cluster.member(place).history("gone").into_iter().map(|row| row["state"].clone()).collect()
}

/// A secret of two versions that all nodes have.
fn with_two_versions() -> Cluster {
    let cluster = Cluster::start(3);
    cluster.member(0).create("gone", "one");
    cluster.member(1).update("gone", "two");
    for place in cluster.places() {
        eventually("both versions on every node", || {
            (states(&cluster, place) == [json!("current"), json!("past")]).then_some(())
        });
    }
    cluster
}

#[test]
fn a_destroy_reaches_a_node_that_was_away_and_its_payload_goes_nowhere() {
    let mut cluster = with_two_versions();
    let away = cluster.leader(0);
    let others: Vec<usize> = cluster.places().filter(|place| *place != away).collect();
    cluster.kill(away);
    cluster.member(others[0]).post("/v1/destroy/gone", &json!({"versions": [1]})).expect(200);
    cluster.restart(away);
    let returned = cluster.member(away);
    returned.get("/v1/secrets/gone?version=1&consistency=quorum").expect_problem(410, "version_destroyed");
    returned.get("/v1/secrets/gone?version=1").expect_problem(410, "version_destroyed");
    // Nodes look for what they lack at one another when they meet; a change of labels shows that they have met.
    returned.patch("/v1/secrets/gone", &json!({"labels": {"met": "yes"}})).expect(200);
    for place in cluster.places() {
        eventually("the nodes to meet", || {
            let read = cluster.member(place).get("/v1/secrets/gone").expect(200);
            (read.at("/labels/met") == "yes").then_some(())
        });
        cluster.member(place).get("/v1/secrets/gone?version=1").expect_problem(410, "version_destroyed");
        assert_eq!(states(&cluster, place), [json!("current"), json!("destroyed")]);
        assert_eq!(cluster.member(place).value("gone"), "two");
    }
    cluster.stop_and_check();
}

#[test]
fn a_minority_destroys_nothing() {
    let mut cluster = with_two_versions();
    cluster.kill(0);
    cluster.kill(1);
    let alone = cluster.member(2);
    eventually("the minority to notice", || {
        (alone.get("/v1/status").expect(200).at("/standing") == "minority").then_some(())
    });
    let destroy = alone.post("/v1/destroy/gone", &json!({"versions": [1]}));
    destroy.expect_problem(503, "quorum_unavailable");
    assert_eq!(alone.get("/v1/secrets/gone?version=1").text("/value"), "one");
    cluster.restart(0);
    for place in [0, 2] {
        eventually("a majority", || {
            let read = cluster.member(place).get("/v1/secrets/gone?version=1&consistency=quorum");
            (read.status == 200).then_some(())
        });
        assert_eq!(states(&cluster, place), [json!("current"), json!("past")]);
    }
}
