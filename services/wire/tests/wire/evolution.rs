//! Schema evolution on the path that requests take: framed bytes of another schema through [`RequestReader::read`].

use apache_avro::types::Value;
use domain::request::{ContextValue, IdType, Request, Risk, RiskClass};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use wire::{Limits, RequestReader, SchemaId, Undecodable, framing, request_schema};

use crate::foreign::{decode, definition, definitions, encode, field, fields};
use crate::generate::{full, request};

type Schema<'a> = &'a dyn Fn(&mut Json);
type Datum<'a> = &'a dyn Fn(&mut Value);
type Meaning<'a> = &'a dyn Fn(&mut Request);

/// Writes the full request under a changed schema, with a changed value, and reads it.
fn read(schema: Schema, datum: Datum) -> Result<Request, Undecodable> {
    let mut document: Json = serde_json::from_str(request_schema()).unwrap();
    schema(&mut document);
    let document = document.to_string();
    let mut value = decode(request_schema(), &wire::encode_request(&full()).unwrap());
    datum(&mut value);
    let mut reader = RequestReader::new(Limits::default()).unwrap();
    reader.add(SchemaId(77), &document).unwrap();
    reader.read(&framing::join(SchemaId(77), &encode(&document, &value)))
}

fn check(name: &str, schema: Schema, datum: Datum, meaning: Meaning) {
    let mut expected = full();
    meaning(&mut expected);
    let found = read(schema, datum).unwrap_or_else(|error| panic!("{name}: {error}"));
    let bytes = |request: &Request| hex::encode(wire::encode_request(request).unwrap());
    assert_eq!(bytes(&found), bytes(&expected), "{name}");
    assert!(found == expected, "{name}");
}

fn same(_: &mut Request) {}

fn untouched(_: &mut Value) {}

fn remove(fields: &mut Vec<(String, Value)>, name: &str) -> Value {
    let at = fields.iter().position(|(known, _)| known == name).unwrap();
    fields.remove(at).1
}

fn text(value: &str) -> Value {
    Value::String(value.into())
}

#[test]
fn identical_schema_under_a_foreign_id() {
    check("identical", &|_| {}, &untouched, &same);
    check("without documentation", &|s| drop(s.as_object_mut().unwrap().remove("doc")), &untouched, &same);
}

#[test]
fn fields_that_were_added_since() {
    for (name, meaning) in [
        ("purpose", (|r| r.purpose = None) as fn(&mut Request)),
        ("context", |r| r.context.clear()),
        ("subjects", |r| r.subjects.clear()),
        ("risk_class", |r| r.risk_class = RiskClass::Unknown),
        ("actor.roles", |r| r.actor.roles.clear()),
        ("actor.on_behalf_of", |r| r.actor.on_behalf_of = None),
        ("actor.on_behalf_of.delegation_depth", |r| r.actor.on_behalf_of.as_mut().unwrap().delegation_depth = 1),
    ] {
        let (parent, last) = name.rsplit_once('.').unwrap_or(("", name));
        let schema = |schema: &mut Json| {
            let parent = if parent.is_empty() { schema } else { definition(schema, parent) };
            definitions(parent).retain(|field| field["name"] != last);
        };
        check(name, &schema, &|value| drop(remove(fields(value, parent), last)), &meaning);
    }
}

