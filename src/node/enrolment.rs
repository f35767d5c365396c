//! The one question of a stranger, on the channel Join: a node, or an API process, shows an invitation and asks to be
//! taken in. Its bytes, both ways, are a format marker and CBOR. The key is proved by the connection, so it is not in them;
//! the secret travels to the node that the join token names, and no further: what is agreed on has its hash.
//! Keeps M1 from the wire's side. Knows nothing of sockets.

use covault_model::{
    DecodeError, decode, encode,
    id::{InvitationHash, InvitationId, NodeId},
    invitation::{INVITATION_SECRET_LEN, JoinToken},
    refusal::Refusal,
    roster::{ApiEnrolment, Enrolment, NodeAddress},
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use zeroize::Zeroizing;

const ENROLMENT_FORMAT: u8 = 1;

/// An API process asks in a form of its own, so that it is not taken for a node by one that does not know the other.
const API_ENROLMENT_FORMAT: u8 = 2;

type Ask = (u8, InvitationId, ByteArray<INVITATION_SECRET_LEN>, NodeAddress);
type ApiAsk = (u8, InvitationId, ByteArray<INVITATION_SECRET_LEN>);

/// Who shows an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A node, which becomes a member.
    ByNode(Enrolment),
    /// An API process, which asks the members.
    ByApi(ApiEnrolment),
}

/// What becomes of it: the nodes there are, or why not.
pub type Told = Result<Vec<(NodeId, NodeAddress)>, Refusal>;

#[derive(Serialize, Deserialize)]
struct Answer(u8, Told);

/// The bytes with which a node that is reached at `address` shows `token`.
pub fn write_ask(token: &JoinToken, address: NodeAddress) -> Zeroizing<Vec<u8>> {
    let ask: Ask = (ENROLMENT_FORMAT, token.id, ByteArray::new(*token.secret), address);
    Zeroizing::new(encode(&ask))
}

/// The bytes with which an API process shows `token`.
pub fn write_api_ask(token: &JoinToken) -> Zeroizing<Vec<u8>> {
    let ask: ApiAsk = (API_ENROLMENT_FORMAT, token.id, ByteArray::new(*token.secret));
    Zeroizing::new(encode(&ask))
}

/// Reads what the stranger with this proved key asks.
pub fn read_ask(stranger: NodeId, bytes: &[u8]) -> Result<Shown, DecodeError> {
    let hash =
        |secret: ByteArray<INVITATION_SECRET_LEN>| InvitationHash::of(&*Zeroizing::new(secret.into_array()));
    match bytes {
        [_, ENROLMENT_FORMAT, ..] => {
            let (_, invitation, secret, address): Ask = decode(bytes)?;
            Ok(Shown::ByNode(Enrolment { invitation, hash: hash(secret), node: stranger, address }))
        }
        [_, API_ENROLMENT_FORMAT, ..] => {
            let (_, invitation, secret): ApiAsk = decode(bytes)?;
            Ok(Shown::ByApi(ApiEnrolment { invitation, hash: hash(secret), api: stranger }))
        }
        [_, format, ..] => Err(DecodeError::UnknownFormat(*format)),
        _ => Err(DecodeError::Malformed),
    }
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
            ("api asks", hex(&write_api_ask(&token()))),
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
        let node = NodeId([9; 32]);
        let by_node = Enrolment { invitation: InvitationId([3; 8]), hash, node, address };
        assert_eq!(read, Shown::ByNode(by_node));
        let api_ask = write_api_ask(&token());
        let by_api = ApiEnrolment { invitation: InvitationId([3; 8]), hash, api: node };
        assert_eq!(read_ask(node, &api_ask).unwrap(), Shown::ByApi(by_api));
        for ask in [ask, api_ask] {
            for at in 0..ask.len() {
                assert!(read_ask(node, &ask[..at]).is_err(), "{at} bytes of it");
            }
            assert!(read_ask(node, &[&ask[..], &[0]].concat()).is_err());
            let swapped = [&ask[..1], &[3 - ask[1]], &ask[2..]].concat();
            assert!(read_ask(node, &swapped).is_err(), "one is not read as the other");
        }
    }

    #[test]
    fn the_largest_answer_fits_its_frame() {
        let address: NodeAddress = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let all = write_told(Ok(vec![(NodeId([255; 32]), address); MEMBERS_MAX]));
        assert!(all.len() <= Channel::Join.bytes_max());
        assert_eq!(read_told(&all).unwrap().unwrap().len(), MEMBERS_MAX);
    }
}
