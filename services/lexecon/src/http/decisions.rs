//! Submitting requests and finding their decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::system::Submitted;
use engine::view::DecisionView;
use metrics::counter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::DecisionBody;
use super::app::{App, now_us};
use super::body::{self, Media};
use super::edge::Instance;
use super::json::{self, RequestBody};
use super::position;
use super::problem::Problem;
use super::query::Strict;
use super::submit;
use crate::telemetry::metrics as table;

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wait {
    /// Milliseconds to wait for the decision.
    wait: Option<u64>,
}

/// Decide one request.
///
/// A repeat of a request (same tenant, actor, request_id and body) gets the same bytes. Answered when the decision is
/// durable.
#[utoipa::path(
    post,
    path = "/v1/decisions",
    tag = "decisions",
    params(Wait),
    request_body = RequestBody,
    responses(
        (status = 200, description = "decided", body = DecisionBody<'static>, headers(("lexecon-position" = String, description = "partition:seq"))),
        (status = 202, description = "in the log for good, not decided within the wait; `location` says where to ask", body = Problem),
        (status = 400, description = "not valid; nothing was written", body = Problem),
        (status = 409, description = "the request id was used before with another body; the conflict is recorded", body = Problem),
        (status = 413, description = "too large; nothing was written", body = Problem),
        (status = 422, description = "refused; the refusal is recorded", body = Problem),
        (status = 429, description = "too much in flight; nothing was written", body = Problem),
        (status = 503, description = "`not_ready`: nothing was written; `unknown`: nobody knows, `location` says where to ask", body = Problem),
    )
)]
pub async fn submit(
    State(app): State<App>,
    Strict(query): Strict<Wait>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wait = app.wait(query.wait)?;
    let bytes = read(&app, &headers, body, app.http.body_bytes_max).await?;
    let submission = json::submission(&bytes, app.http.depth_max, now_us())?;
    drop(bytes);
    let (pending, location) = submit::begin(&app, submission)?;
    let view = submit::finish(pending, &location, wait).await?;
    submit::respond(&view)
}

async fn read(app: &App, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<axum::body::Bytes, Problem> {
    let bytes =
        body::read(headers, body, Media::Json, bytes_max, Duration::from_millis(app.http.body_timeout_ms)).await?;
    crate::telemetry::observe(table::HTTP_BODY_BYTES, bytes.len());
    Ok(bytes)
}

/// Requests of a batch.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the shape for the document; bodies are read by `json::batch`, one request at a time when one is faulty"
)]
pub struct BatchBody {
    /// 1 to 500 requests.
    #[schema(min_items = 1, max_items = 500)]
    requests: Vec<RequestBody>,
}

/// Results of a batch.
#[derive(Serialize, ToSchema)]
pub struct ResultsBody<'a> {
    /// In the order of the requests.
    results: Vec<ResultBody<'a>>,
}

/// A decision, or a problem in its place.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ResultBody<'a> {
    /// Decided.
    Decision(DecisionBody<'a>),
    /// Refused, in conflict or pending.
    Problem(Problem),
}

/// Decide up to 500 requests.
///
/// All are submitted before the first is waited for, so a batch is decided in few commits. Each is answered by itself.
#[utoipa::path(
    post,
    path = "/v1/decisions:batch",
    tag = "decisions",
    params(Wait),
    request_body = BatchBody,
    responses(
        (status = 200, description = "a result for each request, in order", body = ResultsBody<'static>),
        (status = 400, description = "the batch itself is not valid; nothing was written", body = Problem),
        (status = 413, description = "too large or too many; nothing was written", body = Problem),
        (status = 429, description = "too much in flight; nothing was written", body = Problem),
    )
)]
pub async fn batch(
    State(app): State<App>,
    Extension(instance): Extension<Instance>,
    Strict(query): Strict<Wait>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let deadline = tokio::time::Instant::now() + app.wait(query.wait)?;
    let bytes = read(&app, &headers, body, app.http.batch_bytes_max).await?;
    let requests = json::batch(&bytes, app.http.depth_max, app.http.batch_requests_max, now_us())?;
    drop(bytes);
    crate::telemetry::observe(table::HTTP_BATCH, requests.len());
    let begun = submit::begin_many(&app, requests);
    // All at once, so that those that are not decided in time are confirmed by one sync.
    let left = deadline.duration_since(tokio::time::Instant::now());
    let finish = |one: Result<(Submitted, submit::Location), Problem>| async move {
        let (submitted, location) = one?;
        submit::finish(submitted, &location, left).await
    };
    let finished = futures_util::future::join_all(begun.into_iter().map(finish)).await;
    let positions = last_of_each(&finished);
    let results = finished.iter().map(|one| match one {
        Ok(view) => ResultBody::Decision(DecisionBody::of(view)),
        Err(problem) => ResultBody::Problem(noted(problem.clone(), &instance)),
    });
    let body = serde_json::to_vec(&ResultsBody { results: results.collect() });
    let body = body.map_err(|error| Problem::internal("writing the answer", &error))?;
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    position::insert(response.headers_mut(), &positions);
    Ok(response)
}

/// A problem inside a batch, which the edge does not see.
fn noted(mut problem: Problem, instance: &Instance) -> Problem {
    counter!(table::HTTP_PROBLEMS, "code" => problem.code).increment(1);
    instance.0.as_ref().clone_into(&mut problem.instance);
    problem
}

fn last_of_each(finished: &[Result<Arc<DecisionView>, Problem>]) -> Vec<(u32, u64)> {
    let mut last = BTreeMap::new();
    for one in finished {
        let place = match one {
            Ok(view) => Some((view.partition, view.seq)),
            Err(problem) => problem.ledger.as_ref().map(|ledger| (ledger.partition, ledger.seq)),
        };
        if let Some((partition, seq)) = place {
            let known = last.entry(partition).or_insert(seq);
            *known = seq.max(*known);
        }
    }
    last.into_iter().collect()
}

/// What a submission as bytes is answered with.
#[derive(Serialize, ToSchema)]
pub struct ReceiptBody {
    /// Partition of the requests topic.
    partition: u32,
    /// Position in it.
    position: u64,
}

/// Which partition a raw record goes to.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RawPlace {
    /// Partition of the requests topic, as a producer would choose it; left out: 0. A request in the wrong one is
    /// forwarded.
    partition: Option<u32>,
}

/// Submit framed bytes as Kafka would bring them.
///
/// Confluent framing around Avro. The bytes are not looked at here: what is no request becomes a recorded rejection
/// and a dead letter.
#[utoipa::path(
    post,
    path = "/v1/requests:raw",
    tag = "decisions",
    params(RawPlace),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 202, description = "in the log for good", body = ReceiptBody),
        (status = 413, description = "too large; nothing was written", body = Problem),
        (status = 503, description = "`not_ready`: nothing was written; `unknown`: nobody knows", body = Problem),
    )
)]
pub async fn raw(
    State(app): State<App>,
    Strict(place): Strict<RawPlace>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let timeout = Duration::from_millis(app.http.body_timeout_ms);
    let bytes = body::read(&headers, body, Media::Octets, domain::request::limits::REQUEST_BYTES_MAX, timeout).await?;
    crate::telemetry::observe(table::HTTP_BODY_BYTES, bytes.len());
    let receipt = app
        .read(move |system| {
            system.submit_raw(place.partition.unwrap_or(0), &bytes).map_err(|error| submit::refused(&error))
        })
        .await?;
    let body = ReceiptBody { partition: receipt.0, position: receipt.1.0 };
    Ok((axum::http::StatusCode::ACCEPTED, axum::Json(body)).into_response())
}
