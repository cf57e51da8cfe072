//! Canaries: values that must be nowhere in clear, and are looked for everywhere.

use std::collections::BTreeMap;

use domain::event::Answer;
use domain::ids::{ActorId, RequestId, SubjectId, Word};
use domain::request::{ActorKind, ContextValue, Resource};
use ledger::seal::Dek;

use super::{AT_US, bytes, draw, full, seal, stored, unread};
use crate::dead_letter;
use crate::keys::{KeyringRecord, Secrets, queue};
use crate::record;

/// The whole answer with a canary in each place that is not clear by the format.
fn with_canaries() -> (Answer, Vec<String>) {
    let mut answer = full();
    let mut canaries = Vec::new();
    let mut canary = |name: &str| {
        canaries.push(format!("canary-{name}"));
        format!("canary-{name}")
    };
    let request = answer.request.as_mut().unwrap();
    request.request_id = RequestId::new(canary("request")).unwrap();
    request.actor.id = ActorId::new(canary("actor")).unwrap();
    request.actor.kind = ActorKind::Person;
    request.actor.model = Some(canary("model"));
    request.actor.on_behalf_of.as_mut().unwrap().id = ActorId::new(canary("principal")).unwrap();
    request.intent = Some(canary("intent"));
    request.resource = Some(Resource { kind: Word::new(canary("kind")).unwrap(), id: canary("resource") });
    request.context = BTreeMap::from([(Word::new(canary("key")).unwrap(), ContextValue::Text(canary("context")))]);
    for (at, subject) in request.subjects.iter_mut().enumerate() {
        subject.id = SubjectId::new(canary(&format!("subject-{at}"))).unwrap();
        subject.fields =
            BTreeMap::from([(Word::new(canary(&format!("field-{at}"))).unwrap(), canary(&format!("value-{at}")))]);
    }
    answer.explanation = canary("explanation");
    answer.detail = canary("detail");
    (answer, canaries)
}

fn holds(haystack: &[u8], canary: &str) -> bool {
    haystack.windows(canary.len()).any(|at| at == canary.as_bytes())
}

#[test]
fn the_scan_sees_canaries_where_they_are() {
    let (answer, canaries) = with_canaries();
    let clear = [&bytes(&answer)[..], answer.explanation.as_bytes(), answer.detail.as_bytes()].concat();
    assert_eq!(canaries.len(), 17);
    for canary in canaries {
        assert!(holds(&clear, &canary), "{canary}");
    }
}

#[test]
fn no_canary_is_in_what_is_stored_or_shown() {
    let (answer, canaries) = with_canaries();
    let request = bytes(&answer);
    let secrets = Secrets::in_memory(1);
    let (material, keys) = draw(&answer, 0);
    let (event, clear) = seal(&answer, &material, 1_000);
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for section in &event.sections {
        places.push((format!("section {}", section.tag), section.bytes.clone()));
    }
    let letter = wire::DeadLetter {
        topic: "requests".into(),
        partition: 3,
        offset: 41,
        reason_code: "undecodable".into(),
        detail: "ends inside a value".into(),
        headers: vec![(canaries[0].clone(), Some(canaries[1].clone().into_bytes()))],
        key: Some(canaries[2].clone().into_bytes()),
        value: Some(request.clone()),
        value_bytes: 400,
        at_us: AT_US,
    };
    places.push(("dead letter".into(), dead_letter::seal(&secrets, 3, &letter, [9; 24]).unwrap()));
    let queued = queue::seal_request(&secrets, 3, &request, [9; 24]).unwrap();
    places.push((
        "queue".into(),
        [queued.key.clone(), queued.value.clone(), format!("{:?}", queued.headers).into_bytes()].concat(),
    ));
    let index = secrets.index_key(&answer.request.as_ref().unwrap().tenant);
    let lookup = ledger::identity::subject_lookup(&index, 0, canaries[1].as_bytes()).unwrap();
    let row = KeyringRecord::Directory { lookup, surrogate: material.actor };
    places.push(("directory row".into(), row.encode().unwrap()));
    let shown = stored(event.clone(), |event| {
        let opened = record::open(event, &keys).unwrap();
        let drawn = record::material(event, &keys).unwrap();
        let parts = answer.request.as_ref().unwrap().split();
        format!("{event:?} {opened:?} {drawn:?} {:?} {:?} {parts:?}", opened.shared.value().unwrap(), opened.persons)
    });
    let request_shown = format!("{:?} {clear:?} {event:?} {material:?} {row:?} {queued:?} {letter:?}", answer.request);
    places.push(("debug output".into(), [shown, request_shown].concat().into_bytes()));
    for canary in &canaries {
        for (place, haystack) in &places {
            // Input that cannot be decoded has its detail and explanation sealed; headers of a letter are inside it.
            assert!(!holds(haystack, canary), "{canary} in {place}");
        }
    }
}

#[test]
fn raw_input_is_in_the_dead_letter_alone() {
    let answer = unread();
    let raw = bytes(&answer);
    let (material, _) = draw(&answer, 0);
    let (event, _) = seal(&answer, &material, 1_000);
    let unsalted = [ledger::hash::h3(&[&raw]).0, ledger::identity::request_commit(&[0; 32], &raw)];
    for section in &event.sections {
        assert!(!section.bytes.windows(raw.len()).any(|at| at == raw), "section {}", section.tag);
        assert!(!unsalted.iter().any(|hash| section.bytes.windows(32).any(|at| at == hash)), "section {}", section.tag);
    }
}

/// Keys are values that must be nowhere, too.
#[test]
fn no_key_is_in_what_is_stored_or_shown() {
    let answer = full();
    let secrets = Secrets::in_memory(1);
    let (material, _) = draw(&answer, 0);
    let (event, _) = seal(&answer, &material, 1_000);
    for key in material.persons.values().chain([&material.organisation]) {
        let Dek(dek) = &key.dek;
        let wrapped = secrets.wrap(1, "acme", &key.dek_id, &key.dek, [8; 24]).unwrap();
        let stored = event.sections.iter().map(|section| &section.bytes).chain([&wrapped]);
        for bytes in stored {
            assert!(!bytes.windows(32).any(|at| at == dek));
        }
        let shown = format!("{key:?} {material:?} {secrets:?}");
        assert!(!shown.contains(&hex::encode(dek)) && !shown.contains(&format!("{}, {}", dek[0], dek[1])), "{shown}");
    }
}
