//! `.env` files where nodes fail or lag: real processes, killed or behind slow wires. A file's names are made all or
//! none, on every node alike, and whoever asks is told all that is taken (E6, F3, I1).
//! `COVAULT_CRASH_ROUNDS` sets the kills (3 by default), `COVAULT_SEED` repeats the choices of a run.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    Answer, Chance, Client, Cluster, Wire,
    envfiles::{encrypt_surely, file_of},
    eventually,
};

/// Names of one file.
const NAMES: usize = 24;

/// A file that was asked to be encrypted, under its prefix as the idempotency key, and what was answered the first
/// time, if anything was.
struct Sent {
    prefix: String,
    answer: Option<Answer>,
}

impl Sent {
    fn content(&self) -> String {
        file_of(&self.prefix, NAMES, "c")
    }

    /// How many of the names are there.
    fn made(&self, client: &Client) -> usize {
        let lines = (0..NAMES).map(|number| format!("K{number}=secret({}/{number})\n", self.prefix));
        let body = json!({ "content": lines.collect::<String>() });
        let answer = eventually("an answer that says what is there", || {
            Some(client.post("/v1/env/expand", &body)).filter(|answer| answer.status != 503)
        });
        if answer.status == 200 {
            return NAMES;
        }
        let missing = answer.expect_problem(422, "unresolved_reference").at("/references");
        NAMES - missing.as_array().unwrap().len()
    }
}

/// Has files encrypted, one after the other, until told to stop or the node is gone. Says when it has an answer.
fn keep_encrypting(client: &Client, of: &str, over: &AtomicBool, answered: &Sender<()>) -> Vec<Sent> {
    let mut all = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let prefix = format!("{of}/{}", all.len());
        let body = json!({ "content": file_of(&prefix, NAMES, "c") }).to_string();
        let headers = [("content-type", "application/json"), ("idempotency-key", prefix.as_str())];
        let answer = client.try_send("POST", "/v1/env/encrypt", &headers, Some(body.as_bytes())).ok();
        let status = answer.as_ref().map(|answer| answer.status);
        assert!(matches!(status, None | Some(200 | 503)), "{prefix}: {status:?}");
        all.push(Sent { prefix, answer });
        let _ = answered.send(());
        if status.is_none() {
            break;
        }
    }
    all
}

/// What clients sent through all nodes while the leader was killed.
fn encrypt_through_a_kill(cluster: &mut Cluster, round: u64, chance: &mut Chance) -> Vec<Sent> {
    let leader = cluster.leader(0);
    let clients: Vec<Client> = cluster.places().map(|place| cluster.member(place)).collect();
    let (over, (sender, answered)) = (AtomicBool::new(false), channel());
    let sent = thread::scope(|scope| {
        let begin = |(number, client): (usize, &Client)| {
            let (of, sender, over, client) =
                (format!("kill/{round}/{number}"), sender.clone(), &over, client.clone());
            scope.spawn(move || keep_encrypting(&client, &of, over, &sender))
        };
        let running: Vec<_> = clients.iter().enumerate().map(begin).collect();
        drop(sender);
        for _ in 0..3 + chance.below(9) {
            answered.recv().expect("a client that goes on");
        }
        // At a moment within the time that one takes.
        let _ = answered.recv_timeout(Duration::from_micros(chance.below(20_000)));
        over.store(true, Ordering::SeqCst);
        cluster.kill(leader);
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    cluster.restart(leader);
    sent
}

#[test]
fn a_killed_leader_leaves_all_or_none_of_each_file_and_a_retry_is_answered_as_at_first() {
    let mut chance = Chance::announced("env leader kills");
    let rounds =
        std::env::var("COVAULT_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_u64);
    let mut cluster = Cluster::start(3);
    let (mut all, mut none, mut untold) = (0, 0, 0);
    for round in 0..rounds.min(20) {
        for sent in encrypt_through_a_kill(&mut cluster, round, &mut chance) {
            let made: Vec<usize> = cluster.places().map(|place| sent.made(&cluster.member(place))).collect();
            let first = sent.answer.as_ref().filter(|answer| answer.status == 200);
            match made[..] {
                [NAMES, NAMES, NAMES] => all += 1,
                [0, 0, 0] if first.is_none() => none += 1,
                _ => panic!("{}: {made:?} of {NAMES} are there; told: {}", sent.prefix, first.is_some()),
            }
            untold += usize::from(first.is_none() && made[0] == NAMES);
            let asked = cluster.member(chance.below(3) as usize);
            let again = encrypt_surely(&asked, &sent.content(), &sent.prefix).expect(200);
            let replayed = again.header("idempotency-replayed") == Some("true");
            assert!(replayed || made[0] == 0, "{}: it was made twice", sent.prefix);
            if let Some(first) = first {
                for member in ["/content", "/created"] {
                    assert_eq!(again.at(member), first.at(member), "{}", sent.prefix);
                }
            }
            assert_eq!(sent.made(&asked), NAMES, "{}", sent.prefix);
        }
    }
    println!("env: {rounds} leaders killed, {all} files whole ({untold} of them untold), {none} absent");
    cluster.stop_and_check();
}

#[test]
fn a_node_that_lags_lists_all_duplicates_that_others_made() {
    const DELAY_MS: u32 = 150;
    let mut chance = Chance::announced("env lag");
    let far =
        |quic: &mut toml::Table| drop(quic.insert("round_trip_ms".into(), i64::from(2 * DELAY_MS).into()));
    let (cluster, wires) = Cluster::start_wired_with(3, chance.next(), far);
    let leader = cluster.leader(0);
    let late = cluster.others_than(leader)[0];
    wires.set(Wire::slow(DELAY_MS.into()), |from, to| (from == late) != (to == late));
    let (first, second) = (cluster.member(leader), cluster.member(late));
    let mut rounds = 0..;
    eventually("the node to be asked before it has what another made", || {
        let round = rounds.next().unwrap();
        let prefix = format!("lag/{round}");
        encrypt_surely(&first, &file_of(&prefix, NAMES, "first"), &format!("first-{round}")).expect(200);
        let listed = second.get(&format!("/v1/secrets?prefix={prefix}/")).expect(200).at("/secrets");
        let content = format!("{}N=enc({prefix}/new=x)\n", file_of(&prefix, NAMES, "second"));
        let answer = encrypt_surely(&second, &content, &format!("second-{round}"));
        let names = answer.expect_problem(409, "secret_exists").at("/names");
        assert_eq!(names.as_array().unwrap().len(), NAMES, "{names}");
        second.get(&format!("/v1/secrets/{prefix}/new")).expect_problem(404, "not_found");
        listed.as_array().unwrap().is_empty().then_some(())
    });
    cluster.stop_and_check();
}
