//! How a node comes into a running cluster: invited, joined by the command line, started, become a voter.

use std::fs;

use serde_json::{Value, json};

use super::{Client, Done, Place, Process, command::run, eventually};

/// A join token for one node.
pub fn invite(admin: &Client) -> String {
    admin.post("/v1/invitations", &json!({})).expect(201).text("/token")
}

/// Runs `covault join` with this token on standard input. The same number for UDP as for TCP: while the node is down
/// nobody else is given it.
pub fn join(place: &Place, token: &str) -> Done {
    let (data, config) = (place.data(), place.path("joined.toml"));
    let address = format!("127.0.0.1:{}", place.port());
    let arguments = ["join", "--json", "--quic", &address, "--listen", &address];
    let paths = ["--data", data.to_str().unwrap(), "--config-out", config.to_str().unwrap()];
    run(&[&arguments[..], &paths].concat(), token.as_bytes(), &[])
}

/// Starts a node that has joined.
pub fn start(place: &Place) -> Process {
    let config = fs::read_to_string(place.path("joined.toml")).unwrap();
    let mut node = place.launch_with(&config, &[], &[]);
    place.until_ready(&mut node);
    node
}

/// Each member with its role.
pub fn roles(admin: &Client) -> Vec<(String, String)> {
    let members = admin.get("/v1/members").expect(200).at("/members");
    let text = |member: &Value, field: &str| member[field].as_str().unwrap_or_default().to_owned();
    members.as_array().unwrap().iter().map(|member| (text(member, "node"), text(member, "role"))).collect()
}

/// Waits until there are so many members and all of them vote; API processes are none.
pub fn until_all_vote(admin: &Client, count: usize) {
    eventually("all to vote", || {
        let roles: Vec<_> = roles(admin).into_iter().filter(|(_, role)| role != "api").collect();
        let vote = roles.iter().all(|(_, role)| role == "leader" || role == "follower");
        (vote && roles.len() == count).then_some(())
    });
}
