//! Known values are written and every error path is taken; then the data directory, the logs, the audit
//! and the memory of the server process are searched for them, plain, in base64 and in hex (S1).

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::json;

use crate::support::{Chance, Client, Vault, eventually, wire};

/// The forms in which a value could show.
struct Needles(Vec<(&'static str, Vec<u8>)>);

impl Needles {
    fn of(value: &str) -> Self {
        let bytes = value.as_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut all = vec![
            ("plain", bytes.to_vec()),
            ("utf-16", bytes.iter().flat_map(|byte| [*byte, 0]).collect()),
            ("hex", hex.clone().into_bytes()),
            ("upper hex", hex.to_uppercase().into_bytes()),
        ];
        for shift in 0..3 {
            // Only the characters that are the same whatever stands before and after the value.
            let encoded = STANDARD_NO_PAD.encode([vec![0; shift], bytes.to_vec()].concat());
            let inner = &encoded.as_bytes()[if shift == 0 { 0 } else { 4 }..encoded.len() - 4];
            all.push(("base64", inner.to_vec()));
        }
        Self(all)
    }

    /// The forms that stand in these bytes.
    fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let stands = |needle: &Vec<u8>| {
            let (first, length) = (needle[0], needle.len());
            let mut rest = bytes;
            while let Some(at) = rest.iter().position(|byte| *byte == first) {
                if rest[at..].get(..length) == Some(needle) {
                    return true;
                }
                rest = &rest[at + 1..];
            }
            false
        };
        self.0.iter().filter(|(_, needle)| stands(needle)).map(|(form, _)| *form).collect()
    }
}

fn search_files(folder: &Path, needles: &Needles, found: &mut Vec<String>) -> usize {
    let mut searched = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            searched += search_files(&path, needles, found);
        } else {
            let bytes = fs::read(&path).unwrap();
            found.extend(needles.found_in(&bytes).iter().map(|form| format!("{form} in {}", path.display())));
            searched += bytes.len();
        }
    }
    searched
}

/// Everything in the process's memory that can be read and written, mapped files left out: those are
/// searched as files.
fn search_memory(pid: u32, needles: &Needles) -> (usize, Vec<String>) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let (mut searched, mut found) = (0, Vec::new());
    for line in maps.lines() {
        let mut parts = line.split_whitespace();
        let (range, rights, name) =
            (parts.next().unwrap(), parts.next().unwrap(), parts.nth(3).unwrap_or(""));
        if !rights.starts_with("rw") || name.ends_with(".mdb") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory.seek(SeekFrom::Start(start)).unwrap();
        // A region may have gone since the list was made.
        if memory.read_exact(&mut bytes).is_ok() {
            found.extend(needles.found_in(&bytes).iter().map(|form| format!("{form} in {range} {name}")));
            searched += bytes.len();
        }
    }
    (searched, found)
}

/// Writes the value in every way there is and takes every error path with it.
fn exercise(client: &Client, value: &str) {
    let base64 = base64::engine::general_purpose::STANDARD.encode(value);
    client.create("canary/a", value);
    client.post("/v1/secrets", &json!({"name": "canary/b", "value_base64": base64})).expect(201);
    client.update("canary/a", value);
    let keyed = [("idempotency-key", "canary")];
    for _ in 0..2 {
        client.json("PUT", "/v1/secrets/canary/a", &keyed, &json!({"value": value})).expect(200);
    }
    client.json("PUT", "/v1/secrets/canary/a", &keyed, &json!({"value": format!("{value}.")})).expect(422);
    client.post("/v1/rollback/canary/a", &json!({"version": 1})).expect(200);
    client.get("/v1/secrets/canary/a").expect(200);
    client.get("/v1/secrets/canary/a?version=1").expect(200);
    let file = format!("A=enc(canary/c={value})\nB='x enc(KEY)'\nKEY=\"{value}\"\nPLAIN={value}\n");
    let encrypted = client.post("/v1/env/encrypt", &json!({"content": file})).expect(200).text("/content");
    for format in ["dotenv", "json", "shell", "docker", "yaml"] {
        let body = json!({"content": encrypted, "format": format});
        assert!(client.post("/v1/env/expand", &body).expect(200).text("/content").contains(value));
    }
    client.post("/v1/env/encrypt", &json!({"content": file})).expect(409);
    let unused = json!({"content": file, "values": {"canary/unused": value}});
    client.post("/v1/env/encrypt", &unused).expect(400);
    for broken in ["X='", "X=enc(none)", "X=secret(none)", "X=secret(canary/a#key)"] {
        client.post("/v1/env/expand", &json!({"content": format!("{file}{broken}{value}")})).expect(422);
        client.post("/v1/env/encrypt", &json!({"content": format!("{file}{broken}{value}")})).expect(422);
    }
    let put = |headers: &[(&str, &str)], body: String| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        client.send("PUT", "/v1/secrets/canary/a", &headers, Some(body.as_bytes()))
    };
    client.post("/v1/secrets", &json!({"name": "canary/a", "value": value})).expect(409);
    client.post("/v1/secrets", &json!({"name": "bad name", "value": value})).expect(400);
    client.put("/v1/secrets/missing", &json!({"value": value})).expect(404);
    let stale = format!("\"{}\"", "0".repeat(64));
    put(&[("if-match", &stale)], json!({"value": value}).to_string()).expect(412);
    put(&[], format!("{{\"value\": \"{value}\", oops")).expect(400);
    put(&[], format!("{{\"value\": \"{value}\", \"value\": \"{value}\"}}")).expect(400);
    put(&[], format!("{{\"value\": {{\"x\": \"{value}\"}}}}")).expect(400);
    put(&[], format!("{{\"value\": \"{value}\", \"expires_at\": \"{value}\"}}")).expect(400);
    put(&[], format!("{{\"{value}x\": 1}}")).expect(400);
    let headers = ["Content-Type: application/json"];
    let cut = wire::request("PUT", "/v1/secrets/canary/a", client.token(), &headers, value.as_bytes());
    wire::exchange(client.base(), &cut);
    let wrong_token = client.with_token(&format!("cvt_0000000000000000_{}", "0".repeat(64)));
    wrong_token.put("/v1/secrets/canary/a", &json!({"value": value})).expect(401);
}

