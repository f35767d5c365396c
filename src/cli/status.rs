//! `covault status`: what a node says of itself, for people. A field that this release does not know is
//! shown under its own name, so that an older command can read a newer node.
//! Knows nothing of how a node learns it.

use clap::Args;
use serde_json::Value;

use super::{
    answer::{cell, short_id},
    client::Call,
    connection::ConnectionArgs,
    failure::Failure,
    output::Output,
    table::{Table, facts},
};

/// Fields that are counted in bytes, and so are also shown in larger units.
const BYTES: [&str; 2] = ["disk_used", "disk_free"];

/// Show how a node and its cluster are.
///
/// Members, leader, lag, master keys, counts, disk, and whether writes are refused and why.
#[derive(Args)]
#[command(after_help = "Example:\n  covault status --url https://vault.example:8400")]
pub struct StatusArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl StatusArgs {
    /// Asks and prints.
    ///
    /// # Errors
    /// When the token is not accepted or nobody answers.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let reply = self.connection.client()?.send(&Call::get("/v1/status"))?;
        output.answer(&reply.body, || in_words(&reply.body))
    }
}

fn in_words(status: &Value) -> String {
    let mut pairs = Vec::new();
    for (name, fact) in status.as_object().into_iter().flatten() {
        match fact {
            Value::Object(inner) => {
                pairs.extend(inner.iter().map(|(part, fact)| (format!("{name} {part}"), cell(fact, ""))));
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {}
            Value::Number(bytes) if BYTES.contains(&name.as_str()) => {
                pairs.push((name.clone(), in_units(bytes.as_u64().unwrap_or(0))));
            }
            fact => pairs.push((name.clone(), cell(fact, ""))),
        }
    }
    let pairs: Vec<_> = pairs.into_iter().map(|(name, fact)| (name.replace('_', " "), fact)).collect();
    format!("{}\n{}", facts(&pairs), members(status))
}

fn members(status: &Value) -> String {
    let members = status["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let here = |member: &Value| if member["node"] == status["node"] { "this node" } else { "" };
    let row = |member: &Value| {
        vec![
            short_id(member, "/node"),
            cell(member, "/role"),
            cell(member, "/address"),
            cell(member, "/lag"),
            here(member).to_owned(),
        ]
    };
    Table::new(&["member", "role", "address", "lag", ""])
        .lay_out(&members.iter().map(row).collect::<Vec<_>>())
}

fn in_units(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let larger = units.iter().enumerate().rev().find(|(at, _)| bytes >= 1 << (10 * (at + 1)));
    match larger {
        // A tenth of a unit is exact enough for a person.
        Some((at, unit)) => format!("{:.1} {unit}", bytes as f64 / f64::from(1 << 10).powi(at as i32 + 1)),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_is_shown_known_or_not() {
        let status = json!({
            "node": "ab".repeat(32), "leader": null, "term": 3, "disk_free": 3_u64 << 30,
            "keys": {"active": "k1", "unavailable": ["k0"]},
            "members": [
                {"node": "ab".repeat(32), "role": "leader", "address": "10.0.0.1:8401", "lag": 0},
                {"node": "cd".repeat(32), "role": "follower"},
            ],
            "of_tomorrow": 7,
        });
        let text = in_words(&status);
        for line in
            ["leader            -", "of tomorrow       7", "keys active       k1", "keys unavailable  k0"]
        {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in:\n{text}");
        }
        assert!(text.contains("3.0 GiB"));
        assert!(text.contains("abababababab  leader    10.0.0.1:8401  0    this node\n"), "{text}");
        assert!(text.contains("cdcdcdcdcdcd  follower  -              -\n"));
    }

    #[test]
    fn bytes_are_shown_in_the_largest_unit_that_fits() {
        assert_eq!(in_units(0), "0 bytes");
        assert_eq!(in_units(1023), "1023 bytes");
        assert_eq!(in_units(1536), "1.5 KiB");
        assert_eq!(in_units(1 << 40), "1.0 TiB");
    }
}
