//! Dead letters: what could not be processed, and what an operator did about it. Their bytes are never shown.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::letters::{Error, LetterView};
use engine::system::System;
use eventlog::Position;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::time;
use super::app::App;
use super::problem::{Code, Problem};
use super::query::{Place, Strict};
use super::reads::{self, After, Awaited};

/// Who an operator is, until there are accounts.
const BY: &str = "http";

/// Where a record came from.
#[derive(Serialize, ToSchema)]
pub struct OriginBody {
    /// Topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Offset in it.
    pub offset: u64,
}

/// One dead letter.
#[derive(Serialize, ToSchema)]
pub struct LetterBody {
    /// Partition.
    pub partition: u32,
    /// Position among its dead letters.
    pub position: u64,
    /// When it was set aside, RFC 3339.
    #[schema(format = "date-time")]
    pub at: String,
    /// Why.
    pub reason_code: String,
    /// What exactly, without values.
    pub detail: String,
    /// Where it came from.
    pub origin: OriginBody,
    /// Length of its value.
    pub value_bytes: u64,
    /// Whether the value was kept and can be retried.
    pub kept: bool,
    /// `open`, `retried` or `discarded`.
    pub state: &'static str,
    /// The event that records what was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

impl LetterBody {
    /// Of the engine's view.
    pub fn of(view: &LetterView) -> LetterBody {
        LetterBody {
            partition: view.partition,
            position: view.position.0,
            at: time(view.at_us),
            reason_code: view.reason_code.clone(),
            detail: view.detail.clone(),
            origin: OriginBody { topic: view.topic.clone(), partition: view.input_partition, offset: view.offset },
            value_bytes: view.value_bytes,
            kept: view.kept,
            state: view.state(),
            seq: view.done.map(|(_, seq)| seq),
        }
    }
}

/// A page of dead letters.
#[derive(Serialize, ToSchema)]
pub struct LettersBody {
    /// By partition and position.
    pub items: Vec<LetterBody>,
    /// `cursor` of the next page; null when this was the last.
    pub next: Option<String>,
}

impl LettersBody {
    /// Of the engine's page.
    pub fn of(views: &[LetterView], next: Option<(u32, Position)>) -> LettersBody {
        LettersBody {
            items: views.iter().map(LetterBody::of).collect(),
            next: next.map(|(partition, position)| format!("{partition}:{}", position.0)),
        }
    }
}

/// Where a page begins.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LettersQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items of the page.
    limit: Option<usize>,
    /// Wait until the answer reflects this position: `partition:seq,…`.
    after: Option<String>,
    /// Milliseconds to wait for it.
    wait: Option<u64>,
}

/// The place that a cursor names; the first of all without one.
///
/// # Errors
/// `invalid_query` when it is none of ours.
pub fn place(cursor: Option<&str>) -> Result<(u32, Position), Problem> {
    let Some(text) = cursor else { return Ok((0, Position::ZERO)) };
    let parsed = text
        .split_once(':')
        .and_then(|(partition, position)| Some((partition.parse().ok()?, Position(position.parse().ok()?))));
    parsed.ok_or_else(|| Problem::new(Code::InvalidQuery, "cursor: send back `next` as it was"))
}

/// Dead letters, by partition.
#[utoipa::path(
    get, path = "/v1/dead-letters", tag = "dead letters", params(LettersQuery),
    responses((status = 200, description = "a page", body = LettersBody), (status = 400, description = "the query is not valid", body = Problem))
)]
pub async fn dead_letters(State(app): State<App>, Strict(query): Strict<LettersQuery>) -> Result<Response, Problem> {
    let limit = reads::page_size(&app, query.limit)?;
    let from = place(query.cursor.as_deref())?;
    let after = After::new(query.after, query.wait).checked(&app)?;
    app.read(move |system| {
        let positions = reached(system, &after)?;
        let (views, next) = system.letters().page(from, limit).map_err(|error| failed(&error))?;
        Ok(reads::reflecting(LettersBody::of(&views, next), &positions))
    })
    .await
}

/// Waits, and says what an answer that is read from now on reflects at least.
fn reached(system: &System, after: &Awaited) -> Result<Vec<(u32, u64)>, Problem> {
    after.reach_state(system.reader())?;
    system.reader().state_positions().map_err(|error| reads::failed(&error))
}

