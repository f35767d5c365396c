//! JSON bodies out. The one place that opens plaintext for a response (S1): a secret's value and a new
//! token's text go from their wiped buffers straight into the body.
//! Knows nothing of requests.

pub mod tokens;

use std::{collections::BTreeMap, fmt::Display};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use covault_model::{
    id::{NodeId, VersionId},
    name::{LabelKey, LabelValue, MasterKeyName},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    api::{
        headers,
        problem::{Code, Problem},
        time::Time,
    },
    vault::{
        CallerInfo, Changed, GrantInfo, Marked, MemberStatus, NewInvitation, NewToken, Opened, Replication,
        Standing, Status, Summary, TokenInfo, Version, Written,
    },
};

/// Room for everything in a read answer but the value and the labels, in bytes.
const READ_HEAD_BYTES: usize = 640;
/// Room for the headers of a read's answer, those of every answer included.
const HEADERS: usize = 6;

const JSON: &str = "application/json";

/// The media type of an answer that is text.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// One answer, before it is an HTTP response.
#[derive(Clone)]
pub struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    /// What was set, and nothing else.
    headers: HeaderMap,
    /// Why it was refused; absent unless it was.
    code: Option<Code>,
}

impl Answer {
    /// An answer with this body.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::with_capacity(HEADERS);
        Self { status, content_type, body: body.into(), headers, code: None }
    }

    /// The same, refused for this reason.
    pub fn refused(self, code: Code) -> Self {
        Self { code: Some(code), ..self }
    }

    /// An answer in JSON.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let mut text = Vec::with_capacity(READ_HEAD_BYTES);
        put(&mut text, body);
        Self::new(status, JSON, text)
    }

    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self::new(status, "", Bytes::new())
    }

    /// Sets a header.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.append(name, value);
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Why it was refused, if it was.
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// The media type of its body; empty without one.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// Its body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The headers that were set.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header that was set.
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// The HTTP response.
    pub fn into_response(self) -> http::Response<Bytes> {
        let mut response = http::Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        *headers = self.headers;
        if !self.content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        response
    }
}

/// A secret with its value; nothing but the tag and standing when the client has this version already.
pub fn opened(opened: &Opened, fresh: bool) -> Answer {
    let summary = &opened.summary;
    let mut answer = if fresh { Answer::empty(StatusCode::NOT_MODIFIED) } else { with_value(opened) };
    answer.set(header::ETAG, headers::entity_tag(&summary.version.id));
    answer
}

/// Says how the node stands that answers a read.
pub fn set_standing(answer: &mut Answer, standing: Standing) {
    answer.set(headers::STANDING, HeaderValue::from_static(standing.as_str()));
    if let Standing::Minority(Some(silence)) = standing {
        answer.set(headers::LAST_CONTACT, HeaderValue::from(silence.as_millis() as u64));
    }
}

/// By hand as far as the value, which is most of it.
fn with_value(opened: &Opened) -> Answer {
    let bytes = opened.value.expose_plaintext();
    let Summary { name, version, labels, description } = &opened.summary;
    let mut body = Vec::with_capacity(READ_HEAD_BYTES + bytes.len() + bytes.len() / 3);
    body.extend_from_slice(b"{\"name\":");
    put(&mut body, name.as_str());
    put_value(&mut body, bytes);
    body.extend_from_slice(b",\"version\":");
    put(&mut body, &VersionBody::from(version));
    body.extend_from_slice(b",\"labels\":");
    put(&mut body, labels);
    body.extend_from_slice(b",\"description\":");
    put(&mut body, &description.as_deref());
    body.push(b'}');
    Answer::new(StatusCode::OK, JSON, body)
}

