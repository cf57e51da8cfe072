//! Finding decisions: by id, by request, in lists.
//!
//! What is shown is read from the ledger at that moment. Nothing personal is: ids of persons who act are left out, and
//! so are subjects; reading those needs a right and a record of the access, which come with accounts.

use axum::extract::State;
use axum::response::Response;
use domain::ids::{Action, ActorId, BadName, RequestId, Tenant};
use engine::reader::Filter;
use engine::view::Kind;
use ledger::EventId;
use policy::{Outcome, ReasonCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::EntryBody;
use super::app::App;
use super::problem::{Code, Problem};
use super::query::{Place, Strict};
use super::reads::{self, After};

/// One decision.
///
/// Refusals that were recorded are found in the same way.
#[utoipa::path(
    get, path = "/v1/decisions/{id}", tag = "decisions",
    params(("id" = String, Path, description = "`decision_id`, a UUID"), After),
    responses(
        (status = 200, description = "found", body = EntryBody<'static>),
        (status = 400, description = "not an id", body = Problem),
        (status = 404, description = "no such decision", body = Problem),
        (status = 503, description = "`after` was not reached in time", body = Problem),
    )
)]
pub async fn decision(
    State(app): State<App>,
    Place(id): Place<String>,
    Strict(after): Strict<After>,
) -> Result<Response, Problem> {
    let id: EventId = id.parse().map_err(|_| Problem::new(Code::InvalidPath, "the id of a decision is a UUID"))?;
    let after = after.checked(&app)?;
    app.read(move |system| {
        let reader = system.reader();
        after.reach(reader)?;
        let view = reader.decision(&id).map_err(|error| reads::failed(&error))?;
        let view = view.ok_or_else(|| {
            Problem::new(Code::NotFound, "there is no such decision; reads may be behind, see `after`")
        })?;
        Ok(reads::reflecting(EntryBody::of(&view), &[(view.partition, view.seq)]))
    })
    .await
}

/// Which request.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RequestQuery {
    /// Tenant.
    #[serde(default = "default_tenant")]
    #[param(default = "default", required = false)]
    tenant: String,
    /// The actor's id.
    actor: String,
    /// The producer's id of the request.
    request_id: String,
    /// Wait until reads reflect this position.
    after: Option<String>,
    /// Milliseconds to wait for it.
    wait: Option<u64>,
}

fn default_tenant() -> String {
    "default".to_owned()
}

/// What became of a request.
#[utoipa::path(
    get, path = "/v1/requests", tag = "decisions",
    params(RequestQuery),
    responses(
        (status = 200, description = "answered", body = EntryBody<'static>),
        (status = 400, description = "the query is not valid", body = Problem),
        (status = 404, description = "not answered, or not submitted", body = Problem),
        (status = 503, description = "`after` was not reached in time", body = Problem),
    )
)]
pub async fn request(State(app): State<App>, Strict(query): Strict<RequestQuery>) -> Result<Response, Problem> {
    let after = After::new(query.after, query.wait).checked(&app)?;
    let tenant = Tenant::new(query.tenant).map_err(|fault| bad_name("tenant", &fault))?;
    let actor = ActorId::new(query.actor).map_err(|fault| bad_name("actor", &fault))?;
    let id = RequestId::new(query.request_id).map_err(|fault| bad_name("request_id", &fault))?;
    app.read(move |system| {
        let reader = system.reader();
        after.reach(reader)?;
        let view = reader.request(&tenant, &actor, &id).map_err(|error| reads::failed(&error))?;
        let view = view
            .ok_or_else(|| Problem::new(Code::NotFound, "no event answers this request; it may not be decided yet"))?;
        Ok(reads::reflecting(EntryBody::of(&view), &[(view.partition, view.seq)]))
    })
    .await
}

fn bad_name(name: &str, fault: &BadName) -> Problem {
    Problem::new(Code::InvalidQuery, format!("{name}: {fault}"))
}