/// One dead letter.
#[utoipa::path(
    get, path = "/v1/dead-letters/{partition}/{position}", tag = "dead letters",
    params(("partition" = u32, Path), ("position" = u64, Path), After),
    responses((status = 200, description = "found", body = LetterBody), (status = 404, description = "no such letter", body = Problem))
)]
pub async fn dead_letter(
    State(app): State<App>,
    Place((partition, position)): Place<(u32, String)>,
    Strict(after): Strict<After>,
) -> Result<Response, Problem> {
    if position.split_once(':').is_some_and(|(_, verb)| verb == "retry" || verb == "discard") {
        return Err(Problem::new(Code::MethodNotAllowed, "use POST"));
    }
    let position = number(&position)?;
    let after = after.checked(&app)?;
    app.read(move |system| {
        let positions = reached(system, &after)?;
        let view = system.letters().one(partition, position).map_err(|error| failed(&error))?;
        Ok(reads::reflecting(LetterBody::of(&view), &positions))
    })
    .await
}

fn number(text: &str) -> Result<Position, Problem> {
    text.parse().map(Position).map_err(|_| Problem::new(Code::InvalidPath, "the position of a dead letter is a number"))
}

/// Process a dead letter once more: the very bytes are submitted again, and that it was done is recorded.
#[utoipa::path(
    post, path = "/v1/dead-letters/{partition}/{position}:retry", tag = "dead letters",
    params(("partition" = u32, Path), ("position" = u64, Path)),
    responses(
        (status = 200, description = "recorded", body = LetterBody),
        (status = 202, description = "submitted, not recorded yet", body = LetterBody),
        (status = 404, description = "no such letter", body = Problem),
        (status = 409, description = "it was dealt with already, or its value was not kept", body = Problem),
    )
)]
pub async fn retry(State(app): State<App>, place: Place<(u32, String)>) -> Result<Response, Problem> {
    act(State(app), place).await
}

/// Say that a dead letter needs nothing more; recorded.
#[utoipa::path(
    post, path = "/v1/dead-letters/{partition}/{position}:discard", tag = "dead letters",
    params(("partition" = u32, Path), ("position" = u64, Path)),
    responses(
        (status = 200, description = "recorded", body = LetterBody),
        (status = 202, description = "submitted, not recorded yet", body = LetterBody),
        (status = 404, description = "no such letter", body = Problem),
        (status = 409, description = "it was dealt with already", body = Problem),
    )
)]
pub async fn discard(State(app): State<App>, place: Place<(u32, String)>) -> Result<Response, Problem> {
    act(State(app), place).await
}

/// Both verbs: the router cannot tell them apart.
pub(super) async fn act(
    State(app): State<App>,
    Place((partition, last)): Place<(u32, String)>,
) -> Result<Response, Problem> {
    let (position, verb) = match last.split_once(':') {
        Some((position, verb @ ("retry" | "discard"))) => (number(position)?, verb.to_owned()),
        Some(_) => {
            return Err(Problem::new(Code::NotFound, "there is nothing at this path; the verbs are retry and discard"));
        }
        None => return Err(Problem::new(Code::MethodNotAllowed, "use GET, or add :retry or :discard")),
    };
    let wait = Duration::from_millis(app.http.wait_default_ms);
    app.read(move |system| {
        let done = if verb == "retry" {
            system.retry(partition, position, BY, wait)
        } else {
            system.discard(partition, position, BY, wait)
        };
        let view = done.map_err(|error| failed(&error))?;
        let status = if view.done.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
        let recorded: Vec<_> = view.done.iter().map(|(_, seq)| (partition, *seq)).collect();
        Ok((status, reads::reflecting(LetterBody::of(&view), &recorded)).into_response())
    })
    .await
}

fn failed(error: &Error) -> Problem {
    match error {
        Error::Unknown { .. } => Problem::new(Code::NotFound, error.to_string()),
        Error::Done { .. } | Error::NotKept { .. } => Problem::new(Code::AlreadyDone, error.to_string()),
        Error::Submit(refused) => super::submit::refused(refused),
        _ => Problem::internal("the dead letter", error),
    }
}
