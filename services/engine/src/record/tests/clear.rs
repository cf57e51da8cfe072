//! What the fold is told: for each event of the domain, made here and read back from a frame.

use domain::command::{DeadLetterMark, Identity};
use domain::event::{Answer, AnswerKind, Event};
use domain::evolve::{Fact, Recorded};
use domain::ids::{Origin, Tenant};
use policy::{Mode, Outcome, ReasonCode};

use super::{AT_US, ORIGIN, OUTCOME_NO, SEQ, draw, full, seal, stored};
use crate::record::{self, Clear, decision_schema, decision_schema_hash, fixed, numbers, plain};

/// What is told when it is written is what is told when it is read.
fn check(event: Event, fact: Fact) {
    let origin = Origin { topic: "commands", partition: 3, offset: 9 };
    let (made, clear) = plain(&event, &origin, SEQ, AT_US).unwrap();
    let expected = Clear::Domain {
        recorded: Recorded { seq: SEQ, recorded_at_us: AT_US, fact },
        surrogates: Vec::new(),
        next_outcome_no: None,
    };
    assert_eq!(clear, expected);
    stored(made, |event| assert_eq!(record::clear(event).unwrap(), expected));
}

#[test]
fn events_without_keys_are_folded_as_they_were_written() {
    let (command_id, bundle_hash) = ([7; 16], [8; 32]);
    check(
        Event::PolicyPublished { bundle_hash, chunk_no: 1, chunks: 2, bytes: vec![1, 2, 3] },
        Fact::PolicyPublished { bundle_hash, chunk_no: 1, chunks: 2, bytes: vec![1, 2, 3] },
    );
    for mode in [Mode::Strict, Mode::Permissive, Mode::Paranoid] {
        check(
            Event::PolicyActivated { command_id, bundle_hash, mode },
            Fact::PolicyActivated { command_id, bundle_hash, mode },
        );
    }
    let tenant = || Tenant::new("acme").unwrap();
    check(Event::TenantCreated { command_id, tenant: tenant() }, Fact::TenantCreated { command_id, tenant: tenant() });
    for mark in [DeadLetterMark::Retried, DeadLetterMark::Discarded] {
        check(
            Event::DeadLetterMarked { command_id, position: 5, mark },
            Fact::DeadLetterMarked { command_id, position: 5, mark },
        );
    }
    let detail = |detail: String| Event::CommandRefused { command_id, reason: ReasonCode::Invalid, detail };
    check(detail("no such bundle".into()), Fact::CommandRefused { command_id });
}

#[test]
fn a_detail_that_is_too_long_for_its_field_is_cut_between_characters() {
    let refused =
        Event::CommandRefused { command_id: [7; 16], reason: ReasonCode::Invalid, detail: "é".repeat(40_000) };
    let (made, _) = plain(&refused, &ORIGIN, SEQ, AT_US).unwrap();
    let layout = ledger::layout::CommandRefused::decode(&made.sections[0].bytes).unwrap();
    assert_eq!(layout.detail, "é".repeat(32_767));
    assert_eq!((layout.topic.as_str(), layout.partition, layout.offset, layout.reason), ("requests", 3, 41, 207));
}

#[test]
fn answers_tell_identity_outcome_and_surrogates_and_count_outcomes() {
    let kinds = [
        (AnswerKind::Decided, Some(Outcome::Permit), OUTCOME_NO + 1),
        (AnswerKind::Rejected, None, OUTCOME_NO + 1),
        (AnswerKind::Conflicted, None, OUTCOME_NO + 1),
        (AnswerKind::Rerouted { partition: 6 }, None, OUTCOME_NO),
    ];
    for (kind, outcome, next) in kinds {
        let answer = Answer { kind, outcome, ..full() };
        let (material, _) = draw(&answer, 0);
        let (event, clear) = seal(&answer, &material, 1_000);
        let kind = match kind {
            AnswerKind::Rerouted { .. } => AnswerKind::Rerouted { partition: numbers::PARTITION_NOT_STATED },
            kind => kind,
        };
        let identity = Identity { key: [0x61; 32], mac: [0x62; 32] };
        let [first, second] = material.subjects[..] else { panic!("two subjects") };
        let expected = Clear::Domain {
            recorded: Recorded { seq: SEQ, recorded_at_us: AT_US, fact: Fact::Answer { kind, identity, outcome } },
            surrogates: vec![(0, material.actor), (1, material.on_behalf_of.unwrap()), (2, first), (2, second)],
            next_outcome_no: Some(next),
        };
        assert_eq!(clear, expected);
        stored(event, |event| {
            assert_eq!(record::clear(event).unwrap(), expected);
            let (facts, outcome) = (record::facts(event).unwrap(), record::outcome(event).unwrap());
            assert_eq!(
                (facts.engine_version, facts.mode, facts.legal_basis, facts.retention_class),
                (policy::EVALUATOR_VERSION, 2, 3, 4)
            );
            assert_eq!((facts.amount, facts.flags.len()), (Some((129_900, *b"EUR")), 0));
            assert_eq!((outcome.outcome_no, outcome.reason_code), (OUTCOME_NO, 101));
            assert_eq!(event.body.schema_hash, decision_schema_hash());
        });
    }
}

#[test]
fn the_record_schema_is_announced_as_it_is_named() {
    let added = decision_schema();
    assert_eq!(added.schema_hash, ledger::hash::schema_hash(wire::decision_schema().as_bytes()));
    let event = fixed(ledger::event_type::SCHEMA_ADDED, AT_US, added.encode().unwrap());
    stored(event, |event| assert_eq!(record::clear(event).unwrap(), Clear::SchemaAdded(added)));
}
