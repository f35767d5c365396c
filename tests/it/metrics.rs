//! What a node says of itself, to Prometheus and to people: all that the pages name is there, nothing else is, and
//! it moves when what it tells of happens. Records from ahead of a clock and refused ones are made to happen in
//! `src/node/tests`, which has peers that lie.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::support::{Client, Cluster, command::run, eventually};

const PAGE: &str = include_str!("../../docs/operations.md");

/// The first words of names beginning with `covault_` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let word =
        |rest: &str| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().map(str::to_owned);
    text.split("covault_").skip(1).filter_map(word).map(|name| format!("covault_{name}")).collect()
}

fn named_by_the_page() -> BTreeSet<String> {
    let section = PAGE.split("## Metrics").nth(1).expect("a section").split("### What to watch").next();
    names(section.expect("its table"))
}

fn exported(client: &Client) -> BTreeSet<String> {
    let text = String::from_utf8(client.get("/metrics").expect(200).body).unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The sum of a metric over its labels.
fn metric(client: &Client, name: &str) -> f64 {
    let text = String::from_utf8(client.get("/metrics").expect(200).body).unwrap();
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    let of_it = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let values: Vec<f64> = of_it.map(|line| value(line).expect("a number")).collect();
    assert!(!values.is_empty(), "{name} is not in\n{text}");
    values.iter().sum()
}

/// The value of a metric of one member.
fn of_member(client: &Client, name: &str, member: &str) -> Option<f64> {
    let text = String::from_utf8(client.get("/metrics").expect(200).body).unwrap();
    let begins = format!("{name}{{member=\"{member}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&begins)).map(|value| value.parse().expect("a number"))
}

fn until(client: &Client, name: &str, holds: impl Fn(f64) -> bool) {
    eventually(name, || holds(metric(client, name)).then_some(()));
}

#[test]
fn a_node_exports_the_metrics_that_the_page_names_and_no_others() {
    let cluster = Cluster::start(3);
    cluster.member(0).create("a", "b");
    let leader = cluster.leader(0);
    for place in cluster.places() {
        let node = cluster.member(place);
        let mut named = named_by_the_page();
        // How far others are behind is for the leader to know.
        if place != leader {
            named.remove("covault_member_lag_entries");
        }
        // The first answer makes those about requests, and a clock is known once it was asked.
        eventually("all that the page names", || named.is_subset(&exported(&node)).then_some(()));
        assert_eq!(exported(&node), named);
    }
}

#[test]
fn metrics_tell_of_each_member_what_the_status_tells() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader(0);
    let [down, other] = cluster.others_than(leader)[..] else { panic!("three nodes") };
    let node = cluster.member(leader);
    let of_all = |name: &str| -> Vec<f64> {
        cluster.places().filter_map(|place| of_member(&node, name, &cluster.id(place))).collect()
    };
    let known = |name: &str| eventually(name, || (of_all(name).len() == 2).then_some(()));
    known("covault_member_last_contact_seconds");
    known("covault_member_clock_ahead_seconds");
    assert_eq!(of_all("covault_member_lag_entries").len(), 3);
    let role = |place: usize| {
        let text = String::from_utf8(node.get("/metrics").expect(200).body).unwrap();
        let labels = format!("covault_member_role{{member=\"{}\",role=\"", cluster.id(place));
        text.split_once(&labels).and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()))
    };
    assert_eq!([leader, other].map(role), ["leader", "follower"].map(|role| Some(role.to_owned())));

    cluster.kill(down);
    cluster.member(other).create("a", "b");
    let gone = cluster.id(down);
    eventually("silence and lag of the one that is down", || {
        let silence = of_member(&node, "covault_member_last_contact_seconds", &gone)?;
        let lag = of_member(&node, "covault_member_lag_entries", &gone)?;
        (2.0 < silence && 1.0 <= lag).then_some(())
    });
    cluster.admin(leader).delete(&format!("/v1/members/{gone}")).expect(204);
    eventually("no word of who was taken away", || {
        let text = String::from_utf8(node.get("/metrics").expect(200).body).unwrap();
        (!text.contains(&gone)).then_some(())
    });
}

