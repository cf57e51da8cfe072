//! What cannot be sealed or read says why.

use domain::event::{Answer, Event};
use domain::request::{PersonRole, limits};
use ledger::{NewEvent, event_type, section_tag};

use super::{AT_US, CHAIN, Keyed, ORIGIN, OUTCOME_NO, SEQ, bytes, draw, full, generate, seal, stored, unread};
use crate::record::{self, Clear, Error, Material, Sealing, fixed, plain, seal_answer};

fn try_seal(answer: &Answer, material: &Material) -> Result<(NewEvent, Clear), Error> {
    seal_answer(Sealing {
        answer,
        origin: &ORIGIN,
        request_bytes: &bytes(answer),
        chain: CHAIN,
        seq: SEQ,
        recorded_at_us: AT_US,
        outcome_no: OUTCOME_NO,
        material,
        salts: &mut || [1; 32],
    })
}

#[test]
fn material_of_another_request_is_refused() {
    type Spoil = fn(&mut Material);
    let cases: [(&str, Spoil); 7] = [
        ("no principal", |material| material.on_behalf_of = None),
        ("a subject less", |material| material.subjects.truncate(material.subjects.len() - 1)),
        ("a subject more", |material| material.subjects.push([1; 16])),
        ("no key of the actor", |material| drop(material.persons.remove(&PersonRole::Actor))),
        ("no key of a subject", |material| drop(material.persons.remove(&PersonRole::Subject(1)))),
        ("a key too many", |material| {
            drop(material.persons.insert(PersonRole::Subject(2), material.organisation.clone()))
        }),
        ("a key of another", |material| {
            let key = material.persons.remove(&PersonRole::Subject(1)).unwrap();
            material.persons.insert(PersonRole::Subject(2), key);
        }),
    ];
    let answer = full();
    for (what, spoil) in cases {
        let (mut material, _) = draw(&answer, 0);
        assert!(try_seal(&answer, &material).is_ok());
        spoil(&mut material);
        let Err(error) = try_seal(&answer, &material) else { panic!("{what}: sealed") };
        assert!(matches!(error, Error::Material(_)), "{what}: {error}");
    }
    let (material, _) = draw(&full(), 0);
    assert!(matches!(try_seal(&unread(), &material), Err(Error::Material(_))), "nobody is in what could not be read");
}

#[test]
fn more_subjects_than_sections_are_refused() {
    let mut answer = full();
    let request = answer.request.as_mut().unwrap();
    let one = request.subjects[0].clone();
    request.subjects = vec![one; limits::SUBJECTS_MAX];
    assert!(try_seal(&answer, &draw(&answer, 0).0).is_ok());
    let request = answer.request.as_mut().unwrap();
    request.subjects.push(request.subjects[0].clone());
    let error = try_seal(&answer, &draw(&answer, 0).0).unwrap_err();
    assert!(matches!(error, Error::NoSection(PersonRole::Subject(16))), "{error}");
}

#[test]
fn events_that_cannot_be_read_say_why() {
    let with = |event_type: u16, tag: u16, bytes: Vec<u8>| {
        let mut event = fixed(event_type, AT_US, bytes);
        event.sections[0].tag = tag;
        event
    };
    type Expected = fn(&Error) -> bool;
    let cases: [(&str, NewEvent, Expected); 4] = [
        ("no facts", with(event_type::DECIDED, section_tag::OUTCOME, vec![1]), |error| {
            matches!(error, Error::NoClearSection { seq: 1, tag: 1 })
        }),
        ("no section", with(event_type::KEY_CREATED, 2, vec![1]), |error| {
            matches!(error, Error::NoClearSection { tag: 1, .. })
        }),
        ("another layout", with(event_type::KEY_CREATED, 1, vec![9]), |error| matches!(error, Error::Layout(_))),
        (
            "a tenant with a name that is none",
            with(
                event_type::TENANT_CREATED,
                1,
                ledger::layout::TenantCreated { tenant: "Not A Name".into(), command_id: [1; 16] }.encode().unwrap(),
            ),
            |error| matches!(error, Error::Name { what: "tenant", .. }),
        ),
    ];
    for (what, event, expected) in cases {
        stored(event, |event| {
            let error = record::clear(event).unwrap_err();
            assert!(expected(&error), "{what}: {error}");
        });
    }
    stored(fixed(1_000, AT_US, vec![9]), |event| assert_eq!(record::clear(event).unwrap(), Clear::Other));
    stored(fixed(event_type::INPUT_ADVANCED, AT_US, vec![1]), |event| {
        assert_eq!(record::clear(event).unwrap(), Clear::InputAdvanced);
        let error = record::open(event, &Keyed::default()).unwrap_err();
        assert!(matches!(error, Error::NoAnswer { seq: 1, event_type: event_type::INPUT_ADVANCED }), "{error}");
    });
    assert!(matches!(plain(&Event::Answer(Box::new(full())), &ORIGIN, 0, 0), Err(Error::NeedsKeys)));
}

/// A request of agents alone has nobody's section, and still has surrogates.
#[test]
fn who_is_no_person_has_a_surrogate_and_no_section() {
    let answer = Answer { request: Some(generate::minimal()), ..full() };
    let (material, _) = draw(&answer, 0);
    let (event, _) = seal(&answer, &material, 1_000);
    assert_eq!(event.sections.iter().map(|section| section.tag).collect::<Vec<_>>(), [1, 2, 32]);
    stored(event, |event| {
        assert_eq!(record::facts(event).unwrap().surrogates, [(0, material.actor)]);
    });
}
