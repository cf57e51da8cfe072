//! What was sealed comes back, and seals again to the same bytes.

use domain::event::Answer;
use domain::ids::Origin;
use proptest::prelude::*;

use super::{ORIGIN, OUTCOME_NO, answers, bytes, draw, full, seal, stored, unread};
use crate::record::{self, Read, Resealing};

/// Small, because each case seals and opens up to 19 sections.
fn few() -> ProptestConfig {
    ProptestConfig { cases: 96, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn sealing_then_opening_gives_back_the_answer(answer in answers()) {
        let (material, keys) = draw(&answer, 0);
        let (event, clear) = seal(&answer, &material, 1_000);
        stored(event, |event| {
            assert_eq!(record::clear(event).unwrap(), clear, "an owner folds what a reader folds");
            let opened = record::open(event, &keys).unwrap();
            assert!(opened.is_readable());
            assert!(opened.request == answer.request);
            assert!(opened.answer(|_| 6).unwrap().as_ref() == Some(&answer));
            assert_eq!(opened.persons.len(), material.persons.len());
            let commit = ledger::identity::request_commit(&material.nonce, &bytes(&answer));
            assert_eq!(opened.facts.request_commit, commit);
        });
    }

    #[test]
    fn a_record_seals_again_to_its_own_bytes(answer in answers()) {
        let (material, keys) = draw(&answer, 0);
        let (made, clear) = seal(&answer, &material, 1_000);
        stored(made.clone(), |event| {
            let drawn = resealing(event, &keys);
            assert_eq!((drawn.outcome_no, drawn.salts.len()), (OUTCOME_NO, material.persons.len() + 1));
            let (again, clear_again) = record::reseal(&answer, &ORIGIN, event, &drawn).unwrap();
            assert!(again == made && clear_again == clear);
        });
    }
}

fn resealing(event: &ledger::StoredEvent<'_>, keys: &super::Keyed) -> Resealing {
    match record::material(event, keys).unwrap() {
        Read::Value(drawn) => drawn,
        why => panic!("{why:?}"),
    }
}

#[test]
fn the_same_draws_give_the_same_bytes_and_others_give_others() {
    for answer in [full(), unread()] {
        let (material, _) = draw(&answer, 0);
        let (first, _) = seal(&answer, &material, 1_000);
        assert!(first == seal(&answer, &material, 1_000).0);
        let (other_salts, _) = seal(&answer, &material, 2_000);
        let (other_material, _) = seal(&answer, &draw(&answer, 500).0, 1_000);
        for (at, section) in first.sections.iter().enumerate() {
            let sealed = section.tag >= ledger::section_tag::SHARED;
            assert_eq!(other_salts.sections[at] != *section, sealed, "section {}", section.tag);
            // Facts hold the commitment and the surrogates; the outcome holds nothing that is drawn.
            assert_eq!(
                other_material.sections[at] != *section,
                section.tag != ledger::section_tag::OUTCOME,
                "section {}",
                section.tag
            );
        }
    }
}

/// Each change of what was decided shows in the bytes: this is what a replay compares.
#[test]
fn another_answer_seals_to_other_bytes() {
    type Change = fn(&mut Answer);
    let changes: [(&str, Change); 12] = [
        ("identity", |answer| answer.identity.mac[0] ^= 1),
        ("outcome", |answer| answer.outcome = Some(policy::Outcome::Permit)),
        ("reason", |answer| answer.reason = policy::ReasonCode::Forbidden),
        ("policies", |answer| answer.policies.clear()),
        ("obligations", |answer| answer.obligations.push("x".into())),
        ("severity", |answer| answer.severity = None),
        ("explanation", |answer| answer.explanation.push('.')),
        ("detail", |answer| answer.detail.push('.')),
        ("bundle", |answer| answer.bundle_hash[31] ^= 1),
        ("mode", |answer| answer.mode = policy::Mode::Strict),
        ("class", |answer| answer.retention_class = domain::event::RetentionClass::Ordinary),
        ("risk score", |answer| answer.risk_score = Some(34)),
    ];
    let answer = full();
    let (material, keys) = draw(&answer, 0);
    let (made, _) = seal(&answer, &material, 1_000);
    stored(made.clone(), |event| {
        let drawn = resealing(event, &keys);
        for (what, change) in changes {
            let mut other = answer.clone();
            change(&mut other);
            assert!(record::reseal(&other, &ORIGIN, event, &drawn).unwrap().0 != made, "{what}");
        }
        let mut other = answer.clone();
        other.request.as_mut().unwrap().intent = None;
        assert!(record::reseal(&other, &ORIGIN, event, &drawn).unwrap().0 != made, "request");
        let elsewhere = Origin { offset: 42, ..ORIGIN };
        assert!(record::reseal(&answer, &elsewhere, event, &drawn).unwrap().0 != made, "origin");
        assert!(record::reseal(&unread(), &ORIGIN, event, &drawn).is_err(), "no person is left to be sealed");
    });
}

#[test]
fn input_that_was_no_request_leaves_a_commitment_and_no_more() {
    let answer = unread();
    let (material, keys) = draw(&answer, 0);
    let (event, _) = seal(&answer, &material, 1_000);
    assert_eq!(event.sections.iter().map(|section| section.tag).collect::<Vec<_>>(), [1, 2, 32]);
    stored(event, |event| {
        let facts = record::facts(event).unwrap();
        assert_eq!(
            (facts.tenant.as_str(), facts.action.as_str(), facts.surrogates.len(), facts.occurred_at_us),
            ("", "", 0, 0)
        );
        assert_eq!((facts.request_key, facts.request_mac), ([0; 32], [0; 32]));
        assert_eq!((facts.topic.as_str(), facts.input_partition, facts.input_offset), ("requests", 3, 41));
        assert_eq!(facts.request_commit, ledger::identity::request_commit(&material.nonce, b"\0no request"));
        let opened = record::open(event, &keys).unwrap();
        assert!(opened.request.is_none() && opened.is_readable());
        let shared = opened.shared.value().unwrap();
        assert_eq!((shared.nonce, shared.detail.as_str()), (material.nonce, "ends inside a value"));
        assert!(shared.request.is_none() && shared.undecodable.is_none());
    });
}
