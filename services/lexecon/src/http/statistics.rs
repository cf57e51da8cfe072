//! Counts over the ledger, and the account of what was consumed.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use engine::follow::{Counted, Totals};
use engine::reader::Conserved;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::time;
use super::app::App;
use super::problem::Problem;
use super::query::Strict;
use super::reads::{self, After};

/// Counts of names, the rarer ones together.
#[derive(Serialize, ToSchema)]
pub struct NamesBody {
    /// Most frequent first.
    names: Vec<NameBody>,
    /// Everything that is not in `names`.
    other: u64,
}

/// One name.
#[derive(Serialize, ToSchema)]
pub struct NameBody {
    /// The name.
    name: String,
    /// How often.
    count: u64,
}

/// One hour.
#[derive(Serialize, ToSchema)]
pub struct HourBody {
    /// When it begins, RFC 3339.
    #[schema(format = "date-time")]
    from: String,
    /// Permits.
    permit: u64,
    /// Denials.
    deny: u64,
    /// Escalations.
    escalate: u64,
    /// Answered without evaluation.
    none: u64,
}

/// Counts since the first event.
#[derive(Serialize, ToSchema)]
pub struct StatisticsBody {
    /// Events that answer a request.
    answers: u64,
    /// By kind.
    kinds: BTreeMap<&'static str, u64>,
    /// By outcome.
    outcomes: BTreeMap<&'static str, u64>,
    /// By reason.
    reasons: BTreeMap<String, u64>,
    /// How often each policy determined a decision.
    policies: NamesBody,
    /// By action.
    actions: NamesBody,
    /// By tenant.
    tenants: NamesBody,
    /// By hour, oldest first.
    hours: Vec<HourBody>,
    /// What they reflect.
    position: String,
}

fn names(counted: Counted) -> NamesBody {
    NamesBody {
        names: counted.names.into_iter().map(|(name, count)| NameBody { name, count }).collect(),
        other: counted.other,
    }
}

impl StatisticsBody {
    /// Of the engine's counts.
    pub fn of(totals: Totals, positions: &[(u32, u64)]) -> StatisticsBody {
        StatisticsBody {
            answers: totals.answers(),
            kinds: totals.kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect(),
            outcomes: totals.outcomes.iter().map(|(outcome, count)| (outcome.as_str(), *count)).collect(),
            reasons: totals.reasons,
            policies: names(totals.policies),
            actions: names(totals.actions),
            tenants: names(totals.tenants),
            hours: totals
                .hours
                .iter()
                .map(|hour| HourBody {
                    from: time(hour.from_us),
                    permit: hour.permitted,
                    deny: hour.denied,
                    escalate: hour.escalated,
                    none: hour.not_evaluated,
                })
                .collect(),
            position: super::position::format(positions),
        }
    }
}

/// Counts by kind, outcome, reason, policy, action, tenant and hour.
#[utoipa::path(
    get, path = "/v1/statistics", tag = "ledger", params(After),
    responses((status = 200, description = "counts", body = StatisticsBody), (status = 400, description = "the query is not valid", body = Problem))
)]
pub async fn statistics(State(app): State<App>, Strict(after): Strict<After>) -> Result<Response, Problem> {
    let after = after.checked(&app)?;
    app.read(move |system| {
        let reader = system.reader();
        after.reach(reader)?;
        // Positions first: the counts then reflect at least them.
        let positions = reader.positions().map_err(|error| reads::failed(&error))?;
        let totals = reader.statistics().map_err(|error| reads::failed(&error))?;
        Ok(reads::reflecting(StatisticsBody::of(totals, &positions), &positions))
    })
    .await
}

/// What a partition consumed of an input.
#[derive(Serialize, ToSchema)]
pub struct AccountBody {
    /// Partition of the ledger.
    partition: u32,
    /// Topic of the input.
    topic: String,
    /// Its partition.
    input_partition: u32,
    /// First offset.
    from_offset: u64,
    /// One past the last.
    to_offset: u64,
    /// Offsets that carried a request.
    requests: u64,
    /// Of them decided.
    decisions: u64,
    /// Of them refused.
    rejected: u64,
    /// Of them repeats.
    duplicates: u64,
    /// Offsets that carried no request.
    non_request: u64,
    /// Whether every offset is accounted for, once.
    holds: bool,
}

/// The account of all inputs.
#[derive(Serialize, ToSchema)]
pub struct ConservationBody {
    /// By partition and input.
    items: Vec<AccountBody>,
    /// Always null: there is one page.
    next: Option<String>,
    /// What it reflects.
    position: String,
    /// Whether all of them hold.
    holds: bool,
}

impl ConservationBody {
    /// Of the engine's accounts.
    pub fn of(all: &[Conserved], positions: &[(u32, u64)]) -> ConservationBody {
        let item = |one: &Conserved| AccountBody {
            partition: one.partition,
            topic: one.topic.clone(),
            input_partition: one.input_partition,
            from_offset: one.account.from_offset,
            to_offset: one.account.to_offset,
            requests: one.account.requests,
            decisions: one.account.decisions,
            rejected: one.account.rejected,
            duplicates: one.account.duplicates(),
            non_request: one.account.non_request,
            holds: one.account.holds(),
        };
        ConservationBody {
            items: all.iter().map(item).collect(),
            next: None,
            position: super::position::format(positions),
            holds: all.iter().all(|one| one.account.holds()),
        }
    }
}

/// Consumed = decided + duplicates + rejected, by partition and input, from the ledger alone.
#[utoipa::path(
    get, path = "/v1/ledger/conservation", tag = "ledger", params(After),
    responses((status = 200, description = "the account", body = ConservationBody), (status = 400, description = "the query is not valid", body = Problem))
)]
pub async fn conservation(State(app): State<App>, Strict(after): Strict<After>) -> Result<Response, Problem> {
    let after = after.checked(&app)?;
    app.read(move |system| {
        let reader = system.reader();
        after.reach(reader)?;
        let positions = reader.positions().map_err(|error| reads::failed(&error))?;
        let all = reader.conservation().map_err(|error| reads::failed(&error))?;
        Ok(reads::reflecting(ConservationBody::of(&all, &positions), &positions))
    })
    .await
}
