//! `covault invite`. Keeps S1: the join token goes to stdout or a private file, nowhere else.
//! Knows nothing of how a node is taken in.

use clap::Args;
use covault_model::limits::INVITATION_SECONDS_MAX;
use serde_json::json;

use super::{
    answer::cell,
    client::{Call, WriteArgs},
    connection::ConnectionArgs,
    failure::Failure,
    new_token::{TokenOutArgs, Words},
    output::Output,
};

/// Make a join token, with which one node may become a member, or one API process be let in.
///
/// It is shown once: alone on stdout, or in the file that --token-out names. It lets one in, once, until it
/// expires. It takes the role admin, and a node whose configuration has [quic]: that node is the one which
/// the joiner asks.
#[derive(Args)]
#[command(after_help = "Examples:\n  covault invite --token-out join.token\n  \
    covault invite --api --expires 10m --json")]
pub struct InviteArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// For an API process, which serves HTTP and holds nothing, instead of a node.
    #[arg(long)]
    api: bool,
    /// How long it is good for, such as 90s, 10m, 1h or 2d; a week at most.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = seconds)]
    expires: u64,
    #[command(flatten)]
    out: TokenOutArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl InviteArgs {
    /// Asks for the token and hands it over.
    ///
    /// # Errors
    /// When it is refused, or nobody answers.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let role = if self.api { "api" } else { "node" };
        let body = json!({ "lifetime_seconds": self.expires, "role": role });
        let (client, place) = (self.connection.client()?, self.out.begin()?);
        let answer = client.send(&Call::post("/v1/invitations", body, &self.write))?.body;
        let made =
            format!("invitation {}, good until {}", cell(&answer, "/id"), cell(&answer, "/expires_at"));
        let words = Words {
            made,
            once: format!("it lets one {role} in, and is not shown again"),
            if_lost: "nobody can use it: make another".into(),
        };
        place.hand_over(answer, words, output)
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err("a number and one of s, m, h, d, such as 1h".into()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    let fits = seconds.filter(|seconds| (1..=INVITATION_SECONDS_MAX).contains(seconds));
    fits.ok_or_else(|| "from 1s to 7d".into())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, expected) in [("1s", 1), ("90s", 90), ("10m", 600), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for bad in ["", "1", "h", "0s", "8d", "1.5h", "-1h", "1 h", "99999999999999999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
