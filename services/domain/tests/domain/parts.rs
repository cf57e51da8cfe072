//! Persons are taken out of a request and put back; what is left holds nothing of them; limits hold.

use domain::FieldFault;
use domain::ids::{ActorId, SubjectId, Word};
use domain::request::*;
use proptest::prelude::*;

use crate::generate::{full, minimal, request};

/// Everything that a request says, as text, without going through a `Debug` that hides it.
fn dump(request: &Request) -> String {
    let mut facts = format!("{:?}", request.facts(0, false));
    facts.push_str(request.request_id.as_str());
    facts.push_str(request.actor.on_behalf_of.as_ref().map_or("", |principal| principal.id.as_str()));
    for subject in &request.subjects {
        facts.push_str(subject.id.as_str());
        facts.push_str(subject.role.as_str());
        for (name, value) in &subject.fields {
            facts.push_str(name.as_str());
            facts.push_str(value);
        }
    }
    facts
}

/// The request with texts in the personal places that stand nowhere else.
fn with_canaries(mut request: Request) -> (Request, Vec<String>) {
    let mut canaries = vec!["canary-actor".to_owned(), "canary-principal".to_owned()];
    request.actor.id = ActorId::new("canary-actor").unwrap();
    request.actor.kind = ActorKind::Person;
    if let Some(principal) = &mut request.actor.on_behalf_of {
        principal.id = ActorId::new("canary-principal").unwrap();
        principal.kind = ActorKind::Person;
    }
    for (position, subject) in request.subjects.iter_mut().enumerate() {
        subject.id = SubjectId::new(format!("canary-id-{position}-")).unwrap();
        canaries.push(subject.id.to_string());
        let fields = std::mem::take(&mut subject.fields);
        for (place, _) in fields.into_iter().enumerate() {
            let (name, value) =
                (format!("canary-name-{position}-{place}-"), format!("canary-value-{position}-{place}-"));
            subject.fields.insert(Word::new(&*name).unwrap(), value.clone());
            canaries.extend([name, value]);
        }
    }
    (request, canaries)
}

proptest! {
    #[test]
    fn join_undoes_split(request in request()) {
        let (impersonal, parts) = request.split();
        prop_assert!(Request::join(impersonal, parts).unwrap() == request);
    }

    #[test]
    fn parts_may_come_in_any_order(request in request(), turn in 0_usize..8) {
        let (impersonal, mut parts) = request.split();
        let turn = turn.min(parts.len());
        parts.rotate_left(turn);
        prop_assert!(Request::join(impersonal, parts).unwrap() == request);
    }

    #[test]
    fn the_impersonal_part_holds_nothing_of_a_person(request in request()) {
        let (request, canaries) = with_canaries(request);
        let present = dump(&request);
        let (impersonal, parts) = request.split();
        let left = dump(&impersonal);
        prop_assert!(!left.contains("canary"), "{left}");
        // The dump sees the canaries where they are, so not seeing them means something.
        prop_assert!(canaries.iter().filter(|canary| *canary != "canary-principal").all(|canary| present.contains(canary.as_str())));
        // Each part holds its own person's and nobody else's.
        for part in &parts {
            if let PersonRole::Subject(position) = part.role {
                let mark = format!("-{position}-");
                let texts = part.fields.iter().flat_map(|(name, value)| [name, value]).chain([&part.id]);
                prop_assert!(texts.into_iter().all(|text| text.contains(&mark)));
            }
        }
    }

    #[test]
    fn generated_requests_are_valid(request in request()) {
        prop_assert_eq!(request.validate(), Ok(()));
    }
}

#[test]
fn agents_keep_their_ids() {
    let (impersonal, parts) = minimal().split();
    assert!(impersonal == minimal() && parts.is_empty());
}