/// Which decisions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DecisionsQuery {
    /// Of this tenant.
    tenant: Option<String>,
    /// That this actor asked for.
    actor: Option<String>,
    /// For this verb.
    action: Option<String>,
    /// `permit`, `deny` or `escalate`.
    outcome: Option<String>,
    /// For this reason.
    reason: Option<String>,
    /// `decided`, `rejected`, `rerouted` or `conflicted`.
    kind: Option<String>,
    /// Recorded at or after, RFC 3339.
    from: Option<String>,
    /// Recorded before, RFC 3339.
    to: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items of the page.
    limit: Option<usize>,
    /// Wait until reads reflect this position.
    after: Option<String>,
    /// Milliseconds to wait for it.
    wait: Option<u64>,
}

/// A page of decisions.
#[derive(Serialize, ToSchema)]
pub struct EntriesBody<'a> {
    /// Newest first.
    items: Vec<EntryBody<'a>>,
    /// `cursor` of the next page; null when this was the last.
    next: Option<String>,
    /// What the page reflects.
    position: String,
}

/// Decisions and recorded refusals, newest first.
///
/// Each one that was there at the first page comes exactly once, whatever is decided meanwhile.
#[utoipa::path(
    get, path = "/v1/decisions", tag = "decisions",
    params(DecisionsQuery),
    responses(
        (status = 200, description = "a page", body = EntriesBody<'static>),
        (status = 400, description = "the query is not valid", body = Problem),
        (status = 503, description = "`after` was not reached in time", body = Problem),
    )
)]
pub async fn decisions(State(app): State<App>, Strict(query): Strict<DecisionsQuery>) -> Result<Response, Problem> {
    let limit = reads::page_size(&app, query.limit)?;
    let (filter, cursor, after) = understood(query)?;
    let after = after.checked(&app)?;
    app.read(move |system| {
        let reader = system.reader();
        after.reach(reader)?;
        let page = reader.decisions(&filter, cursor.as_deref(), limit).map_err(|error| reads::failed(&error))?;
        let body = EntriesBody {
            items: page.items.iter().map(EntryBody::of).collect(),
            next: page.next,
            position: super::position::format(&page.positions),
        };
        Ok(reads::reflecting(body, &page.positions))
    })
    .await
}

pub(crate) fn understood(query: DecisionsQuery) -> Result<(Filter, Option<String>, After), Problem> {
    let word = |name: &str, known: &str| Problem::new(Code::InvalidQuery, format!("{name}: must be one of {known}"));
    let time = |name: &str, text: Option<String>| {
        let fault = || {
            Problem::new(Code::InvalidQuery, format!("{name}: must be a time of RFC 3339, like 2026-01-31T12:00:00Z"))
        };
        text.map(|text| text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond).map_err(|_| fault()))
            .transpose()
    };
    let outcome = |text: String| {
        let all = [Outcome::Permit, Outcome::Deny, Outcome::Escalate];
        all.into_iter().find(|one| one.as_str() == text).ok_or_else(|| word("outcome", "permit, deny, escalate"))
    };
    let kind = |text: String| {
        let found = Kind::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| word("kind", "decided, rejected, rerouted, conflicted"))
    };
    let reason = |text: String| {
        ReasonCode::from_name(&text).ok_or_else(|| word("reason", "the reason codes that answers carry"))
    };
    let filter = Filter {
        tenant: query.tenant.map(Tenant::new).transpose().map_err(|fault| bad_name("tenant", &fault))?,
        actor: query.actor.map(ActorId::new).transpose().map_err(|fault| bad_name("actor", &fault))?,
        action: query.action.map(Action::new).transpose().map_err(|fault| bad_name("action", &fault))?,
        outcome: query.outcome.map(outcome).transpose()?,
        reason: query.reason.map(reason).transpose()?,
        kind: query.kind.map(kind).transpose()?,
        from_us: time("from", query.from)?,
        to_us: time("to", query.to)?,
    };
    Ok((filter, query.cursor, After::new(query.after, query.wait)))
}
