//! Requests that are carried out elsewhere than where they come in. In an API process: to a vault node with what the
//! client said, and back with its answer. On a vault node: the same way that its own front takes, from the token on.
//! Keeps A2: the process that brings a request adds nothing to what its token may do.
//! Knows nothing of how nodes are found and asked; `relay` does.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_bytes::ByteBuf;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use warp::{Buf, Stream};

use crate::{
    api::{
        answer::{Answer, TEXT},
        call::{self, Call},
        headers::{self, Media},
        metrics::Metrics,
        observed,
        problem::{Code, Problem},
        query::Query,
        resources::health,
        routes::{Operation, Right, Route},
        service::{
            Api, HEAD_BYTES_MAX, Matched, body_bytes_max, not_identified, read_too_late, too_large,
            unknown_path, write_too_late,
        },
        table::ROUTES,
    },
    relay::{
        Answered, Asked, Effect, NoAnswer, PresentedToken, Seen, Serving, Vaults,
        message::{ANSWER_BODY_BYTES_MAX, HEADERS_MAX, TEXT_BYTES_MAX},
    },
    vault::{Asker, RequestId, Vault},
};

/// Memory that requests on their way may take together, in KiB; beyond it they are refused.
const ROOM_KIB: usize = 256 << 10;
/// What one request is taken for beside its body, in KiB: so there are at most 1,024 at a time.
const REQUEST_KIB: usize = 256;
/// How often its body may be in memory: as it came, to be asked again, and in a frame.
const BODY_COPIES: usize = 3;

const PUT_OUT: &str = "The vault nodes do not know this API process any more. Nothing was stored.";

const _: () = assert!(2 * HEAD_BYTES_MAX < TEXT_BYTES_MAX, "the head of a request fits its frame");

/// The way to the vault nodes.
pub struct Relay {
    vaults: Vaults,
    room: Arc<Semaphore>,
}

impl Relay {
    /// The way to these nodes.
    pub fn to(vaults: Vaults) -> Self {
        Self { vaults, room: Arc::new(Semaphore::new(ROOM_KIB)) }
    }

    /// `GET /ready`: whether a node answers that has a majority.
    pub fn ready(&self) -> Result<Answer, Problem> {
        match self.vaults.count(Seen::Majority) {
            0 if self.vaults.is_put_out() => Err(Problem::new(Code::QuorumUnavailable, PUT_OUT)),
            0 => Err(Problem::new(Code::QuorumUnavailable, "No vault node that has a majority answers.")),
            _ => Ok(health::is_ready()),
        }
    }

    /// `GET /metrics`
    pub fn metrics(&self, metrics: &Metrics) -> Answer {
        let counts = [Seen::Majority, Seen::Minority, Seen::Silent].map(|seen| self.vaults.count(seen));
        health::rendered(metrics, &observed::of_nodes(counts))
    }
}

