//! Outcomes in the order of their numbers: as pages, and as server-sent events.
//!
//! Invariant: numbers are dense per partition, so whoever remembers the last one sees each outcome once. An event's
//! id is `partition:number`; `last-event-id` goes on after it (HTML standard, section 9.2).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::view::DecisionView;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::answer::time;
use super::app::{App, permit};
use super::problem::{Code, Problem};
use super::query::Strict;
use super::reads::{self, After};
use super::streams::Held;

/// One outcome.
#[derive(Serialize, ToSchema)]
pub struct OutcomeBody<'a> {
    /// Partition.
    pub partition: u32,
    /// Its number there, dense from 0.
    pub outcome_no: u64,
    /// `permit`, `deny` or `escalate`; null when the request was refused.
    pub outcome: Option<&'static str>,
    /// Why.
    pub reason_code: &'static str,
    /// `decided`, `rejected` or `conflicted`.
    pub kind: &'static str,
    /// Tenant.
    pub tenant: &'a str,
    /// The producer's id of the request, when it may be read.
    pub request_id: Option<&'a str>,
    /// The event, a UUID.
    #[schema(format = "uuid")]
    pub decision_id: String,
    /// Place in the ledger.
    pub seq: u64,
    /// Hexadecimal.
    pub event_hash: String,
    /// RFC 3339.
    #[schema(format = "date-time")]
    pub recorded_at: String,
}

impl<'a> OutcomeBody<'a> {
    /// Of the engine's view.
    pub fn of(view: &'a DecisionView) -> OutcomeBody<'a> {
        OutcomeBody {
            partition: view.partition,
            outcome_no: view.outcome_no,
            outcome: view.outcome.map(policy::Outcome::as_str),
            reason_code: view.reason.as_str(),
            kind: view.kind.as_str(),
            tenant: &view.tenant,
            request_id: view.request_id.as_deref(),
            decision_id: view.decision_id.to_string(),
            seq: view.seq,
            event_hash: view.event_hash.to_string(),
            recorded_at: time(view.recorded_at_us),
        }
    }
}

/// A page of outcomes.
#[derive(Serialize, ToSchema)]
pub struct OutcomesBody<'a> {
    /// By number.
    pub items: Vec<OutcomeBody<'a>>,
    /// `after` of the next page; null when there is none yet.
    pub next: Option<String>,
    /// The last event of the page.
    pub position: String,
}

impl<'a> OutcomesBody<'a> {
    /// Of the engine's views; a page that is full has a next one.
    pub fn of(views: &'a [DecisionView], limit: usize) -> OutcomesBody<'a> {
        OutcomesBody {
            items: views.iter().map(OutcomeBody::of).collect(),
            next: views.last().filter(|_| views.len() >= limit).map(|view| view.outcome_no.to_string()),
            position: super::position::format(&last(views)),
        }
    }
}

fn last(views: &[DecisionView]) -> Vec<(u32, u64)> {
    views.last().map(|view| (view.partition, view.seq)).into_iter().collect()
}

/// Which outcomes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OutcomesQuery {
    /// Partition. A stream without one follows all of them, each from its first outcome.
    partition: Option<u32>,
    /// Only numbers above this one; needs `partition`.
    after: Option<u64>,
    /// Items of a page.
    limit: Option<usize>,
    /// Wait until the page reflects this position of the ledger: `partition:seq,…`. Not `after`, which is a number of
    /// an outcome here. A stream needs none: it sends what comes.
    position: Option<String>,
    /// Milliseconds to wait for it.
    wait: Option<u64>,
}