#[test]
fn wrong_parts_are_refused() {
    type Change = fn(&mut Vec<PersonalPart>);
    let cases: [(Change, JoinFault); 8] = [
        (|parts| drop(parts.remove(0)), JoinFault::Missing(PersonRole::Actor)),
        (|parts| drop(parts.remove(1)), JoinFault::Missing(PersonRole::OnBehalfOf)),
        (|parts| drop(parts.remove(3)), JoinFault::Missing(PersonRole::Subject(1))),
        (|parts| parts.push(parts[2].clone()), JoinFault::Doubled(PersonRole::Subject(0))),
        (
            |parts| parts.push(PersonalPart { role: PersonRole::Subject(2), ..parts[2].clone() }),
            JoinFault::Unexpected(PersonRole::Subject(2)),
        ),
        (|parts| parts[2].id_type = IdType::Phone, JoinFault::IdType(PersonRole::Subject(0))),
        (|parts| parts[0].id = "someone@example.org".into(), JoinFault::Name(PersonRole::Actor)),
        (
            |parts| drop(parts[3].fields.insert("no word".into(), String::new())),
            JoinFault::Name(PersonRole::Subject(1)),
        ),
    ];
    for (change, expected) in cases {
        let (impersonal, mut parts) = full().split();
        change(&mut parts);
        assert_eq!(Request::join(impersonal, parts).map(drop), Err(expected));
    }
}

#[test]
fn faults_name_path_and_code() {
    type Change = fn(&mut Request);
    fn long(bytes: usize) -> String {
        "x".repeat(bytes)
    }
    fn many(count: usize) -> impl Iterator<Item = Word> {
        (0..count).map(|n| Word::new(format!("w{n}")).unwrap())
    }
    let cases: [(Change, &str, &str); 26] = [
        (|r| r.actor.model = Some(String::new()), "actor.model", "empty"),
        (|r| r.actor.model = Some(long(limits::MODEL_BYTES_MAX + 1)), "actor.model", "too_long"),
        (|r| r.actor.model = Some("a\nb".into()), "actor.model", "control_character"),
        (|r| r.actor.roles = many(limits::ROLES_MAX + 1).collect(), "actor.roles", "too_many"),
        (
            |r| r.actor.on_behalf_of.as_mut().unwrap().delegation_depth = 0,
            "actor.on_behalf_of.delegation_depth",
            "out_of_range",
        ),
        (|r| r.resource.as_mut().unwrap().id = String::new(), "resource.id", "empty"),
        (|r| r.resource.as_mut().unwrap().id = long(limits::RESOURCE_ID_BYTES_MAX + 1), "resource.id", "too_long"),
        (|r| r.intent = Some(String::new()), "intent", "empty"),
        (|r| r.intent = Some(long(limits::INTENT_BYTES_MAX + 1)), "intent", "too_long"),
        (|r| r.intent = Some("a\u{7}".into()), "intent", "control_character"),
        (|r| r.data_classes = many(limits::DATA_CLASSES_MAX + 1).collect(), "data_classes", "too_many"),
        (|r| r.risk = Some(Risk::Score(101)), "risk.score", "out_of_range"),
        (
            |r| {
                r.risk = Some(Risk::Dimensions(RiskDimensions {
                    security: 0,
                    privacy: 0,
                    compliance: 0,
                    operational: 0,
                    reputational: 101,
                    financial: 0,
                }))
            },
            "risk.reputational",
            "out_of_range",
        ),
        (|r| r.confidence_percent = Some(101), "confidence_percent", "out_of_range"),
        (|r| r.amount.as_mut().unwrap().minor_units = -1, "amount.minor_units", "out_of_range"),
        (|r| r.amount.as_mut().unwrap().currency = *b"eur", "amount.currency", "bad_currency"),
        (
            |r| r.context = many(limits::CONTEXT_MAX + 1).map(|key| (key, ContextValue::Bool(true))).collect(),
            "context",
            "too_many",
        ),
        (|r| drop(r.context.insert(Word::new("k").unwrap(), ContextValue::Text(String::new()))), "context.k", "empty"),
        (
            |r| {
                drop(
                    r.context
                        .insert(Word::new("k").unwrap(), ContextValue::Text(long(limits::CONTEXT_TEXT_BYTES_MAX + 1))),
                )
            },
            "context.k",
            "too_long",
        ),
        (
            |r| {
                let set = many(limits::CONTEXT_SET_MAX + 1).map(|word| word.to_string()).collect();
                r.context.insert(Word::new("k").unwrap(), ContextValue::Set(set));
            },
            "context.k",
            "too_many",
        ),
        (
            |r| drop(r.context.insert(Word::new("k").unwrap(), ContextValue::Set(["a".into(), "\0".into()].into()))),
            "context.k[0]",
            "control_character",
        ),
        (
            |r| {
                let subject = r.subjects[1].clone();
                r.subjects = (0..=limits::SUBJECTS_MAX)
                    .map(|n| Subject { id: SubjectId::new(n.to_string()).unwrap(), ..subject.clone() })
                    .collect();
            },
            "subjects",
            "too_many",
        ),
        (|r| r.subjects.push(r.subjects[0].clone()), "subjects[2]", "duplicate"),
        (
            |r| r.subjects[1].fields = many(limits::SUBJECT_FIELDS_MAX + 1).map(|name| (name, "x".into())).collect(),
            "subjects[1].fields",
            "too_many",
        ),
        (
            |r| drop(r.subjects[0].fields.insert(Word::new("phone").unwrap(), String::new())),
            "subjects[0].fields[1]",
            "empty",
        ),
        (
            |r| {
                drop(r.subjects[0].fields.insert(Word::new("name").unwrap(), long(limits::SUBJECT_FIELD_BYTES_MAX + 1)))
            },
            "subjects[0].fields[0]",
            "too_long",
        ),
    ];
    for (change, path, code) in cases {
        let mut request = full();
        assert_eq!(request.validate(), Ok(()));
        change(&mut request);
        let faults = request.validate().unwrap_err();
        assert_eq!(faults.iter().map(|fault| (fault.path.as_str(), fault.code)).collect::<Vec<_>>(), [(path, code)]);
    }
}

