//! Schema documents that are refused, and why.

use serde_json::{Value as Json, json};
use wire::{Limits, RequestReader, SchemaFault, SchemaId, limits, request_schema};

use crate::foreign::{definition, definitions};

type Expected = fn(&SchemaFault) -> bool;

fn add(document: &str) -> Result<(), SchemaFault> {
    RequestReader::new(Limits::default()).unwrap().add(SchemaId(5), document)
}

fn check(name: &str, change: fn(&mut Json), expected: Expected) {
    let mut document: Json = serde_json::from_str(request_schema()).unwrap();
    change(&mut document);
    let fault = add(&document.to_string()).expect_err(name);
    assert!(expected(&fault), "{name}: {fault:?}");
}

fn unresolvable(fault: &SchemaFault, at: &str) -> bool {
    matches!(fault, SchemaFault::Unresolvable { path, .. } if path == at)
}

#[test]
fn what_the_current_schema_cannot_read() {
    check(
        "required field missing",
        |s| definitions(s).retain(|f| f["name"] != "action"),
        |f| unresolvable(f, "action"),
    );
    check(
        "nested field missing",
        |s| definitions(definition(s, "actor")).retain(|f| f["name"] != "id"),
        |f| unresolvable(f, "actor.id"),
    );
    check("other type", |s| definition(s, "action")["type"] = "long".into(), |f| unresolvable(f, "action"));
    check(
        "demotion",
        |s| definition(s, "actor.on_behalf_of.delegation_depth")["type"] = "long".into(),
        |f| unresolvable(f, "actor.on_behalf_of.delegation_depth"),
    );
    check(
        "other unit",
        |s| definition(s, "occurred_at_us")["type"]["logicalType"] = "timestamp-millis".into(),
        |f| unresolvable(f, "occurred_at_us"),
    );
    check("other record", |s| s["name"] = "Order".into(), |f| unresolvable(f, ""));
    check(
        "other size",
        |s| definition(s, "approval.event_id")["type"]["size"] = 8.into(),
        |f| unresolvable(f, "approval.event_id"),
    );
    check(
        "in an array",
        |s| definition(s, "data_classes")["type"]["items"] = "long".into(),
        |f| unresolvable(f, "data_classes.[]"),
    );
    check(
        "a union of which nothing fits",
        |s| definition(s, "action")["type"] = json!(["null", "long"]),
        |f| unresolvable(f, "action"),
    );
}

#[test]
fn what_is_dangerous() {
    let with = |r#type: Json| {
        let mut document: Json = serde_json::from_str(request_schema()).unwrap();
        definitions(&mut document).push(json!({"name": "extra", "type": r#type}));
        document.to_string()
    };
    let nested = |depth: usize| (0..depth).fold(json!("long"), |inner, _| json!({"type": "array", "items": inner}));
    // Each level names the one below twice: small to write, 2^40 types to spell out.
    let doubling = (0..limits::SCHEMA_DEPTH_MAX + 2).fold(json!("null"), |inner, n| {
        let again = if n == 0 { json!("null") } else { json!(format!("L{}", n - 1)) };
        json!({"type": "record", "name": format!("L{n}"), "fields": [{"name": "a", "type": inner}, {"name": "b", "type": again}]})
    });
    let recursive = json!({"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]});
    let mutual = json!({"type": "record", "name": "A", "fields": [{"name": "b", "type":
        {"type": "record", "name": "B", "fields": [{"name": "a", "type": {"type": "array", "items": "A"}}]}}]});
    let cases: [(&str, String, Expected); 9] = [
        ("recursive", with(recursive), |f| matches!(f, SchemaFault::Recursive { name } if name == "lexecon.List")),
        ("mutually recursive", with(mutual), |f| matches!(f, SchemaFault::Recursive { name } if name == "lexecon.A")),
        ("deep", with(nested(limits::SCHEMA_DEPTH_MAX)), |f| matches!(f, SchemaFault::TooDeep { .. })),
        ("very deep", "[".repeat(60_000), |f| matches!(f, SchemaFault::TooDeep { .. })),
        ("deep by names", with(doubling), |f| matches!(f, SchemaFault::TooDeep { .. })),
        ("large", " ".repeat(limits::SCHEMA_BYTES_MAX + 1), |f| matches!(f, SchemaFault::TooLarge { .. })),
        ("no json", "{".into(), |f| matches!(f, SchemaFault::NotASchema { .. })),
        ("no schema", "{\"type\": \"quark\"}".into(), |f| matches!(f, SchemaFault::NotASchema { .. })),
        ("empty", String::new(), |f| matches!(f, SchemaFault::NotASchema { .. })),
    ];
    for (name, document, expected) in cases {
        let fault = add(&document).expect_err(name);
        assert!(expected(&fault), "{name}: {fault:?}");
    }
    // Just within the limit is taken: the root and the field's own level leave this many.
    add(&with(nested(limits::SCHEMA_DEPTH_MAX - 2))).unwrap();
}

#[test]
fn ids_are_given_once_and_schemas_are_counted() {
    let mut reader = RequestReader::new(Limits { schemas_max: 2, ..Limits::default() }).unwrap();
    reader.add(SchemaId(1), request_schema()).unwrap();
    reader.add(SchemaId(1), request_schema()).unwrap();
    let other = request_schema().replacen("A request for", "The request for", 1);
    assert_eq!(reader.add(SchemaId(1), &other), Err(SchemaFault::Taken { id: 1 }));
    reader.add(SchemaId(2), &other).unwrap();
    assert_eq!(reader.add(SchemaId(3), &other), Err(SchemaFault::TooMany { max: 2 }));
    assert!(reader.knows(SchemaId(2)) && !reader.knows(SchemaId(3)));
}
