//! What an API process asks a vault node, and what it is told, as bytes: a format marker and CBOR, one of each to a
//! stream. A request has all that its client said which means something, as it was said, so that the node judges it
//! as one of its own; the token is in it because the node, and nobody else, says whose it is.
//! What is not known is refused, not passed over: a condition that a node does not know must not go unheeded.
//! Keeps A2. Knows nothing of HTTP methods, of routes, and of how bytes travel.

use covault_model::{DecodeError, decode, encode, id::NodeId, limits::MEMBERS_MAX, roster::NodeAddress};
use covault_net::Channel;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

const RELAY_FORMAT: u8 = 1;
/// What everything in a request but its body may have, in bytes; and in an answer.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// What the body of an answer may have, in bytes, so that it fits its frame with all that is around it.
pub const ANSWER_BODY_BYTES_MAX: usize = Channel::Serve.bytes_max() - TEXT_BYTES_MAX - 1024;
/// Headers of one request or answer.
pub const HEADERS_MAX: usize = 64;

/// What an API process asks.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// How the node stands, and which nodes there are.
    Standing,
    /// The same, once the node has applied all that was agreed before it was asked.
    Confirmed,
    /// To carry out what a client asks for.
    CarryOut(Box<Asked>),
}

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The operation, by its name in the route table.
    pub operation: String,
    /// The bearer token; absent when none was presented.
    pub token: Option<PresentedToken>,
    /// The request's id.
    pub request: String,
    /// The parts of the path that stand for its parameters, as sent.
    pub captures: [String; 2],
    /// What stands after the `?`, as sent.
    pub query: String,
    /// The headers that mean something to an operation.
    pub headers: Vec<(String, ByteBuf)>,
    /// The body; empty when there is none.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// A bearer token on its way. It has no `Debug`, and is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct PresentedToken(Zeroizing<String>);

impl PresentedToken {
    /// The token with this text, whatever it is.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Serialize for PresentedToken {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PresentedToken {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// What a vault node tells.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// How it stands.
    Standing(Standing),
    /// What the request came to.
    CarriedOut(Box<Answered>),
}

/// How a node stands, and which nodes there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Whether a majority stands behind it.
    pub majority: bool,
    /// All nodes, as far as it knows where they are; none without a majority.
    pub members: Vec<(NodeId, NodeAddress)>,
}

/// What a request came to.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The problem's code; absent unless it was refused.
    pub code: Option<String>,
    /// The media type of the body; empty without one.
    pub content_type: String,
    /// The other headers.
    pub headers: Vec<(String, ByteBuf)>,
    /// The body.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl Ask {
    /// Its bytes, which hold the token: let go of them soon.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(self)
    }

    /// Reads what [`Ask::to_bytes`] wrote, within its bounds, and nothing after it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let ask = read(bytes)?;
        let fits = match &ask {
            Self::Standing | Self::Confirmed => true,
            Self::CarryOut(asked) => {
                let token = asked.token.as_ref().map_or("", PresentedToken::text);
                let [first, second] = &asked.captures;
                let texts = [&asked.operation, token, &asked.request, first, second, &asked.query];
                fit(&texts, &asked.headers)
            }
        };
        if fits { Ok(ask) } else { Err(DecodeError::TooLarge) }
    }
}

impl Told {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(self)
    }

    /// Reads what [`Told::to_bytes`] wrote, within its bounds, and nothing after it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let told = read(bytes)?;
        let fits = match &told {
            Self::Standing(standing) => standing.members.len() <= MEMBERS_MAX,
            Self::CarriedOut(answered) => {
                let code = answered.code.as_deref().unwrap_or_default();
                fit(&[code, &answered.content_type], &answered.headers)
            }
        };
        if fits { Ok(told) } else { Err(DecodeError::TooLarge) }
    }
}

fn fit(texts: &[&str], headers: &[(String, ByteBuf)]) -> bool {
    let of_headers = headers.iter().map(|(name, value)| name.len() + value.len());
    let bytes: usize = texts.iter().map(|text| text.len()).chain(of_headers).sum();
    headers.len() <= HEADERS_MAX && bytes <= TEXT_BYTES_MAX
}

