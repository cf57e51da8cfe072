//! From satisfied policies to a verdict: strata, modes, order of reasons.
//!
//! 1. Any policy error: deny, `policy_error`. Determining: the policies that failed.
//! 2. Any forbid: deny. Determining: all satisfied forbids.
//! 3. Permits, or in permissive mode none: allowed. Otherwise deny, `no_matching_permit`.
//! 4. Allowed, and an oversight policy is satisfied: escalate. Determining: all satisfied oversight policies.
//! 5. Allowed in paranoid mode, and not explicitly low-risk: escalate, `not_explicitly_low_risk`. Determining: the
//!    permits. Explicitly low-risk is what has risk class minimal and a risk score below [`LOW_RISK_SCORE_BELOW`], or
//!    what a satisfied permit with `@low_risk("yes")` permits. An approval alone is not: a bundle that means it says so
//!    with such a permit.
//! 6. Otherwise permit. Determining: all satisfied permits.
//!
//! Reason of 2 and 4: among determining policies with `@reason`, the one of the highest `@severity` (none is below
//! low), of these the lowest reason number; without any `@reason`, `forbidden` or `oversight_required`.
//! Severity of an escalation: the highest among determining policies, medium when none states one.
//! Obligations: of the determining policies; an escalation carries the permits' too, because whoever releases the
//! action must honour both.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::bundle::policies::{Part, Rule};
use crate::facts::{Facts, RiskClass};
use crate::reason::ReasonCode;
use crate::verdict::{Mode, Outcome, Severity, Verdict};

/// Risk scores below this count as low, in paranoid mode and with risk class minimal only.
pub const LOW_RISK_SCORE_BELOW: u8 = 30;

/// Severity of an escalation when no determining policy states one.
const DEFAULT_SEVERITY: Severity = Severity::Medium;

/// What evaluating the strata found. Positions of rules in the bundle, in any order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub errors: Vec<u32>,
    pub forbids: Vec<u32>,
    pub permits: Vec<u32>,
    pub oversight: Vec<u32>,
    /// The bundle declares the action for this kind of actor.
    pub declared: bool,
    /// Why the facts could not be presented at all.
    pub unpresentable: Option<String>,
}

impl Findings {
    /// Whether the oversight stratum is asked.
    pub fn allowed(&self, mode: Mode) -> bool {
        self.unpresentable.is_none()
            && self.errors.is_empty()
            && self.forbids.is_empty()
            && (mode == Mode::Permissive || !self.permits.is_empty())
    }
}

/// Positions of the determining rules.
pub(crate) fn determining(findings: &Findings, mode: Mode) -> &[u32] {
    if findings.unpresentable.is_some() || !findings.errors.is_empty() {
        &findings.errors
    } else if !findings.forbids.is_empty() {
        &findings.forbids
    } else if findings.allowed(mode) && !findings.oversight.is_empty() {
        &findings.oversight
    } else {
        &findings.permits
    }
}

/// The verdict that findings amount to.
pub(crate) fn verdict(rules: &[Rule], mode: Mode, facts: &Facts, findings: &Findings) -> Verdict {
    let decided: Vec<&Rule> = pick(rules, determining(findings, mode));
    let (outcome, reason) = outcome(rules, mode, facts, findings, &decided);
    let escalated = outcome == Outcome::Escalate;
    let mut policies: Vec<String> = decided.iter().map(|rule| rule.id.clone()).collect();
    policies.sort_unstable();
    policies.dedup();
    let mut obligations = BTreeSet::new();
    if reason != ReasonCode::PolicyError {
        let permits = if escalated { pick(rules, &findings.permits) } else { Vec::new() };
        for rule in decided.iter().chain(&permits) {
            obligations.extend(rule.annotations.obligations.iter().map(|obligation| obligation.as_str()));
        }
    }
    let severity = escalated
        .then(|| decided.iter().filter_map(|rule| rule.annotations.severity).max().unwrap_or(DEFAULT_SEVERITY));
    Verdict {
        outcome,
        reason,
        explanation: explanation(outcome, reason, &policies, findings),
        policies,
        obligations: obligations.into_iter().map(str::to_owned).collect(),
        severity,
    }
}

fn outcome(rules: &[Rule], mode: Mode, facts: &Facts, findings: &Findings, decided: &[&Rule]) -> (Outcome, ReasonCode) {
    if findings.unpresentable.is_some() || !findings.errors.is_empty() {
        return (Outcome::Deny, ReasonCode::PolicyError);
    }
    if !findings.forbids.is_empty() {
        return (Outcome::Deny, annotated_reason(decided).unwrap_or(ReasonCode::Forbidden));
    }
    if !findings.allowed(mode) {
        return (Outcome::Deny, ReasonCode::NoMatchingPermit);
    }
    if !findings.oversight.is_empty() {
        return (Outcome::Escalate, annotated_reason(decided).unwrap_or(ReasonCode::OversightRequired));
    }
    if mode == Mode::Paranoid && !is_low_risk(facts, &pick(rules, &findings.permits)) {
        return (Outcome::Escalate, ReasonCode::NotExplicitlyLowRisk);
    }
    let reason = if findings.permits.is_empty() { ReasonCode::NotForbidden } else { ReasonCode::Permitted };
    (Outcome::Permit, reason)
}

fn annotated_reason(decided: &[&Rule]) -> Option<ReasonCode> {
    decided
        .iter()
        .filter_map(|rule| rule.annotations.reason.map(|reason| (Reverse(rule.annotations.severity), reason)))
        .min_by_key(|(severity, reason)| (*severity, reason.number()))
        .map(|(_, reason)| reason)
}

fn is_low_risk(facts: &Facts, permits: &[&Rule]) -> bool {
    let stated =
        facts.risk_class == RiskClass::Minimal && facts.risk_score.is_some_and(|score| score < LOW_RISK_SCORE_BELOW);
    stated || permits.iter().any(|rule| rule.part == Part::Permit && rule.annotations.low_risk)
}

fn pick<'a>(rules: &'a [Rule], positions: &[u32]) -> Vec<&'a Rule> {
    positions.iter().filter_map(|position| rules.get(usize::try_from(*position).ok()?)).collect()
}

/// One or two sentences. Names policies and kinds of facts, never values.
fn explanation(outcome: Outcome, reason: ReasonCode, policies: &[String], findings: &Findings) -> String {
    let word = match outcome {
        Outcome::Deny => "Denied",
        Outcome::Permit => "Permitted",
        Outcome::Escalate => "Escalated to a human",
    };
    let mut text = format!("{word}: {}", reason.meaning());
    if let Some(why) = &findings.unpresentable {
        text.push_str(" (");
        text.push_str(why);
        text.push(')');
    }
    if let Some((first, rest)) = policies.split_first() {
        text.push_str(if rest.is_empty() { ". Policy: " } else { ". Policies: " });
        text.push_str(first);
        for id in rest {
            text.push_str(", ");
            text.push_str(id);
        }
    }
    text.push('.');
    if !findings.declared {
        text.push_str(" The bundle does not declare the action for this kind of actor, so no permit can match it.");
    }
    text
}
