//! Refusals on the wire: RFC 9457 problem details with a stable `code`. The only file with the status
//! codes of refusals. A problem names fields, headers and names the caller sent; it never carries a
//! value, a token or a key, and what it says of another's secret is what it says of a missing one (N3).
//! Knows nothing of routes.

use std::borrow::Cow;

use covault_model::{
    id::VersionId,
    refusal::{CallerMistake, Limit, NoAuthority, NodeFault, Refusal},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::{
    api::answer::{Answer, set_standing},
    vault::Standing,
};

macro_rules! codes {
    ($($name:ident = $status:literal $text:literal $title:literal;)*) => {
        /// Every reason for which a request can fail, in the order of their status codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            const fn facts(self) -> (u16, &'static str, &'static str) {
                match self {
                    $(Code::$name => ($status, $text, $title),)*
                }
            }
        }
    };
}

codes! {
    InvalidJson = 400 "invalid_json" "The body is not valid JSON";
    InvalidUtf8 = 400 "invalid_utf8" "The request is not valid UTF-8";
    MissingBody = 400 "missing_body" "The request needs a body";
    BodyCutOff = 400 "body_cut_off" "The body ended early";
    UnknownField = 400 "unknown_field" "The body has a field that is not known";
    DuplicateField = 400 "duplicate_field" "The body has a field twice";
    MissingField = 400 "missing_field" "The body lacks a field";
    InvalidField = 400 "invalid_field" "A field of the body is not valid";
    UnknownParameter = 400 "unknown_parameter" "The query has a parameter that is not known";
    DuplicateParameter = 400 "duplicate_parameter" "The query has a parameter twice";
    InvalidParameter = 400 "invalid_parameter" "A parameter is not valid";
    InvalidCursor = 400 "invalid_cursor" "The cursor is not valid";
    InvalidHeader = 400 "invalid_header" "A header is not valid";
    Unauthenticated = 401 "unauthenticated" "A valid token is needed";
    Forbidden = 403 "forbidden" "This caller may not do that";
    NotFound = 404 "not_found" "There is no such thing";
    UnknownPath = 404 "unknown_path" "There is no such path";
    MethodNotAllowed = 405 "method_not_allowed" "The path does not know this method";
    BodyTimeout = 408 "body_timeout" "The body did not arrive in time";
    EpochConflict = 409 "epoch_conflict" "The active epoch is another one";
    TokenAmbiguous = 409 "token_ambiguous" "The token stands for several values";
    SecretExists = 409 "secret_exists" "The name is taken";
    CallerExists = 409 "caller_exists" "The caller exists, or existed";
    LastAdmin = 409 "last_admin" "An admin with a token must remain";
    NodeKnown = 409 "node_known" "The node is a member, or was one";
    PeersNotConfigured = 409 "peers_not_configured" "Other nodes cannot reach this one";
    LastMember = 409 "last_member" "A node must remain";
    VersionDeleted = 410 "version_deleted" "The version is deleted";
    VersionDestroyed = 410 "version_destroyed" "The version's value is erased";
    VersionExpired = 410 "version_expired" "The version has expired";
    VersionMismatch = 412 "version_mismatch" "The secret has another version";
    BodyTooLarge = 413 "body_too_large" "The body is too large";
    ValueTooLarge = 413 "value_too_large" "The value is too large";
    UnsupportedMediaType = 415 "unsupported_media_type" "The body is of another type";
    IdempotencyConflict = 422 "idempotency_conflict" "The idempotency key came with another request";
    InvitationInvalid = 422 "invitation_invalid" "The invitation is not valid";
    InvalidEnv = 422 "invalid_env" "The .env file cannot be read";
    UnresolvedReference = 422 "unresolved_reference" "References in the .env file cannot be replaced";
    LimitReached = 422 "limit_reached" "There may not be more of these";
    UnfitValue = 422 "unfit_value" "A field's value cannot become a token";
    RateLimited = 429 "rate_limited" "The caller asks for too much in a second";
    HeadersTooLarge = 431 "headers_too_large" "The head of the request is too large";
    Corrupt = 500 "corrupt" "A stored value is not what was written";
    Internal = 500 "internal" "The request could not be carried out";
    QuorumUnavailable = 503 "quorum_unavailable" "No majority can be reached";
    OutcomeUnknown = 503 "outcome_unknown" "Whether it was done is not known yet";
    Unconfirmed = 503 "unconfirmed" "A majority could not confirm it";
    StaleTime = 503 "stale_time" "The write was overtaken";
    ShuttingDown = 503 "shutting_down" "The node is stopping";
    Overloaded = 503 "overloaded" "More is waiting than the node will hold";
    Timeout = 503 "timeout" "The request took too long";
    MasterKeyUnavailable = 503 "master_key_unavailable" "A master key is missing or wrong";
    WrongMasterKey = 503 "wrong_master_key" "A master key is not the cluster's";
    StorageFull = 503 "storage_full" "There is no room for another write";
    StorageFailed = 503 "storage_failed" "The store failed";
    AuditUnavailable = 503 "audit_unavailable" "The audit log cannot be written";
    ClockSkew = 503 "clock_skew" "The node's clock is too far off";

}

