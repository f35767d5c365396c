//! The way of a request through the API: one warp filter takes everything, the route table says what it
//! asks for, the vault says who asks, and whatever comes of it is one answer, one count and one line in
//! the log. A request that changes something runs to its end even if its client has gone (U1).
//! Knows nothing of sockets.

use std::{
    convert::Infallible,
    future::{poll_fn, ready},
    mem,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use tower_service::Service;
use warp::{Filter, Stream};

use crate::{
    api::{
        answer::{Answer, set_standing},
        call::{self, Call},
        headers,
        metrics::Metrics,
        openapi,
        problem::{Code, Problem},
        query::Query,
        relayed::Relay,
        resources::{callers, env, epochs, grants, health, history, members, secrets, tokens},
        routes::{self, Body, Found, Operation, Right, Route},
        workers::Home,
    },
    vault::{Asker, AuthFailure, RequestId, Vault},
};

/// Largest head of a request, in bytes: path, query and headers.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What a body may hold beside a value, and what one without a value may hold, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What is still read of a body that was refused, in bytes.
const DISCARD_BYTES_MAX: usize = 8 << 20;

/// The bounds of one request.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    /// How long a body may take to arrive, and how long an answer may take after that.
    pub time: Duration,
    /// Largest value, in bytes.
    pub value_bytes_max: usize,
}

/// What carries requests out.
pub enum Behind {
    /// The vault of this process.
    Here(Vault),
    /// The vault nodes that this process asks.
    Away(Relay),
}

/// The API of one node, or of a process that asks nodes. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    behind: Behind,
    home: Home,
    limits: RequestLimits,
    metrics: Metrics,
    /// Begins the ids of requests whose client gave none.
    request_prefix: u32,
    requests: AtomicU64,
}

/// A request as the filter takes it apart, but for its body.
struct Arrival {
    method: Method,
    path: warp::path::FullPath,
    query: String,
    headers: HeaderMap,
}

/// A request whose route is known.
pub(super) struct Matched<'p> {
    pub route: &'static Route,
    /// The path's parameters, as sent.
    pub captured: [&'p str; 2],
    pub query: &'p str,
    pub headers: HeaderMap,
    pub request: RequestId,
}

impl Api {
    /// An API in front of what carries requests out, in the runtime that this is called in. `request_prefix` is drawn at random at each start, so that
    /// ids of requests do not come again.
    pub fn new(behind: Behind, limits: RequestLimits, request_prefix: u32) -> Self {
        let (metrics, requests) = (Metrics::new(), AtomicU64::new(0));
        Self(Arc::new(Shared { behind, home: Home::here(), limits, metrics, request_prefix, requests }))
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Where requests are carried out.
    pub(super) fn home(&self) -> &Home {
        &self.0.home
    }

    /// The bounds of one request.
    pub(super) fn limits(&self) -> &RequestLimits {
        &self.0.limits
    }

    /// The service that answers requests.
    pub fn service(
        &self,
    ) -> impl Service<
        Request<Incoming>,
        Response = warp::reply::Response,
        Error = Infallible,
        Future = impl Future<Output = Result<warp::reply::Response, Infallible>> + Send,
    > + Clone
    + Send
    + 'static {
        // Counted by itself: every request takes a part in it and gives it back, and connections on several cores would
        // wait for one another at the count that all share.
        let api = Arc::new(self.clone());
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        let everything = warp::method()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .then(move |method, path, query, headers, body| {
                let api = api.clone();
                let mut arrival = Arrival { method, path, query, headers };
                async move { api.home().run(api.answer(&mut arrival, body)).await }
            });
        warp::service(everything)
    }

    async fn answer<S, B, E>(&self, arrival: &mut Arrival, body: S) -> Response<Bytes>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let started = Instant::now();
        let request = headers::request_id(&arrival.headers).unwrap_or_else(|| self.0.next_request_id());
        let shown =
            HeaderValue::from_str(request.as_str()).expect("the alphabet of request ids fits a header");
        let confidential = arrival.path.as_str().starts_with("/v1/");
        let mut body = pin!(body);
        let (operation, result) = self.route(arrival, body.as_mut(), request).await;
        let answer = result.unwrap_or_else(Problem::into_answer);
        let gone = [Code::BodyTimeout, Code::BodyCutOff];
        if answer.code().is_some_and(|code| !gone.contains(&code)) {
            // A client that is still sending may miss an answer that comes before it has finished.
            let _ = timeout(self.0.limits.time, discard(body)).await;
        }
        self.answered(operation, &answer, shown.to_str().unwrap_or_default(), started);
        let mut response = answer.into_response();
        let headers = response.headers_mut();
        headers.insert(headers::REQUEST_ID, shown);
        if confidential {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    }