/// Text as it is where JSON has it so, with escapes where it needs them, and what is no text in base64.
fn put_value(body: &mut Vec<u8>, value: &[u8]) {
    // Looks at every byte, so that it can look at many at once.
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) & (*byte != b'"') & (*byte != b'\\');
    if value.iter().fold(true, |plain, byte| plain & is_plain(byte)) {
        body.extend_from_slice(b",\"value\":\"");
        body.extend_from_slice(value);
        body.push(b'"');
    } else if let Ok(text) = str::from_utf8(value) {
        body.extend_from_slice(b",\"value\":");
        put(body, text);
    } else {
        body.extend_from_slice(b",\"value_base64\":");
        put(body, Zeroizing::new(STANDARD.encode(value)).as_str());
    }
}

fn put(body: &mut Vec<u8>, part: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(body, part).expect("every body here has text keys and writes to memory");
}

/// A write: `201` for a create, else `200` when it was agreed and `202` when it is provisional.
pub fn written(written: &Written, created: bool) -> Answer {
    let Written { name, version, replication, replayed } = written;
    let status = match version.number {
        _ if created => StatusCode::CREATED,
        Some(_) => StatusCode::OK,
        None => StatusCode::ACCEPTED,
    };
    let body = WrittenBody { name, version: version.into(), replication: (*replication).into() };
    let mut answer = Answer::json(status, &body);
    answer.set(header::ETAG, headers::entity_tag(&version.id));
    mark_replayed(&mut answer, *replayed);
    answer
}

/// A change of marks.
pub fn marked(marked: &Marked) -> Answer {
    let Summary { name, version, labels, description } = &marked.summary;
    let body = MarkedBody {
        name,
        version: version.into(),
        labels,
        description: description.as_deref(),
        replication: marked.replication.into(),
    };
    let mut answer = Answer::json(StatusCode::OK, &body);
    answer.set(header::ETAG, headers::entity_tag(&version.id));
    mark_replayed(&mut answer, marked.replayed);
    answer
}

/// A page of secrets without their values.
pub fn secrets(items: &[Summary], next: Option<String>) -> Answer {
    let secrets = items
        .iter()
        .map(|Summary { name, version, labels, description }| SummaryBody {
            name,
            version: version.into(),
            labels,
            description: description.as_deref(),
        })
        .collect();
    Answer::json(StatusCode::OK, &SecretPageBody { secrets, next })
}

/// A page of the versions of a secret, newest first.
pub fn versions(name: &str, items: &[Version], next: Option<String>) -> Answer {
    let versions = items.iter().map(Into::into).collect();
    Answer::json(StatusCode::OK, &VersionPageBody { name, versions, next })
}

/// A token just made. Its text is shown here and never again.
pub fn new_token(token: &NewToken) -> Answer {
    let text = token.text.as_ref().map(|text| str::from_utf8(text.expose_plaintext()).unwrap_or_default());
    let body = NewTokenBody {
        caller: &token.caller,
        role: token.role.as_str(),
        id: token.id.to_string(),
        token: text,
        expires_at: token.expires_at.map(Time),
    };
    let mut answer = Answer::json(StatusCode::CREATED, &body);
    mark_replayed(&mut answer, token.replayed);
    answer
}

/// One caller.
pub fn caller(info: &CallerInfo) -> Answer {
    Answer::json(StatusCode::OK, &CallerBody::from(info))
}

/// All callers.
pub fn callers(items: &[CallerInfo]) -> Answer {
    let callers: Vec<CallerBody> = items.iter().map(Into::into).collect();
    Answer::json(StatusCode::OK, &json!({ "callers": callers }))
}

/// The tokens of a caller.
pub fn tokens(items: &[TokenInfo]) -> Answer {
    let tokens: Vec<TokenBody> = items.iter().map(Into::into).collect();
    Answer::json(StatusCode::OK, &json!({ "tokens": tokens }))
}

/// A grant just given.
pub fn new_grant(info: &GrantInfo) -> Answer {
    Answer::json(StatusCode::CREATED, &GrantBody::from(info))
}

/// The grants of an owner.
pub fn grants(items: &[GrantInfo]) -> Answer {
    let grants: Vec<GrantBody> = items.iter().map(Into::into).collect();
    Answer::json(StatusCode::OK, &json!({ "grants": grants }))
}