#[test]
fn fields_that_were_removed_since() {
    let cases: [(&str, Json, Value); 8] = [
        ("long", json!("long"), Value::Long(-1)),
        ("double", json!("double"), Value::Double(1.5)),
        ("fixed", json!({"type": "fixed", "name": "F", "size": 3}), Value::Fixed(3, vec![1, 2, 3])),
        ("enum", json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), Value::Enum(1, "B".into())),
        ("array", json!({"type": "array", "items": "string"}), Value::Array(vec![text("a"), text("b")])),
        ("map", json!({"type": "map", "values": "float"}), Value::Map([("k".to_owned(), Value::Float(0.5))].into())),
        ("union", json!(["null", "bytes"]), Value::Union(1, Box::new(Value::Bytes(vec![0; 300])))),
        (
            "record",
            json!({"type": "record", "name": "R", "fields": [{"name": "n", "type": "null"}, {"name": "i", "type": "int"}]}),
            Value::Record(vec![("n".into(), Value::Null), ("i".into(), Value::Int(7))]),
        ),
    ];
    for (name, r#type, value) in cases {
        for place in ["", "actor", "subjects"] {
            let schema = |schema: &mut Json| {
                let parent = if place.is_empty() { schema } else { definition(schema, place) };
                definitions(parent).insert(1, json!({"name": "gone", "type": r#type}));
            };
            let datum = |datum: &mut Value| {
                let gone = || ("gone".to_owned(), value.clone());
                match place {
                    "subjects" => {
                        let Value::Array(subjects) = field(datum, place) else { panic!("no array") };
                        subjects.iter_mut().for_each(|subject| fields(subject, "").insert(1, gone()));
                    }
                    _ => fields(datum, place).insert(1, gone()),
                }
            };
            check(&format!("{name} in {place:?}"), &schema, &datum, &same);
        }
    }
}

#[test]
fn fields_renamed_by_alias() {
    for (place, old, new) in [("", "occurred_at", "occurred_at_us"), ("actor", "principal", "on_behalf_of")] {
        let path = if place.is_empty() { new.to_owned() } else { format!("{place}.{new}") };
        let schema = |schema: &mut Json| definition(schema, &path)["name"] = old.into();
        let datum = |value: &mut Value| {
            let fields = fields(value, place);
            fields.iter_mut().find(|(name, _)| name == new).unwrap().0 = old.into();
        };
        check(old, &schema, &datum, &same);
    }
}

#[test]
fn records_of_another_namespace() {
    check("namespace", &|schema| schema["namespace"] = "com.example.agents".into(), &untouched, &same);
}

#[test]
fn promotions() {
    check(
        "int to long",
        &|schema| definition(schema, "amount.minor_units")["type"] = "int".into(),
        &|value| *field(value, "amount.minor_units") = Value::Int(129_900),
        &same,
    );
    check(
        "int to long with a logical type",
        &|schema| definition(schema, "occurred_at_us")["type"] = "int".into(),
        &|value| *field(value, "occurred_at_us") = Value::Int(-5),
        &|request| request.occurred_at_us = -5,
    );
    check(
        "plain long to a logical type",
        &|schema| definition(schema, "occurred_at_us")["type"] = "long".into(),
        &|value| *field(value, "occurred_at_us") = Value::Long(1_790_000_000_123_456),
        &same,
    );
    check(
        "bytes to string",
        &|schema| definition(schema, "amount.currency")["type"] = "bytes".into(),
        &|value| *field(value, "amount.currency") = Value::Bytes(b"EUR".to_vec()),
        &same,
    );
    check(
        "bytes to string inside a union",
        &|schema| definition(schema, "intent")["type"] = json!(["null", "bytes"]),
        &|value| *field(value, "intent") = Value::Union(1, Box::new(Value::Bytes("schön".into()))),
        &|request| request.intent = Some("schön".into()),
    );
    check(
        "int to the long of a union",
        &|schema| definition(schema, "context")["type"]["values"] = "int".into(),
        &|value| *field(value, "context") = Value::Map([("attempt".to_owned(), Value::Int(-3))].into()),
        &|request| request.context.retain(|_, value| *value == ContextValue::Long(-3)),
    );
    assert_eq!(
        read(&|schema| definition(schema, "amount.currency")["type"] = "bytes".into(), &|value| *field(
            value,
            "amount.currency"
        ) =
            Value::Bytes(vec![0xff, 0xfe, 0xfd]),)
        .map(drop),
        Err(Undecodable::Utf8)
    );
}

#[test]
fn fields_in_another_order() {
    check("top reversed", &|schema| definitions(schema).reverse(), &|value| fields(value, "").reverse(), &same);
    let everywhere: [&str; 6] = ["", "actor", "actor.on_behalf_of", "amount", "risk", "resource"];
    let schema = |schema: &mut Json| {
        for place in everywhere.iter().rev() {
            let parent = if place.is_empty() { &mut *schema } else { definition(schema, place) };
            definitions(parent).reverse();
        }
        // A type must still be defined before it is used.
        let kind = definition(schema, "actor.kind")["type"].take();
        definition(schema, "actor.kind")["type"] = "ActorKind".into();
        definition(schema, "actor.on_behalf_of.kind")["type"] = kind;
    };
    check(
        "reversed everywhere",
        &schema,
        &|value| everywhere.iter().rev().for_each(|place| fields(value, place).reverse()),
        &same,
    );
}

#[test]
fn unions() {
    let opened = |value: &mut Value| {
        let Value::Union(_, inner) = std::mem::replace(value, Value::Null) else { panic!("no union") };
        *value = *inner;
    };
    let always = |schema: &mut Json| {
        definition(schema, "tool")["type"] = "string".into();
        definition(schema, "tool").as_object_mut().unwrap().remove("default");
    };
    check("widened from a plain type", &always, &|value| opened(field(value, "tool")), &same);
    let plain = |schema: &mut Json| {
        let principal = definition(schema, "actor.on_behalf_of");
        principal["type"] = principal["type"][1].take();
        principal.as_object_mut().unwrap().remove("default");
    };
    check("widened from a record", &plain, &|value| opened(field(value, "actor.on_behalf_of")), &same);
    check(
        "widened from fewer branches",
        &|schema| definition(schema, "risk")["type"] = json!(["null", "int"]),
        &|value| *field(value, "risk") = Value::Union(1, Box::new(Value::Int(12))),
        &|request| request.risk = Some(Risk::Score(12)),
    );
    check(
        "branches in another order",
        &|schema| {
            definition(schema, "purpose")["type"] = json!(["string", "null"]);
            definition(schema, "purpose").as_object_mut().unwrap().remove("default");
        },
        &|value| *field(value, "purpose") = Value::Union(0, Box::new(text("invoicing"))),
        &same,
    );
    check(
        "narrowed to a plain type",
        &|schema| definition(schema, "action")["type"] = json!(["null", "string"]),
        &|value| *field(value, "action") = Value::Union(1, Box::new(text("send_money"))),
        &same,
    );
    let null_action = |value: &mut Value| *field(value, "action") = Value::Union(0, Box::new(Value::Null));
    assert_eq!(
        read(&|schema| definition(schema, "action")["type"] = json!(["null", "string"]), &null_action).map(drop),
        Err(Undecodable::NoPlace)
    );
    let doubles = |schema: &mut Json| definition(schema, "context")["type"]["values"] = json!(["double", "long"]);
    let context = |value: Value| {
        move |datum: &mut Value| *field(datum, "context") = Value::Map([("attempt".to_owned(), value.clone())].into())
    };
    check(
        "a branch without a place, unused",
        &doubles,
        &context(Value::Union(1, Box::new(Value::Long(-3)))),
        &|request| {
            request.context.retain(|_, value| *value == ContextValue::Long(-3));
        },
    );
    assert_eq!(
        read(&doubles, &context(Value::Union(0, Box::new(Value::Double(1.0))))).map(drop),
        Err(Undecodable::NoPlace)
    );
}

#[test]
fn enums() {
    let symbols = |path: &'static str, symbols: Json| {
        move |schema: &mut Json| {
            let r#type = &mut definition(schema, path)["type"];
            r#type["symbols"] = symbols.clone();
            r#type.as_object_mut().unwrap().remove("default");
        }
    };
    check(
        "other order",
        &symbols("risk_class", json!(["unacceptable", "high", "limited", "minimal", "unknown"])),
        &|value| *field(value, "risk_class") = Value::Enum(1, "high".into()),
        &same,
    );
    check(
        "unknown symbol with a default",
        &symbols("risk_class", json!(["unknown", "systemic"])),
        &|value| *field(value, "risk_class") = Value::Enum(1, "systemic".into()),
        &|request| request.risk_class = RiskClass::Unknown,
    );
    let kinds = |schema: &mut Json| {
        definitions(definition(schema, "subjects"))[0]["type"]["symbols"] = json!(["passport", "email", "customer"]);
    };
    let subjects = |symbols: [(u32, &'static str); 2]| {
        move |datum: &mut Value| {
            let Value::Array(subjects) = field(datum, "subjects") else { panic!("no array") };
            for (subject, (index, symbol)) in subjects.iter_mut().zip(symbols) {
                *field(subject, "id_type") = Value::Enum(index, symbol.into());
            }
        }
    };
    check("known symbols", &kinds, &subjects([(2, "customer"), (1, "email")]), &|request| {
        request.subjects[0].id_type = IdType::Customer;
        request.subjects[1].id_type = IdType::Email;
    });
    assert_eq!(read(&kinds, &subjects([(0, "passport"), (1, "email")])).map(drop), Err(Undecodable::Symbol));
}

/// Arrays and maps in several blocks, with and without their sizes, as streaming writers make them.
#[test]
fn blocks() {
    for id in [SchemaId(1), SchemaId(2)] {
        let mut reader = RequestReader::with_builtin(Limits::default()).unwrap();
        let mut document: Json = serde_json::from_str(request_schema()).unwrap();
        definitions(&mut document).push(json!({"name": "extra", "type": "null"}));
        reader.add(SchemaId(2), &document.to_string()).unwrap();
        let canonical = wire::encode_request(&full()).unwrap();
        // [2 items] "financial" "personal" [end]
        let one = b"\x04\x12financial\x10personal\x00";
        let at = canonical.windows(one.len()).position(|window| window == one).unwrap();
        for many in [
            &b"\x02\x12financial\x02\x10personal\x00"[..],
            b"\x03\x26\x12financial\x10personal\x00",
            b"\x01\x14\x12financial\x01\x12\x10personal\x00",
            b"\x02\x12financial\x01\x12\x10personal\x00",
        ] {
            let datum = [&canonical[..at], many, &canonical[at + one.len()..]].concat();
            assert!(reader.read(&framing::join(id, &datum)).unwrap() == full());
        }
        let lying = [&canonical[..at], b"\x03\x24\x12financial\x10personal\x00", &canonical[at + one.len()..]].concat();
        assert_eq!(reader.read(&framing::join(id, &lying)).map(drop), Err(Undecodable::Block));
    }
}

proptest! {
    #[test]
    fn any_request_survives_a_round_through_another_schema(request in request()) {
        let mut document: Json = serde_json::from_str(request_schema()).unwrap();
        definitions(&mut document).reverse();
        definitions(&mut document).insert(3, json!({"name": "gone", "type": {"type": "array", "items": "null"}}));
        let document = document.to_string();
        let canonical = wire::encode_request(&request).unwrap();
        let mut value = decode(request_schema(), &canonical);
        fields(&mut value, "").reverse();
        fields(&mut value, "").insert(3, ("gone".into(), Value::Array(vec![Value::Null; 9])));
        let mut reader = RequestReader::with_builtin(Limits::default()).unwrap();
        reader.add(SchemaId(9), &document).unwrap();
        prop_assert!(reader.read(&framing::join(SchemaId(9), &encode(&document, &value))).unwrap() == request);
        prop_assert!(reader.read(&framing::join(SchemaId(1), &canonical)).unwrap() == request);
    }

    /// Our writer against the crate's generic one, and our reader against the crate's: the same bytes, the same meaning.
    #[test]
    fn canonical_bytes_are_what_the_crate_would_write(request in request()) {
        let mut request = request;
        // The crate keeps maps in hash order; of one entry there is one order.
        request.context = request.context.into_iter().take(1).collect();
        request.subjects.iter_mut().for_each(|subject| subject.fields = std::mem::take(&mut subject.fields).into_iter().take(1).collect());
        let canonical = wire::encode_request(&request).unwrap();
        prop_assert_eq!(&encode(request_schema(), &decode(request_schema(), &canonical)), &canonical);
        prop_assert!(wire::decode_request(&canonical).unwrap() == request);
    }
}
