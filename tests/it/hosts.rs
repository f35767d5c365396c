//! What three nodes on hosts of their own answer while the network between them fails by the system's own means: a
//! cable pulled, an interface down, a router that drops what goes in one direction, a cable that carries little and
//! drops what does not fit its queue (D1, E2, V3, X5, X7, R1, R2, T2). Where no such hosts can be had it says so, and
//! `faults.rs`, which has relays between the nodes, stands for it.

use serde_json::json;

use crate::support::{
    Trial,
    hosts::Hosts,
    trial::{ALONE, SERVES, settled},
};

/// What is done to the network of one host, which leaves its node alone, and undone.
struct Trouble {
    name: &'static str,
    set: fn(&Hosts, usize, bool),
}

const PULLED: Trouble = Trouble { name: "its cable is pulled", set: Hosts::pull };
const DOWN: Trouble = Trouble { name: "its interface is down", set: Hosts::down };
const NOT_HEARD: Trouble = Trouble { name: "what it sends is dropped", set: Hosts::drop_from };
const HEARS_NOT: Trouble = Trouble { name: "what it is sent is dropped", set: Hosts::drop_to };

/// Three nodes on hosts of their own, if there can be such.
fn on_hosts() -> Option<Trial> {
    let trial = Trial::start(3);
    let there = trial.cluster.hosts().is_some();
    println!("hosts: {}", if there { "there are some" } else { "nothing shown, there are none" });
    there.then_some(trial)
}

/// The host that is hit.
fn struck(trial: &Trial, name: &str, hits_leader: bool) -> usize {
    println!("hosts: {name}: {}", if hits_leader { "the leader" } else { "another" });
    let leader = trial.cluster.leader(0);
    if hits_leader { leader } else { (leader + 1) % 3 }
}

/// Each trouble with the host of the leader, and with another.
fn survive(troubles: &[Trouble]) {
    let Some(trial) = on_hosts() else { return };
    let hosts = trial.cluster.hosts().unwrap();
    let both = troubles.iter().flat_map(|trouble| [(trouble, true), (trouble, false)]);
    for (Trouble { name, set }, hits_leader) in both {
        let hit = struck(&trial, name, hits_leader);
        set(hosts, hit, true);
        trial.until_alone(hit);
        let others = trial.cluster.others_than(hit).into_iter().map(|place| (place, &SERVES));
        trial.check_come_to(&others.chain([(hit, &ALONE)]).collect::<Vec<_>>());
        set(hosts, hit, false);
        trial.check_come_to(&trial.cluster.places().map(|place| (place, &SERVES)).collect::<Vec<_>>());
        trial.healed();
    }
    trial.cluster.stop_and_check();
}

#[test]
fn a_host_without_network_is_alone_and_heals_when_it_is_back() {
    survive(&[PULLED, DOWN]);
}

#[test]
fn a_host_that_is_heard_or_hears_only_is_alone_and_heals_when_it_is_whole() {
    survive(&[NOT_HEARD, HEARS_NOT]);
}

#[test]
fn a_host_whose_cable_is_full_stops_nothing_and_comes_level() {
    const VALUE_BYTES: usize = 64 << 10;
    const VALUES: usize = 20;
    let Some(trial) = on_hosts() else { return };
    let hosts = trial.cluster.hosts().unwrap();
    for hits_leader in [true, false] {
        let hit = struck(&trial, "its cable is full", hits_leader);
        hosts.narrow(hit, true);
        for number in 0..VALUES {
            let name = format!("large/{hits_leader}/{number}");
            let body = json!({"name": name, "value": "v".repeat(VALUE_BYTES)});
            let (other, again) = (trial.cluster.others_than(hit)[0], [("idempotency-key", name.as_str())]);
            let create = || trial.cluster.member(other).json("POST", "/v1/secrets", &again, &body);
            trial.note(&settled(201, create));
        }
        assert!(0 < hosts.dropped(hit), "the fault did what it is called");
        let all: Vec<_> = trial.cluster.places().map(|place| (place, &SERVES)).collect();
        trial.check_come_to(&all);
        hosts.narrow(hit, false);
        trial.healed();
    }
    trial.cluster.stop_and_check();
}
