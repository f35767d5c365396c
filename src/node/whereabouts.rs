//! A member's question to another, on the channel Control: which nodes are there, and where. A node that was away
//! may not know who leads now, and would not let that one in. Its bytes, both ways, are a format marker and CBOR.
//! Knows nothing of who is trusted.

use covault_model::{DecodeError, decode, encode, id::NodeId, roster::NodeAddress};

const WHEREABOUTS_FORMAT: u8 = 1;

/// The only question there is on the channel.
const ASK: &str = "members";

/// The bytes of the question.
pub fn write_ask() -> Vec<u8> {
    encode(&(WHEREABOUTS_FORMAT, ASK))
}

/// Whether these bytes are the question.
pub fn is_ask(bytes: &[u8]) -> bool {
    bytes == write_ask()
}

/// The bytes of an answer.
pub fn write_told(members: &[(NodeId, NodeAddress)]) -> Vec<u8> {
    encode(&(WHEREABOUTS_FORMAT, members))
}

/// Reads an answer.
pub fn read_told(bytes: &[u8]) -> Result<Vec<(NodeId, NodeAddress)>, DecodeError> {
    match decode(bytes)? {
        (WHEREABOUTS_FORMAT, members) => Ok(members),
        (format, _) => Err(DecodeError::UnknownFormat(format)),
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
        assert_eq!(hex(&write_ask()), "8201676d656d62657273");
        let members = [(NodeId([1; 32]), "[::1]:8401".parse().unwrap())];
        let told = write_told(&members);
        assert_eq!(
            hex(&told),
            format!("8201818258 20{}6a5b3a3a315d3a38343031", "01".repeat(32)).replace(' ', "")
        );
        assert_eq!(read_told(&told).unwrap(), members);
    }

    #[test]
    fn anything_else_is_no_question_and_no_answer() {
        let ask = write_ask();
        assert!(is_ask(&ask) && !is_ask(&[&ask[..], &[0]].concat()) && !is_ask(b""));
        assert!(read_told(&ask).is_err() && read_told(b"").is_err());
        assert!(read_told(&encode(&(2, Vec::<(NodeId, NodeAddress)>::new()))).is_err());
    }
}