    /// Counts and logs what a request came to.
    pub(super) fn answered(&self, operation: Operation, answer: &Answer, request: &str, started: Instant) {
        let (status, took) = (answer.status(), started.elapsed());
        self.0.metrics.answered(operation, status.as_u16(), took);
        log(operation, status, answer.code(), request, took);
    }

    async fn route<S, B, E>(
        &self,
        arrival: &mut Arrival,
        body: Pin<&mut S>,
        request: RequestId,
    ) -> (Operation, Result<Answer, Problem>)
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let Arrival { method, path, query, headers } = arrival;
        let path = path.as_str();
        if HEAD_BYTES_MAX < path.len() + query.len() + headers::size(headers) {
            let detail = format!("It may have {HEAD_BYTES_MAX} bytes.");
            return (Operation::Unknown, Err(Problem::new(Code::HeadersTooLarge, detail)));
        }
        let (route, captured) = match routes::find(method, path) {
            Found::Route(route, captured) => (route, captured),
            Found::OtherMethods(allow) => {
                return (Operation::Unknown, Err(Problem::method_not_allowed(allow)));
            }
            Found::Nothing => {
                return (Operation::Unknown, Err(unknown_path()));
            }
        };
        let result = match route.right {
            Right::Public => self.answer_anybody(route, query),
            Right::Caller | Right::Admin => {
                let matched = Matched { route, captured, query, headers: mem::take(headers), request };
                match &self.0.behind {
                    // In a box: what is carried out here would carry the room for it.
                    Behind::Away(relay) => Box::pin(self.relay(relay, matched, body)).await,
                    Behind::Here(vault) => match self.identify(vault, matched, body).await {
                        Ok(call) => self.carry_out(vault, route, call).await,
                        Err(problem) => Err(problem),
                    },
                }
            }
        };
        (route.operation, result)
    }

    /// Finds out who asks, and only then reads the body.
    async fn identify<S, B, E>(
        &self,
        vault: &Vault,
        matched: Matched<'_>,
        body: Pin<&mut S>,
    ) -> Result<Call, Problem>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let Matched { route, captured, query, headers, request } = matched;
        let session = vault.authenticate(headers::bearer(&headers), &request).await;
        let session = session.map_err(not_identified)?;
        let body = self.body_of(route, &headers, body).await?;
        Ok(Call {
            asker: Asker { session, request },
            captures: call::decoded(route, captured)?,
            query: Query::parse(query)?,
            headers,
            body,
            value_bytes_max: self.0.limits.value_bytes_max,
        })
    }

    /// The body, once it has arrived; empty when the route takes none.
    pub(super) async fn body_of<S, B, E>(
        &self,
        route: &Route,
        headers: &HeaderMap,
        body: Pin<&mut S>,
    ) -> Result<Bytes, Problem>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let Some(taken) = route.body else { return Ok(Bytes::new()) };
        let arriving = read_body(taken, headers, body, self.0.limits.value_bytes_max);
        // In a box: requests without a body would carry the room for it.
        let arrived = Box::pin(timeout(self.0.limits.time, arriving)).await;
        arrived.unwrap_or_else(|_| Err(Problem::new(Code::BodyTimeout, "Nothing was done.")))
    }

    fn answer_anybody(&self, route: &Route, query: &str) -> Result<Answer, Problem> {
        Query::parse(query)?.end()?;
        match (route.operation, &self.0.behind) {
            (Operation::Health, _) => Ok(health::health()),
            (Operation::OpenApi, _) => Ok(openapi::answer()),
            (Operation::Metrics, Behind::Here(vault)) => Ok(health::metrics(&self.0.metrics, vault)),
            (Operation::Metrics, Behind::Away(relay)) => Ok(relay.metrics(&self.0.metrics)),
            (_, Behind::Away(relay)) => relay.ready(),
            (_, Behind::Here(vault)) => health::ready(vault),
        }
    }

    pub(super) async fn carry_out(
        &self,
        vault: &Vault,
        route: &'static Route,
        call: Call,
    ) -> Result<Answer, Problem> {
        let (operation, time) = (route.operation, self.0.limits.time);
        let done = if operation.only_reads() && !operation.computes_long() {
            within(time, carry_out(vault, operation, call)).await
        } else {
            let vault = vault.clone();
            let work = async move { carry_out(&vault, operation, call).await };
            let done = if operation.computes_long() {
                // In a task of its own: others that are served by this thread would wait for it.
                timeout(time, tokio::spawn(work)).await.map(Result::ok)
            } else {
                timeout(time, self.home().to_the_end(work)).await
            };
            let panicked = || Err(Problem::new(Code::Internal, "The node's log says why."));
            done.ok().map(|done| done.unwrap_or_else(panicked))
        };
        if !operation.only_reads() {
            return done.unwrap_or_else(|| Err(write_too_late()));
        }
        let mut answer = done
            .unwrap_or_else(|| Err(read_too_late()))
            .map_err(|problem| problem.read_from(vault.standing()))?;
        set_standing(&mut answer, vault.standing());
        Ok(answer)
    }
}

