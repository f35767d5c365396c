//! `.env` files over HTTP: expand gives exactly what the secrets are or nothing, encrypt makes all or none, of
//! several at once and through kills too (E6, I1, N3, S1).

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    Answer, Chance, Client, Cluster, Vault, covault,
    envfiles::{encrypt_surely, file_of},
    eventually,
};

const TEXT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");

fn expand(client: &Client, content: &str) -> Answer {
    client.post("/v1/env/expand", &json!({ "content": content }))
}

fn encrypt(client: &Client, content: &str) -> Answer {
    client.post("/v1/env/encrypt", &json!({ "content": content }))
}

fn expanded(client: &Client, content: &str) -> String {
    expand(client, content).expect(200).text("/content")
}

/// The references that could not be replaced: line, column, name and reason.
fn unresolved(answer: Answer) -> Vec<(u64, u64, String, String)> {
    let answer = answer.expect_problem(422, "unresolved_reference");
    let references = answer.at("/references").as_array().unwrap().clone();
    let one = |one: &Value| {
        let number = |name: &str| one[name].as_u64().unwrap();
        let text = |name: &str| one[name].as_str().unwrap().to_owned();
        (number("line"), number("column"), text("name"), text("reason"))
    };
    references.iter().map(one).collect()
}

#[test]
fn a_file_is_expanded_as_text_and_in_json() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("db/password", "p w");
    member.update("db/password", "second");
    member.create("db/json", r#"{"user":"app","port":5432}"#);
    let content =
        "# c\nexport A=secret(db/password@1)\r\nB=\"x:secret(db/password)@secret(db/json#port)\" # d\n";
    let wanted = "# c\nexport A='p w'\r\nB=\"x:second@5432\" # d\n";
    let answer = expand(&member, content).expect(200);
    assert_eq!((answer.text("/content").as_str(), answer.text("/format").as_str()), (wanted, "dotenv"));
    assert_eq!(answer.header("covault-standing"), Some("majority"));
    let answer = member.send("POST", "/v1/env/expand", &[TEXT], Some(content.as_bytes())).expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(String::from_utf8(answer.body).unwrap(), wanted);
    let body = json!({ "content": content, "format": "json" });
    let inner = member.post("/v1/env/expand", &body).expect(200).text("/content");
    let inner: Value = serde_json::from_str(&inner).unwrap();
    assert_eq!(inner, json!({ "A": "p w", "B": "x:second@5432" }));
}

#[test]
fn every_reference_that_cannot_be_resolved_is_listed_with_its_reason() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("there", "CANARY-1");
    member.create("deleted", "CANARY-2");
    member.delete("/v1/secrets/deleted").expect(200);
    member.create("destroyed", "CANARY-3");
    member.post("/v1/destroy/destroyed", &json!({ "versions": [1] })).expect(200);
    vault.caller("other").create("theirs", "CANARY-4");
    let content = "A=secret(there)\nB=\"secret(deleted) secret(destroyed)\"\nC=secret(none)\nD=secret(theirs)\n\
                   E=secret(there@2)\nF=secret(there#k)\nG=enc(there)\n";
    let answer = expand(&member, content);
    assert!(!answer.shown().contains("CANARY"), "{}", answer.shown());
    let found = unresolved(answer);
    let wanted = [
        (2, 4, "deleted", "version_deleted"),
        (2, 20, "destroyed", "version_destroyed"),
        (3, 3, "none", "not_found"),
        (4, 3, "theirs", "not_found"),
        (5, 3, "there", "not_found"),
        (6, 3, "there", "not_json"),
        (7, 3, "there", "not_encrypted"),
    ];
    let wanted = wanted.map(|(line, column, name, why)| (line, column, name.to_owned(), why.to_owned()));
    assert_eq!(found, wanted);
}

#[test]
fn what_is_no_env_file_is_refused_with_line_and_column() {
    let vault = Vault::start();
    let member = vault.member();
    for path in ["/v1/env/expand", "/v1/env/encrypt"] {
        let answer = member.post(path, &json!({ "content": "A=1\nB='CANARY\n" }));
        let answer = answer.expect_problem(422, "invalid_env");
        assert_eq!((answer.number("/line"), answer.number("/column")), (2, 3));
        assert!(!answer.shown().contains("CANARY"));
        let answer = member.send("POST", path, &[("content-type", "text/html")], Some(b"A=1"));
        answer.expect_problem(415, "unsupported_media_type");
        let answer = member.send("POST", path, &[TEXT], Some(b"A=\xff"));
        answer.expect_problem(400, "invalid_utf8");
    }
    let body = json!({ "content": "A=1", "format": "xml" });
    member.post("/v1/env/expand", &body).expect_problem(400, "invalid_field");
    let body = json!({ "content": "A=1", "values": { "B": "2" } });
    let unused = member.post("/v1/env/encrypt", &body).expect_problem(400, "invalid_field");
    assert_eq!(unused.text("/field"), "values.B");
    let many: String = (0..1025).map(|number| format!("A{number}=secret(s{number})\n")).collect();
    let many = expand(&member, &many).expect_problem(422, "invalid_env");
    assert_eq!((many.number("/line"), many.number("/column")), (1025, 1));
}