#[test]
fn metrics_move_with_what_happens_to_a_cluster() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader(0);
    let (down, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let node = cluster.member(leader);
    let (asked, used) = (metric(&node, "covault_requests_total"), metric(&node, "covault_disk_used_bytes"));
    node.create("a", &"x".repeat(300_000));
    node.update("a", "y");
    until(&node, "covault_versions", |versions| versions == 2.0);
    assert_eq!(metric(&node, "covault_secrets"), 1.0);
    assert!(asked + 2.0 <= metric(&node, "covault_requests_total"));
    assert!(2.0 <= metric(&node, "covault_request_seconds_count"));
    assert!(
        used < metric(&node, "covault_disk_used_bytes") && 0.0 < metric(&node, "covault_disk_free_bytes")
    );
    assert!(1.0 <= metric(&node, "covault_connections"));
    assert!(metric(&node, "covault_clock_skew_seconds").abs() < 5.0);
    let lead = |place| metric(&cluster.member(place), "covault_is_leader");
    eventually("one that leads", || (cluster.places().map(lead).sum::<f64>() == 1.0).then_some(()));

    cluster.kill(down);
    node.create("b", "z");
    until(&node, "covault_members_lag_max", |lag| 1.0 <= lag);
    assert!(metric(&node, "covault_raft_applied_index") <= metric(&node, "covault_raft_last_log_index"));
    assert_eq!(metric(&node, "covault_members"), 3.0, "who is down is a member all the same");
    let keyring = cluster.data(down).join("master.keys");
    let right = fs::read_to_string(&keyring).unwrap();
    let other_key = right.replace("active = \"", "active = \"no-");
    fs::write(&keyring, &other_key).unwrap();
    cluster.restart(down);
    until(&node, "covault_members_lag_max", |lag| lag == 0.0);
    let keyless = cluster.member(down);
    let keys = ["covault_keys_unavailable", "covault_keys_usable", "covault_takes_writes"];
    assert_eq!(keys.map(|name| metric(&keyless, name)), [1.0, 0.0, 0.0]);

    let term = metric(&cluster.member(other), "covault_raft_term");
    cluster.pause(leader);
    until(&cluster.member(other), "covault_raft_term", |now| term < now);
    cluster.pause(down);
    let alone = cluster.member(other);
    // While an election goes on it takes no writes either.
    until(&alone, "covault_has_majority", |has| has == 0.0);
    until(&alone, "covault_takes_writes", |takes| takes == 0.0);
    alone.put("/v1/secrets/a", &json!({"value": "kept"})).expect(202);
    assert_eq!(metric(&alone, "covault_provisional_versions"), 1.0);
    cluster.resume();
    until(&alone, "covault_takes_writes", |takes| takes == 1.0);
    until(&alone, "covault_has_majority", |has| has == 1.0);
    until(&alone, "covault_provisional_versions", |kept| kept == 0.0);
}

#[test]
fn the_status_tells_of_members_lag_contact_clocks_keys_and_disk() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader(0);
    let down = (leader + 1) % 3;
    let admin = cluster.admin(leader);
    eventually("all to have heard of each other", || {
        let members = admin.get("/v1/status").expect(200).at("/members");
        let heard = |member: &&Value| member["clock_ahead_ms"].is_i64() && member["last_contact_ms"].is_u64();
        (members.as_array().unwrap().iter().filter(heard).count() == 2).then_some(())
    });
    cluster.kill(down);
    cluster.member(leader).create("a", "b");
    let gone = |member: &Value| member["node"] == cluster.id(down).as_str();
    let status = eventually("the lag of the one that is down", || {
        let status = admin.get("/v1/status").expect(200).body_json();
        let lags =
            status["members"].as_array().unwrap().iter().any(|member| gone(member) && member["lag"] != 0);
        lags.then_some(status)
    });
    for field in [
        "node",
        "leader",
        "term",
        "last_log",
        "applied",
        "lag",
        "standing",
        "secrets",
        "versions",
        "provisional",
        "held_back",
        "refused_records",
        "disk_used",
        "disk_free",
        "clock_skew_ms",
        "now",
        "started_at",
    ] {
        assert!(!status[field].is_null(), "{field} is not in {status}");
    }
    assert_eq!((&status["refuses_writes"], &status["keys"]["unavailable"]), (&Value::Null, &json!([])));
    let members = status["members"].as_array().unwrap();
    assert_eq!(members.iter().filter(|member| member["role"] == "leader").count(), 1);
    assert!(members.iter().all(|member| member["address"].is_string()));

    let arguments = ["status", "--url", admin.base()];
    let table = run(&arguments, b"", &[("COVAULT_TOKEN", admin.token())]).expect(0).stdout;
    for line in [
        "standing",
        "refuses writes",
        "keys active",
        "records held back",
        "without a number",
        "disk used",
        "ahead of most",
    ] {
        assert!(table.lines().any(|shown| shown.starts_with(line)), "{line} is not in:\n{table}");
    }
    let header = "NODE          ROLE   LEADS   ADDRESS";
    assert!(table.contains(header) && table.contains("this node"), "{table}");
}
