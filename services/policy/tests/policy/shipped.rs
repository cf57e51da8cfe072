//! The bundles that the project ships pass their own tests, and those tests exercise every policy.

use policy::{Outcome, run_tests};

use crate::support::shipped;

#[test]
fn shipped_bundles_pass_their_tests_and_cover_every_policy() {
    for name in ["enterprise-general", "eu-ai-act"] {
        let bundle = shipped(name);
        assert_eq!(bundle.name(), name);
        let report = run_tests(&bundle);
        let failed: Vec<String> = report
            .results
            .iter()
            .filter(|result| !result.passed())
            .map(|r| {
                format!("{}:{} {}: {} [{:?}]", r.file, r.line, r.name, r.differences.join("; "), r.verdict.policies)
            })
            .collect();
        assert!(failed.is_empty(), "{name}:\n{}", failed.join("\n"));
        assert_eq!(report.uncovered, Vec::<String>::new(), "{name}: policies that no test exercises");
        assert!(report.results.len() >= 25, "{name}: {} tests", report.results.len());
        for outcome in [Outcome::Permit, Outcome::Deny, Outcome::Escalate] {
            assert!(report.outcomes.get(&outcome).copied().unwrap_or(0) >= 5, "{name}: {outcome:?}");
        }
    }
}

#[test]
fn the_index_fixture_passes_its_own_tests() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/many-tenants");
    let bundle = policy::Bundle::parse(&crate::support::read_dir(&dir)).unwrap();
    let report = run_tests(&bundle);
    for result in &report.results {
        assert!(result.passed(), "{}: {:?} {:?}", result.name, result.differences, result.verdict);
    }
    assert_eq!(report.uncovered, Vec::<String>::new());
}
