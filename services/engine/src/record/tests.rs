//! Sealing and opening, tried out on whole frames: what is sealed here goes through `accept` before it is opened.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod canary;
mod clear;
#[path = "../../../domain/tests/domain/generate.rs"]
mod generate;
mod keys_gone;
mod refused;
mod replay;

use std::collections::BTreeMap;

use domain::command::Identity;
use domain::event::{Answer, AnswerKind, RetentionClass};
use domain::ids::{Origin, SubjectId};
use domain::request::{IdType, Request, Subject};
use ledger::layout::Claim;
use ledger::seal::Dek;
use ledger::{ChainId, FrameBuilder, Head, LedgerId, NewEvent, StoredEvent, event_type};
use policy::{Mode, Outcome, ReasonCode, Severity};
use proptest::prelude::*;

use crate::keys::{Error as KeyError, KeyState};
use crate::record::{Clear, Keys, Material, Sealing, SectionKey, fixed, seal_answer};

pub(super) const CHAIN: ChainId = ChainId { ledger_id: LedgerId([5; 16]), partition: 3, chain_epoch: 0 };
pub(super) const AT_US: i64 = 1_790_000_000_000_000;
pub(super) const ORIGIN: Origin = Origin { topic: "requests", partition: 3, offset: 41 };
pub(super) const OUTCOME_NO: u64 = 17;
pub(super) const SEQ: u64 = 1;

/// Bytes that differ from draw to draw and are the same in every run.
pub(super) struct Draws(pub(super) u64);

impl Draws {
    pub(super) fn next<const N: usize>(&mut self) -> [u8; N] {
        self.0 += 1;
        *ledger::hash::h3(&[b"draw", &self.0.to_be_bytes()]).0.first_chunk().unwrap()
    }

    fn key(&mut self, keys: &mut Keyed) -> SectionKey {
        let key = SectionKey { dek_id: self.next(), period: 7, dek: Dek(self.next()) };
        keys.0.insert(key.dek_id, Known::Live(key.dek.clone()));
        key
    }
}

#[derive(Clone)]
pub(super) enum Known {
    Live(Dek),
    Restricted,
    Erased,
    Missing,
}

/// Keys by id, as a ledger's state and a keyring would give them. What is not there never counted.
#[derive(Clone, Default)]
pub(super) struct Keyed(pub(super) BTreeMap<[u8; 16], Known>);

impl Keys for Keyed {
    fn dek(&self, partition: u32, dek_id: &[u8; 16]) -> Result<KeyState, KeyError> {
        assert_eq!(partition, CHAIN.partition);
        Ok(match self.0.get(dek_id) {
            None => KeyState::Never,
            Some(Known::Live(dek)) => KeyState::Live(dek.clone()),
            Some(Known::Restricted) => KeyState::Restricted,
            Some(Known::Erased) => KeyState::Erased { at_us: AT_US },
            Some(Known::Missing) => KeyState::Missing,
        })
    }
}

/// What an owner would draw for an answer, from the `from`th draw on.
pub(super) fn draw(answer: &Answer, from: u64) -> (Material, Keyed) {
    let (mut draws, mut keys) = (Draws(from), Keyed::default());
    let request = answer.request.as_ref();
    let material = Material {
        nonce: draws.next(),
        actor: draws.next(),
        on_behalf_of: request.and_then(|request| request.actor.on_behalf_of.as_ref()).map(|_| draws.next()),
        subjects: request.map_or(Vec::new(), |request| request.subjects.iter().map(|_| draws.next()).collect()),
        organisation: draws.key(&mut keys),
        persons: request.map_or(BTreeMap::new(), |request| {
            request.split().1.into_iter().map(|part| (part.role, draws.key(&mut keys))).collect()
        }),
    };
    (material, keys)
}

/// The bytes of an answer's request; of input that was none, some.
pub(super) fn bytes(answer: &Answer) -> Vec<u8> {
    answer.request.as_ref().map_or(b"\0no request".to_vec(), |request| wire::encode_request(request).unwrap())
}

pub(super) fn seal(answer: &Answer, material: &Material, salts_from: u64) -> (NewEvent, Clear) {
    let mut draws = Draws(salts_from);
    seal_answer(Sealing {
        answer,
        origin: &ORIGIN,
        request_bytes: &bytes(answer),
        chain: CHAIN,
        seq: SEQ,
        recorded_at_us: AT_US,
        outcome_no: OUTCOME_NO,
        material,
        salts: &mut || draws.next(),
    })
    .unwrap()
}