#[test]
fn a_value_that_readers_do_not_carry_alike_is_refused_and_another_format_holds_it() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("odd", "it's \"odd\"");
    assert_eq!(unresolved(expand(&member, "A=secret(odd)"))[0].3, "not_portable");
    let body = json!({ "content": "A=secret(odd)", "format": "shell" });
    let content = member.post("/v1/env/expand", &body).expect(200).text("/content");
    assert_eq!(content, "export A='it'\\''s \"odd\"'\n");
}

#[test]
fn encrypt_stores_values_and_expand_gives_back_the_file_a_program_saw() {
    let vault = Vault::start();
    let member = vault.member();
    let content = "# c\nDB='p w'\nURL=x:enc(DB)@h\nK=\"enc(app/k)\" # k\nI=enc(i=inline)\n";
    let body = json!({ "content": content, "values": { "app/k": "beside" } });
    let answer = member.post("/v1/env/encrypt", &body).expect(200);
    let encrypted = answer.text("/content");
    assert_eq!(encrypted, "# c\nDB='secret(DB)'\nURL=x:secret(DB)@h\nK=\"secret(app/k)\" # k\nI=secret(i)\n");
    assert_eq!(answer.at("/created"), json!(["DB", "app/k", "i"]));
    assert_eq!(answer.at("/replication/members"), 1);
    assert_eq!(
        (member.value("DB"), member.value("app/k"), member.value("i")),
        ("p w".into(), "beside".into(), "inline".into())
    );
    assert_eq!(expanded(&member, &encrypted), "# c\nDB='p w'\nURL='x:p w@h'\nK=\"beside\" # k\nI=inline\n");
    let answer = member.send("POST", "/v1/env/encrypt", &[TEXT], Some(b"T=enc(t=1)")).expect(200);
    assert_eq!(answer.body, b"T=secret(t)");
    let nothing = encrypt(&member, "A=1\n").expect(200);
    assert_eq!((nothing.text("/content").as_str(), nothing.at("/created")), ("A=1\n", json!([])));
}

#[test]
fn one_duplicate_or_missing_reference_and_nothing_is_made() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("b", "old");
    member.create("d", "old");
    let duplicate = encrypt(&member, "A=enc(a=1)\nB=enc(b=1)\nC=enc(c=1)\nD=enc(d=1)\n");
    assert_eq!(duplicate.expect_problem(409, "secret_exists").at("/names"), json!(["b", "d"]));
    let twice = encrypt(&member, "A=enc(a=1)\nB=enc(a=2)\n").expect_problem(409, "secret_exists");
    assert_eq!(twice.at("/names"), json!(["a"]));
    let missing = encrypt(&member, "A=enc(a=1)\nB=secret(none)\nC=secret(a)\nD=secret(b@7)\nE=secret(b#k)\n");
    let missing: Vec<_> = unresolved(missing).into_iter().map(|(line, _, name, _)| (line, name)).collect();
    assert_eq!(missing, [(2, "none".to_owned()), (4, "b".to_owned()), (5, "b".to_owned())]);
    assert_eq!(unresolved(encrypt(&member, "A=enc(a=1)\nB=enc(c)\n"))[0].3, "no_value");
    for name in ["a", "c"] {
        member.get(&format!("/v1/secrets/{name}")).expect_problem(404, "not_found");
    }
    assert_eq!((member.value("b"), member.value("d")), ("old".into(), "old".into()));
}

#[test]
fn a_file_is_of_one_moment() {
    const UPDATES: u64 = 150;
    let vault = Vault::start();
    let member = vault.member();
    for name in ["first", "second"] {
        member.create(name, "0");
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = vault.member();
        let stop = &stop;
        scope.spawn(move || {
            for number in 1..=UPDATES {
                // Always in this order, so no moment has a later second than first.
                writer.update("first", &number.to_string());
                writer.update("second", &number.to_string());
            }
            stop.store(true, Ordering::Relaxed);
        });
        let body = json!({ "content": "B=secret(second)\nA=secret(first)\n", "format": "json" });
        let mut seen = 0;
        while !stop.load(Ordering::Relaxed) || seen == 0 {
            let content = member.post("/v1/env/expand", &body).expect(200).text("/content");
            let values: Value = serde_json::from_str(&content).unwrap();
            let number = |key: &str| values[key].as_str().unwrap().parse::<u64>().unwrap();
            let (first, second) = (number("A"), number("B"));
            assert!(second <= first && first <= second + 1, "first {first}, second {second}");
            seen += 1;
        }
    });
}

