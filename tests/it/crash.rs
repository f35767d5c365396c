//! `kill -9` at random moments under a writer over HTTP: nothing acknowledged is missing, nothing is
//! half-written, the audit chain verifies (D1, D2, U2).
//! `COVAULT_CRASH_ROUNDS` sets the rounds (20 by default), `COVAULT_SEED` repeats the moments of a run.

use std::{
    collections::BTreeMap,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Chance, Client, Vault, covault};

const WRITERS: usize = 4;

/// What one writer knows of one secret: the versions that were acknowledged, and the one in doubt.
#[derive(Default)]
struct Kept {
    acknowledged: Vec<String>,
    in_doubt: Option<String>,
}

fn rounds() -> u32 {
    std::env::var("COVAULT_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Writes until the connection breaks; every value is new, so that it can be told which write it was.
fn write_until_cut(
    client: &Client,
    writer: usize,
    round: u32,
    first: &mpsc::Sender<()>,
) -> BTreeMap<String, Kept> {
    let mut secrets: BTreeMap<String, Kept> = BTreeMap::new();
    for number in 0.. {
        let name = format!("crash/{round}/{writer}/{}", number / 5);
        let value = format!("{round}.{writer}.{number}-{}", "x".repeat(100 + number % 7 * 300));
        let kept = secrets.entry(name.clone()).or_default();
        let (method, path, body) = match kept.acknowledged.len() {
            0 => ("POST", "/v1/secrets".to_owned(), json!({"name": name, "value": value})),
            _ => ("PUT", format!("/v1/secrets/{name}"), json!({"value": value})),
        };
        let headers = [("content-type", "application/json")];
        kept.in_doubt = Some(value.clone());
        match client.try_send(method, &path, &headers, Some(body.to_string().as_bytes())) {
            Ok(answer) => {
                assert!(matches!(answer.status, 200 | 201), "{}", answer.shown());
                kept.in_doubt = None;
                kept.acknowledged.push(value);
                // The receiver is gone once the first write of any writer was seen.
                let _ = first.send(());
            }
            Err(_) => break,
        }
    }
    secrets
}

/// Kills the node some milliseconds after the first acknowledged write of the round.
fn one_round(vault: &mut Vault, round: u32, after: Duration) -> BTreeMap<String, Kept> {
    let clients: Vec<Client> = (0..WRITERS).map(|_| vault.member()).collect();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let start = |(writer, client)| {
            let sender = sender.clone();
            scope.spawn(move || write_until_cut(client, writer, round, &sender))
        };
        let writers: Vec<_> = clients.iter().enumerate().map(start).collect();
        receiver.recv().expect("a first write");
        let moment = Instant::now() + after;
        while Instant::now() < moment {
            let _ = receiver.recv_timeout(moment.saturating_duration_since(Instant::now()));
        }
        vault.kill_hard();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    })
}

fn check_kept(client: &Client, name: &str, kept: &Kept) {
    let known = client.get(&format!("/v1/history/{name}?limit=1000"));
    if kept.acknowledged.is_empty() && known.status == 404 {
        return;
    }
    let rows = known.expect(200).at("/versions").as_array().unwrap().clone();
    let expected = kept.acknowledged.iter().chain(&kept.in_doubt);
    let (least, most) =
        (kept.acknowledged.len(), kept.acknowledged.len() + usize::from(kept.in_doubt.is_some()));
    assert!(least <= rows.len() && rows.len() <= most, "{name}: {least} acknowledged, {} there", rows.len());
    for (number, value) in (1..=rows.len()).zip(expected) {
        let read = client.get(&format!("/v1/secrets/{name}?version={number}")).expect(200);
        assert_eq!(read.text("/value"), *value, "{name} version {number}");
    }
    for pair in rows.windows(2) {
        assert_eq!(pair[1]["valid_to"], pair[0]["valid_from"], "{name}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_written() {
    let mut chance = Chance::announced("crash");
    let rounds = rounds();
    let mut vault = Vault::start();
    let mut all: BTreeMap<String, Kept> = BTreeMap::new();
    let mut acknowledged = 0;
    for round in 0..rounds {
        let after = Duration::from_micros(chance.below(60_000));
        let written = one_round(&mut vault, round, after);
        acknowledged += written.values().map(|kept| kept.acknowledged.len()).sum::<usize>();
        vault.start_again();
        let client = vault.member();
        for (name, kept) in &written {
            check_kept(&client, name, kept);
        }
        let audit = covault(&["audit", "verify", "--data", vault.data().to_str().unwrap()]);
        assert_eq!(audit.code, 0, "round {round}: {}", audit.all());
        all.extend(written);
    }
    let client = vault.member();
    for (name, kept) in &all {
        check_kept(&client, name, kept);
    }
    println!("crash: {rounds} kills, {acknowledged} acknowledged writes, all there");
}
