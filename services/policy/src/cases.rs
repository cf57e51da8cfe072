//! Runs the tests that a bundle carries, and says which policies no test exercises.

use std::collections::{BTreeMap, BTreeSet};

use crate::bundle::Bundle;
use crate::bundle::cases::Case;
use crate::verdict::{Outcome, Verdict};

/// Outcome of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// What the test says.
    pub name: String,
    /// File within the bundle.
    pub file: String,
    /// Line at which it starts.
    pub line: u32,
    /// What was decided.
    pub verdict: Verdict,
    /// What differs from what is expected; empty when the test passes.
    pub differences: Vec<String>,
}

impl CaseResult {
    /// Whether everything is as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Outcome of all tests of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// One result per test, in the order of files and lines.
    pub results: Vec<CaseResult>,
    /// How many tests ended with each outcome.
    pub outcomes: BTreeMap<Outcome, usize>,
    /// Policies that determined no passed test, sorted.
    pub uncovered: Vec<String>,
}

impl TestReport {
    /// Whether all tests pass.
    pub fn passed(&self) -> bool {
        self.results.iter().all(CaseResult::passed)
    }
}

/// Runs the tests of a bundle.
pub fn run_tests(bundle: &Bundle) -> TestReport {
    let set = bundle.compile();
    let mut outcomes = BTreeMap::new();
    let mut uncovered: BTreeSet<String> = bundle.policies().iter().map(|rule| rule.id.clone()).collect();
    let mut results = Vec::with_capacity(bundle.tests().len());
    for case in bundle.tests() {
        let verdict = set.evaluate(&case.given);
        let differences = compare(case, &verdict);
        *outcomes.entry(verdict.outcome).or_insert(0) += 1;
        if differences.is_empty() {
            for id in &verdict.policies {
                uncovered.remove(id);
            }
        }
        results.push(CaseResult {
            name: case.name.clone(),
            file: case.file.clone(),
            line: case.line,
            verdict,
            differences,
        });
    }
    TestReport { results, outcomes, uncovered: uncovered.into_iter().collect() }
}

fn compare(case: &Case, verdict: &Verdict) -> Vec<String> {
    let mut out = Vec::new();
    let mut differ = |what: &str, expected: String, found: String| {
        if expected != found {
            out.push(format!("{what}: expected {expected}, found {found}"));
        }
    };
    let expect = &case.expect;
    differ("outcome", expect.outcome.as_str().to_owned(), verdict.outcome.as_str().to_owned());
    if let Some(reason) = expect.reason {
        differ("reason", reason.as_str().to_owned(), verdict.reason.as_str().to_owned());
    }
    if let Some(policies) = &expect.policies {
        differ("policies", format!("{policies:?}"), format!("{:?}", verdict.policies));
    }
    if let Some(obligations) = &expect.obligations {
        differ("obligations", format!("{obligations:?}"), format!("{:?}", verdict.obligations));
    }
    if let Some(severity) = expect.severity {
        differ("severity", format!("{severity:?}"), verdict.severity.map_or("none".to_owned(), |s| format!("{s:?}")));
    }
    out
}
