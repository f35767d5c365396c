//! What requests say in their headers, checked: the token, conditions, retries and preferences.
//! No other file reads headers. A header that does not read is refused by name, its text never shown.
//! Knows nothing of what is done with them.

use std::fmt::Write;

use covault_model::{command::Condition, epoch::Epoch, id::VersionId};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    api::problem::{Code, Problem},
    vault::{IdempotencyKey, RequestId},
};

/// Carries the request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Carries the key that makes a retry safe.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks a remembered answer.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Says how the node that answered a read stands with its majority.
pub const STANDING: HeaderName = HeaderName::from_static("covault-standing");
/// Says of a node that is cut off how many milliseconds ago it last heard of a majority.
pub const LAST_CONTACT: HeaderName = HeaderName::from_static("covault-last-contact-ms");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What requests say to operations, and no more than that: these are brought to the node that carries them out.
pub const OF_OPERATIONS: [HeaderName; 4] = [header::IF_MATCH, header::IF_NONE_MATCH, PREFER, IDEMPOTENCY_KEY];

/// A preference that refuses a provisional version.
pub fn agreed() -> (HeaderName, HeaderValue) {
    (PREFER, HeaderValue::from_static("agreed"))
}

/// The bearer token of the request; absent when there is none, or more than one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = only(headers, &header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The client's id for the request, if it is a valid one.
pub fn request_id(headers: &HeaderMap) -> Option<RequestId> {
    RequestId::parse(only(headers, &REQUEST_ID)?.to_str().ok()?).ok()
}

/// The key that makes a retry safe.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    if !headers.contains_key(&IDEMPOTENCY_KEY) {
        return Ok(None);
    }
    let text = only(headers, &IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
    match text.map(IdempotencyKey::parse) {
        Some(Ok(key)) => Ok(Some(key)),
        _ => Err(invalid("Idempotency-Key", "must be 1 to 128 printable ASCII characters without spaces")),
    }
}

/// What `If-Match` asks for. A tag that is no version's id, or a weak one, matches nothing (RFC 9110).
pub fn if_match(headers: &HeaderMap) -> Result<Option<Condition>, Problem> {
    tags(headers, &header::IF_MATCH, "If-Match").map(|found| {
        found.map(|tags| match tags {
            Tags::Any => Condition::Exists,
            Tags::These(these) => Condition::OneOf(these.iter().filter_map(Tag::strong_version).collect()),
        })
    })
}

/// Which epochs `If-Match` wants to be the active one: one of these. Absent when any may be.
pub fn if_match_epoch(headers: &HeaderMap) -> Result<Option<Vec<Epoch>>, Problem> {
    let found = tags(headers, &header::IF_MATCH, "If-Match")?;
    Ok(found.and_then(|tags| match tags {
        Tags::Any => None,
        Tags::These(these) => {
            let strong = these.iter().filter(|tag| !tag.weak);
            Some(strong.filter_map(|tag| tag.epoch).collect())
        }
    }))
}

/// What `If-None-Match` says the client has already.
pub fn if_none_match(headers: &HeaderMap) -> Result<Option<Tags>, Problem> {
    tags(headers, &header::IF_NONE_MATCH, "If-None-Match")
}

/// Whether `Prefer: agreed` refuses a provisional version. Preferences that are not known are ignored
/// (RFC 7240).
pub fn prefers_agreed(headers: &HeaderMap) -> bool {
    let values = headers.get_all(&PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    preferences.any(|preference| {
        preference.split(';').next().is_some_and(|word| word.trim().eq_ignore_ascii_case("agreed"))
    })
}

/// What a body is declared to be, in UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/json`
    Json,
    /// `text/plain`
    Text,
}

/// What the body is declared to be; nothing when that is no text in UTF-8 of a kind that is known.
pub fn media(headers: &HeaderMap) -> Option<Media> {
    let text = only(headers, &header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let known = [("application/json", Media::Json), ("text/plain", Media::Text)];
    let media =
        known.into_iter().find(|(name, _)| essence.eq_ignore_ascii_case(name)).map(|(_, media)| media);
    let utf8 = |parameter: &str| {
        let parameter = parameter.replace('"', "");
        parameter.is_empty() || parameter.eq_ignore_ascii_case("charset=utf-8")
    };
    media.filter(|_| parts.all(utf8))
}

/// Refuses a body that is not declared to be one of these.
pub fn require(headers: &HeaderMap, taken: &[Media]) -> Result<(), Problem> {
    if media(headers).is_some_and(|media| taken.contains(&media)) {
        return Ok(());
    }
    let detail = match taken.contains(&Media::Text) {
        true => "Send Content-Type: application/json or text/plain, in UTF-8.",
        false => "Send Content-Type: application/json.",
    };
    Err(Problem::new(Code::UnsupportedMediaType, detail).with_field("Content-Type"))
}

/// The length the request declares for its body.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The bytes of all names and values.
pub fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The entity tag of a version.
pub fn entity_tag(version: &VersionId) -> HeaderValue {
    let mut tag = String::with_capacity(2 * VersionId::LEN + 2);
    write!(tag, "\"{version}\"").expect("writing to memory cannot fail");
    HeaderValue::try_from(tag).expect("hexadecimal digits fit a header")
}

/// The entity tag of an owner's epochs: the active one's number.
pub fn epoch_tag(active: Epoch) -> HeaderValue {
    HeaderValue::try_from(format!("\"{active}\"")).expect("digits fit a header")
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn invalid(name: &'static str, why: &str) -> Problem {
    Problem::new(Code::InvalidHeader, format!("The header {name} {why}.")).with_field(name)
}

/// A list of entity tags, or any.
pub enum Tags {
    /// `*`
    Any,
    /// These ones.
    These(Vec<Tag>),
}

/// One entity tag.
pub struct Tag {
    weak: bool,
    /// The version it names; absent when it is of something else.
    version: Option<VersionId>,
    /// The epoch it names; absent when it is of something else.
    epoch: Option<Epoch>,
}

impl Tags {
    /// Whether the version with this id is among them; a weak tag counts as well as a strong one.
    pub fn covers(&self, version: &VersionId) -> bool {
        match self {
            Self::Any => true,
            Self::These(these) => these.iter().any(|tag| tag.version == Some(*version)),
        }
    }
}

impl Tag {
    fn strong_version(&self) -> Option<VersionId> {
        self.version.filter(|_| !self.weak)
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName, shown: &'static str) -> Result<Option<Tags>, Problem> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let refuse = || invalid(shown, "must be * or a list of quoted version ids");
    let mut these = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| refuse())?.trim();
        if text == "*" {
            return Ok(Some(Tags::Any));
        }
        for member in text.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            these.push(tag(member).ok_or_else(refuse)?);
        }
    }
    if these.is_empty() { Err(refuse()) } else { Ok(Some(Tags::These(these))) }
}