/// Outcomes of a partition, in order.
///
/// With `accept: text/event-stream` a stream that goes on as requests are decided; else one page.
#[utoipa::path(
    get, path = "/v1/outcomes", tag = "decisions", params(OutcomesQuery),
    responses(
        (status = 200, description = "a page, or a stream of events `outcome`", content(
            (OutcomesBody<'static> = "application/json"), (String = "text/event-stream"))),
        (status = 400, description = "the query is not valid", body = Problem),
        (status = 429, description = "too many streams", body = Problem),
    )
)]
pub async fn outcomes(
    State(app): State<App>,
    Strict(query): Strict<OutcomesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.partition.is_some_and(|partition| partition >= app.partitions) {
        return Err(Problem::new(
            Code::InvalidQuery,
            format!("partition: there are {}, numbered from 0", app.partitions),
        ));
    }
    if query.after.is_some() && query.partition.is_none() {
        return Err(Problem::new(
            Code::InvalidQuery,
            "after: numbers are counted by partition, so name the partition too",
        ));
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/event-stream") {
        if query.position.is_some() || query.wait.is_some() {
            return Err(Problem::new(
                Code::InvalidQuery,
                "position, wait: only a page waits; a stream sends what comes, so leave them out",
            ));
        }
        return stream(&app, &query, &headers);
    }
    let Some(partition) = query.partition else {
        return Err(Problem::new(
            Code::InvalidQuery,
            "partition: name one; only a stream (accept: text/event-stream) follows all",
        ));
    };
    let limit = reads::page_size(&app, query.limit)?;
    let awaited = After::new(query.position, query.wait).checked_as("position", &app)?;
    app.read(move |system| {
        awaited.reach(system.reader())?;
        let views = system.reader().outcomes(partition, query.after, limit).map_err(|error| reads::failed(&error))?;
        Ok(reads::reflecting(OutcomesBody::of(&views, limit), &last(&views)))
    })
    .await
}

/// Events that wait to be taken; the stream stops reading meanwhile.
const EVENTS_WAITING: usize = 4;
/// Outcomes that are read at once.
const READ: usize = 100;
/// How often a stream that has sent everything looks again.
const LOOK: Duration = Duration::from_millis(50);

fn stream(app: &App, query: &OutcomesQuery, headers: &HeaderMap) -> Result<Response, Problem> {
    let mut sent: BTreeMap<u32, Option<u64>> = match query.partition {
        Some(partition) => BTreeMap::from([(partition, query.after)]),
        None => (0..app.partitions).map(|partition| (partition, None)).collect(),
    };
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.split_once(':'));
    if let Some((partition, number)) = resumed
        && let (Ok(partition), Ok(number)) = (partition.parse(), number.parse())
        && let Some(known) = sent.get_mut(&partition)
    {
        *known = Some(number);
    }
    let held = Held::new(permit(&app.streams, "streams at once")?);
    let (events, taken) = mpsc::channel(EVENTS_WAITING);
    tokio::spawn(follow(app.clone(), sent, events));
    let stream = tokio_stream::wrappers::ReceiverStream::new(taken);
    let mut response = axum::body::Body::from_stream(held.with(stream)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// Sends outcomes as they come, until the client goes away or the process stops.
async fn follow(app: App, mut sent: BTreeMap<u32, Option<u64>>, events: mpsc::Sender<Result<Bytes, Infallible>>) {
    let keepalive = Duration::from_millis(app.http.stream_keepalive_ms);
    let mut stopping = app.stopping.clone();
    let mut spoke = Instant::now();
    loop {
        let wanted = sent.clone();
        let read = app.probe(move |system| {
            let mut found = Vec::new();
            for (partition, after) in wanted {
                found.extend(system.reader().outcomes(partition, after, READ)?);
            }
            Ok::<_, engine::reader::Error>(found)
        });
        let found = match read.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return tracing::warn!(cause = %error, "a stream of outcomes broke off"),
            Err(_) => return,
        };
        let message = if found.is_empty() { Bytes::from_static(b": nothing new\n\n") } else { written(&found) };
        let quiet = found.is_empty();
        for view in found {
            sent.insert(view.partition, Some(view.outcome_no));
        }
        if !quiet || spoke.elapsed() >= keepalive {
            spoke = Instant::now();
            tokio::select! {
                taken = events.send(Ok(message)) => if taken.is_err() { return },
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
        if quiet {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = events.closed() => return,
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }
}

fn written(views: &[DecisionView]) -> Bytes {
    let mut out = Vec::with_capacity(views.len().saturating_mul(400));
    for view in views {
        out.extend_from_slice(format!("id: {}:{}\nevent: outcome\ndata: ", view.partition, view.outcome_no).as_bytes());
        // Texts and numbers always become JSON.
        let _ = serde_json::to_writer(&mut out, &OutcomeBody::of(view));
        out.extend_from_slice(b"\n\n");
    }
    out.into()
}
