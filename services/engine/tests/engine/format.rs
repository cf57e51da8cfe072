//! What FORMAT.md lists and quotes is what the code says: numbers, tags, vectors.
//!
//! INVARIANT: the comparison is of whole lists, in both directions. A number that only one of the two knows is a fault,
//! whichever it is.

use std::collections::{BTreeMap, BTreeSet};

use domain::request::{IdType, PersonRole};
use domain::routing::Routing;
use engine::kv::Space;
use engine::record::numbers;
use eventlog::Topic;
use ledger::hash::Tag;
use ledger::{RecordKind, SectionKind, event_type, section_tag};
use policy::ReasonCode;

use crate::vectors;

const FORMAT: &str = include_str!("../../../ledger/FORMAT.md");

/// The second cell of the row of the table of numbers that begins with `name`.
fn row(name: &str) -> &'static str {
    let found = FORMAT.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let rows: Vec<&str> = found.filter(|(cell, _)| *cell == name).map(|(_, values)| values).collect();
    let [values] = rows[..] else { panic!("{name}: {} rows", rows.len()) };
    values
}

fn check(name: &str, code: impl IntoIterator<Item = (u32, String)>) {
    let written: Vec<String> = code.into_iter().map(|(number, value)| format!("{number} {value}")).collect();
    assert_eq!(row(name).split(", ").collect::<Vec<_>>(), written, "{name}");
}

/// `LegalObligation` → `legal_obligation`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn name_of(value: impl std::fmt::Debug) -> String {
    snake(&format!("{value:?}"))
}

/// Every value that has a number of one byte.
fn bytes<T: std::fmt::Debug>(of: impl Fn(u8) -> Option<T>) -> Vec<(u32, String)> {
    (0..=u8::MAX).filter_map(|number| Some((number.into(), name_of(of(number)?)))).collect()
}

/// As [`bytes`], where nothing has a number, too.
fn bytes_or_none<T: std::fmt::Debug>(of: impl Fn(u8) -> Option<Option<T>>) -> Vec<(u32, String)> {
    let name = |value: Option<T>| value.map_or("none".to_owned(), name_of);
    (0..=u8::MAX).filter_map(|number| Some((number.into(), name(of(number)?)))).collect()
}

#[test]
fn numbers_of_the_ledger_are_those_of_the_document() {
    macro_rules! types {
        ($($name:ident)*) => { [$((u32::from(event_type::$name), stringify!($name))),*] };
    }
    let types = types! {
        WRITER_CLAIMED DECIDED REJECTED REROUTED INPUT_LOST CONFLICTED SCHEMA_ADDED INPUT_ADVANCED KEY_CREATED
        ERASURE_REQUESTED ERASURE_KEYS_DESTROYED ERASURE_FINAL KEK_ROLLED EPOCH_CLOSED POLICY_PUBLISHED
        POLICY_ACTIVATED TENANT_CREATED COMMAND_REFUSED DEAD_LETTER_MARKED
    };
    let listed = row("event type").split(", ").map(|entry| entry.split_once(' ').unwrap());
    let listed: Vec<_> = listed.map(|(number, name)| (number.parse().unwrap(), snake(name))).collect();
    assert_eq!(listed, types.map(|(number, name)| (number, name.to_lowercase())));
    // The same list stands in "Event", where the author of a verifier looks for it.
    let text = FORMAT.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&format!("Types: {}.", row("event type"))));
    check("section kind", bytes(SectionKind::from_number));
    check("record kind", bytes(RecordKind::from_number));
    check("routing", bytes(Routing::from_number));
    let people: BTreeMap<u16, PersonRole> =
        (0..=u16::MAX).filter_map(|tag| Some((tag, numbers::to_person(tag)?))).collect();
    let is_subject = |role: &PersonRole| matches!(role, PersonRole::Subject(_));
    let subjects: Vec<u16> = people.iter().filter(|(_, role)| is_subject(role)).map(|(tag, _)| *tag).collect();
    let others = people.iter().filter(|(_, role)| !is_subject(role)).map(|(tag, role)| (*tag, name_of(role)));
    let clear = [(section_tag::FACTS, "facts"), (section_tag::OUTCOME, "outcome"), (section_tag::SHARED, "shared")];
    let mut expected: Vec<String> = clear.map(|(tag, name)| format!("{tag} {name}")).into();
    expected.extend(others.map(|(tag, name)| format!("{tag} {name}")));
    expected.push(format!("{} to {} subjects", subjects[0], subjects[subjects.len() - 1]));
    assert_eq!(row("section tag").split(", ").collect::<Vec<_>>(), expected);
}

