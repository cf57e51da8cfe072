//! The schema documents themselves: all are compiled in, sections are tagged, personal fields are the ones that are split.

use std::fs;
use std::path::Path;

use apache_avro::Schema;
use serde_json::{Value as Json, json};
use wire::{BUILTIN_SCHEMAS, NEWEST, SchemaId};

use crate::samples::section;

fn schemas() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

#[test]
fn every_request_schema_is_built_in_under_its_version() {
    let mut found = fs::read_dir(schemas().join("request"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "avsc"))
        .map(|path| {
            let version: u32 = path.file_stem().unwrap().to_str().unwrap().strip_prefix('v').unwrap().parse().unwrap();
            (SchemaId(version), fs::read_to_string(path).unwrap())
        })
        .collect::<Vec<_>>();
    found.sort();
    assert_eq!(found, BUILTIN_SCHEMAS.iter().map(|(id, document)| (*id, (*document).to_owned())).collect::<Vec<_>>());
    assert_eq!((NEWEST, wire::request_schema()), *BUILTIN_SCHEMAS.last().unwrap());
}

#[test]
fn the_newest_of_every_subject_is_compiled_in() {
    for (subject, document) in [
        ("decision", wire::decision_schema()),
        ("policy", wire::policy_schema()),
        ("command", wire::command_schema()),
        ("outcome", wire::outcome_schema()),
        ("dead-letter", wire::dead_letter_schema()),
    ] {
        let versions = fs::read_dir(schemas().join(subject))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_file())
            .count();
        let newest = schemas().join(subject).join(format!("v{versions}.avsc"));
        assert_eq!(fs::read_to_string(newest).unwrap(), document, "{subject}");
        Schema::parse_str(document).unwrap();
    }
}

#[test]
fn sections_are_tagged_and_each_has_its_type() {
    let document: Json = serde_json::from_str(wire::decision_schema()).unwrap();
    let fields = document["fields"].as_array().unwrap();
    let tags: Vec<_> = fields.iter().map(|field| field["section"].as_u64().unwrap()).collect();
    assert_eq!(tags, [32].into_iter().chain(256..=273).collect::<Vec<_>>());
    for (field, tag) in fields.iter().zip(tags) {
        assert_eq!(field["name"], format!("s{tag}"));
        let r#type = if tag > 256 { json!("Person") } else { field["type"][1].clone() };
        assert_eq!(field["type"], json!(["null", r#type]));
    }
}

/// The copy of the request in the decision document is the request schema itself, in another namespace.
#[test]
fn decisions_hold_the_newest_request() {
    let mut shared: Json = serde_json::from_str(&section(32)).unwrap();
    let mut copy = crate::foreign::definition(&mut shared, "request")["type"][1].take();
    copy["namespace"] = "lexecon".into();
    assert_eq!(copy, serde_json::from_str::<Json>(wire::request_schema()).unwrap());
}

/// Paths of the fields that the document marks as personal.
fn marked(schema: &Json, path: &str, found: &mut Vec<String>) {
    match schema {
        Json::Array(branches) => branches.iter().for_each(|branch| marked(branch, path, found)),
        Json::Object(object) => {
            for field in object.get("fields").and_then(Json::as_array).into_iter().flatten() {
                let path = format!("{path}.{}", field["name"].as_str().unwrap());
                if field.get("personal").is_some() {
                    found.push(path.clone());
                }
                marked(&field["type"], &path, found);
            }
            for inner in ["type", "items", "values"] {
                object.get(inner).into_iter().for_each(|inner| marked(inner, path, found));
            }
        }
        _ => {}
    }
}

/// `Request::split` takes out exactly these; whoever marks another must teach it (`domain`, `parts` tests).
#[test]
fn marked_fields_are_those_that_split_takes_out() {
    let mut found = Vec::new();
    marked(&serde_json::from_str(wire::request_schema()).unwrap(), "", &mut found);
    assert_eq!(found, [".actor.id", ".actor.on_behalf_of.id", ".subjects.id", ".subjects.fields"]);
    let full = crate::generate::full();
    let meaning = |request| crate::foreign::meaning(wire::request_schema(), &wire::encode_request(request).unwrap());
    let (before, after) = (meaning(&full), meaning(&full.split().0));
    let mut expected = before.clone();
    expected["actor"]["id"] = "withheld".into();
    expected["actor"]["on_behalf_of"]["id"] = "withheld".into();
    for subject in expected["subjects"].as_array_mut().unwrap() {
        subject["id"] = "withheld".into();
        subject["fields"] = json!({});
    }
    assert_eq!(after, expected);
    assert_ne!(after, before);
}