fn tag(member: &str) -> Option<Tag> {
    let (weak, quoted) = match member.strip_prefix("W/") {
        Some(quoted) => (true, quoted),
        None => (false, member),
    };
    let opaque = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let epoch = opaque.parse().ok().map(Epoch);
    (!opaque.contains('"')).then(|| Tag { weak, version: VersionId::parse(opaque).ok(), epoch })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn with(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn exactly_one_bearer_token_is_read() {
        let bearer_of = |values: &[&str]| bearer(&with(header::AUTHORIZATION, values)).map(str::to_owned);
        assert_eq!(bearer_of(&["Bearer cvt_a_b"]).as_deref(), Some("cvt_a_b"));
        assert_eq!(bearer_of(&["bearer  cvt_a_b"]).as_deref(), Some("cvt_a_b"));
        assert_eq!(bearer_of(&["Basic abc"]), None);
        assert_eq!(bearer_of(&["Bearer a", "Bearer b"]), None);
        assert_eq!(bearer_of(&[]), None);
    }

    #[test]
    fn conditions_are_lists_or_a_star() {
        let id = VersionId::of(b"x");
        let condition = |value: &str| if_match(&with(header::IF_MATCH, &[value]));
        assert_eq!(condition("*").unwrap(), Some(Condition::Exists));
        assert_eq!(condition(&format!("\"{id}\"")).unwrap(), Some(Condition::OneOf(vec![id])));
        assert_eq!(condition(&format!("\"other\", \"{id}\"")).unwrap(), Some(Condition::OneOf(vec![id])));
        assert_eq!(condition(&format!("W/\"{id}\"")).unwrap(), Some(Condition::OneOf(vec![])));
        for bad in ["", "abc", "\"abc", "\"a\"b\"", ","] {
            assert_eq!(condition(bad).unwrap_err().code(), Code::InvalidHeader, "{bad}");
        }
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn a_weak_tag_is_fresh_too() {
        let id = VersionId::of(b"x");
        let fresh =
            |value: &str| if_none_match(&with(header::IF_NONE_MATCH, &[value])).unwrap().unwrap().covers(&id);
        assert!(fresh("*"));
        assert!(fresh(&format!("\"{id}\"")));
        assert!(fresh(&format!("W/\"{id}\"")));
        assert!(!fresh("\"other\""));
    }

    #[test]
    fn a_preference_is_found_among_others() {
        let prefers = |values: &[&str]| prefers_agreed(&with(PREFER, values));
        assert!(prefers(&["agreed"]));
        assert!(prefers(&["return=minimal, Agreed; wait=1"]));
        assert!(prefers(&["wait=1", "agreed"]));
        assert!(!prefers(&["disagreed"]));
        assert!(!prefers(&[]));
    }

    #[test]
    fn only_json_in_utf8_is_json() {
        let json = |value: &str| require(&with(header::CONTENT_TYPE, &[value]), &[Media::Json]).is_ok();
        assert!(json("application/json"));
        assert!(json("Application/JSON; charset=\"UTF-8\""));
        assert!(!json("application/json; charset=latin1"));
        assert!(!json("text/plain"));
        assert!(require(&HeaderMap::new(), &[Media::Json]).is_err());
        let text = with(header::CONTENT_TYPE, &["text/plain; charset=utf-8"]);
        assert!(require(&text, &[Media::Json, Media::Text]).is_ok());
        assert_eq!(media(&with(header::CONTENT_TYPE, &["text/plain; charset=latin1"])), None);
    }

    #[test]
    fn idempotency_keys_are_bounded() {
        let key = |value: &str| idempotency_key(&with(IDEMPOTENCY_KEY, &[value]));
        assert_eq!(key("retry-1").unwrap().unwrap().as_str(), "retry-1");
        assert!(key("").is_err());
        assert!(key("two words").is_err());
        assert!(key(&"k".repeat(129)).is_err());
        assert!(idempotency_key(&with(IDEMPOTENCY_KEY, &["a", "b"])).is_err());
    }
}
