//! Handing a request to the engine and writing down what comes back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::request::Request;
use engine::system::{Answered, SubmitError, Submitted};
use engine::view::{DecisionView, Kind};
use metrics::counter;

use super::answer::{DecisionBody, coordinate};
use super::app::App;
use super::json::Submission;
use super::position;
use super::problem::{Code, Problem};
use crate::telemetry::metrics as table;

/// Where a request is asked for when its decision takes long. Personal ids may stand in it, so it is told to the
/// client that knows them and to nobody else.
pub(super) struct Location {
    tenant: String,
    actor: String,
    request_id: String,
}

impl Location {
    fn of(request: &Request) -> Location {
        Location {
            tenant: request.tenant.to_string(),
            actor: request.actor.id.to_string(),
            request_id: request.request_id.to_string(),
        }
    }

    fn path(&self) -> String {
        let [tenant, actor, id] = [&self.tenant, &self.actor, &self.request_id].map(|text| percent(text));
        format!("/v1/requests?tenant={tenant}&actor={actor}&request_id={id}")
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, section 2.3.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

/// Hands a request over.
///
/// # Errors
/// When the engine does not take it.
pub(super) fn begin(app: &App, submission: Submission) -> Result<(Submitted, Location), Problem> {
    let request = dated(app, submission)?;
    let submitted = app.system.submit(&request).map_err(|error| refused(&error))?;
    Ok((submitted, Location::of(&request)))
}

/// Hands several requests over together, those that are none left in their places.
pub(super) fn begin_many(
    app: &App,
    submissions: Vec<Result<Submission, Problem>>,
) -> Vec<Result<(Submitted, Location), Problem>> {
    let requests: Vec<_> = submissions.into_iter().map(|one| one.and_then(|one| dated(app, one))).collect();
    let mut submitted = app.system.submit_many(requests.iter().flatten()).into_iter();
    let mut next = |request: &Request| match submitted.next() {
        Some(Ok(submitted)) => Ok((submitted, Location::of(request))),
        Some(Err(error)) => Err(refused(&error)),
        None => Err(Problem::internal("submitting", &"fewer were taken than sent")),
    };
    requests.into_iter().map(|request| request.and_then(|request| next(&request))).collect()
}

/// A request with the time at which it occurred.
fn dated(app: &App, submission: Submission) -> Result<Request, Problem> {
    let Submission { mut request, dated } = submission;
    if !dated {
        let known = |request: &_| app.system.occurred_at(request).map_err(|error| refused(&error));
        request.occurred_at_us = app.undated.first_time(&request, known)?;
    }
    Ok(request)
}

/// Why the engine did not take a request.
pub(super) fn refused(error: &SubmitError) -> Problem {
    match error {
        SubmitError::NotReady(reason) => {
            Problem::new(Code::NotReady, format!("{reason}; nothing was submitted, try again later"))
        }
        SubmitError::Busy { limit } => Problem::new(
            Code::Busy,
            format!("{limit} requests are in flight; try again in a second, with fewer at a time"),
        ),
        SubmitError::TooLarge { bytes, limit } => Problem::new(
            Code::TooLarge,
            format!("the request has {bytes} bytes in its stored form and may have {limit}; send less"),
        ),
        SubmitError::Unknown(why) => unknown(why, "send it again unchanged, a repeat is recognised"),
        SubmitError::Failed(cause) => Problem::internal("submitting", cause),
    }
}

fn unknown(why: &str, remedy: &str) -> Problem {
    Problem::new(Code::Unknown, format!("{why}; {remedy}"))
}

/// How long the log may take to say whether a request is durable, before the answer is that nobody knows.
const CONFIRM: Duration = Duration::from_secs(5);

/// Waits for a decision; after `wait`, until the request is durable at least.
///
/// # Errors
/// `pending`, `conflict`, `rejected`; `not_ready` when nothing was written after all, `unknown` when nobody knows.
pub(super) async fn finish(
    submitted: Submitted,
    location: &Location,
    wait: Duration,
) -> Result<Arc<DecisionView>, Problem> {
    let pending = match submitted {
        Submitted::Repeat(view) => {
            counter!(table::REPEATS).increment(1);
            return accepted(view);
        }
        Submitted::Pending(pending) => pending,
    };
    let confirmation = pending.confirmation();
    match tokio::time::timeout(wait, pending.answer()).await {
        Ok(Answered::Event(view)) => return accepted(view),
        Ok(Answered::NotTaken { reason }) => return Err(refused(&SubmitError::NotReady(reason.to_string()))),
        // Not in time, or the log failed or the engine went away with the request in it.
        Ok(Answered::Unknown) | Err(_) => {}
    }
    let durable = tokio::time::timeout(CONFIRM, confirmation.confirmed()).await.unwrap_or(false);
    let mut problem = if durable {
        counter!(table::HTTP_PENDING).increment(1);
        Problem::new(Code::Pending, "it is in the log; ask for it at the location, or submit it again unchanged")
    } else {
        unknown("the log did not confirm it", "ask for it at the location, or submit it again unchanged")
    };
    problem.location = Some(location.path());
    Err(problem)
}

/// The decision, or the problem that a recorded refusal is.
fn accepted(view: Arc<DecisionView>) -> Result<Arc<DecisionView>, Problem> {
    let code = match view.kind {
        Kind::Decided => return Ok(view),
        Kind::Conflicted => Code::Conflict,
        Kind::Rejected | Kind::Rerouted => Code::Rejected,
    };
    let detail = if view.detail.is_empty() { view.reason.meaning() } else { &view.detail };
    let mut problem = Problem::new(code, detail);
    problem.reason_code = Some(view.reason.as_str());
    problem.decision_id = Some(view.decision_id.to_string());
    problem.ledger = Some(coordinate(&view));
    Err(problem)
}

/// The answer to one submission.
pub(super) fn respond(view: &DecisionView) -> Result<Response, Problem> {
    let body =
        serde_json::to_vec(&DecisionBody::of(view)).map_err(|error| Problem::internal("writing the answer", &error))?;
    let mut response = (StatusCode::OK, Body::from(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    position::insert(response.headers_mut(), &[(view.partition, view.seq)]);
    Ok(response)
}
