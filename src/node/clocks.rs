//! A member's other question on the channel Control: what time is it? Asked of every member now and then, and the
//! answers kept, so that a node learns that its clock is off. The bytes, both ways, are a format marker and CBOR.
//! Keeps V5 with `src/vault/clocks.rs`. Knows nothing of what a wrong clock leads to.

use std::{sync::Arc, time::Duration};

use covault_model::{DecodeError, decode, encode, hlc::Millis, id::NodeId};
use covault_net::{Channel, Endpoint};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{consensus::Consensus, vault::Clocks};

const CLOCKS_FORMAT: u8 = 1;
const ASK: &str = "time";

/// A reading lasts for several of these.
const EVERY: Duration = Duration::from_secs(5);
/// While there are members that nothing was heard of: a node that has just joined learns of them one by one.
const SOON: Duration = Duration::from_millis(500);
/// The same for as many times after a start, when connections come one by one.
const AT_FIRST: (usize, Duration) = (10, Duration::from_millis(100));
/// How long a node that starts waits for what the others say.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What takes longer says too little of the moment at which it was answered.
const ASK_WITHIN: Duration = Duration::from_secs(2);

/// The bytes of the question.
fn write_ask() -> Vec<u8> {
    encode(&(CLOCKS_FORMAT, ASK))
}

/// Whether these bytes are the question.
pub fn is_ask(bytes: &[u8]) -> bool {
    bytes == write_ask()
}

/// The bytes of an answer.
pub fn write_told(now: Millis) -> Vec<u8> {
    encode(&(CLOCKS_FORMAT, now))
}

/// Reads an answer.
pub fn read_told(bytes: &[u8]) -> Result<Millis, DecodeError> {
    match decode(bytes)? {
        (CLOCKS_FORMAT, now) => Ok(now),
        (format, _) => Err(DecodeError::UnknownFormat(format)),
    }
}

/// Asks the other members, for as long as it runs.
pub(super) async fn ask_all(endpoint: Endpoint, consensus: Consensus, clocks: Arc<Clocks>, me: NodeId) {
    for time in 0.. {
        let members = consensus.standing().members;
        let others: Vec<NodeId> =
            members.iter().map(|member| member.node).filter(|node| *node != me).collect();
        clocks.retain(&others);
        let mut asked = JoinSet::new();
        for other in &others {
            asked.spawn(ask(endpoint.clone(), clocks.clone(), *other));
        }
        asked.join_all().await;
        let all_told = !members.is_empty() && others.len() <= clocks.heard_of();
        let next = if time < AT_FIRST.0 { AT_FIRST.1 } else { SOON };
        sleep(if all_told { EVERY } else { next }).await;
    }
}

/// Returns once all other members have said what time it is, or after a moment: of one that is down nothing comes.
pub(super) async fn heard(consensus: &Consensus, clocks: &Clocks) {
    let until = Instant::now() + HEARD_WITHIN;
    while clocks.heard_of() + 1 < consensus.standing().members.len() && Instant::now() < until {
        sleep(LOOK_EVERY).await;
    }
}

async fn ask(endpoint: Endpoint, clocks: Arc<Clocks>, node: NodeId) {
    let asked = Instant::now();
    let told = endpoint.call(node, Channel::Control, write_ask().into(), ASK_WITHIN).await;
    // Who cannot be reached says nothing, and its last reading runs out.
    let Ok(told) = told else { return };
    match read_told(&told) {
        Ok(said) => clocks.heard(node, said, (asked, Instant::now())),
        Err(error) => tracing::warn!(peer = %node, %error, "an answer of a peer cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use covault_model::id::hex;

    use super::*;

    /// As `tests/golden` of the other rooms: never changed once a release has sent them.
    #[test]
    fn the_question_and_its_answer_are_written_as_ever() {
        assert_eq!(hex(&write_ask()), "82016474696d65");
        assert_eq!(hex(&write_told(Millis(1_800_000_000_000))), "82011b000001a3185c5000");
        assert_eq!(read_told(&write_told(Millis(u64::MAX))), Ok(Millis(u64::MAX)));
    }

    #[test]
    fn anything_else_is_no_question_and_no_answer() {
        let (ask, told) = (write_ask(), write_told(Millis(1)));
        assert!(is_ask(&ask) && !is_ask(&[&ask[..], &[0]].concat()) && !is_ask(b""));
        assert!(read_told(&ask).is_err() && read_told(b"").is_err());
        assert!(read_told(&[&told[..], &[0]].concat()).is_err());
        assert!(read_told(&encode(&(2, Millis(1)))).is_err());
    }
}
