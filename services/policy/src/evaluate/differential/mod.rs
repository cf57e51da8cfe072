//! The index against a naive reference, on generated requests, and defects that the comparison must find.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod generate;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::evaluate::index::Planted;
use crate::facts::Facts;
use crate::{Bundle, BundleSource, Outcome, PolicySet, Verdict};
use generate::{Pools, Random, generate};
use reference::Reference;

#[expect(clippy::disallowed_methods, reason = "tests read bundles of the repository")]
fn source(dir: &Path, root: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source(&path, root, out);
        } else {
            out.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
    }
}

fn bundle(path: &str, mode: &str) -> Bundle {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut files = BTreeMap::new();
    source(&root, &root, &mut files);
    let manifest = files.get_mut("manifest.toml").unwrap();
    let text = std::str::from_utf8(manifest).unwrap().replace("mode = \"strict\"", &format!("mode = \"{mode}\""));
    *manifest = text.into_bytes();
    Bundle::parse(&BundleSource { files }).unwrap()
}

struct Sample {
    bundle: Bundle,
    requests: Vec<(Facts, Verdict)>,
}

/// Generates requests and what the reference says of them.
fn sample(path: &str, mode: &str, count: usize, seed: u64) -> Sample {
    let bundle = bundle(path, mode);
    let reference = Reference::new(&bundle);
    let pools = Pools::of(&bundle);
    let mut random = Random(seed);
    let requests = (0..count)
        .map(|_| {
            let facts = generate(&bundle, &pools, &mut random);
            let verdict = reference.evaluate(&facts);
            (facts, verdict)
        })
        .collect();
    Sample { bundle, requests }
}

/// How many requests the index decides differently.
fn differences(sample: &Sample, set: &PolicySet) -> Vec<String> {
    let mut out = Vec::new();
    for (facts, expected) in &sample.requests {
        let found = set.evaluate(facts);
        let same = (found.outcome, found.reason, found.severity)
            == (expected.outcome, expected.reason, expected.severity)
            && found.policies == expected.policies
            && found.obligations == expected.obligations;
        if !same {
            out.push(format!("{facts:?}\n  reference {expected:?}\n  index     {found:?}"));
        }
    }
    out
}

/// Shares of outcomes, and that every policy determines something.
fn assert_shares(name: &str, sample: &Sample) {
    let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
    let mut silent: BTreeSet<&str> = sample.bundle.policies().iter().map(|rule| rule.id.as_str()).collect();
    for (_, verdict) in &sample.requests {
        *outcomes.entry(verdict.outcome).or_default() += 1;
        verdict.policies.iter().for_each(|id| {
            silent.remove(id.as_str());
        });
    }
    for outcome in [Outcome::Deny, Outcome::Permit, Outcome::Escalate] {
        let count = outcomes.get(&outcome).copied().unwrap_or(0);
        assert!(count * 10 >= sample.requests.len(), "{name}: {outcome:?} {count} of {}", sample.requests.len());
    }
    assert!(silent.is_empty(), "{name}: these policies decide nothing: {silent:?}");
}

const BUNDLES: [&str; 3] = [
    "../../compliance/bundles/enterprise-general",
    "../../compliance/bundles/eu-ai-act",
    "tests/fixtures/many-tenants",
];

#[test]
fn index_and_reference_agree_on_generated_requests() {
    for (seed, path) in (1..).zip(BUNDLES) {
        let sample = sample(path, "strict", 10_000, seed);
        assert_shares(path, &sample);
        let set = sample.bundle.compile();
        let differences = differences(&sample, &set);
        assert!(differences.is_empty(), "{path}: {} differ, first:\n{}", differences.len(), differences[0]);
        let considered: usize = sample
            .requests
            .iter()
            .take(500)
            .map(|(facts, _)| set.explain(facts))
            .map(|e| e.first_stratum + e.oversight_stratum)
            .sum();
        assert!(
            considered < 500 * sample.bundle.policies().len() * 3 / 4,
            "{path}: the index selects nearly everything"
        );
    }
}

#[test]
fn index_and_reference_agree_in_every_mode() {
    for (seed, mode) in (11..).zip(["permissive", "paranoid"]) {
        let sample = sample(BUNDLES[2], mode, 4_000, seed);
        let differences = differences(&sample, &sample.bundle.compile());
        assert!(differences.is_empty(), "{mode}: {} differ, first:\n{}", differences.len(), differences[0]);
    }
}

#[test]
fn planted_defects_are_found_by_the_same_comparison() {
    let sample = sample(BUNDLES[2], "strict", 10_000, 21);
    let defects = [
        Planted::DropsWildcard,
        Planted::IgnoresNegation,
        Planted::StopsAtFirstBucket,
        Planted::IgnoresCase,
        Planted::AnyClassInsteadOfAll,
    ];
    assert!(differences(&sample, &PolicySet::build_with(&sample.bundle, None)).is_empty());
    for defect in defects {
        let found = differences(&sample, &PolicySet::build_with(&sample.bundle, Some(defect)));
        assert!(!found.is_empty(), "{defect:?} is not found");
        println!("{defect:?}: found by {} of {} requests", found.len(), sample.requests.len());
    }
}
