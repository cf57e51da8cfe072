//! What happens to every request, whatever it asks for: an id, a trace, the token, a permit; to every answer: headers,
//! a rendered problem, metrics, a log line.
//!
//! Invariant: the log line holds ids, the path's pattern, method, status and time; never the path itself, a query, a
//! header, an address or a body. Successes are logged at `debug`: at ten thousand decisions a second a line each would
//! cost more than the decision.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, gauge, histogram};

use super::app::{App, now_us, permit};
use super::problem::{Code, Problem, Unrendered};
use super::routes;
use crate::telemetry::metrics as table;
use crate::telemetry::trace::TraceId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Fixed headers of every answer. There is no page here, so a browser may do nothing with one.
const FIXED: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The id of a request, for handlers that put it into problems of their own.
#[derive(Clone)]
pub(super) struct Instance(pub Arc<str>);

/// Around every handler.
pub(super) async fn edge(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route =
        request.extensions().get::<MatchedPath>().map_or(routes::UNMATCHED, |path| routes::label(path.as_str()));
    let method = request.method().clone();
    let instance = Instance(request_id(request.headers()));
    let trace = trace_id(request.headers());
    request.extensions_mut().insert(instance.clone());

    let inflight = Inflight::begin();
    let allowed = allow(&app, route, request.uri().path(), request.headers());
    let mut response = match allowed {
        Ok(_permit) => next.run(request).await,
        Err(problem) => axum::response::IntoResponse::into_response(problem),
    };
    drop(inflight);

    let mut code = None;
    if let Some(Unrendered(problem)) = response.extensions_mut().remove::<Unrendered>() {
        code = Some(problem.code);
        counter!(table::HTTP_PROBLEMS, "code" => problem.code).increment(1);
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.render(&instance.0);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    finish(response.headers_mut(), &instance);
    let status = response.status();
    let took = began.elapsed();
    counter!(table::HTTP_REQUESTS, "route" => route, "status" => class(status.as_u16())).increment(1);
    histogram!(table::HTTP_SECONDS, "route" => route).record(took.as_secs_f64());
    let (request_id, status, micros) =
        (&*instance.0, status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let method = known(&method);
    match status {
        500.. => tracing::warn!(request_id, trace_id = %trace, method, route, status, code, micros, "answered"),
        400.. => tracing::info!(request_id, trace_id = %trace, method, route, status, code, micros, "answered"),
        _ => tracing::debug!(request_id, trace_id = %trace, method, route, status, micros, "answered"),
    }
    response
}

/// Whether a request may go on. Probes and scrapes need no permit: they must answer when nothing else does.
fn allow(
    app: &App,
    route: &str,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<tokio::sync::OwnedSemaphorePermit>, Problem> {
    if !app.auth.allows(path, headers) {
        return Err(Problem::new(
            Code::Unauthorized,
            "send the header `authorization: Bearer TOKEN` with the configured token",
        ));
    }
    if route.starts_with("/health") || route == "/metrics" {
        return Ok(None);
    }
    permit(&app.requests, "requests at once").map(Some)
}

struct Inflight;

impl Inflight {
    fn begin() -> Inflight {
        gauge!(table::HTTP_INFLIGHT).increment(1.0);
        Inflight
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        gauge!(table::HTTP_INFLIGHT).decrement(1.0);
    }
}

fn finish(headers: &mut HeaderMap, instance: &Instance) {
    for (name, value) in FIXED {
        headers.entry(name).or_insert(value);
    }
    if let Ok(value) = HeaderValue::from_str(&instance.0) {
        headers.insert(REQUEST_ID, value);
    }
}

/// The caller's id when it is short and plain, a new UUIDv7 otherwise.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if is_plain(id) => id.into(),
        _ => {
            let mut random = [0; 10];
            fill(&mut random);
            let millis = u64::try_from(now_us() / 1000).unwrap_or(0);
            uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string().into()
        }
    }
}

fn is_plain(id: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn trace_id(headers: &HeaderMap) -> TraceId {
    let given = headers.get(TRACEPARENT).and_then(|value| TraceId::from_traceparent(value.to_str().ok()?));
    given.unwrap_or_else(|| {
        let mut random = [0; 16];
        fill(&mut random);
        TraceId::from_random(random)
    })
}

/// Ids are for finding things again, not for security: without randomness they are only less unique.
fn fill(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        tracing::warn!(cause = %error, "no random bytes for an id");
    }
}

fn class(status: u16) -> &'static str {
    match status {
        0..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

/// A method of ours; any other may be a text of any kind.
fn known(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
