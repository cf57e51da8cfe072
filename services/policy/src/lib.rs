//! Policy bundles: parse, validate, hash, index, evaluate, explain, compare, test.
//!
//! Contract
//! - Pure and synchronous: a verdict is a function of a bundle, [`EVALUATOR_VERSION`] and [`Facts`], nothing else.
//!   The per-crate `clippy.toml` bans clocks, I/O, environment, threads and hash maps.
//! - [`Bundle::parse`] is the only way in, and it is strict: whatever it accepts can be evaluated; whatever it
//!   refuses is named with file, line, column and a remedy, all faults at once.
//! - The bytes that are hashed are the bytes that go through the log ([`Bundle::encode`], [`Bundle::decode`]),
//!   so that a decision can be made again from the log alone.
//! - [`PolicySet::evaluate`] never fails: what cannot be evaluated is denied with
//!   [`ReasonCode::PolicyError`](reason::ReasonCode::PolicyError).
//! - The only user of `cedar-policy`. Cedar decides whether a policy matches; the index decides which policies are
//!   put before it; the two strata, the modes, the reasons and the order of everything are this crate's.
//!
//! Deliberately not here: where bundles come from, who signed them, when they take force, and any request format.

mod bundle;
mod cases;
mod diff;
mod evaluate;
pub mod facts;
mod fault;
pub mod reason;
pub mod verdict;

pub use bundle::annotations::{Annotations, OBLIGATIONS, Obligation};
pub use bundle::cases::{Case, Expected};
pub use bundle::limits::Limits;
pub use bundle::policies::{Part, Rule};
pub use bundle::source::{BundleHash, BundleSource, Error};
pub use bundle::{Bundle, VOCABULARY};
pub use cases::{CaseResult, TestReport, run_tests};
pub use diff::{Change, Diff, diff};
pub use evaluate::explain::{Explanation, PolicyTrace};
pub use evaluate::{LOW_RISK_SCORE_BELOW, PolicySet};
pub use facts::Facts;
pub use fault::{Fault, FaultCode};
pub use reason::ReasonCode;
pub use verdict::{Mode, Outcome, Severity, Verdict};

/// Version of the evaluation rules (the entity and context vocabulary, strata, modes, reason order).
///
/// Recorded with every decision; a change that could alter any verdict raises it.
pub const EVALUATOR_VERSION: u16 = 1;
