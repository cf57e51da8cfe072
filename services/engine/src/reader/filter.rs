//! What a page is asked for, first against a row's marks, then against the event itself.

use domain::ids::{Action, ActorId, Tenant};
use ledger::StoredEvent;
use policy::{Outcome, ReasonCode};

use super::Error;
use crate::follow::{Marks, acting, mark_of, short};
use crate::record::{self, numbers};
use crate::view::Kind;

/// Which events a page shows; everything by default, each field narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<Tenant>,
    /// That this actor asked for.
    pub actor: Option<ActorId>,
    /// For this verb.
    pub action: Option<Action>,
    /// Decided so. Answers without evaluation have no outcome.
    pub outcome: Option<Outcome>,
    /// For this reason.
    pub reason: Option<ReasonCode>,
    /// Answered in this way.
    pub kind: Option<Kind>,
    /// Recorded at or after, microseconds since 1970-01-01 UTC.
    pub from_us: Option<i64>,
    /// Recorded before.
    pub to_us: Option<i64>,
}

impl Filter {
    pub(super) fn outcome_number(&self) -> Option<u8> {
        self.outcome.map(|outcome| numbers::outcome(Some(outcome)))
    }

    /// Whether a row may be wanted: never no for one that is.
    pub(super) fn may_want(&self, marks: &Marks, actors: Option<&[[u8; 16]]>) -> bool {
        let kind = self.kind.map(Kind::event_type);
        self.outcome_number().is_none_or(|outcome| outcome == marks.outcome)
            && self.reason.is_none_or(|reason| reason.number() == marks.reason_code)
            && kind.is_none_or(|kind| kind == u16::from(marks.event_type))
            && self.tenant.as_ref().is_none_or(|tenant| short(tenant.as_str()) == marks.tenant)
            && self.action.as_ref().is_none_or(|action| short(action.as_str()) == marks.action)
            && actors.is_none_or(|actors| actors.iter().any(|actor| mark_of(actor) == marks.actor))
    }

    /// Whether an event is wanted.
    pub(super) fn wants(&self, event: &StoredEvent<'_>, actors: Option<&[[u8; 16]]>) -> Result<bool, Error> {
        let (facts, outcome) = (record::facts(event)?, record::outcome(event)?);
        let at = event.body.recorded_at_us;
        let kind = self.kind.map(Kind::event_type);
        Ok(self.outcome_number().is_none_or(|number| number == outcome.outcome)
            && self.reason.is_none_or(|reason| reason.number() == outcome.reason_code)
            && kind.is_none_or(|kind| kind == event.body.event_type)
            && self.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == facts.tenant)
            && self.action.as_ref().is_none_or(|action| action.as_str() == facts.action)
            && actors.is_none_or(|actors| acting(&facts).is_some_and(|actor| actors.contains(&actor)))
            && self.from_us.is_none_or(|from| at >= from)
            && self.to_us.is_none_or(|to| at < to))
    }
}
