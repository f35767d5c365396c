//! The one question of a stranger, on the channel Join: a node shows an invitation and asks to be taken in. Its
//! bytes, both ways, are a format marker and CBOR. The key is proved by the connection, so it is not in them;
//! the secret travels to the node that the join token names, and no further: what is agreed on has its hash.
//! Keeps M1 from the wire's side. Knows nothing of sockets.

use covault_model::{
    DecodeError, decode, encode,
    id::{InvitationHash, InvitationId, NodeId},
    invitation::{INVITATION_SECRET_LEN, JoinToken},
    refusal::Refusal,
    roster::{Enrolment, NodeAddress},
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use zeroize::Zeroizing;

const ENROLMENT_FORMAT: u8 = 1;

type Ask = (u8, InvitationId, ByteArray<INVITATION_SECRET_LEN>, NodeAddress);

/// What becomes of it: the nodes there are, or why not.
pub type Told = Result<Vec<(NodeId, NodeAddress)>, Refusal>;

#[derive(Serialize, Deserialize)]
struct Answer(u8, Told);

/// The bytes with which a node that is reached at `address` shows `token`.
pub fn write_ask(token: &JoinToken, address: NodeAddress) -> Zeroizing<Vec<u8>> {
    let ask: Ask = (ENROLMENT_FORMAT, token.id, ByteArray::new(*token.secret), address);
    Zeroizing::new(encode(&ask))
}

/// Reads what the node with this proved key asks.
pub fn read_ask(node: NodeId, bytes: &[u8]) -> Result<Enrolment, DecodeError> {
    let (format, invitation, secret, address): Ask = decode(bytes)?;
    if format != ENROLMENT_FORMAT {
        return Err(DecodeError::UnknownFormat(format));
    }
    let secret = Zeroizing::new(secret.into_array());
    Ok(Enrolment { invitation, hash: InvitationHash::of(&*secret), node, address })
}

/// The bytes of an answer.
pub fn write_told(told: Told) -> Vec<u8> {
    encode(&Answer(ENROLMENT_FORMAT, told))
}

/// Reads an answer.
pub fn read_told(bytes: &[u8]) -> Result<Told, DecodeError> {
    match decode(bytes)? {
        Answer(ENROLMENT_FORMAT, told) => Ok(told),
        Answer(format, _) => Err(DecodeError::UnknownFormat(format)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use covault_model::{
        id::{ClusterId, hex},
        limits::MEMBERS_MAX,
        refusal::CallerMistake,
    };
    use covault_net::Channel;

    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            cluster: ClusterId([7; 16]),
            node: NodeId([1; 32]),
            address: "127.0.0.1:8401".parse().unwrap(),
            id: InvitationId([3; 8]),
            secret: Zeroizing::new([4; INVITATION_SECRET_LEN]),
        }
    }

    /// As `tests/golden` of the other rooms: never changed once a release has sent them.
    #[test]
    fn the_question_and_its_answers_are_written_as_ever() {
        let address = "[::1]:8401".parse().unwrap();
        let refused: Told = Err(CallerMistake::InvitationInvalid.into());
        let lines = [
            ("ask", hex(&write_ask(&token(), address))),
            ("taken in", hex(&write_told(Ok(vec![(NodeId([1; 32]), address)])))),
            ("refused", hex(&write_told(refused))),
        ];
        let text: String = lines.iter().map(|(name, bytes)| format!("{name}: {bytes}\n")).collect();
        assert_eq!(text, include_str!("golden/enrolment.txt"));
    }

    #[test]
    fn what_is_asked_reads_back_with_the_proved_key_and_the_hash_of_the_secret() {
        let address = "10.0.0.9:8401".parse().unwrap();
        let ask = write_ask(&token(), address);
        let read = read_ask(NodeId([9; 32]), &ask).unwrap();
        let hash = InvitationHash::of(&[4; INVITATION_SECRET_LEN]);
        assert_eq!(
            read,
            Enrolment { invitation: InvitationId([3; 8]), hash, node: NodeId([9; 32]), address }
        );
        for at in 0..ask.len() {
            assert!(read_ask(NodeId([9; 32]), &ask[..at]).is_err(), "{at} bytes of it");
        }
        assert!(read_ask(NodeId([9; 32]), &[&ask[..], &[0]].concat()).is_err());
    }

    #[test]
    fn the_largest_answer_fits_its_frame() {
        let address: NodeAddress = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let all = write_told(Ok(vec![(NodeId([255; 32]), address); MEMBERS_MAX]));
        assert!(all.len() <= Channel::Join.bytes_max());
        assert_eq!(read_told(&all).unwrap().unwrap().len(), MEMBERS_MAX);
    }
}