impl Shared {
    fn next_request_id(&self) -> RequestId {
        RequestId::generated(self.request_prefix, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}

/// An operation on its way.
type Doing<'v> = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send + 'v>>;

/// Each operation has a box of its own. One future for all of them would be as large as the largest, and
/// every request would carry it through the layers and every connection keep room for it.
fn carry_out(vault: &Vault, operation: Operation, call: Call) -> Doing<'_> {
    match operation {
        Operation::ReadSecret => Box::pin(secrets::read(vault, call)),
        Operation::CreateSecret => Box::pin(secrets::create(vault, call)),
        Operation::UpdateSecret => Box::pin(secrets::update(vault, call)),
        Operation::PatchSecret => Box::pin(secrets::patch(vault, call)),
        Operation::DeleteSecret => Box::pin(secrets::delete(vault, call)),
        Operation::ListSecrets => Box::pin(secrets::list(vault, call)),
        Operation::ReadHistory => Box::pin(history::read(vault, call)),
        Operation::UndeleteSecret => Box::pin(secrets::undelete(vault, call)),
        Operation::DestroySecret => Box::pin(secrets::destroy(vault, call)),
        Operation::RollBackSecret => Box::pin(secrets::roll_back(vault, call)),
        Operation::EncryptEnv => Box::pin(env::encrypt(vault, call)),
        Operation::ExpandEnv => Box::pin(env::expand(vault, call)),
        Operation::ListCallers => Box::pin(callers::list(vault, call)),
        Operation::AddCaller => Box::pin(callers::add(vault, call)),
        Operation::RemoveCaller => Box::pin(callers::remove(vault, call)),
        Operation::ListTokens => Box::pin(callers::tokens(vault, call)),
        Operation::AddToken => Box::pin(callers::add_token(vault, call)),
        Operation::RemoveToken => Box::pin(callers::remove_token(vault, call)),
        Operation::ListGrants => Box::pin(grants::list(vault, call)),
        Operation::AddGrant => Box::pin(grants::add(vault, call)),
        Operation::RemoveGrant => Box::pin(grants::remove(vault, call)),
        Operation::Tokenize => Box::pin(tokens::tokenize(vault, call)),
        Operation::Detokenize => Box::pin(tokens::detokenize(vault, call)),
        Operation::ListEpochs => Box::pin(epochs::list(vault, call)),
        Operation::ActivateEpoch => Box::pin(epochs::activate(vault, call)),
        Operation::DestroyEpoch => Box::pin(epochs::destroy(vault, call)),
        Operation::ReadFields => Box::pin(epochs::fields(vault, call)),
        Operation::SetFields => Box::pin(epochs::set_fields(vault, call)),
        Operation::ReadSelf => Box::pin(callers::read_self(vault, call)),
        Operation::ReadStatus => Box::pin(health::status(vault, call)),
        Operation::ListMembers => Box::pin(members::list(vault, call)),
        Operation::RemoveMember => Box::pin(members::remove(vault, call)),
        Operation::Invite => Box::pin(members::invite(vault, call)),
        Operation::Health
        | Operation::Ready
        | Operation::Metrics
        | Operation::OpenApi
        | Operation::Unknown => Box::pin(ready(Err(unknown_path()))),
    }
}

/// What comes of `work` if it is done in time. A read lets others go first and then is done without waiting
/// for anything (see `vault`), so a timer is set only for work that is not done when it is asked again.
async fn within(time: Duration, mut work: Doing<'_>) -> Option<Result<Answer, Problem>> {
    let mut asked = false;
    let early = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match early.await {
        Some(done) => Some(done),
        None => timeout(time, work).await.ok(),
    }
}

pub(super) fn read_too_late() -> Problem {
    Problem::new(Code::Timeout, "Nothing was done.")
}

pub(super) fn write_too_late() -> Problem {
    let detail = "It may still be done. A retry with the same Idempotency-Key learns the truth.";
    Problem::new(Code::Timeout, detail)
}

pub(super) fn unknown_path() -> Problem {
    Problem::new(Code::UnknownPath, "GET /openapi.json lists all paths.")
}

pub(super) fn not_identified(failure: AuthFailure) -> Problem {
    match failure {
        AuthFailure::Missing => {
            Problem::unauthenticated("Bearer", "Send one header Authorization: Bearer with a token.")
        }
        AuthFailure::Invalid => Problem::unauthenticated(
            "Bearer error=\"invalid_token\"",
            "The token is not known, or no longer.",
        ),
        AuthFailure::Refused(refusal) => refusal.into(),
    }
}

/// Collects a body that is declared to be what the route takes and not too large, whatever its declared length.
async fn read_body<S, B, E>(
    taken: Body,
    headers: &HeaderMap,
    body: Pin<&mut S>,
    value_bytes_max: usize,
) -> Result<Bytes, Problem>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let max = body_bytes_max(Some(taken), value_bytes_max);
    let declared = headers::content_length(headers);
    if declared.is_some_and(|len| (max as u64) < len) {
        return Err(too_large(max));
    }
    if headers.contains_key(header::CONTENT_TYPE) {
        headers::require(headers, taken.media())?;
    }
    let room = declared.map_or(0, |len| usize::try_from(len).unwrap_or(max));
    let bytes = collect(body, room, max).await?;
    if !bytes.is_empty() {
        headers::require(headers, taken.media())?;
    }
    Ok(bytes)
}