fn write<T: Serialize>(message: &T) -> Vec<u8> {
    encode(&(RELAY_FORMAT, message))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes {
        [0x82, RELAY_FORMAT, ..] => Ok(decode::<(u8, T)>(bytes)?.1),
        [0x82, format @ 0..=23, ..] => Err(DecodeError::UnknownFormat(*format)),
        _ => Err(DecodeError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use covault_model::id::hex;

    use super::*;

    fn asked() -> Asked {
        Asked {
            operation: "update_secret".into(),
            token: Some(PresentedToken::new("cvt_00_00")),
            request: "r-1".into(),
            captures: ["app%2Fdb".into(), String::new()],
            query: "owner=ann".into(),
            headers: vec![("prefer".into(), ByteBuf::from(b"agreed".as_slice()))],
            body: b"{\"value\":\"v\"}".into(),
        }
    }

    fn answered() -> Answered {
        Answered {
            status: 404,
            code: Some("not_found".into()),
            content_type: "application/problem+json".into(),
            headers: vec![("covault-standing".into(), ByteBuf::from(b"majority".as_slice()))],
            body: b"{}".into(),
        }
    }

    fn asks() -> Vec<(&'static str, Ask)> {
        let bare = Asked { token: None, headers: Vec::new(), body: Vec::new(), ..asked() };
        vec![
            ("standing", Ask::Standing),
            ("confirmed", Ask::Confirmed),
            ("carry out", Ask::CarryOut(Box::new(asked()))),
            ("carry out for nobody", Ask::CarryOut(Box::new(bare))),
        ]
    }

    fn tolds() -> Vec<(&'static str, Told)> {
        let members = vec![(NodeId([1; 32]), "[::1]:8401".parse().unwrap())];
        let done = Answered { status: 204, code: None, content_type: String::new(), ..answered() };
        vec![
            ("stands", Told::Standing(Standing { majority: true, members })),
            ("refused", Told::CarriedOut(Box::new(answered()))),
            ("done", Told::CarriedOut(Box::new(done))),
        ]
    }

    /// As `tests/golden` of the other rooms: lines are added, never changed, once a release has sent them.
    #[test]
    fn messages_are_written_as_ever() {
        let asks = asks().into_iter().map(|(name, ask)| (name, ask.to_bytes()));
        let lines = asks.chain(tolds().into_iter().map(|(name, told)| (name, told.to_bytes())));
        let text: String = lines.map(|(name, bytes)| format!("{name}: {}\n", hex(&bytes))).collect();
        assert_eq!(text, include_str!("golden/messages.txt"));
    }

    #[test]
    fn every_message_reads_back_and_a_part_of_one_is_none() {
        for (name, ask) in asks() {
            let bytes = ask.to_bytes();
            assert!(Ask::from_bytes(&bytes).is_ok_and(|read| read == ask), "{name}");
            assert!((0..bytes.len()).all(|end| Ask::from_bytes(&bytes[..end]).is_err()), "{name}");
            assert!(Ask::from_bytes(&[&bytes[..], &[0]].concat()).is_err(), "{name}");
        }
        for (name, told) in tolds() {
            let bytes = told.to_bytes();
            assert!(Told::from_bytes(&bytes).is_ok_and(|read| read == told), "{name}");
            assert!((0..bytes.len()).all(|end| Told::from_bytes(&bytes[..end]).is_err()), "{name}");
        }
    }

    /// Each byte of a message changed, to each of these.
    fn changed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let to = |was: u8| [0, was ^ 1, was ^ 0x20, was ^ 0x80, 0x5b, 0x7f, 0x9f, 0xff];
        let all = bytes.iter().enumerate().flat_map(move |(at, was)| to(*was).map(|to| (at, to)));
        all.map(|(at, to)| [&bytes[..at], &[to], &bytes[at + 1..]].concat())
    }

    #[test]
    fn a_changed_message_is_refused_or_another_message() {
        for bytes in asks().iter().flat_map(|(_, ask)| changed(&ask.to_bytes()).collect::<Vec<_>>()) {
            if let Ok(ask) = Ask::from_bytes(&bytes) {
                assert!(Ask::from_bytes(&ask.to_bytes()).is_ok_and(|again| again == ask));
            }
        }
        for bytes in tolds().iter().flat_map(|(_, told)| changed(&told.to_bytes()).collect::<Vec<_>>()) {
            if let Ok(told) = Told::from_bytes(&bytes) {
                assert!(Told::from_bytes(&told.to_bytes()).is_ok_and(|again| again == told));
            }
        }
    }

    #[test]
    fn what_this_release_does_not_know_is_refused() {
        let newer = encode(&(2u8, Ask::Standing));
        assert_eq!(Ask::from_bytes(&newer).err(), Some(DecodeError::UnknownFormat(2)));
        #[derive(Serialize)]
        struct More<'a> {
            #[serde(flatten)]
            asked: &'a Asked,
            condition: u8,
        }
        let more = serde_json::json!({ "CarryOut": More { asked: &asked(), condition: 1 } });
        assert!(Ask::from_bytes(&encode(&(RELAY_FORMAT, more))).is_err());
    }

    #[test]
    fn texts_and_headers_are_bounded() {
        let refused = |asked: Asked| Ask::from_bytes(&Ask::CarryOut(Box::new(asked)).to_bytes()).err();
        let long = "a".repeat(TEXT_BYTES_MAX);
        assert_eq!(refused(Asked { query: long.clone(), ..asked() }), Some(DecodeError::TooLarge));
        let token = Some(PresentedToken::new(&long));
        assert_eq!(refused(Asked { token, ..asked() }), Some(DecodeError::TooLarge));
        let headers = vec![(String::new(), ByteBuf::new()); HEADERS_MAX + 1];
        assert_eq!(refused(Asked { headers, ..asked() }), Some(DecodeError::TooLarge));
        let told = Told::CarriedOut(Box::new(Answered { content_type: long, ..answered() }));
        assert_eq!(Told::from_bytes(&told.to_bytes()).err(), Some(DecodeError::TooLarge));
        assert_eq!(
            refused(Asked { body: vec![0; 1 << 20], ..asked() }),
            None,
            "a body is bounded by its frame"
        );
    }
}
