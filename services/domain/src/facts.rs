//! From a request to the facts that policies see.
//!
//! Invariant: facts are never stored in clear, so a person's id may be among them: policies compare ids.
//! What the request claims about approval is not a fact; the caller says whether one counts.

use policy::facts as seen;

use crate::ids::Micros;
use crate::request::{Request, limits};

impl Request {
    /// The facts of this request at `recorded_at_us`; `approved` is whether its approval was verified.
    pub fn facts(&self, recorded_at_us: Micros, approved: bool) -> seen::Facts {
        let actor = &self.actor;
        seen::Facts {
            tenant: self.tenant.to_string(),
            actor: seen::Actor {
                id: actor.id.to_string(),
                kind: actor.kind,
                roles: actor.roles.iter().map(ToString::to_string).collect(),
                model: actor.model.clone(),
                delegation_depth: actor.on_behalf_of.as_ref().map_or(0, |principal| principal.delegation_depth),
            },
            action: self.action.to_string(),
            tool: self.tool.as_ref().map(ToString::to_string),
            resource: self
                .resource
                .as_ref()
                .map(|resource| seen::Resource { kind: resource.kind.to_string(), id: resource.id.clone() }),
            data_classes: self.data_classes.iter().map(ToString::to_string).collect(),
            practice: self.practice.as_ref().map(ToString::to_string),
            risk_class: self.risk_class,
            risk_score: self.risk.map(|risk| risk.score()),
            confidence_percent: self.confidence_percent,
            amount: self.amount.clone(),
            purpose: self.purpose.as_ref().map(ToString::to_string),
            legal_basis: self.legal_basis,
            approved,
            // More than the limit never gets here (`validate`); if it did, saturating keeps "too many" true.
            subject_count: u8::try_from(self.subjects.len()).unwrap_or(u8::MAX),
            recorded_at_us,
            context: self.context.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
        }
    }
}

const _: () = assert!(limits::SUBJECTS_MAX <= u8::MAX as usize);