/// What a body may have, in bytes.
pub(super) fn body_bytes_max(taken: Option<Body>, value_bytes_max: usize) -> usize {
    match taken {
        None => 0,
        // Escapes may double the length of a value; a value of many control characters goes as base64.
        Some(
            Body::Required("CreateSecret" | "UpdateSecret" | "Tokenize" | "Detokenize") | Body::TextOr(_),
        ) => 2 * value_bytes_max + BODY_BYTES_MAX,
        Some(_) => BODY_BYTES_MAX,
    }
}

async fn collect<S, B, E>(mut body: Pin<&mut S>, room: usize, max: usize) -> Result<Bytes, Problem>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let mut bytes = Vec::with_capacity(room);
    while let Some(chunk) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        let mut chunk = chunk.map_err(|_| Problem::new(Code::BodyCutOff, "Nothing was done."))?;
        if max - bytes.len() < chunk.remaining() {
            return Err(too_large(max));
        }
        while chunk.has_remaining() {
            let part = chunk.chunk();
            bytes.extend_from_slice(part);
            let len = part.len();
            chunk.advance(len);
        }
    }
    Ok(bytes.into())
}

/// Reads what is left of a body and forgets it, up to a bound.
async fn discard<S, B, E>(mut body: Pin<&mut S>)
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let mut left = DISCARD_BYTES_MAX;
    while let Some(Ok(chunk)) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        match left.checked_sub(chunk.remaining()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

pub(super) fn too_large(max: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("The body may have {max} bytes."))
}

/// One line per request. What changes something is information, what only reads is for debugging (the
/// audit log has every read), and what the node is to blame for is a warning.
fn log(operation: Operation, status: StatusCode, code: Option<Code>, request: &str, took: Duration) {
    let (status, micros) = (status.as_u16(), took.as_micros() as u64);
    match code {
        None if operation.only_reads() => tracing::debug!(%operation, status, request, micros, "done"),
        None => tracing::info!(%operation, status, request, micros, "done"),
        Some(code) if status < 500 => {
            tracing::info!(%operation, status, code = code.as_str(), request, micros, "refused");
        }
        Some(code) => tracing::warn!(%operation, status, code = code.as_str(), request, micros, "failed"),
    }
}
