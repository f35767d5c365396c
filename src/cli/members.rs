//! `covault members`, and how a node is meant that is named by the beginning of its id.
//! Knows nothing of how nodes talk.

use std::time::Duration;

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

/// A member that was not heard of for so long is down, or cannot be reached: all hear of each other every 5 s.
const SILENT_AFTER: Duration = Duration::from_secs(12);

/// List the nodes of the cluster, and its API processes.
///
/// With what each is to agreement, where its peers reach it, when the answering node last heard of it, while that
/// one leads how many log entries it lacks, and how far its clock is ahead. It takes the role admin.
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

/// The members of an answer, as a table. Of the node that answers, if it names itself, it says so.
pub fn table(answer: &Value) -> String {
    let header = &["node", "role", "leads", "address", "last contact", "lag", "clock", ""];
    let rows: Vec<_> = members(answer).iter().map(|member| row(member, &answer["node"])).collect();
    Table::new(header).lay_out(&rows)
}

fn row(member: &Value, answering: &Value) -> Vec<String> {
    let (role, leader) = match member["role"].as_str() {
        Some("leader") => ("voter".to_owned(), "leader"),
        Some("follower") => ("voter".to_owned(), ""),
        _ => (cell(member, "/role"), ""),
    };
    let heard = member["last_contact_ms"].as_u64().map(Duration::from_millis);
    let note = match heard {
        _ if member["node"] == *answering => "this node",
        Some(since) if SILENT_AFTER <= since => "silent",
        _ => "",
    };
    vec![
        short_id(member, "/node"),
        role,
        leader.to_owned(),
        cell(member, "/address"),
        heard.map_or("-".to_owned(), ago),
        cell(member, "/lag"),
        member["clock_ahead_ms"].as_i64().map_or("-".to_owned(), ahead),
        note.to_owned(),
    ]
}

/// A time ago, as exact as a person needs it.
fn ago(since: Duration) -> String {
    match since.as_secs() {
        0 => format!("{} ms ago", since.as_millis()),
        seconds @ 1..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

/// How far a clock is ahead or behind, such as `+0.1 s`.
pub fn ahead(millis: i64) -> String {
    let tenths = (millis as f64 / 100.0).round();
    // Adding zero makes of a negative zero a positive one.
    format!("{:+.1} s", tenths / 10.0 + 0.0)
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
        let text = table(&json!({ "node": "ab".repeat(32), "members": [
            { "node": "ab".repeat(32), "role": "leader", "address": "10.0.0.1:8401", "lag": null,
                "last_contact_ms": null, "clock_ahead_ms": null },
            { "node": "cd".repeat(32), "role": "follower", "address": "10.0.0.2:8401", "lag": 3,
                "last_contact_ms": 120, "clock_ahead_ms": -1260 },
            { "node": "ef".repeat(32), "role": "learner", "address": null, "last_contact_ms": 240_000 },
        ]}));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NODE          ROLE     LEADS   ADDRESS        LAST CONTACT  LAG  CLOCK");
        assert_eq!(
            lines[1],
            "abababababab  voter    leader  10.0.0.1:8401  -             -    -       this node"
        );
        assert_eq!(lines[2], "cdcdcdcdcdcd  voter            10.0.0.2:8401  120 ms ago    3    -1.3 s");
        assert_eq!(
            lines[3],
            "efefefefefef  learner          -              4 min ago     -    -       silent"
        );
    }

    #[test]
    fn times_are_shown_as_a_person_says_them() {
        let shown = [999, 1000, 119_000, 7_199_000, 90_000_000].map(|ms| ago(Duration::from_millis(ms)));
        assert_eq!(shown, ["999 ms ago", "1 s ago", "119 s ago", "119 min ago", "25 h ago"]);
        assert_eq!([-40, 0, 160, -31_000].map(ahead), ["+0.0 s", "+0.0 s", "+0.2 s", "-31.0 s"]);
    }
}