/// The status of a request whose words are right and whose content is not.
pub const UNPROCESSABLE: u16 = 422;

impl Code {
    /// The HTTP status; of some problems it is [`UNPROCESSABLE`] instead.
    pub fn status(self) -> u16 {
        self.facts().0
    }

    /// The stable word that clients may rely on.
    pub fn as_str(self) -> &'static str {
        self.facts().1
    }

    /// The same for every problem of this code.
    pub fn title(self) -> &'static str {
        self.facts().2
    }

    /// The code with this word; none for one of another release.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// Seconds after which a repetition makes sense; absent where it does not.
    fn retry_after(self) -> Option<&'static str> {
        match self {
            Self::MasterKeyUnavailable | Self::WrongMasterKey | Self::ClockSkew => Some("30"),
            Self::StorageFull | Self::StorageFailed | Self::AuditUnavailable => Some("30"),
            Self::RateLimited => Some("1"),
            _ if self.status() == 503 => Some("1"),
            _ => None,
        }
    }
}

/// One refusal, ready to be sent.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    status: u16,
    detail: Cow<'static, str>,
    members: Vec<(&'static str, Value)>,
    more: More,
}

/// A header that belongs to one kind of problem.
#[derive(Debug, Clone)]
enum More {
    Nothing,
    /// `WWW-Authenticate`
    Challenge(&'static str),
    /// `Allow`
    Methods(String),
    /// How the node stands that was read from.
    Standing(Standing),
}

impl Problem {
    /// A problem with what is to be said beyond the title, a sentence.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = code.status();
        Self { code, status, detail: detail.into(), members: Vec::new(), more: More::Nothing }
    }

    /// The same, said of what this node has, which stands so; only of what is there and may not be had.
    pub fn read_from(mut self, standing: Standing) -> Self {
        if self.status == StatusCode::GONE.as_u16() {
            self.more = More::Standing(standing);
        }
        self
    }

    /// The same with the status 422: the request is well formed, and what it says of its document is not so.
    pub fn unprocessable(self) -> Self {
        Self { status: UNPROCESSABLE, ..self }
    }

    /// Names the field, parameter or header at fault.
    pub fn with_field(self, field: impl Into<String>) -> Self {
        self.with("field", Value::String(field.into()))
    }

    /// Adds a member.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// Nobody was identified: `challenge` is the `WWW-Authenticate` to send.
    pub fn unauthenticated(challenge: &'static str, detail: &'static str) -> Self {
        Self { more: More::Challenge(challenge), ..Self::new(Code::Unauthenticated, detail) }
    }