impl Api {
    /// Has a vault node carry a request out. Without a token the body is left alone: the node will not want it.
    pub(super) async fn relay<S, B, E>(
        &self,
        relay: &Relay,
        matched: Matched<'_>,
        body: Pin<&mut S>,
    ) -> Result<Answer, Problem>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let (route, limits) = (matched.route, self.limits());
        let body_max = body_bytes_max(route.body, limits.value_bytes_max);
        let room = take_room(&relay.room, route, &matched.headers, body_max)?;
        let body = match headers::bearer(&matched.headers) {
            Some(_) => self.body_of(route, &matched.headers, body).await?,
            None => Bytes::new(),
        };
        let (effect, may_be_kept) = (effect_of(route), may_be_kept(route, &matched.headers));
        let headers_max = HEADERS_MAX - usize::from(may_be_kept);
        let asked = asked(matched, body, effect, headers_max, || relay.vaults.draw_key())?;
        let (vaults, time) = (relay.vaults.clone(), limits.time);
        let until = Instant::now() + time;
        let carried_out = async move {
            let told = match may_be_kept && vaults.count(Seen::Majority) != 0 {
                true => ask_twice(&vaults, asked, until).await,
                false => vaults.carry_out(asked, effect, until).await,
            };
            drop(room);
            told
        };
        if matches!(effect, Effect::Nothing | Effect::Repeatable) {
            let told = timeout(time, carried_out).await;
            // What is done again without harm may have been done: a node goes on with it.
            let too_late = if effect == Effect::Nothing { read_too_late } else { write_too_late };
            return told.map_or_else(|_| Err(too_late()), answer_of);
        }
        match timeout(time, self.home().to_the_end(carried_out)).await {
            Ok(Some(told)) => answer_of(told),
            Ok(None) => Err(Problem::new(Code::Internal, "The log of the API process says why.")),
            Err(_) => Err(write_too_late()),
        }
    }

    /// What a vault node does with requests that API processes bring.
    pub fn serving(&self, vault: &Vault) -> Serving {
        let (api, vault) = (self.clone(), vault.clone());
        Box::new(move |asked| {
            let (api, vault) = (api.clone(), vault.clone());
            Box::pin(async move { api.answer_asked(&vault, *asked).await })
        })
    }

    async fn answer_asked(&self, vault: &Vault, asked: Asked) -> Answered {
        let started = Instant::now();
        let route = ROUTES.iter().find(|route| route.id == asked.operation && route.right != Right::Public);
        let operation = route.map_or(Operation::Unknown, |route| route.operation);
        let request = asked.request.clone();
        let result = match (route, RequestId::parse(&asked.request)) {
            (None, _) => Err(unknown_path()),
            (_, Err(_)) => Err(malformed("X-Request-Id")),
            (Some(route), Ok(request)) => match self.call_of(vault, route, asked, request).await {
                Ok(call) => self.carry_out(vault, route, call).await,
                Err(problem) => Err(problem),
            },
        };
        let answer = fitting(result.unwrap_or_else(Problem::into_answer));
        // What is no id of a request may be anything, and is not shown.
        let request = RequestId::parse(&request).map_or(String::new(), |id| id.as_str().to_owned());
        self.answered(operation, &answer, &request, started);
        answered(&answer)
    }

    /// Finds out who asks, and checks what the API process should have.
    async fn call_of(
        &self,
        vault: &Vault,
        route: &'static Route,
        asked: Asked,
        request: RequestId,
    ) -> Result<Call, Problem> {
        let token = asked.token.as_ref().map(PresentedToken::text);
        let session = vault.authenticate(token, &request).await.map_err(not_identified)?;
        let value_bytes_max = self.limits().value_bytes_max;
        let body_max = body_bytes_max(route.body, value_bytes_max);
        if body_max < asked.body.len() {
            return Err(too_large(body_max));
        }
        let [first, second] = &asked.captures;
        Ok(Call {
            asker: Asker { session, request },
            captures: call::decoded(route, [first, second])?,
            query: Query::parse(&asked.query)?,
            headers: header_map(&asked.headers)?,
            body: asked.body.into(),
            value_bytes_max,
        })
    }
}

/// Room for a request, taken before its body arrives.
fn take_room(
    room: &Arc<Semaphore>,
    route: &Route,
    headers: &HeaderMap,
    body_max: usize,
) -> Result<OwnedSemaphorePermit, Problem> {
    let declared = headers::content_length(headers).and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = route.body.map_or(0, |_| declared.unwrap_or(body_max).min(body_max));
    let wanted = (REQUEST_KIB + BODY_COPIES * bytes.div_ceil(1024)) as u32;
    let overloaded = |_| Problem::new(Code::Overloaded, "Nothing was stored.");
    room.clone().try_acquire_many_owned(wanted).map_err(overloaded)
}

/// What a request is to its vault. A change that takes an idempotency key always has one, so that it may be asked
/// again.
fn effect_of(route: &Route) -> Effect {
    if route.operation == Operation::Tokenize {
        Effect::Repeatable
    } else if route.operation.is_repeatable() {
        Effect::Nothing
    } else {
        Effect::Keyed
    }
}

