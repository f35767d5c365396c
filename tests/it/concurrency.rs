//! Many at once: exactly one create of a name wins (E1), exactly one conditional update (E4), and
//! numbers have no gaps whoever comes first (E2).

use std::{collections::BTreeSet, sync::Barrier, thread};

use serde_json::json;

use crate::support::{Answer, Client, Vault};

/// Runs `work` from so many threads at one moment and gives what each was answered.
fn at_once(clients: usize, work: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    let start = Barrier::new(clients);
    thread::scope(|scope| {
        let begin = |number| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(number)
            })
        };
        let running: Vec<_> = (0..clients).map(begin).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn with_status(answers: &[Answer], status: u16) -> Vec<&Answer> {
    answers.iter().filter(|answer| answer.status == status).collect()
}

#[test]
fn of_64_creates_of_one_name_exactly_one_is_made() {
    let vault = Vault::start();
    let clients: Vec<Client> = (0..64).map(|_| vault.member()).collect();
    for round in 0..5 {
        let name = format!("race/{round}");
        let answers = at_once(64, |number| {
            clients[number].post("/v1/secrets", &json!({"name": name, "value": format!("from {number}")}))
        });
        assert_eq!(with_status(&answers, 201).len(), 1);
        let lost = with_status(&answers, 409);
        assert_eq!(lost.len(), 63);
        assert!(lost.iter().all(|answer| answer.code() == "secret_exists"));
        let winner = answers.iter().position(|answer| answer.status == 201).unwrap();
        assert_eq!(clients[0].value(&name), format!("from {winner}"));
        assert_eq!(clients[0].history(&name).len(), 1);
    }
}

#[test]
fn of_concurrent_conditional_updates_exactly_one_wins() {
    let vault = Vault::start();
    let clients: Vec<Client> = (0..16).map(|_| vault.member()).collect();
    let mut current = clients[0].create("cas", "start").text("/version/id");
    for round in 2..=12_u64 {
        let condition = format!("\"{current}\"");
        let answers = at_once(16, |number| {
            let headers = [("if-match", condition.as_str())];
            clients[number].json(
                "PUT",
                "/v1/secrets/cas",
                &headers,
                &json!({"value": format!("{round} {number}")}),
            )
        });
        let won = with_status(&answers, 200);
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].at("/version/number"), round);
        assert!(with_status(&answers, 412).iter().all(|answer| answer.code() == "version_mismatch"));
        assert_eq!(with_status(&answers, 412).len(), 15);
        current = won[0].text("/version/id");
        assert_eq!(clients[0].get("/v1/secrets/cas").text("/version/id"), current);
    }
}

#[test]
fn unconditional_updates_all_land_and_numbers_have_no_gap() {
    let vault = Vault::start();
    let clients: Vec<Client> = (0..16).map(|_| vault.member()).collect();
    clients[0].create("busy", "start");
    let answers: Vec<Answer> = (0..8)
        .flat_map(|round| {
            at_once(16, |number| {
                clients[number].put("/v1/secrets/busy", &json!({"value": format!("{round} {number}")}))
            })
        })
        .collect();
    let numbers: BTreeSet<u64> =
        answers.iter().map(|answer| answer.clone().expect(200).number("/version/number")).collect();
    assert_eq!(numbers, (2..=129).collect());
    let history = clients[0].history("busy");
    let told: Vec<u64> = history.iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert_eq!(told, (1..=129).rev().collect::<Vec<_>>());
}

#[test]
fn readers_never_see_a_value_that_was_not_written_nor_go_back() {
    let vault = Vault::start();
    let writer = vault.member();
    writer.create("seen", "1");
    let readers: Vec<Client> = (0..4).map(|_| vault.member()).collect();
    thread::scope(|scope| {
        let watching: Vec<_> = readers
            .iter()
            .map(|reader| {
                scope.spawn(move || {
                    let mut last = 0;
                    while last < 60 {
                        let read = reader.get("/v1/secrets/seen").expect(200);
                        let number = read.number("/version/number");
                        assert_eq!(read.text("/value"), number.to_string());
                        assert!(last <= number, "{number} was read after {last}");
                        last = number;
                    }
                })
            })
            .collect();
        for number in 2..=60 {
            writer.update("seen", &number.to_string());
        }
        watching.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
