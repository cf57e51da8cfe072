//! Requests for property tests: every field, within the limits. The wire's tests use the same file.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{Action, ActorId, RequestId, SubjectId, Tenant, Word};
use domain::request::{
    Actor, ActorKind, Amount, Approval, ContextValue, IdType, LegalBasis, Principal, Request, Resource, Risk,
    RiskClass, RiskDimensions, Subject,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn word() -> impl Strategy<Value = Word> {
    "[a-zA-Z0-9_.:/-]{1,12}".prop_map(|text| Word::new(text).unwrap())
}

fn words() -> impl Strategy<Value = BTreeSet<Word>> {
    btree_set(word(), 0..4)
}

/// Text of any language, as people write it.
fn text() -> impl Strategy<Value = String> {
    "[\\PC\n\t]{1,20}"
}

fn actor_id() -> impl Strategy<Value = ActorId> {
    "[^\\p{Cc}@]{1,20}".prop_map(|text| ActorId::new(text).unwrap())
}

fn kind() -> impl Strategy<Value = ActorKind> {
    prop_oneof![Just(ActorKind::Person), Just(ActorKind::Agent), Just(ActorKind::Model), Just(ActorKind::System)]
}

fn actor() -> impl Strategy<Value = Actor> {
    let principal = (actor_id(), kind(), 1..=u8::MAX).prop_map(|(id, kind, delegation_depth)| Principal {
        id,
        kind,
        delegation_depth,
    });
    (actor_id(), kind(), option::of("[ -~]{1,20}"), words(), option::of(principal))
        .prop_map(|(id, kind, model, roles, on_behalf_of)| Actor { id, kind, model, roles, on_behalf_of })
}

fn risk() -> impl Strategy<Value = Risk> {
    let dimensions = proptest::array::uniform6(0..=100_u8).prop_map(
        |[security, privacy, compliance, operational, reputational, financial]| {
            Risk::Dimensions(RiskDimensions { security, privacy, compliance, operational, reputational, financial })
        },
    );
    prop_oneof![(0..=100_u8).prop_map(Risk::Score), dimensions]
}

fn context() -> impl Strategy<Value = BTreeMap<Word, ContextValue>> {
    let value = prop_oneof![
        any::<i64>().prop_map(ContextValue::Long),
        any::<bool>().prop_map(ContextValue::Bool),
        text().prop_map(ContextValue::Text),
        btree_set(text(), 0..4).prop_map(ContextValue::Set),
    ];
    btree_map(word(), value, 0..5)
}

fn subjects() -> impl Strategy<Value = Vec<Subject>> {
    let id_type = prop_oneof![
        Just(IdType::Actor),
        Just(IdType::Email),
        Just(IdType::Customer),
        Just(IdType::Employee),
        Just(IdType::Phone),
        Just(IdType::National),
        Just(IdType::Other)
    ];
    let subject = (id_type, "[^\\p{Cc}]{1,20}", word(), btree_map(word(), text(), 0..4))
        .prop_map(|(id_type, id, role, fields)| Subject { id_type, id: SubjectId::new(id).unwrap(), role, fields });
    vec(subject, 0..4).prop_map(|subjects| {
        let mut seen = BTreeSet::new();
        subjects.into_iter().filter(|subject| seen.insert((subject.id_type, subject.id.clone()))).collect()
    })
}

fn closed() -> impl Strategy<Value = (RiskClass, Option<LegalBasis>, Option<Amount>, Option<Approval>)> {
    let class = prop_oneof![
        Just(RiskClass::Unknown),
        Just(RiskClass::Minimal),
        Just(RiskClass::Limited),
        Just(RiskClass::High),
        Just(RiskClass::Unacceptable)
    ];
    let basis = prop_oneof![
        Just(LegalBasis::Consent),
        Just(LegalBasis::Contract),
        Just(LegalBasis::LegalObligation),
        Just(LegalBasis::VitalInterests),
        Just(LegalBasis::PublicTask),
        Just(LegalBasis::LegitimateInterests)
    ];
    let amount = (0..=i64::MAX, "[A-Z]{3}")
        .prop_map(|(minor_units, code)| Amount { minor_units, currency: code.as_bytes().try_into().unwrap() });
    let approval = any::<[u8; 16]>().prop_map(|event_id| Approval { event_id });
    (class, option::of(basis), option::of(amount), option::of(approval))
}

/// Valid requests.
pub fn request() -> impl Strategy<Value = Request> {
    let names = ("[a-z0-9_-]{1,10}", "[!-~]{1,20}", "[a-zA-Z0-9_.:/-]{1,12}");
    let resource = (word(), "[ -~]{1,20}").prop_map(|(kind, id)| Resource { kind, id });
    let what = (option::of(word()), option::of(resource), option::of(text()), words(), option::of(word()));
    let how = (option::of(risk()), option::of(0..=100_u8), option::of(word()), closed());
    (names, actor(), what, how, context(), subjects(), any::<i64>()).prop_map(
        |(names, actor, what, how, context, subjects, occurred_at_us)| {
            let (tool, resource, intent, data_classes, practice) = what;
            let (risk, confidence_percent, purpose, (risk_class, legal_basis, amount, approval)) = how;
            Request {
                tenant: Tenant::new(names.0).unwrap(),
                request_id: RequestId::new(names.1).unwrap(),
                actor,
                action: Action::new(names.2).unwrap(),
                tool,
                resource,
                intent,
                data_classes,
                practice,
                risk_class,
                risk,
                confidence_percent,
                amount,
                purpose,
                legal_basis,
                approval,
                context,
                subjects,
                occurred_at_us,
            }
        },
    )
}

/// A request that uses every field, with values that can be told from each other.
pub fn full() -> Request {
    let word = |text: &str| Word::new(text).unwrap();
    let words = |texts: &[&str]| texts.iter().map(|text| word(text)).collect::<BTreeSet<_>>();
    let subject = |id_type, id: &str, role: &str, fields: &[(&str, &str)]| Subject {
        id_type,
        id: SubjectId::new(id).unwrap(),
        role: word(role),
        fields: fields.iter().map(|(name, value)| (word(name), (*value).to_owned())).collect(),
    };
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
            (word("channel"), ContextValue::Text("böse Zeichen: € 𝄞".into())),
            (word("dry_run"), ContextValue::Bool(false)),
            (word("tags"), ContextValue::Set(["b".to_owned(), "a".to_owned()].into())),
        ]),
        subjects: vec![
            subject(
                IdType::Email,
                "erika@example.org",
                "recipient",
                &[("name", "Erika Mustermann"), ("phone", "+49 30 1")],
            ),
            subject(IdType::Customer, "c-99", "payer", &[]),
        ],
        occurred_at_us: 1_790_000_000_123_456,
    }
}

/// A request that uses as few fields as possible.
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