    /// It was asked for, and whether it was done is not known; `version` is the one that it would have made.
    pub fn outcome_unknown(version: Option<VersionId>) -> Self {
        let detail = "It may still be agreed. A retry with the same Idempotency-Key learns the truth.";
        let problem = Self::new(Code::OutcomeUnknown, detail);
        match version {
            Some(id) => problem.with("version", id.to_string()),
            None => problem,
        }
    }

    /// The path knows other methods: `allow` lists them.
    pub fn method_not_allowed(allow: String) -> Self {
        let detail = "The Allow header lists the methods of this path.";
        Self { more: More::Methods(allow), ..Self::new(Code::MethodNotAllowed, detail) }
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The answer that carries it.
    pub fn into_answer(self) -> Answer {
        let code = self.code;
        let status = StatusCode::from_u16(self.status).expect("the table holds valid status codes");
        let mut answer = Answer::new(status, "application/problem+json", self.body()).refused(code);
        if let Some(seconds) = code.retry_after() {
            answer.set(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        match self.more {
            More::Nothing => {}
            More::Challenge(text) => answer.set(header::WWW_AUTHENTICATE, HeaderValue::from_static(text)),
            More::Methods(list) => {
                let list = HeaderValue::try_from(list).expect("names of methods fit a header");
                answer.set(header::ALLOW, list);
            }
            More::Standing(standing) => set_standing(&mut answer, standing),
        }
        answer
    }

    fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a problem has text keys and is written to memory")
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_map(None)?;
        object.serialize_entry("type", &format_args!("urn:covault:problem:{}", self.code.as_str()))?;
        object.serialize_entry("title", self.code.title())?;
        object.serialize_entry("status", &self.status)?;
        object.serialize_entry("code", self.code.as_str())?;
        object.serialize_entry("detail", &self.detail)?;
        for (name, value) in &self.members {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Caller(mistake) => of_mistake(mistake),
            Refusal::NotNow(why) => of_no_authority(why),
            Refusal::Operator(fault) => of_fault(fault),
        }
    }
}

fn of_mistake(mistake: CallerMistake) -> Problem {
    use CallerMistake as Mistake;
    match mistake {
        Mistake::SecretExists(names) => {
            let names: Vec<Value> = names.iter().map(|name| name.as_str().into()).collect();
            Problem::new(Code::SecretExists, "Nothing was created. A deleted secret keeps its name.")
                .with("names", names)
        }
        Mistake::NotFound => {
            Problem::new(Code::NotFound, "It does not exist, or this caller may not see it.")
        }
        Mistake::VersionMismatch => {
            Problem::new(Code::VersionMismatch, "The last agreed version is not one that If-Match names.")
        }
        Mistake::VersionDeleted => Problem::new(Code::VersionDeleted, "It can be brought back by undelete."),
        Mistake::VersionDestroyed => {
            Problem::new(Code::VersionDestroyed, "It was destroyed and cannot be brought back.")
        }
        Mistake::VersionExpired => {
            Problem::new(Code::VersionExpired, "Its expires_at has passed, so its value is not served.")
        }
        Mistake::IdempotencyConflict => {
            Problem::new(Code::IdempotencyConflict, "Use a new key for a new request.")
                .with_field("Idempotency-Key")
        }
        Mistake::CallerExists => {
            Problem::new(Code::CallerExists, "The name of a removed caller is not given to another.")
        }
        Mistake::Forbidden => Problem::new(Code::Forbidden, "It takes the role admin."),
        Mistake::LastAdmin => {
            Problem::new(Code::LastAdmin, "It would leave the cluster without an admin who has a token.")
        }
        Mistake::InvitationInvalid => {
            Problem::new(Code::InvitationInvalid, "It is unknown, used, expired or another one's.")
        }
        Mistake::NodeKnown => Problem::new(Code::NodeKnown, "The id of a node is not given again."),
        Mistake::LastMember => Problem::new(Code::LastMember, "It would leave the cluster without a node."),
        Mistake::EpochConflict => Problem::new(
            Code::EpochConflict,
            "The next epoch is the one after the active one, which itself cannot be destroyed.",
        ),
        Mistake::TokenAmbiguous => {
            Problem::new(Code::TokenAmbiguous, "It stands for different values in several epochs; name one.")
        }
        Mistake::TooMany(limit) => of_limit(limit),
    }
}

fn of_limit(limit: Limit) -> Problem {
    let (code, what, detail) = match limit {
        Limit::Labels => (Code::LimitReached, "labels", "The secret would carry too many labels."),
        Limit::Tokens => (Code::LimitReached, "tokens", "The caller holds as many tokens as it may."),
        Limit::Grants => (Code::LimitReached, "grants", "The owner gave as many grants as it may."),
        Limit::Members => (Code::LimitReached, "members", "The cluster has as many nodes as it may."),
        Limit::Invitations => {
            (Code::LimitReached, "invitations", "As many invitations as may are waiting to be used.")
        }
        Limit::ApiProcesses => {
            (Code::LimitReached, "api_processes", "The cluster has as many API processes as it may.")
        }
        Limit::Secrets => (Code::LimitReached, "secrets", "The request names too many secrets."),
        Limit::Epochs => (Code::LimitReached, "epochs", "The caller has had as many epochs as it may."),
        Limit::Fields => (Code::LimitReached, "fields", "The caller would configure too many fields."),
        Limit::OpenedBytes => {
            (Code::LimitReached, "opened_bytes", "The values together have more bytes than one answer may.")
        }
        Limit::ValueBytes => (Code::ValueTooLarge, "value", "The value has more bytes than this node takes."),
    };
    Problem::new(code, detail).with("limit", what)
}

fn of_no_authority(why: NoAuthority) -> Problem {
    use NoAuthority as Why;
    match why {
        Why::QuorumUnavailable => Problem::new(Code::QuorumUnavailable, "Nothing was stored."),
        Why::OutcomeUnknown(version) => Problem::outcome_unknown(version),
        Why::Unconfirmed => {
            Problem::new(Code::Unconfirmed, "Without a majority, missing cannot be told from not yet seen.")
        }
        Why::StaleTime => Problem::new(Code::StaleTime, "Another write came first; nothing was stored."),
        Why::ShuttingDown => Problem::new(Code::ShuttingDown, "Nothing was stored."),
        Why::RateLimited => Problem::new(Code::RateLimited, "Nothing was done."),
        Why::Overloaded => Problem::new(Code::Overloaded, "Nothing was stored."),
    }
}

fn of_fault(fault: NodeFault) -> Problem {
    use NodeFault as Fault;
    match fault {
        Fault::MasterKeyUnavailable(None) => {
            Problem::new(Code::MasterKeyUnavailable, "The node has no usable keyring.")
        }
        Fault::MasterKeyUnavailable(Some(key)) => {
            Problem::new(Code::MasterKeyUnavailable, "The node's keyring lacks the key.")
                .with("key", key.as_str())
        }
        Fault::WrongMasterKey(key) => {
            Problem::new(Code::WrongMasterKey, "The node's key of this name has another check value.")
                .with("key", key.as_str())
        }
        Fault::StorageFull => Problem::new(Code::StorageFull, "Nothing was stored. Reads go on."),
        Fault::StorageFailed => Problem::new(Code::StorageFailed, "The node's log says why."),
        Fault::Corrupt => {
            Problem::new(Code::Corrupt, "Stored bytes fail their check. Restore them from a backup.")
        }
        Fault::AuditUnavailable => {
            Problem::new(Code::AuditUnavailable, "Without an audit line there is no answer.")
        }
        Fault::PeersNotConfigured => {
            Problem::new(Code::PeersNotConfigured, "Its configuration has no [quic] section.")
        }
        Fault::ClockSkew => {
            Problem::new(Code::ClockSkew, "The node refuses writes until its clock is right.")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use covault_model::name::MasterKeyName;

    use super::*;

    /// The code must also be the one that logs and the audit have.
    fn check(refusal: impl Into<Refusal>, status: u16, code: &str) -> Answer {
        let refusal = refusal.into();
        assert_eq!(refusal.code(), code);
        let problem = Problem::from(refusal);
        assert_eq!((problem.code().status(), problem.code().as_str()), (status, code));
        problem.into_answer()
    }

    #[test]
    fn every_code_is_one_word_used_once() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(
            words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'8')))
        );
    }