#[test]
fn all_faults_are_told_without_values() {
    let mut request = full();
    request.intent = Some("secret\u{1}".into());
    request.confidence_percent = Some(200);
    request.subjects[0].fields.insert(Word::new("secretname").unwrap(), "secret\u{1}".into());
    let faults = request.validate().unwrap_err();
    assert_eq!(faults.len(), 3);
    assert!(
        faults.iter().all(|FieldFault { path, message, .. }| !path.contains("secret") && !message.contains("secret")),
        "{faults:?}"
    );
}

#[test]
fn limits_themselves_are_allowed() {
    let mut request = full();
    request.intent = Some("x".repeat(limits::INTENT_BYTES_MAX));
    request.subjects[0].fields = (0..limits::SUBJECT_FIELDS_MAX)
        .map(|n| (Word::new(n.to_string()).unwrap(), "x".repeat(limits::SUBJECT_FIELD_BYTES_MAX)))
        .collect();
    request.risk = Some(Risk::Score(100));
    assert_eq!(request.validate(), Ok(()));
}

#[test]
fn facts_say_what_the_request_says() {
    let request = full();
    let facts = request.facts(42, true);
    assert_eq!(
        (facts.tenant.as_str(), facts.actor.id.as_str(), facts.action.as_str()),
        ("acme", "personnel-4711", "send_money")
    );
    assert_eq!(
        (facts.actor.delegation_depth, facts.subject_count, facts.recorded_at_us, facts.approved),
        (2, 2, 42, true)
    );
    assert_eq!((facts.risk_score, facts.confidence_percent, facts.risk_class), (Some(33), Some(97), RiskClass::High));
    assert_eq!(facts.actor.roles, ["clerk", "payments"].map(String::from).into());
    assert_eq!(facts.data_classes, ["financial", "personal"].map(String::from).into());
    assert_eq!(facts.context["attempt"], ContextValue::Long(-3));
    let plain = minimal().facts(0, false);
    assert_eq!(
        (plain.actor.delegation_depth, plain.subject_count, plain.risk_score, plain.approved),
        (0, 0, None, false)
    );
}