#[test]
fn a_grant_opens_anothers_secrets_to_a_file_and_nothing_else_does() {
    let vault = Vault::start();
    let (member, other) = (vault.member(), vault.caller("other"));
    member.create("app/shown", "v");
    member.create("hidden", "v");
    let ask = |content: &str| other.post("/v1/env/expand?owner=dev", &json!({ "content": content }));
    assert_eq!(unresolved(ask("A=secret(app/shown)"))[0].3, "not_found");
    let grant = json!({ "prefix": "app/", "grantee": "other", "access": "read" });
    member.post("/v1/grants", &grant).expect(201);
    assert_eq!(ask("A=secret(app/shown)").expect(200).text("/content"), "A=v");
    assert_eq!(unresolved(ask("A=secret(app/shown)\nB=secret(hidden)"))[0].2, "hidden");
    let body = json!({ "content": "A=enc(app/new=1)" });
    other.post("/v1/env/encrypt?owner=dev", &body).expect_problem(403, "forbidden");
    member.get("/v1/secrets/app/new").expect_problem(404, "not_found");
    let grant = json!({ "prefix": "app/", "grantee": "other", "access": "write" });
    member.post("/v1/grants", &grant).expect(201);
    other.post("/v1/env/encrypt?owner=dev", &body).expect(200);
    assert_eq!(member.value("app/new"), "1");
}

#[test]
fn a_retry_with_the_same_key_is_answered_as_at_first() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("old", "v");
    let body = json!({ "content": "A=enc(a=1)\nB=secret(old)\n" });
    let key = [("idempotency-key", "once")];
    let first = member.json("POST", "/v1/env/encrypt", &key, &body).expect(200);
    assert_eq!(first.header("idempotency-replayed"), None);
    member.delete("/v1/secrets/old").expect(200);
    let second = member.json("POST", "/v1/env/encrypt", &key, &body).expect(200);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(second.body, first.body);
    let other = json!({ "content": "A=enc(a=2)\nB=secret(old)\n" });
    member.json("POST", "/v1/env/encrypt", &key, &other).expect_problem(422, "idempotency_conflict");
    assert_eq!(member.history("a").len(), 1);
}

#[test]
fn the_audit_log_has_a_line_for_each_name() {
    let vault = Vault::start();
    let member = vault.member();
    encrypt(&member, "A=enc(env/a=CANARY)\nB=enc(env/b=CANARY)\n").expect(200);
    expand(&member, "A=secret(env/a)\nB=secret(env/none)\n").expect(422);
    encrypt(&member, "A=enc(env/a=CANARY)\nC=enc(env/c=CANARY)\nB=secret(env/b)\n").expect(409);
    let lines = audit_lines(&vault);
    assert!(!lines.contains("CANARY"));
    let about = |name: &str, action: &str| {
        let has = |line: &&str| line.contains(&format!("\"{name}\"")) && line.contains(action);
        lines.lines().filter(has).collect::<Vec<_>>()
    };
    assert_eq!(about("env/a", "env.encrypt").len(), 2, "{lines}");
    assert_eq!(about("env/b", "env.encrypt").len(), 2, "what is needed has a line too");
    assert!(about("env/c", "env.encrypt")[0].contains("secret_exists"), "{lines}");
    assert_eq!(about("env/a", "env.expand").len(), 1);
    assert!(about("env/none", "env.expand")[0].contains("not_found"), "{lines}");
}

fn audit_lines(vault: &Vault) -> String {
    let folder = vault.data().join("audit");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()).collect()
}

/// How many of the names are there; all that are must be by one client.
fn made_of(client: &Client, prefix: &str, count: usize) -> (usize, Option<String>) {
    let mut makers: Vec<String> = Vec::new();
    for number in 0..count {
        let answer = client.get(&format!("/v1/secrets/{prefix}/{number}"));
        if answer.status == 200 {
            let value = answer.text("/value");
            makers.push(value.strip_suffix(&format!("-{number}")).expect("a value that was sent").to_owned());
        }
    }
    let made = makers.len();
    makers.dedup();
    assert!(makers.len() <= 1, "one file is of several makers: {makers:?}");
    (made, makers.pop())
}