#[test]
fn a_written_value_is_nowhere_on_disk_in_logs_or_in_memory() {
    let value = format!("Canary{}", Chance::announced("canary").text(34));
    let needles = Needles::of(&value);
    let vault = Vault::start();
    let member = vault.member();
    exercise(&member, &value);
    drop(member);
    let fresh = vault.member();
    fresh.create("after", "another value, so that buffers are used again");
    fresh.get("/v1/secrets/after").expect(200);
    drop(fresh);

    let mut found = Vec::new();
    let searched = search_files(vault.folder(), &needles, &mut found);
    assert!(searched > 10_000, "the data directory was searched");
    assert!(found.is_empty(), "{found:?}");
    if let Err(error) = File::open(format!("/proc/{}/mem", vault.node_pid())) {
        println!("skipped: the memory of the process may not be read here: {error}");
        return;
    }
    // The buffers of a connection live as long as it does.
    eventually("the connections to close", || (!still_connected(&vault)).then_some(()));
    let (searched, found) = search_memory(vault.node_pid(), &needles);
    assert!(searched > 1_000_000, "the memory was searched");
    assert!(found.is_empty(), "{found:?}");
}

/// Whether the node still holds a connection of a client.
fn still_connected(vault: &Vault) -> bool {
    let sockets = fs::read_dir(format!("/proc/{}/fd", vault.node_pid())).unwrap();
    let names = sockets.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let connected = fs::read_to_string(format!("/proc/{}/net/tcp", vault.node_pid())).unwrap();
    let held: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    connected.lines().skip(1).any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        columns[3] == "01" && held.contains(&format!("socket:[{}]", columns[9]))
    })
}

#[test]
fn the_log_tells_of_create_update_retrieve_and_failure() {
    let vault = Vault::start();
    let member = vault.member();
    member.create("seen/in/log", "v");
    member.update("seen/in/log", "v");
    member.get("/v1/secrets/seen/in/log").expect(200);
    member.post("/v1/secrets", &json!({"name": "seen/in/log", "value": "v"})).expect(409);
    let request = member.get("/v1/secrets/gone").header("x-request-id").unwrap().to_owned();
    let log = vault.output();
    for told in ["create", "update", "secret_exists", "not_found", "201", "409", request.as_str()] {
        assert!(log.contains(told), "the log does not tell {told:?}");
    }
}

#[test]
fn the_search_finds_every_form_that_it_looks_for() {
    let value = "CanaryThatIsPlantedOnPurpose";
    let needles = Needles::of(value);
    let folder = tempfile::tempdir().unwrap();
    let planted = [
        format!("xx{value}yy").into_bytes(),
        value.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes(),
        STANDARD_NO_PAD.encode(format!("{value}-more")).into_bytes(),
        STANDARD_NO_PAD.encode(format!("1{value}-more")).into_bytes(),
        STANDARD_NO_PAD.encode(format!("12{value}-more")).into_bytes(),
    ];
    for (number, bytes) in planted.iter().enumerate() {
        let path = folder.path().join("planted");
        fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        search_files(folder.path(), &needles, &mut found);
        assert!(!found.is_empty(), "planted form {number} was not found");
    }
    let here = search_memory(std::process::id(), &needles).1;
    assert!(here.iter().any(|line| line.starts_with("plain")), "this process holds the value");
}
