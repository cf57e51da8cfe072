//! What can still be read when keys or bytes are gone, and under which name the rest is missing.

use domain::request::PersonRole;
use ledger::StoredEvent;
use ledger::seal::Dek;

use super::{Keyed, Known, draw, full, seal, stored};
use crate::record::{self, Opened, Read, numbers};

const SHARED: u16 = 32;

fn tag_of(role: PersonRole) -> u16 {
    numbers::person_tag(role).unwrap()
}

/// One key is changed: everything else stays readable, and that section is missing under the name expected.
fn check(change: &Known, expected: &str) {
    let answer = full();
    let (material, keys) = draw(&answer, 0);
    let roles: Vec<Option<PersonRole>> = material.persons.keys().copied().map(Some).chain([None]).collect();
    assert_eq!(roles.len(), 5, "two who act, two concerned, the organisation");
    stored(seal(&answer, &material, 1_000).0, |event| {
        for role in &roles {
            let mut keys = keys.clone();
            let key = role.map_or(&material.organisation, |role| &material.persons[&role]);
            keys.0.insert(key.dek_id, change.clone());
            let opened = record::open(event, &keys).unwrap();
            let names = names(&opened);
            for (tag, name) in &names {
                let gone = *tag == role.map_or(SHARED, tag_of);
                assert_eq!(
                    *name,
                    if gone { expected } else { "Value" },
                    "section {tag} when the key of {role:?} is gone"
                );
            }
            assert_eq!(names.len(), roles.len());
            assert!(opened.request.is_none() && !opened.is_readable());
            assert!(opened.answer(|_| 0).unwrap().is_none(), "half a request is none");
            let again = record::material(event, &keys).unwrap();
            let name = format!("{again:?}");
            // The wrong key still tells the salts; that it is wrong shows when the section is sealed again.
            let misled = expected == "Corrupt" && role.is_some();
            assert_eq!(name, if misled { "Value" } else { expected }, "{role:?}");
        }
    });
}

fn names(opened: &Opened) -> Vec<(u16, String)> {
    let persons = opened.persons.iter().map(|(tag, part)| (*tag, format!("{part:?}")));
    [(SHARED, format!("{:?}", opened.shared))].into_iter().chain(persons).collect()
}

#[test]
fn a_key_that_is_gone_takes_its_own_section_along_and_no_other() {
    check(&Known::Erased, "Erased");
    check(&Known::Restricted, "Restricted");
    check(&Known::Missing, "KeyMissing");
    check(&Known::Live(Dek([0xee; 32])), "Corrupt");
}

#[test]
fn a_key_that_never_counted_is_not_an_erased_one() {
    let answer = full();
    let (material, _) = draw(&answer, 0);
    stored(seal(&answer, &material, 1_000).0, |event| {
        let opened = record::open(event, &Keyed::default()).unwrap();
        assert!(names(&opened).iter().all(|(_, name)| name == "KeyMissing"));
    });
}

/// The stored form without the bytes of one section, which a reader must accept.
fn pruned(event: &StoredEvent<'_>, tag: u16) -> Vec<u8> {
    let mut bytes = [&event.prev_hash.0[..], event.body_bytes].concat();
    for entry in event.body.sections.iter().filter(|entry| entry.tag != tag) {
        let section = event.section(entry.tag).unwrap();
        bytes.extend(entry.tag.to_be_bytes());
        bytes.extend((section.len() as u64).to_be_bytes());
        bytes.extend(section);
    }
    bytes
}

#[test]
fn pruned_sections_are_told_from_erased_ones() {
    let answer = full();
    let (material, keys) = draw(&answer, 0);
    stored(seal(&answer, &material, 1_000).0, |event| {
        for tag in [SHARED, 256, 257, 258, 259] {
            let bytes = pruned(event, tag);
            let without = StoredEvent::decode(&bytes).unwrap();
            assert!(without.sections_match().is_ok() && without.event_hash == event.event_hash);
            let opened = record::open(&without, &keys).unwrap();
            for (at, name) in names(&opened) {
                assert_eq!(name, if at == tag { "Pruned" } else { "Value" }, "section {at} when {tag} was pruned");
            }
            assert!(matches!(record::material(&without, &keys).unwrap(), Read::Pruned));
            assert_eq!(record::clear(&without).unwrap(), record::clear(event).unwrap(), "the fold does not see it");
        }
    });
}

/// A person's section moved to another person's place, with that person's key: neither opens there.
#[test]
fn sections_do_not_open_in_another_place() {
    let answer = full();
    let (mut material, keys) = draw(&answer, 0);
    let one = material.persons[&PersonRole::Subject(0)].clone();
    material.persons.insert(PersonRole::Subject(1), one);
    let (mut event, _) = seal(&answer, &material, 1_000);
    let at = |tag| event.sections.iter().position(|section| section.tag == tag).unwrap();
    let (a, b) = (at(258), at(259));
    let bytes = event.sections[a].bytes.clone();
    event.sections[a].bytes = std::mem::replace(&mut event.sections[b].bytes, bytes);
    stored(event, |event| {
        let opened = record::open(event, &keys).unwrap();
        let corrupt: Vec<u16> =
            names(&opened).into_iter().filter(|(_, name)| name == "Corrupt").map(|(tag, _)| tag).collect();
        assert_eq!(corrupt, [258, 259]);
    });
}