/// An invitation just made. Its text is shown here and never again.
pub fn new_invitation(made: &NewInvitation) -> Answer {
    let text = made.text.as_ref().map(|text| str::from_utf8(text.expose_plaintext()).unwrap_or_default());
    let body = NewInvitationBody { id: made.id.to_string(), token: text, expires_at: Time(made.expires_at) };
    let mut answer = Answer::json(StatusCode::CREATED, &body);
    mark_replayed(&mut answer, made.replayed);
    answer
}

/// What is so once it was changed, as `show` shows it.
pub fn changed<T>(changed: &Changed<T>, show: impl FnOnce(&T) -> Answer) -> Answer {
    let mut answer = show(&changed.now);
    mark_replayed(&mut answer, changed.replayed);
    answer
}

/// That something was taken away.
pub fn removed(removed: &Changed<()>) -> Answer {
    changed(removed, |()| Answer::empty(StatusCode::NO_CONTENT))
}

/// The members of the cluster.
pub fn members(items: &[MemberStatus]) -> Answer {
    let members: Vec<_> = items.iter().map(member).collect();
    Answer::json(StatusCode::OK, &json!({ "members": members }))
}

fn member(member: &MemberStatus) -> serde_json::Value {
    json!({
        "node": member.node.to_string(),
        "role": member.role.as_str(),
        "address": member.address.map(|address| address.to_string()),
        "lag": member.lag,
        "last_contact_ms": member.heard.map(|heard| heard.as_millis() as u64),
        "clock_ahead_ms": member.clock_ahead,
    })
}

/// What the node says of itself.
pub fn status(status: &Status) -> Answer {
    let names = |keys: &[MasterKeyName]| keys.iter().map(|key| key.to_string()).collect::<Vec<_>>();
    let refuses = status.refuses_writes.clone().map(|why| Problem::from(why).code().as_str());
    let refused = status.refused_records.iter().filter(|(_, count)| 0 < *count);
    let refused: BTreeMap<&str, u64> = refused.copied().collect();
    let body = json!({
        "node": status.node.to_string(),
        "release": status.release,
        "cluster": status.cluster.to_string(),
        "members": status.members.iter().map(member).collect::<Vec<_>>(),
        "leader": status.leader.map(|leader| leader.to_string()),
        "term": status.term,
        "last_log": status.last_log,
        "applied": status.applied,
        "lag": status.last_log.saturating_sub(status.applied),
        "standing": status.standing.as_str(),
        "keys": {
            "active": status.keys.active.as_deref(),
            "usable": names(&status.keys.usable),
            "unavailable": names(&status.keys.unavailable),
        },
        "secrets": status.secrets,
        "versions": status.versions,
        "provisional": status.provisional,
        "mappings": status.mappings,
        "held_back": status.held_back,
        "refused_records": refused,
        "disk_used": status.disk_used,
        "disk_free": status.disk_free,
        "refuses_writes": refuses,
        "clock_skew_ms": status.clock_skew,
        "now": Time(status.now),
        "started_at": Time(status.started_at),
    });
    Answer::json(StatusCode::OK, &body)
}

/// How widely a write is kept, in JSON.
pub fn replication(replication: Replication) -> impl Serialize {
    ReplicationBody::from(replication)
}

/// Says of a remembered answer that it is one.
pub fn mark_replayed(answer: &mut Answer, replayed: bool) {
    if replayed {
        answer.set(headers::IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
}

type Labels = BTreeMap<LabelKey, LabelValue>;

#[derive(Serialize)]
struct SummaryBody<'a> {
    name: &'a str,
    version: VersionBody<'a>,
    labels: &'a Labels,
    description: Option<&'a str>,
}

#[derive(Serialize)]
struct SecretPageBody<'a> {
    secrets: Vec<SummaryBody<'a>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct VersionPageBody<'a> {
    name: &'a str,
    versions: Vec<VersionBody<'a>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct MarkedBody<'a> {
    name: &'a str,
    version: VersionBody<'a>,
    labels: &'a Labels,
    description: Option<&'a str>,
    replication: ReplicationBody,
}

#[derive(Serialize)]
struct WrittenBody<'a> {
    name: &'a str,
    version: VersionBody<'a>,
    replication: ReplicationBody,
}

#[derive(Serialize)]
struct ReplicationBody {
    acknowledged: u32,
    members: u32,
    quorum: u32,
}

impl From<Replication> for ReplicationBody {
    fn from(Replication { acknowledged, members, quorum }: Replication) -> Self {
        Self { acknowledged, members, quorum }
    }
}

#[derive(Serialize)]
struct VersionBody<'a> {
    number: Option<u64>,
    #[serde(serialize_with = "as_text")]
    id: &'a VersionId,
    valid_from: Time,
    valid_to: Option<Time>,
    created_at: Time,
    #[serde(serialize_with = "as_text")]
    author: &'a NodeId,
    caller: &'a str,
    state: &'static str,
    content_type: Option<&'a str>,
    expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restores: Option<String>,
}