fn asked(
    matched: Matched<'_>,
    body: Bytes,
    effect: Effect,
    headers_max: usize,
    draw_key: impl FnOnce() -> String,
) -> Result<Asked, Problem> {
    let Matched { route, captured, query, headers, request } = matched;
    let mut said: Vec<(String, ByteBuf)> = Vec::new();
    for name in headers::OF_OPERATIONS {
        let values = headers.get_all(&name).iter();
        said.extend(values.map(|value| (name.as_str().to_owned(), ByteBuf::from(value.as_bytes()))));
    }
    if route.body.is_some_and(|body| body.media().contains(&Media::Text)) {
        let declared = headers.get_all(header::CONTENT_TYPE).iter();
        let name = header::CONTENT_TYPE.as_str();
        said.extend(declared.map(|value| (name.to_owned(), ByteBuf::from(value.as_bytes()))));
    }
    if effect == Effect::Keyed && !headers.contains_key(headers::IDEMPOTENCY_KEY) {
        let key = draw_key().into_bytes();
        said.push((headers::IDEMPOTENCY_KEY.as_str().to_owned(), key.into()));
    }
    if headers_max < said.len() {
        // No node would read the request.
        let often =
            headers::OF_OPERATIONS.into_iter().max_by_key(|name| headers.get_all(name).iter().count());
        let detail = format!("An API process takes {headers_max} lines of headers that mean something.");
        let problem = Problem::new(Code::InvalidHeader, detail);
        return Err(problem.with_field(often.as_ref().map_or("", |name| name.as_str())));
    }
    Ok(Asked {
        operation: route.id.to_owned(),
        token: headers::bearer(&headers).map(PresentedToken::new),
        request: request.as_str().to_owned(),
        captures: captured.map(str::to_owned),
        query: query.to_owned(),
        headers: said,
        body: body.into(),
    })
}

/// Whether a node may keep what is asked for without a majority.
fn may_be_kept(route: &Route, headers: &HeaderMap) -> bool {
    let has_terms = headers.contains_key(header::IF_MATCH) || headers::prefers_agreed(headers);
    route.parameters.contains(&"Prefer") && !has_terms
}

/// Has an update agreed; only if no majority answers, so that nothing was stored, or if it was kept before under the same
/// key, is it asked for as the client did. A node that dies, or is cut off, is not to keep what another then agrees.
async fn ask_twice(vaults: &Vaults, asked: Asked, until: Instant) -> Result<Answered, NoAnswer> {
    let (name, value) = headers::agreed();
    let mut agreed_only = asked.clone();
    agreed_only.headers.push((name.as_str().to_owned(), ByteBuf::from(value.as_bytes())));
    let told = vaults.carry_out(agreed_only, Effect::Keyed, until).await?;
    let as_asked = [Code::QuorumUnavailable, Code::IdempotencyConflict];
    if as_asked.iter().any(|code| told.code.as_deref() == Some(code.as_str())) {
        return vaults.carry_out(asked, Effect::Keyed, until).await;
    }
    Ok(told)
}

/// The headers that an API process brings, of those that mean something.
fn header_map(said: &[(String, ByteBuf)]) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in said {
        let mut known = headers::OF_OPERATIONS.into_iter().chain([header::CONTENT_TYPE]);
        let known = known.find(|known| known.as_str() == name);
        let value = HeaderValue::from_bytes(value).ok();
        match (known, value) {
            (Some(name), Some(value)) => drop(headers.append(name, value)),
            _ => return Err(malformed("header")),
        }
    }
    Ok(headers)
}

fn malformed(what: &'static str) -> Problem {
    let detail = "An API process brought what no client of this release could have said.";
    Problem::new(Code::InvalidHeader, detail).with_field(what)
}

/// The answer, or a refusal in its place if it is too large to be brought back.
fn fitting(answer: Answer) -> Answer {
    if answer.body().len() <= ANSWER_BODY_BYTES_MAX {
        return answer;
    }
    let detail = "The answer is too large to be brought by an API process; ask for fewer with limit.";
    Problem::new(Code::LimitReached, detail).with("limit", "answer_bytes").into_answer()
}