/// Puts an event into a partition's first frame, behind the claim, and looks at it as a reader would.
pub(super) fn stored<T>(event: NewEvent, look: impl FnOnce(&StoredEvent<'_>) -> T) -> T {
    let head = Head::genesis(CHAIN);
    let mut frame = FrameBuilder::new(&head, 1);
    let claim = Claim { writer_id: [1; 16], origin: None };
    frame.push(fixed(event_type::WRITER_CLAIMED, AT_US, claim.encode().unwrap())).unwrap();
    assert_eq!(frame.next_seq(), SEQ);
    let kind = event.event_type;
    frame.push(event).unwrap();
    let inputs = if event_type::answers_request(kind) {
        let decided = u64::from(kind == event_type::DECIDED);
        let range = ledger::InputRange {
            topic: "requests".into(),
            partition: CHAIN.partition,
            from_offset: 41,
            to_offset: 42,
            requests: 1,
            decisions: decided,
            rejected: 1 - decided,
            non_request: 0,
        };
        vec![range]
    } else {
        Vec::new()
    };
    let frame = frame.finish(inputs).unwrap();
    let accepted = ledger::accept(&head, &frame.bytes).unwrap();
    look(&accepted.events[1])
}

/// Requests of every shape, with up to 16 subjects.
pub(super) fn requests() -> impl Strategy<Value = Request> {
    (generate::request(), 0..=16_usize).prop_map(|(mut request, subjects)| {
        for at in request.subjects.len()..subjects {
            request.subjects.push(Subject {
                id_type: IdType::Employee,
                id: SubjectId::new(format!("staff number {at}")).unwrap(),
                role: domain::ids::Word::new("witness").unwrap(),
                fields: BTreeMap::new(),
            });
        }
        request
    })
}

/// Answers of every kind; now and then to what was no request.
pub(super) fn answers() -> impl Strategy<Value = Answer> {
    let kind = prop_oneof![
        Just(AnswerKind::Decided),
        Just(AnswerKind::Rejected),
        Just(AnswerKind::Rerouted { partition: 6 }),
        Just(AnswerKind::Conflicted)
    ];
    let outcome =
        proptest::option::of(prop_oneof![Just(Outcome::Deny), Just(Outcome::Permit), Just(Outcome::Escalate)]);
    let severity = proptest::option::of(prop_oneof![Just(Severity::Low), Just(Severity::Critical)]);
    let mode = prop_oneof![Just(Mode::Strict), Just(Mode::Permissive), Just(Mode::Paranoid)];
    let class = prop_oneof![Just(RetentionClass::Ordinary), Just(RetentionClass::HighRisk)];
    let texts = || proptest::collection::vec("[a-z-]{1,20}", 0..3);
    let reason = (0..ReasonCode::ALL.len()).prop_map(|at| ReasonCode::ALL[at]);
    let how = (kind, outcome, severity, mode, class, reason);
    let said = (texts(), texts(), "\\PC{0,40}", "\\PC{0,40}", proptest::option::of(0..=100_u8));
    (proptest::option::weighted(0.9, requests()), how, said, any::<([u8; 32], [u8; 32], [u8; 32])>()).prop_map(
        |(
            request,
            (kind, outcome, severity, mode, retention_class, reason),
            (policies, obligations, explanation, detail, risk_score),
            drawn,
        )| {
            let (key, mac, bundle_hash) = drawn;
            Answer {
                // Only a request can be forwarded.
                kind: if request.is_none() { AnswerKind::Rejected } else { kind },
                identity: if request.is_none() { Identity::UNKNOWN } else { Identity { key, mac } },
                request,
                outcome,
                reason,
                policies,
                obligations,
                severity,
                explanation,
                detail,
                bundle_hash,
                mode,
                retention_class,
                risk_score,
            }
        },
    )
}

/// A decision about the request that uses every field: two persons act, two are concerned.
pub(super) fn full() -> Answer {
    Answer {
        kind: AnswerKind::Decided,
        identity: Identity { key: [0x61; 32], mac: [0x62; 32] },
        request: Some(generate::full()),
        outcome: Some(Outcome::Escalate),
        reason: ReasonCode::HighRiskOversight,
        policies: vec!["high-risk".into()],
        obligations: vec!["human_review".into()],
        severity: Some(Severity::High),
        explanation: "a high-risk system needs oversight".into(),
        detail: String::new(),
        bundle_hash: [0x63; 32],
        mode: Mode::Paranoid,
        retention_class: RetentionClass::HighRisk,
        risk_score: Some(33),
    }
}

/// The same, of input that was no request.
pub(super) fn unread() -> Answer {
    Answer {
        kind: AnswerKind::Rejected,
        identity: Identity::UNKNOWN,
        request: None,
        outcome: None,
        reason: ReasonCode::Undecodable,
        detail: "ends inside a value".into(),
        retention_class: RetentionClass::Ordinary,
        risk_score: None,
        severity: None,
        policies: Vec::new(),
        obligations: Vec::new(),
        ..full()
    }
}
