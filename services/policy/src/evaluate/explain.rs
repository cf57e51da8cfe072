//! Explains a verdict policy by policy. Not for the hot path: every policy is evaluated on its own.
//!
//! Invariant: names of policies and of kinds of facts only; no value of a request appears in an explanation.

use crate::bundle::policies::Part;
use crate::bundle::source::BundleHash;
use crate::verdict::{Mode, Verdict};

/// What one policy had to do with a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTrace {
    /// Policy id.
    pub id: String,
    /// Part that it plays.
    pub part: Part,
    /// The index put it before Cedar.
    pub considered: bool,
    /// Cedar found it satisfied. `None` when it was not considered, or failed.
    pub satisfied: Option<bool>,
    /// It failed to evaluate.
    pub failed: bool,
    /// It is one of the verdict's policies.
    pub determining: bool,
}

/// A verdict and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict, equal to that of [`PolicySet::evaluate`](crate::PolicySet::evaluate).
    pub verdict: Verdict,
    /// Bundle that decided.
    pub bundle: BundleHash,
    /// Rules of evaluation that decided.
    pub evaluator_version: u16,
    /// Mode of the bundle.
    pub mode: Mode,
    /// Whether the bundle declares the action for this kind of actor.
    pub action_declared: bool,
    /// Every policy of the bundle, sorted by id.
    pub policies: Vec<PolicyTrace>,
    /// How many policies the bundle has.
    pub policies_total: usize,
    /// How many forbids and permits the index put before Cedar.
    pub first_stratum: usize,
    /// How many oversight policies the index put before Cedar, were the first stratum to allow.
    pub oversight_stratum: usize,
    /// Kinds of facts that the considered policies look at, sorted.
    pub facts_seen: Vec<&'static str>,
}
