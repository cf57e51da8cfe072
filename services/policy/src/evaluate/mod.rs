//! Evaluation: select candidates, present the facts once, ask Cedar per bucket, combine.

pub(crate) mod combine;
#[cfg(test)]
mod differential;
pub(crate) mod explain;
pub(crate) mod index;
pub(crate) mod lift;
pub(crate) mod present;

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{AuthorizationError, Authorizer, PolicyId};

use crate::EVALUATOR_VERSION;
use crate::bundle::Bundle;
use crate::bundle::policies::{Part, Rule};
use crate::bundle::source::BundleHash;
use crate::facts::Facts;
use crate::verdict::{Mode, Verdict};
use combine::Findings;
pub use combine::LOW_RISK_SCORE_BELOW;
use explain::{Explanation, PolicyTrace};
use index::{Bucket, Index, Planted, Query};
use present::{Needs, Presented, Presenter};

/// A compiled bundle: indexed, immutable, cheap to clone and to share between threads.
#[derive(Clone)]
pub struct PolicySet {
    inner: Arc<Inner>,
}

struct Inner {
    bundle: Bundle,
    index: Index,
    /// `Err` says why nothing can be decided; then everything is denied with `policy_error`.
    presenter: Result<Presenter, String>,
    authorizer: Authorizer,
}

/// One evaluation, with what explains it.
struct Run<'a> {
    findings: Findings,
    considered: Vec<&'a Bucket>,
    presented: Option<Presented>,
}

impl PolicySet {
    pub(crate) fn build(bundle: &Bundle) -> PolicySet {
        PolicySet::build_with(bundle, None)
    }

    pub(crate) fn build_with(bundle: &Bundle, planted: Option<Planted>) -> PolicySet {
        let index = Index::build(bundle, planted);
        let presenter = Presenter::new(bundle).map_err(|why| why.0);
        PolicySet { inner: Arc::new(Inner { bundle: bundle.clone(), index, presenter, authorizer: Authorizer::new() }) }
    }

    /// Decides. Total: what cannot be evaluated is denied with `policy_error`.
    pub fn evaluate(&self, facts: &Facts) -> Verdict {
        let run = self.run(facts);
        combine::verdict(self.rules(), self.mode(), facts, &run.findings)
    }

    /// Decides and says how, policy by policy. Costs an evaluation of every candidate on its own besides.
    pub fn explain(&self, facts: &Facts) -> Explanation {
        let run = self.run(facts);
        let verdict = combine::verdict(self.rules(), self.mode(), facts, &run.findings);
        let mut needs = Needs::default();
        let mut satisfied: BTreeMap<u32, Result<bool, ()>> = BTreeMap::new();
        for bucket in &run.considered {
            needs.add(bucket.needs);
            let mut own = Findings::default();
            if let Some(presented) = &run.presented {
                self.ask(bucket, presented, &mut own);
            }
            for member in &bucket.members {
                let answer = if own.errors.contains(member) {
                    Err(())
                } else {
                    Ok([&own.forbids, &own.permits, &own.oversight].iter().any(|list| list.contains(member)))
                };
                satisfied.insert(*member, answer);
            }
        }
        let determining = combine::determining(&run.findings, self.mode());
        let policies = (0u32..)
            .zip(self.rules())
            .map(|(position, rule)| {
                let answer = satisfied.get(&position);
                PolicyTrace {
                    id: rule.id.clone(),
                    part: rule.part,
                    considered: answer.is_some(),
                    satisfied: answer.and_then(|answer| answer.ok()),
                    failed: answer.is_some_and(Result::is_err),
                    determining: determining.contains(&position),
                }
            })
            .collect();
        let count = |oversight: bool| {
            let of = |bucket: &&&Bucket| (bucket.part == Part::Oversight) == oversight;
            run.considered.iter().filter(of).map(|bucket| bucket.members.len()).sum()
        };
        let mut facts_seen = needs.names();
        facts_seen.push("action");
        facts_seen.sort_unstable();
        Explanation {
            verdict,
            bundle: self.hash(),
            evaluator_version: EVALUATOR_VERSION,
            mode: self.mode(),
            action_declared: run.findings.declared,
            policies,
            policies_total: self.rules().len(),
            first_stratum: count(false),
            oversight_stratum: count(true),
            facts_seen,
        }
    }

    /// Content hash of the bundle.
    pub fn hash(&self) -> BundleHash {
        self.inner.bundle.hash()
    }

    /// Mode of the bundle.
    pub fn mode(&self) -> Mode {
        self.inner.bundle.mode()
    }

    /// The bundle that this was compiled from.
    pub fn bundle(&self) -> &Bundle {
        &self.inner.bundle
    }

    /// A policy by id, for its approver, time to live and description.
    pub fn policy(&self, id: &str) -> Option<&Rule> {
        let rules = self.rules();
        let position = rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok()?;
        rules.get(position)
    }

    fn rules(&self) -> &[Rule] {
        self.inner.bundle.policies()
    }

    fn run(&self, facts: &Facts) -> Run<'_> {
        let declared = Index::declares(&self.inner.bundle, &facts.action, facts.actor.kind);
        let mut run =
            Run { findings: Findings { declared, ..Findings::default() }, considered: Vec::new(), presented: None };
        let presenter = match &self.inner.presenter {
            Ok(presenter) => presenter,
            Err(why) => {
                run.findings.unpresentable = Some(why.clone());
                return run;
            }
        };
        if let Err(why) = presenter.check(facts) {
            run.findings.unpresentable = Some(why.0);
            return run;
        }
        let roles = presenter.roles_of(facts);
        run.considered = self.inner.index.select(&Query { facts, roles: &roles, declared });
        if run.considered.is_empty() {
            return run;
        }
        let mut needs = Needs::default();
        run.considered.iter().for_each(|bucket| needs.add(bucket.needs));
        let presented = match presenter.present(facts, &roles, needs) {
            Ok(presented) => presented,
            Err(why) => {
                run.findings.unpresentable = Some(why.0);
                return run;
            }
        };
        for bucket in run.considered.iter().filter(|bucket| bucket.part != Part::Oversight) {
            self.ask(bucket, &presented, &mut run.findings);
        }
        if run.findings.allowed(self.mode()) {
            for bucket in run.considered.iter().filter(|bucket| bucket.part == Part::Oversight) {
                self.ask(bucket, &presented, &mut run.findings);
            }
        }
        run.presented = Some(presented);
        run
    }

    fn ask(&self, bucket: &Bucket, presented: &Presented, findings: &mut Findings) {
        let response = self.inner.authorizer.is_authorized(&presented.request, &bucket.set, &presented.entities);
        let position = |id: &PolicyId| AsRef::<str>::as_ref(id).parse::<u32>().ok();
        let diagnostics = response.diagnostics();
        findings.errors.extend(diagnostics.errors().filter_map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => position(error.policy_id()),
        }));
        let satisfied = match bucket.part {
            Part::Forbid => &mut findings.forbids,
            Part::Permit => &mut findings.permits,
            Part::Oversight => &mut findings.oversight,
        };
        satisfied.extend(diagnostics.reason().filter_map(position));
    }
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicySet")
            .field("bundle", &self.hash())
            .field("policies", &self.rules().len())
            .field("buckets", &self.inner.index.buckets().len())
            .finish()
    }
}