#[test]
fn of_eight_clients_that_encrypt_fifty_names_on_three_nodes_one_makes_all() {
    const NAMES: usize = 50;
    let cluster = Cluster::start(3);
    for round in 0..3 {
        let prefix = format!("race/{round}");
        let start = Barrier::new(8);
        let answers: Vec<Answer> = thread::scope(|scope| {
            let begin = |number: usize| {
                let (client, start) = (cluster.member(number % 3), &start);
                let content = file_of(&prefix, NAMES, &format!("client{number}"));
                scope.spawn(move || {
                    start.wait();
                    encrypt_surely(&client, &content, &format!("race-{round}-{number}"))
                })
            };
            let running: Vec<_> = (0..8).map(begin).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let won: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.status == 200).collect();
        assert_eq!(won.len(), 1, "exactly one is made");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.code(), "secret_exists");
            assert_eq!(answer.at("/names").as_array().unwrap().len(), NAMES, "all duplicates are listed");
        }
        for place in cluster.places() {
            let (made, maker) = made_of(&cluster.member(place), &prefix, NAMES);
            assert_eq!((made, maker), (NAMES, Some(format!("client{}", won[0].0))));
        }
    }
}

#[test]
fn overlapping_files_make_all_or_none_of_each() {
    const NAMES: usize = 10;
    let cluster = Cluster::start(3);
    // Each file has ten names of its own and one that it shares with the next.
    let file = |number: usize| {
        let shared = [number, (number + 1) % 6].map(|name| format!("S{name}=enc(shared/{name}=x)\n"));
        format!("{}{}", file_of(&format!("own/{number}"), NAMES, "c"), shared.concat())
    };
    let answers: Vec<Answer> = thread::scope(|scope| {
        let begin = |number: usize| {
            let (client, content) = (cluster.member(number % 3), file(number));
            scope.spawn(move || encrypt_surely(&client, &content, &format!("file-{number}")))
        };
        let running: Vec<_> = (0..6).map(begin).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().any(|answer| answer.status == 200));
    for (number, answer) in answers.iter().enumerate() {
        let wanted = if answer.status == 200 { NAMES } else { 0 };
        assert!(answer.status == 200 || answer.code() == "secret_exists", "{}", answer.shown());
        let (made, _) = made_of(&cluster.member(number % 3), &format!("own/{number}"), NAMES);
        assert_eq!(made, wanted, "file {number}");
    }
}

#[test]
fn a_kill_in_the_middle_leaves_all_or_none() {
    const NAMES: usize = 40;
    let mut chance = Chance::announced("env kills");
    let mut vault = Vault::start();
    let rounds =
        std::env::var("COVAULT_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12_u32);
    let (mut all, mut none) = (0, 0);
    for round in 0..rounds.min(40) {
        let prefix = format!("kill/{round}");
        let (client, content) = (vault.member(), file_of(&prefix, NAMES, "c"));
        let body = json!({ "content": content }).to_string();
        let after = Duration::from_micros(chance.below(40_000));
        let (sender, receiver) = mpsc::channel();
        let answered = thread::scope(|scope| {
            let send = move || {
                let headers = [("content-type", "application/json")];
                let sent = client.try_send("POST", "/v1/env/encrypt", &headers, Some(body.as_bytes()));
                let _ = sender.send(());
                sent.is_ok_and(|answer| answer.status == 200)
            };
            let sent = scope.spawn(send);
            // At the moment that was drawn, or when it is answered.
            let _ = receiver.recv_timeout(after);
            vault.kill_hard();
            sent.join().unwrap()
        });
        vault.start_again();
        match made_of(&vault.member(), &prefix, NAMES).0 {
            NAMES => all += 1,
            0 if !answered => none += 1,
            some => panic!("round {round}: {some} of {NAMES} are there; answered: {answered}"),
        }
        let audit = covault(&["audit", "verify", "--data", vault.data().to_str().unwrap()]);
        assert_eq!(audit.code, 0, "round {round}: {}", audit.all());
    }
    println!("env: {rounds} kills, {all} times all, {none} times none");
}

#[test]
fn a_node_cut_off_expands_what_it_has_and_tells_no_miss_and_creates_nothing() {
    let mut cluster = Cluster::start(3);
    cluster.member(0).create("there", "v");
    assert_eq!(expanded(&cluster.member(2), "A=secret(there)"), "A=v");
    cluster.kill(0);
    cluster.kill(1);
    let alone = cluster.member(2);
    eventually("the minority to notice", || {
        (alone.get("/v1/status").expect(200).at("/standing") == "minority").then_some(())
    });
    let answer = expand(&alone, "A=secret(there)").expect(200);
    assert_eq!(answer.header("covault-standing"), Some("minority"));
    expand(&alone, "A=secret(there)\nB=secret(none)").expect_problem(503, "unconfirmed");
    encrypt(&alone, "A=enc(new=1)").expect_problem(503, "quorum_unavailable");
}
