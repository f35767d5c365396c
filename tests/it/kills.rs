//! `kill -9` of one of three nodes after another, under load on all of them: every write that was acknowledged,
//! agreed or kept, is on every node afterwards (D1, E2, V3, X5, X7).
//! `COVAULT_CLUSTER_KILLS` sets the kills (20 by default), `COVAULT_SEED` repeats the choices of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::support::{Chance, Client, Cluster, eventually, healed};

const WRITERS: u64 = 3;
/// Versions of one secret, before its writer goes on to the next.
const VERSIONS: usize = 5;

/// What the writers share: where each node serves now, and what was acknowledged.
struct Load {
    doors: Mutex<Vec<String>>,
    /// The ids of the versions that were acknowledged, by name.
    kept: Mutex<BTreeMap<String, BTreeSet<String>>>,
    acknowledged: AtomicUsize,
    over: AtomicBool,
}

/// Ends the load when the kills are over, also when that is because a check failed.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn kills() -> u32 {
    std::env::var("COVAULT_CLUSTER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

impl Load {
    /// Creates and updates secrets of its own through any node, whatever becomes of the single request.
    fn write(&self, client: &Client, writer: u64, mut chance: Chance) {
        for number in 0.. {
            let name = format!("kills/{writer}/{number}");
            let mut versions = 0;
            while versions < VERSIONS {
                if self.over.load(Ordering::SeqCst) {
                    return;
                }
                let door = self.doors.lock().unwrap()[chance.below(3) as usize].clone();
                match self.write_once(&client.at(&door), &name, versions, &chance.text(200)) {
                    Some(_) => versions += 1,
                    // It is not known whether the name was made: the next is another.
                    None if versions == 0 => break,
                    None => {}
                }
            }
        }
    }

    /// One write; none unless it was acknowledged.
    fn write_once(&self, client: &Client, name: &str, versions: usize, value: &str) -> Option<()> {
        let (method, path, body) = match versions {
            0 => ("POST", "/v1/secrets".to_owned(), json!({"name": name, "value": value})),
            _ => ("PUT", format!("/v1/secrets/{name}"), json!({"value": value})),
        };
        let headers = [("content-type", "application/json")];
        let answer = client.try_send(method, &path, &headers, Some(body.to_string().as_bytes())).ok()?;
        assert!(matches!(answer.status, 200..=202 | 503), "{name}: {}", answer.shown());
        if answer.status == 503 {
            return None;
        }
        let id = answer.text("/version/id");
        self.kept.lock().unwrap().entry(name.to_owned()).or_default().insert(id);
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        Some(())
    }

    /// Returns once so many more writes were acknowledged.
    fn wait_for(&self, writes: u64) {
        let until = self.acknowledged.load(Ordering::SeqCst) + writes as usize;
        eventually("more writes to be acknowledged", || {
            (until <= self.acknowledged.load(Ordering::SeqCst)).then_some(())
        });
    }

    /// Everything acknowledged so far is on every node, and all tell the same.
    fn check(&self, nodes: &[Client]) {
        let kept = self.kept.lock().unwrap();
        let histories = healed(nodes, &kept.keys().cloned().collect::<Vec<_>>());
        for (name, ids) in &*kept {
            let there: BTreeSet<&str> =
                histories[name].iter().filter_map(|version| version["id"].as_str()).collect();
            for id in ids {
                assert!(there.contains(id.as_str()), "{name}: {id} was acknowledged");
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_missing_anywhere_after_nodes_were_killed_under_load() {
    let mut chance = Chance::announced("kills");
    let kills = kills();
    let mut cluster = Cluster::start(3);
    let doors = cluster.places().map(|place| cluster.member(place).base().to_owned()).collect();
    let load = Load {
        doors: Mutex::new(doors),
        kept: Mutex::default(),
        acknowledged: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (load, client, chance) = (&load, cluster.member(0), Chance::of(chance.next()));
            scope.spawn(move || load.write(&client, writer, chance));
        }
        let _ending = Ending(&load.over);
        for _ in 0..kills {
            load.wait_for(1 + chance.below(20));
            let place = chance.below(3) as usize;
            cluster.kill(place);
            load.wait_for(1 + chance.below(10));
            cluster.restart(place);
            load.doors.lock().unwrap()[place] = cluster.member(place).base().to_owned();
        }
    });
    load.check(&cluster.places().map(|place| cluster.member(place)).collect::<Vec<_>>());
    println!(
        "kills: {kills} kills, {} acknowledged writes, all on every node",
        load.acknowledged.load(Ordering::SeqCst)
    );
    cluster.stop_and_check();
}