#[test]
fn numbers_of_the_domain_are_those_of_the_document() {
    check("mode", bytes(numbers::to_mode));
    check("outcome", bytes_or_none(numbers::to_outcome));
    check("legal_basis", bytes_or_none(numbers::to_legal_basis));
    check("retention_class, class", bytes(numbers::to_retention_class));
    check("mark", bytes(numbers::to_dead_letter_mark));
    let roles = [
        (numbers::ROLE_ACTOR, "actor"),
        (numbers::ROLE_ON_BEHALF_OF, "on_behalf_of"),
        (numbers::ROLE_SUBJECT, "subject"),
    ];
    check("role of a surrogate", roles.map(|(number, name)| (number.into(), name.to_owned())));
    let kinds = [
        IdType::Actor,
        IdType::Email,
        IdType::Customer,
        IdType::Employee,
        IdType::Phone,
        IdType::National,
        IdType::Other,
    ];
    check("id_type", kinds.map(|kind| (kind as u32, name_of(kind))));
    check("topic", Topic::ALL.map(|topic| (topic.number().into(), topic.as_str().to_owned())));
    check("space", Space::ALL.map(|space| (space.number().into(), space.name().to_owned())));
    assert_eq!(row("engine_version"), policy::EVALUATOR_VERSION.to_string());
    let reasons = |from, to| {
        let within = ReasonCode::ALL.iter().filter(move |code| (from..to).contains(&code.number()));
        within.map(|code| (code.number().into(), code.as_str().to_owned()))
    };
    check("reason_code of an evaluation", reasons(0, 100));
    check("reason_code that a policy names", reasons(100, 200));
    check("reason_code without evaluation", reasons(200, u16::MAX));
}

#[test]
fn kinds_of_the_state_are_those_of_its_fixture() {
    let (_, from) = FORMAT.split_once("**State**").unwrap();
    let block = from.split("```").nth(1).unwrap();
    let kind_and_name = |line: &'static str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse::<u8>().ok()?, words.next()?))
    };
    let listed: BTreeMap<u8, &str> =
        block.lines().filter(|line| !line.starts_with("   ")).filter_map(kind_and_name).collect();
    let mut stored = BTreeSet::new();
    for line in include_str!("../../src/store/frozen.txt").lines().filter(|line| !line.starts_with('#')) {
        let [name, key, _] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let kind = hex::decode(key).unwrap()[4];
        assert!(listed.get(&kind).is_some_and(|listed| name.starts_with(listed)), "{kind} {name}");
        stored.insert(kind);
    }
    assert_eq!(listed.into_keys().collect::<BTreeSet<_>>(), stored);
}

#[test]
fn tags_of_the_document_are_those_of_the_ledger_and_none_stands_twice() {
    let (_, from) = FORMAT.split_once("Tags: `").unwrap();
    let (own, rest) = from.split_once('`').unwrap();
    let (_, from) = rest.split_once('`').unwrap();
    let (beside, _) = from.split_once('`').unwrap();
    let text = |tag: &Tag| std::str::from_utf8(&tag.bytes()[1..]).unwrap().strip_prefix("lexecon/v1/").unwrap();
    assert_eq!(own.split_whitespace().collect::<Vec<_>>(), Tag::ALL.iter().map(text).collect::<Vec<_>>());
    let all: Vec<&str> = own.split_whitespace().chain(beside.split_whitespace()).collect();
    assert_eq!(all.len(), Tag::ALL.len() + 5, "the vectors of keys and boxes prove these five");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

/// Vectors in the document: blocks marked `vectors`, lines `name = hex`, continued by lines that are indented.
fn quoted() -> BTreeMap<&'static str, String> {
    let mut quoted: BTreeMap<&str, String> = BTreeMap::new();
    for block in FORMAT.split("```vectors\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let mut name = "";
        for line in block.lines() {
            let digits = match line.split_once(" = ") {
                Some((begun, digits)) => {
                    name = begun;
                    assert!(!quoted.contains_key(name), "{name} twice");
                    digits
                }
                None => line.strip_prefix("  ").unwrap_or_else(|| panic!("{line}")),
            };
            quoted.entry(name).or_default().push_str(digits);
        }
    }
    quoted
}

#[test]
fn quoted_vectors_are_the_frozen_ones() {
    let frozen = vectors::frozen();
    let quoted = quoted();
    assert!(quoted.len() > 20, "{}", quoted.len());
    for (name, digits) in &quoted {
        assert_eq!(Some(digits), frozen.get(*name).map(hex::encode).as_ref(), "{name}");
    }
    // What is too long to be quoted is a part of the answer or of the frames around it.
    for name in frozen.keys().filter(|name| !quoted.contains_key(name.as_str())) {
        let named = ["answer-", "unread-", "first-", "second-"].iter().any(|prefix| name.starts_with(prefix));
        assert!(named, "{name} is not in FORMAT.md");
    }
}
