//! Tokens where nodes fail: real processes, with wires between them that are cut, killed one after the other, or
//! asked through an API process. Tokens of both sides are one, and nothing acknowledged is lost. Shows T1 to T3 and
//! T6 from outside.

use std::{collections::BTreeMap, thread};

use serde_json::{Value, json};

use crate::support::{Answer, Chance, Client, Cluster, Wire, eventually, services::Vaults};

fn ask(client: &Client, values: &[String]) -> Answer {
    client.post(
        "/v1/tokenize",
        &json!({"document": values, "fields": [{"pointer": "/*", "format": "opaque", "type": "t"}]}),
    )
}

fn tokens(answer: &Answer) -> Vec<String> {
    serde_json::from_value(answer.at("/document")).unwrap()
}

fn values(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{of} {at}")).collect()
}

fn bring_back(client: &Client, tokens: &[String]) -> Answer {
    client.post("/v1/detokenize", &json!({"tokens": tokens}))
}

/// Every node brings all of these back.
fn check_everywhere(cluster: &Cluster, given: &BTreeMap<String, String>) {
    let (tokens, values): (Vec<String>, Vec<Value>) =
        given.iter().map(|(token, value)| (token.clone(), json!(value))).unzip();
    for place in cluster.places() {
        let member = cluster.member(place);
        eventually("all mappings to be there", || {
            let answer = bring_back(&member, &tokens);
            (answer.status == 200).then(|| assert_eq!(answer.at("/values"), json!(values), "node {place}"))
        });
    }
}

#[test]
fn tokens_of_both_sides_of_a_cut_agree_and_merge() {
    let mut chance = Chance::announced("tokens apart");
    let (cluster, wires) = Cluster::start_wired(3, chance.next());
    let mut given = BTreeMap::new();
    for round in 0..2 {
        let leader = cluster.leader(0);
        let alone = if round == 0 { leader } else { (leader + 1) % 3 };
        wires.set(Wire::CUT, |from, to| (from == alone) != (to == alone));
        let member = cluster.member(alone);
        eventually("it to know that it is alone", || {
            (member.get("/v1/status").text("/standing") == "minority").then_some(())
        });
        let mut seen: Option<Vec<String>> = None;
        for place in cluster.places() {
            let member = cluster.member(place);
            let mine =
                [values(&format!("both {round}"), 50), values(&format!("{round} only {place}"), 5)].concat();
            let wanted = if place == alone { 202 } else { 200 };
            let answer =
                eventually("its answer", || Some(ask(&member, &mine)).filter(|it| it.status == wanted));
            let got = tokens(&answer);
            assert_eq!(
                seen.get_or_insert_with(|| got[..50].to_vec())[..],
                got[..50],
                "the same on node {place}"
            );
            given.extend(got.into_iter().zip(mine));
        }
        wires.heal();
        check_everywhere(&cluster, &given);
        eventually("what was given apart to be known to have spread", || {
            (ask(&cluster.member(alone), &values(&format!("both {round}"), 50)).status == 200).then_some(())
        });
    }
    for place in cluster.places() {
        let status = cluster.member(place).get("/v1/status").expect(200);
        assert_eq!(status.number("/mappings"), 2 * (50 + 3 * 5), "each once on node {place}");
    }
    cluster.stop_and_check();
}

#[test]
fn what_was_given_apart_before_a_kill_is_told_to_be_kept_only_when_others_have_it() {
    let mut chance = Chance::announced("tokens given before a kill");
    let (mut cluster, wires) = Cluster::start_wired(3, chance.next());
    let alone = cluster.others_than(cluster.leader(0))[0];
    wires.set(Wire::CUT, |from, to| (from == alone) != (to == alone));
    let member = cluster.member(alone);
    eventually("it to know that it is alone", || {
        (member.get("/v1/status").text("/standing") == "minority").then_some(())
    });
    let mine = values("before a kill", 20);
    let given = tokens(&ask(&member, &mine).expect(202));
    cluster.kill(alone);
    wires.heal();
    cluster.restart(alone);
    let member = cluster.member(alone);
    let again = eventually("it to be told that they are kept", || {
        Some(ask(&member, &mine)).filter(|answer| answer.status == 200)
    });
    cluster.kill(alone);
    assert_eq!((tokens(&again), again.number("/new")), (given.clone(), 0));
    for place in cluster.others_than(alone) {
        let member = cluster.member(place);
        let answer = eventually("an answer that says what is there", || {
            Some(bring_back(&member, &given)).filter(|answer| answer.status != 503)
        });
        assert_eq!(answer.expect(200).at("/values"), json!(mine), "node {place}");
    }
    cluster.restart(alone);
    cluster.stop_and_check();
}

