//! A producer in another program: the Avro crate's generic values, which nothing of ours has touched.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::Value as Json;

/// The crate's own decoder.
pub fn decode(document: &str, mut datum: &[u8]) -> Value {
    let schema = Schema::parse_str(document).unwrap();
    let value = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut datum).unwrap();
    assert!(datum.is_empty());
    value
}

/// The crate's own encoder, checking the value against the schema first.
pub fn encode(document: &str, value: &Value) -> Vec<u8> {
    let schema = Schema::parse_str(document).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value.clone()).unwrap()
}

/// What a datum means, as JSON.
pub fn meaning(document: &str, datum: &[u8]) -> Json {
    plain(decode(document, datum))
}

fn plain(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Long(value) | Value::TimestampMicros(value) => value.into(),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => hex::encode(bytes).into(),
        Value::String(text) | Value::Enum(_, text) => text.into(),
        Value::Union(_, value) => plain(*value),
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Map(values) => Json::Object(values.into_iter().map(|(key, value)| (key, plain(value))).collect()),
        Value::Record(fields) => Json::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).collect()),
        other => panic!("no schema of ours has {other:?}"),
    }
}

/// The field of a record value, through unions.
pub fn field<'v>(value: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(value, |value, name| match value {
        Value::Union(_, inner) => field(inner, name),
        Value::Record(fields) => &mut fields.iter_mut().find(|(known, _)| known == name).unwrap().1,
        other => panic!("{name} of {other:?}"),
    })
}

/// The fields of a record value, through unions; the empty path is the value itself.
pub fn fields<'v>(value: &'v mut Value, path: &str) -> &'v mut Vec<(String, Value)> {
    let value = if path.is_empty() { value } else { field(value, path) };
    match value {
        Value::Union(_, inner) => fields(inner, ""),
        Value::Record(fields) => fields,
        other => panic!("no record: {other:?}"),
    }
}

/// The definition of a field in a schema document.
pub fn definition<'s>(schema: &'s mut Json, path: &str) -> &'s mut Json {
    path.split('.').fold(schema, |schema, name| {
        let fields = definitions(schema);
        fields.iter_mut().find(|field| field["name"] == name).unwrap()
    })
}

/// The definitions of the fields of the record in a schema or in a field's type.
pub fn definitions(schema: &mut Json) -> &mut Vec<Json> {
    if schema["fields"].is_array() {
        return schema["fields"].as_array_mut().unwrap();
    }
    if schema["type"].is_array() {
        let branches = schema["type"].as_array_mut().unwrap();
        return definitions(branches.iter_mut().find(|branch| branch["fields"].is_array()).unwrap());
    }
    if schema["type"]["items"].is_object() {
        return definitions(&mut schema["type"]["items"]);
    }
    definitions(&mut schema["type"])
}
