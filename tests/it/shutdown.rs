//! SIGTERM: what is in flight is finished and answered, new connections are not taken, the exit is clean.

use std::{
    io::{Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use crate::support::{Vault, eventually, wire};

#[test]
fn a_request_in_flight_is_answered_before_the_process_ends() {
    let mut vault = Vault::start();
    let member = vault.member();
    let body = json!({"name": "slow", "value": "arrives in two halves"}).to_string();
    let headers = format!(
        "POST /v1/secrets HTTP/1.1\r\nHost: v\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        member.token(),
        body.len()
    );
    let mut connection = wire::connect(member.base());
    connection.write_all(headers.as_bytes()).unwrap();
    connection.write_all(&body.as_bytes()[..10]).unwrap();
    // Another request on another connection shows that the node had time to see the first half.
    member.get("/v1/self").expect(200);
    vault.process().ask_to_stop();
    eventually("the node to stop listening", || {
        std::net::TcpStream::connect(member.base().trim_start_matches("http://")).is_err().then_some(())
    });
    connection.write_all(&body.as_bytes()[10..]).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    assert_eq!(wire::status(&answer), 201, "{}", String::from_utf8_lossy(&answer));
    assert!(vault.process().wait().success(), "{}", vault.output());
    vault.start_again();
    assert_eq!(vault.member().value("slow"), "arrives in two halves");
}

#[test]
fn what_was_sent_before_the_stop_is_answered() {
    for _ in 0..5 {
        let mut vault = Vault::start();
        let member = vault.member();
        let request = wire::request("GET", "/v1/self", member.token(), &[], &[]);
        let send = |_| {
            let mut connection = wire::connect(member.base());
            connection.write_all(&request).unwrap();
            connection
        };
        let connections: Vec<_> = (0..32).map(send).collect();
        vault.process().ask_to_stop();
        for mut connection in connections {
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).unwrap();
            assert_eq!(wire::status(&answer), 200, "{}", String::from_utf8_lossy(&answer));
        }
        assert!(vault.process().wait().success(), "{}", vault.output());
    }
}

#[test]
fn everything_acknowledged_during_a_stop_is_kept() {
    let mut vault = Vault::start();
    let member = vault.member();
    member.create("w", "0");
    let stopping = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut last = 0;
            for number in 1.. {
                let body = json!({"value": number.to_string()}).to_string();
                let headers = [("content-type", "application/json")];
                match member.try_send("PUT", "/v1/secrets/w", &headers, Some(body.as_bytes())) {
                    Ok(answer) if answer.status == 200 => last = number,
                    Ok(answer) => assert_eq!((answer.status, stopping.load(Ordering::SeqCst)), (503, true)),
                    Err(_) => break,
                }
            }
            last
        });
        eventually("some writes", || (member.value("w") != "0").then_some(()));
        stopping.store(true, Ordering::SeqCst);
        vault.process().ask_to_stop();
        assert!(vault.process().wait().success());
        writer.join().unwrap()
    });
    vault.start_again();
    let kept: u32 = vault.member().value("w").parse().unwrap();
    assert!(
        kept == acknowledged || kept == acknowledged + 1,
        "{acknowledged} was acknowledged, {kept} is there"
    );
}