    #[test]
    fn refusals_have_the_status_of_the_contract() {
        check(CallerMistake::SecretExists(vec![]), 409, "secret_exists");
        check(CallerMistake::NotFound, 404, "not_found");
        check(CallerMistake::VersionMismatch, 412, "version_mismatch");
        check(CallerMistake::VersionDeleted, 410, "version_deleted");
        check(CallerMistake::VersionDestroyed, 410, "version_destroyed");
        check(CallerMistake::VersionExpired, 410, "version_expired");
        check(CallerMistake::IdempotencyConflict, 422, "idempotency_conflict");
        check(CallerMistake::CallerExists, 409, "caller_exists");
        check(CallerMistake::EpochConflict, 409, "epoch_conflict");
        check(CallerMistake::TokenAmbiguous, 409, "token_ambiguous");
        check(CallerMistake::Forbidden, 403, "forbidden");
        check(CallerMistake::LastAdmin, 409, "last_admin");
        check(CallerMistake::InvitationInvalid, 422, "invitation_invalid");
        check(CallerMistake::NodeKnown, 409, "node_known");
        check(CallerMistake::LastMember, 409, "last_member");
        check(CallerMistake::TooMany(Limit::ValueBytes), 413, "value_too_large");
        let limits = [Limit::Labels, Limit::Tokens, Limit::Grants, Limit::Members, Limit::Invitations];
        let more = [Limit::ApiProcesses, Limit::Secrets, Limit::Epochs, Limit::Fields, Limit::OpenedBytes];
        for limit in limits.into_iter().chain(more) {
            check(CallerMistake::TooMany(limit), 422, "limit_reached");
        }
        check(NoAuthority::QuorumUnavailable, 503, "quorum_unavailable");
        check(NoAuthority::Unconfirmed, 503, "unconfirmed");
        check(NoAuthority::StaleTime, 503, "stale_time");
        check(NoAuthority::RateLimited, 429, "rate_limited");
        check(NoAuthority::ShuttingDown, 503, "shutting_down");
        check(NoAuthority::Overloaded, 503, "overloaded");
        check(NodeFault::MasterKeyUnavailable(None), 503, "master_key_unavailable");
        check(NodeFault::WrongMasterKey(MasterKeyName::parse("k").unwrap()), 503, "wrong_master_key");
        check(NodeFault::StorageFull, 503, "storage_full");
        check(NodeFault::StorageFailed, 503, "storage_failed");
        check(NodeFault::Corrupt, 500, "corrupt");
        check(NodeFault::AuditUnavailable, 503, "audit_unavailable");
        check(NodeFault::ClockSkew, 503, "clock_skew");
        check(NodeFault::PeersNotConfigured, 409, "peers_not_configured");
    }

    #[test]
    fn every_503_says_when_to_come_back() {
        for code in Code::ALL.iter().filter(|code| code.status() == 503) {
            let answer = Problem::new(*code, "").into_answer();
            assert!(answer.header(&header::RETRY_AFTER).is_some(), "{code:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_names_the_version() {
        let id = VersionId::of(b"header");
        let answer = check(NoAuthority::OutcomeUnknown(Some(id)), 503, "outcome_unknown");
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(body["version"], id.to_string());
        assert_eq!(body["status"], 503);
    }
}