fn answered(answer: &Answer) -> Answered {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), ByteBuf::from(value.as_bytes()))
    };
    Answered {
        status: answer.status().as_u16(),
        code: answer.code().map(|code| code.as_str().to_owned()),
        content_type: answer.content_type().to_owned(),
        headers: answer.headers().iter().map(header).collect(),
        body: answer.body().to_vec(),
    }
}

fn answer_of(told: Result<Answered, NoAnswer>) -> Result<Answer, Problem> {
    match told {
        Ok(told) => read_answer(told)
            .ok_or_else(|| Problem::new(Code::Internal, "What a vault node answered cannot be read.")),
        Err(NoAnswer::Nobody) => {
            Err(Problem::new(Code::QuorumUnavailable, "No vault node answers. Nothing was stored."))
        }
        Err(NoAnswer::PutOut) => Err(Problem::new(Code::QuorumUnavailable, PUT_OUT)),
        Err(NoAnswer::Unknown) => Err(Problem::outcome_unknown(None)),
    }
}

fn read_answer(told: Answered) -> Option<Answer> {
    const CONTENT_TYPES: [&str; 4] = ["", "application/json", "application/problem+json", TEXT];
    let status = StatusCode::from_u16(told.status).ok()?;
    let content_type = CONTENT_TYPES.into_iter().find(|known| *known == told.content_type)?;
    let mut answer = Answer::new(status, content_type, told.body);
    for (name, value) in &told.headers {
        let name =
            HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| name != header::CONTENT_LENGTH)?;
        answer.set(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(match told.code.as_deref().and_then(Code::parse) {
        Some(code) => answer.refused(code),
        None => answer,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{api::table::ROUTES, vault::AuthFailure};

    fn route(id: &str) -> &'static Route {
        ROUTES.iter().find(|route| route.id == id).unwrap()
    }

    fn check_brought_back(answer: Answer) {
        let back = read_answer(answered(&answer)).unwrap();
        assert_eq!((back.status(), back.code()), (answer.status(), answer.code()));
        assert_eq!((back.content_type(), back.body()), (answer.content_type(), answer.body()));
        assert_eq!(back.headers(), answer.headers());
    }

    #[test]
    fn an_answer_is_brought_back_as_it_was() {
        let mut with_headers = Answer::json(StatusCode::OK, &serde_json::json!({ "a": 1 }));
        with_headers.set(headers::STANDING, HeaderValue::from_static("majority"));
        check_brought_back(with_headers);
        check_brought_back(Answer::empty(StatusCode::NO_CONTENT));
        for code in Code::ALL {
            check_brought_back(Problem::new(*code, "Why.").into_answer());
        }
        check_brought_back(not_identified(AuthFailure::Missing).into_answer());
    }

    #[test]
    fn what_no_node_of_this_release_answers_is_not_taken_for_an_answer() {
        let good = answered(&Answer::json(StatusCode::OK, &1));
        let other = |change: fn(&mut Answered)| {
            let mut answer = answered(&Answer::json(StatusCode::OK, &1));
            change(&mut answer);
            read_answer(answer).is_none()
        };
        assert!(read_answer(good).is_some());
        assert!(other(|answer| answer.status = 99));
        assert!(other(|answer| answer.content_type = "text/html".into()));
        assert!(other(|answer| answer.headers = vec![("a b".into(), ByteBuf::new())]));
        assert!(other(|answer| answer.headers = vec![("a".into(), ByteBuf::from(b"\n".as_slice()))]));
        assert!(other(
            |answer| answer.headers = vec![("content-length".into(), ByteBuf::from(b"1".as_slice()))]
        ));
    }

    #[test]
    fn an_answer_that_is_too_large_is_refused_in_its_place() {
        let fits = Answer::new(StatusCode::OK, "application/json", vec![b' '; ANSWER_BODY_BYTES_MAX]);
        assert_eq!(fitting(fits).status(), StatusCode::OK);
        let large = Answer::new(StatusCode::OK, "application/json", vec![b' '; ANSWER_BODY_BYTES_MAX + 1]);
        assert_eq!(fitting(large).code(), Some(Code::LimitReached));
    }

    #[test]
    fn only_headers_that_mean_something_are_taken_from_an_api_process() {
        let said = |name: &str, value: &[u8]| header_map(&[(name.into(), ByteBuf::from(value))]);
        assert_eq!(said("if-match", b"*").unwrap().get(header::IF_MATCH).unwrap(), "*");
        for (name, value) in
            [("authorization", b"x".as_slice()), ("If-Match", b"*"), ("", b""), ("prefer", b"\n")]
        {
            assert_eq!(said(name, value).unwrap_err().code(), Code::InvalidHeader, "{name}");
        }
    }

    #[test]
    fn every_change_but_a_tokenize_has_a_key() {
        assert_eq!(effect_of(route("read_secret")), Effect::Nothing);
        assert_eq!(effect_of(route("tokenize")), Effect::Repeatable);
        assert_eq!(effect_of(route("create_secret")), Effect::Keyed);
        for route in ROUTES.iter().filter(|route| effect_of(route) == Effect::Keyed) {
            assert!(route.parameters.contains(&"Idempotency-Key"), "{}", route.id);
        }
        let bare = HeaderMap::new();
        let mut conditional = HeaderMap::new();
        conditional.insert(header::IF_MATCH, HeaderValue::from_static("*"));
        assert!(may_be_kept(route("update_secret"), &bare));
        assert!(!may_be_kept(route("update_secret"), &conditional));
        assert!(!may_be_kept(route("create_secret"), &bare));
    }

    #[test]
    fn a_key_is_drawn_where_the_client_gave_none() {
        let asked_with = |id: &str, headers: HeaderMap| {
            let request = RequestId::parse("r").unwrap();
            let route = route(id);
            let matched = Matched { route, captured: ["a", ""], query: "", headers, request };
            asked(matched, Bytes::new(), effect_of(route), HEADERS_MAX, || "drawn".into())
                .map(|asked| asked.headers)
        };
        let drawn = [("idempotency-key".to_owned(), ByteBuf::from(b"drawn".as_slice()))];
        assert_eq!(asked_with("create_secret", HeaderMap::new()).unwrap(), drawn);
        let mut own = HeaderMap::new();
        own.insert(headers::IDEMPOTENCY_KEY, HeaderValue::from_static("mine"));
        assert_eq!(
            asked_with("create_secret", own).unwrap(),
            [("idempotency-key".into(), ByteBuf::from(b"mine".as_slice()))]
        );
        assert!(asked_with("read_secret", HeaderMap::new()).unwrap().is_empty());
        assert!(asked_with("tokenize", HeaderMap::new()).unwrap().is_empty());
        let mut many = HeaderMap::new();
        for _ in 0..=HEADERS_MAX {
            many.append(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\""));
        }
        assert_eq!(asked_with("read_secret", many).unwrap_err().code(), Code::InvalidHeader);
    }

    #[test]
    fn more_than_there_is_room_for_is_refused_before_its_body_is_read() {
        let room = Arc::new(Semaphore::new(2 * REQUEST_KIB));
        let (read, create) = (route("read_secret"), route("create_secret"));
        let room_for = |route, headers: &HeaderMap| take_room(&room, route, headers, 1 << 20);
        let bare = HeaderMap::new();
        let taken = room_for(read, &bare).unwrap();
        assert_eq!(room_for(create, &bare).unwrap_err().code(), Code::Overloaded, "it may be of any length");
        let mut small = HeaderMap::new();
        small.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let other = room_for(create, &small).unwrap();
        assert_eq!(room_for(read, &bare).unwrap_err().code(), Code::Overloaded);
        drop((taken, other));
        assert!(room_for(read, &bare).is_ok());
    }
}
