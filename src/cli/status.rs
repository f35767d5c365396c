//! `covault status`: what a node says of itself, for people. A field that this release does not know is
//! shown under its own name, so that an older command can read a newer node.
//! Knows nothing of how a node learns it.

use clap::Args;
use serde_json::Value;

use super::{
    answer::cell,
    client::Call,
    connection::ConnectionArgs,
    failure::Failure,
    members::{ahead, table},
    output::Output,
    table::facts,
};

/// What is shown first, in this order, and what it is called; the rest follows under its own name.
const FIRST: [(&str, &str); 22] = [
    ("standing", "standing"),
    ("refuses_writes", "refuses writes"),
    ("leader", "leader"),
    ("node", "this node"),
    ("cluster", "cluster"),
    ("release", "release"),
    ("started_at", "started at"),
    ("now", "clock says"),
    ("clock_skew_ms", "ahead of most"),
    ("keys", "keys"),
    ("secrets", "secrets"),
    ("versions", "versions"),
    ("provisional", "without a number"),
    ("mappings", "mappings of tokens"),
    ("held_back", "records held back"),
    ("refused_records", "records refused"),
    ("term", "term"),
    ("last_log", "last log entry"),
    ("applied", "carried out"),
    ("lag", "still to carry out"),
    ("disk_used", "disk used"),
    ("disk_free", "disk free"),
];

/// Show how a node and its cluster are.
///
/// Members, leader, lag, master keys, counts, disk, and whether writes are refused and why. Without a number are
/// versions that wait for a majority, and those that were superseded, which stay; covault secret history tells which is which.
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
    let mut left = status.as_object().cloned().unwrap_or_default();
    left.remove("members");
    let mut pairs = Vec::new();
    for (field, name) in FIRST {
        if let Some(fact) = left.remove(field) {
            pairs.extend(told(field, name, &fact, status));
        }
    }
    for (field, fact) in &left {
        pairs.extend(told(field, &field.replace('_', " "), fact, status));
    }
    format!("{}\n{}", facts(&pairs), table(status))
}

/// One field, or what is in it.
fn told(field: &str, name: &str, fact: &Value, status: &Value) -> Vec<(String, String)> {
    let shown = match (field, fact) {
        (_, Value::Object(parts)) if parts.is_empty() => "none".to_owned(),
        (_, Value::Object(parts)) => {
            let shown = |fact: &Value| match fact {
                Value::Array(items) if items.is_empty() => "none".to_owned(),
                fact => cell(fact, ""),
            };
            let part = |(part, fact): (&String, &Value)| (format!("{name} {part}"), shown(fact));
            return parts.iter().map(part).collect();
        }
        ("refuses_writes", Value::Null) => "no".to_owned(),
        ("leader", leader) if *leader == status["node"] => "this node".to_owned(),
        ("disk_used" | "disk_free", Value::Number(bytes)) => in_units(bytes.as_u64().unwrap_or(0)),
        ("clock_skew_ms", Value::Number(millis)) => ahead(millis.as_i64().unwrap_or(0)),
        (_, fact) => cell(fact, ""),
    };
    vec![(name.to_owned(), shown)]
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
            "node": "ab".repeat(32), "leader": null, "term": 3, "disk_free": 3_u64 << 30, "standing": "minority",
            "keys": {"active": "k1", "unavailable": ["k0"]}, "refuses_writes": "clock_skew", "clock_skew_ms": 31_000,
            "members": [{"node": "ab".repeat(32), "role": "leader", "address": "10.0.0.1:8401", "lag": 0}],
            "of_tomorrow": 7,
        });
        let text = in_words(&status);
        for line in [
            "leader            -",
            "refuses writes    clock_skew",
            "ahead of most     +31.0 s",
            "keys active       k1",
            "keys unavailable  k0",
            "disk free         3.0 GiB",
            "of tomorrow       7",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in:\n{text}");
        }
        assert!(text.starts_with("standing          minority\n"), "what matters most comes first: {text}");
        assert!(text.contains("abababababab  voter  leader  10.0.0.1:8401"), "{text}");
    }

    #[test]
    fn a_node_that_is_well_says_so() {
        let id = "ab".repeat(32);
        let text =
            in_words(&json!({"node": id, "leader": id, "refuses_writes": null, "refused_records": {}}));
        for line in ["refuses writes   no", "leader           this node", "records refused  none"] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn bytes_are_shown_in_the_largest_unit_that_fits() {
        assert_eq!(in_units(0), "0 bytes");
        assert_eq!(in_units(1023), "1023 bytes");
        assert_eq!(in_units(1536), "1.5 KiB");
        assert_eq!(in_units(1 << 40), "1.0 TiB");
    }
}