#[test]
fn a_node_that_is_silent_does_not_keep_mappings_from_the_others() {
    const REQUESTS: usize = 100;
    const WRITERS: usize = 8;
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader(0);
    let silent = cluster.others_than(leader)[0];
    cluster.pause(silent);
    let kept: usize = thread::scope(|scope| {
        let write = |writer: usize| {
            let client = cluster.member(leader);
            scope.spawn(move || {
                let asked =
                    (0..REQUESTS).map(|number| ask(&client, &values(&format!("{writer} {number}"), 1)));
                asked.filter(|answer| answer.status == 200).count()
            })
        };
        let running: Vec<_> = (0..WRITERS).map(write).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    cluster.resume();
    // A slow machine may be late with a few.
    assert!(WRITERS * REQUESTS / 2 <= kept, "{kept} of {} were told to be kept", WRITERS * REQUESTS);
    cluster.stop_and_check();
}

#[test]
fn no_acknowledged_mapping_is_lost_when_nodes_are_killed_one_after_the_other() {
    let mut cluster = Cluster::start(3);
    let mut given = BTreeMap::new();
    for killed in 0..3 {
        let clients: Vec<Client> = cluster.places().map(|place| cluster.member(place)).collect();
        let written: Vec<_> = thread::scope(|scope| {
            let write = |(place, client): (usize, Client)| {
                let write_on = move || {
                    let mut kept = Vec::new();
                    for number in 0..40 {
                        let mine = values(&format!("{killed} {place} {number}"), 3);
                        let body = json!({"document": mine, "fields": [{"pointer": "/*", "format": "opaque", "type": "t"}]});
                        let headers = [("content-type", "application/json")];
                        let answer = client.try_send(
                            "POST",
                            "/v1/tokenize",
                            &headers,
                            Some(body.to_string().as_bytes()),
                        );
                        match answer {
                            Ok(answer) if answer.status == 200 => {
                                kept.extend(tokens(&answer).into_iter().zip(mine))
                            }
                            // Told not to be kept widely, refused, or gone with its node.
                            _ => {}
                        }
                    }
                    kept
                };
                scope.spawn(write_on)
            };
            let writers: Vec<_> = clients.into_iter().enumerate().map(write).collect();
            cluster.kill(killed);
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        given.extend(written);
        // What was answered with 200 is found while the node that answered is gone.
        let other = (killed + 1) % 3;
        let member = cluster.member(other);
        for (token, value) in &given {
            let answer = eventually("an answer that says what is there", || {
                Some(bring_back(&member, std::slice::from_ref(token))).filter(|answer| answer.status != 503)
            });
            assert_eq!(answer.expect(200).at("/values/0"), *value);
        }
        cluster.restart(killed);
    }
    assert!(!given.is_empty());
    check_everywhere(&cluster, &given);
    cluster.stop_and_check();
}

#[test]
fn through_an_api_process_tokens_are_those_of_a_node() {
    let (_vaults, api) = Vaults::start();
    let admin = api.admin();
    // A majority may take longer for it than the answer waits; to ask again is the same.
    let kept = |values: &[String]| {
        eventually("tokens that are kept", || {
            let answer = ask(&admin, values);
            (answer.status != 202).then(|| answer.expect(200))
        })
    };
    let given = tokens(&kept(&values("v", 3)));
    let again = kept(&values("v", 3));
    assert_eq!((tokens(&again), again.number("/new")), (given.clone(), 0));
    assert_eq!(again.header("covault-standing"), Some("majority"));
    assert_eq!(again.header("idempotency-replayed"), None, "it drew no key");
    assert_eq!(bring_back(&admin, &given).expect(200).at("/values/2"), "v 2");
    admin.post("/v1/epochs", &json!({"activate": 2})).expect(200);
    assert!(tokens(&kept(&values("v", 1)))[0].starts_with("tok_2_"));
    admin.delete("/v1/epochs/1").expect(200);
    bring_back(&admin, &given).expect_problem(404, "not_found");
    let missing = json!({"document": {}, "fields": ["/a"]});
    admin.post("/v1/tokenize", &missing).expect_problem(422, "unknown_field");
}
