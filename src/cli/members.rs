//! `covault members`, and how a node is meant that is named by the beginning of its id.
//! Knows nothing of how nodes talk.

use clap::Args;
use serde_json::Value;

use super::{
    answer::{cell, short_id},
    client::{Call, Client},
    connection::ConnectionArgs,
    failure::Failure,
    output::Output,
    table::Table,
};

/// List the nodes of the cluster.
///
/// With what each is to agreement, where its peers reach it, when the answering node last heard of it and,
/// while that one leads, how many log entries it lacks. It takes the role admin.
#[derive(Args)]
#[command(after_help = "Example:\n  covault members")]
pub struct MembersArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl MembersArgs {
    /// Asks and prints.
    ///
    /// # Errors
    /// When it is refused, or nobody answers.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let reply = self.connection.client()?.send(&Call::get("/v1/members"))?;
        output.answer(&reply.body, || table(&reply.body))
    }
}

/// The members of an answer, as a table.
pub fn table(answer: &Value) -> String {
    let row = |member: &Value| {
        let (role, leader) = match member["role"].as_str() {
            Some("leader") => ("voter".to_owned(), "leader"),
            Some("follower") => ("voter".to_owned(), ""),
            _ => (cell(member, "/role"), ""),
        };
        let contact = member["last_contact_ms"].as_u64().map_or("-".to_owned(), |ms| format!("{ms} ms ago"));
        let lag = cell(member, "/lag");
        vec![short_id(member, "/node"), role, leader.to_owned(), cell(member, "/address"), contact, lag]
    };
    let header = &["node", "role", "leads", "address", "last contact", "lag"];
    Table::new(header).lay_out(&members(answer).iter().map(row).collect::<Vec<_>>())
}

/// The one member whose id begins with `beginning`.
pub fn named(client: &Client, beginning: &str) -> Result<String, Failure> {
    let answer = client.send(&Call::get("/v1/members"))?.body;
    let ids = members(&answer).iter().filter_map(|member| member["node"].as_str());
    let mut meant = ids.filter(|id| id.starts_with(beginning));
    match (meant.next(), meant.next()) {
        (Some(id), None) => Ok(id.to_owned()),
        (None, _) => Err(Failure::new("not_found", format!("no member's id begins with {beginning}"))),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("more than one member's id begins with {beginning}")))
        }
    }
}

fn members(answer: &Value) -> &[Value] {
    answer["members"].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_leader_is_marked_and_what_is_not_known_is_a_dash() {
        let text = table(&json!({ "members": [
            { "node": "ab".repeat(32), "role": "leader", "address": "10.0.0.1:8401", "lag": null,
                "last_contact_ms": null },
            { "node": "cd".repeat(32), "role": "follower", "address": "10.0.0.2:8401", "lag": 3,
                "last_contact_ms": 120 },
            { "node": "ef".repeat(32), "role": "learner", "address": null },
        ]}));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NODE          ROLE     LEADS   ADDRESS        LAST CONTACT  LAG");
        assert_eq!(lines[1], "abababababab  voter    leader  10.0.0.1:8401  -             -");
        assert_eq!(lines[2], "cdcdcdcdcdcd  voter            10.0.0.2:8401  120 ms ago    3");
        assert_eq!(lines[3], "efefefefefef  learner          -              -             -");
    }
}