impl<'a> From<&'a Version> for VersionBody<'a> {
    fn from(version: &'a Version) -> Self {
        Self {
            number: version.number,
            id: &version.id,
            valid_from: Time(version.valid_from),
            valid_to: version.valid_to.map(Time),
            created_at: Time(version.created_at),
            author: &version.author,
            caller: &version.caller,
            state: version.state.as_str(),
            content_type: version.content_type.as_deref(),
            expires_at: version.expires_at.map(Time),
            restores: version.restores.map(|id| id.to_string()),
        }
    }
}

#[derive(Serialize)]
struct NewTokenBody<'a> {
    caller: &'a str,
    role: &'static str,
    id: String,
    token: Option<&'a str>,
    expires_at: Option<Time>,
}

#[derive(Serialize)]
struct NewInvitationBody<'a> {
    id: String,
    token: Option<&'a str>,
    expires_at: Time,
}

#[derive(Serialize)]
struct TokenBody {
    id: String,
    created_at: Time,
    expires_at: Option<Time>,
}

impl From<&TokenInfo> for TokenBody {
    fn from(token: &TokenInfo) -> Self {
        Self {
            id: token.id.to_string(),
            created_at: Time(token.created_at),
            expires_at: token.expires_at.map(Time),
        }
    }
}

#[derive(Serialize)]
struct CallerBody<'a> {
    name: &'a str,
    role: &'static str,
    created_at: Time,
    tokens: Vec<TokenBody>,
}

impl<'a> From<&'a CallerInfo> for CallerBody<'a> {
    fn from(info: &'a CallerInfo) -> Self {
        Self {
            name: &info.name,
            role: info.role.as_str(),
            created_at: Time(info.created_at),
            tokens: info.tokens.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
struct GrantBody<'a> {
    id: String,
    owner: &'a str,
    prefix: &'a str,
    grantee: &'a str,
    access: &'static str,
    created_at: Time,
}

impl<'a> From<&'a GrantInfo> for GrantBody<'a> {
    fn from(GrantInfo { id, grant }: &'a GrantInfo) -> Self {
        Self {
            id: id.to_string(),
            owner: &grant.owner,
            prefix: &grant.prefix,
            grantee: &grant.grantee,
            access: grant.access.as_str(),
            created_at: Time(grant.created_at),
        }
    }
}

fn as_text<S: Serializer>(id: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::Value;

    use super::*;

    fn member(value: &[u8]) -> Value {
        let mut body = b"{\"first\":0".to_vec();
        put_value(&mut body, value);
        body.push(b'}');
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn text_comes_back_as_it_was_whatever_it_holds() {
        let every: String = (0..=0x17f).filter_map(char::from_u32).collect();
        for text in
            ["", "plain ~text!", "a \"quote\"", "a \\ slash", "two\nlines", "\u{7f}", "\u{1f980}", &every]
        {
            assert_eq!(member(text.as_bytes())["value"], text);
        }
    }

    #[test]
    fn what_is_no_text_comes_in_base64() {
        let body = member(&[0xff, 0xfe]);
        assert_eq!((&body["value_base64"], body.get("value")), (&"//4=".into(), None));
    }
}
