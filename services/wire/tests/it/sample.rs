//! Values that tests share: a request that uses every field, and one that uses as few as possible.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Action, ActorId, RequestId, SubjectId, Tenant, Word};
use domain::request::*;

pub fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

pub fn words(texts: &[&str]) -> BTreeSet<Word> {
    texts.iter().map(|text| word(text)).collect()
}

pub fn minimal() -> Request {
    Request {
        tenant: Tenant::new("default").unwrap(),
        request_id: RequestId::new("r-1").unwrap(),
        actor: Actor {
            id: ActorId::new("agent-7").unwrap(),
            kind: ActorKind::Agent,
            model: None,
            roles: BTreeSet::new(),
            on_behalf_of: None,
        },
        action: Action::new("read_file").unwrap(),
        tool: None,
        resource: None,
        intent: None,
        data_classes: BTreeSet::new(),
        practice: None,
        risk_class: RiskClass::Unknown,
        risk: None,
        confidence_percent: None,
        amount: None,
        purpose: None,
        legal_basis: None,
        approval: None,
        context: BTreeMap::new(),
        subjects: Vec::new(),
        occurred_at_us: 0,
    }
}

pub fn full() -> Request {
    Request {
        tenant: Tenant::new("acme").unwrap(),
        request_id: RequestId::new("r-2026-000017").unwrap(),
        actor: Actor {
            id: ActorId::new("personnel-4711").unwrap(),
            kind: ActorKind::Person,
            model: Some("example-model-2026-01".into()),
            roles: words(&["clerk", "payments"]),
            on_behalf_of: Some(Principal {
                id: ActorId::new("personnel-0815").unwrap(),
                kind: ActorKind::Person,
                delegation_depth: 2,
            }),
        },
        action: Action::new("send_money").unwrap(),
        tool: Some(word("bank")),
        resource: Some(Resource { kind: word("account"), id: "DE02 1203".into() }),
        intent: Some("pay the invoice\nof March".into()),
        data_classes: words(&["financial", "personal"]),
        practice: Some(word("social_scoring")),
        risk_class: RiskClass::High,
        risk: Some(Risk::Dimensions(RiskDimensions {
            security: 1,
            privacy: 20,
            compliance: 33,
            operational: 44,
            reputational: 55,
            financial: 100,
        })),
        confidence_percent: Some(97),
        amount: Some(Amount { minor_units: 129_900, currency: *b"EUR" }),
        purpose: Some(word("invoicing")),
        legal_basis: Some(LegalBasis::LegalObligation),
        approval: Some(Approval { event_id: [7; 16] }),
        context: BTreeMap::from([
            (word("attempt"), ContextValue::Long(-3)),
            (word("dry_run"), ContextValue::Bool(false)),
            (word("channel"), ContextValue::Text("böse Zeichen: € 𝄞".into())),
            (word("tags"), ContextValue::Set(["b".into(), "a".into()].into())),
        ]),
        subjects: vec![
            Subject {
                id_type: IdType::Email,
                id: SubjectId::new("erika@example.org").unwrap(),
                role: word("recipient"),
                fields: BTreeMap::from([(word("name"), "Erika Mustermann".into()), (word("phone"), "+49 30 1".into())]),
            },
            Subject {
                id_type: IdType::Customer,
                id: SubjectId::new("c-99").unwrap(),
                role: word("payer"),
                fields: BTreeMap::new(),
            },
        ],
        occurred_at_us: 1_790_000_000_123_456,
    }
}
