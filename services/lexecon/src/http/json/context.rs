//! Maps and values of a body whose keys the producer chooses: no key twice, no floats, no nesting.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use utoipa::openapi::{OneOfBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A value of the free context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextBody {
    /// A whole number of 64 bits.
    Long(i64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// A set of texts; order and repeats do not count.
    Set(Vec<String>),
}

impl PartialSchema for ContextBody {
    fn schema() -> RefOr<Schema> {
        let texts = Vec::<String>::schema();
        OneOfBuilder::new().item(i64::schema()).item(bool::schema()).item(String::schema()).item(texts).into()
    }
}

impl ToSchema for ContextBody {}

struct ContextVisitor;

impl<'de> Visitor<'de> for ContextVisitor {
    type Value = ContextBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of 64 bits, true or false, a text, or a list of texts")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<ContextBody, E> {
        Ok(ContextBody::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<ContextBody, E> {
        Ok(ContextBody::Long(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<ContextBody, E> {
        let out_of_range = |_| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self);
        i64::try_from(value).map(ContextBody::Long).map_err(out_of_range)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<ContextBody, E> {
        Ok(ContextBody::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<ContextBody, E> {
        Ok(ContextBody::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ContextBody, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = seq.next_element::<String>()? {
            members.push(member);
        }
        Ok(ContextBody::Set(members))
    }
}

impl<'de> Deserialize<'de> for ContextBody {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ContextBody, D::Error> {
        from.deserialize_any(ContextVisitor)
    }
}

/// The free context: names to values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextEntries(pub BTreeMap<String, ContextBody>);

/// A subject's fields: names to texts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldEntries(pub BTreeMap<String, String>);

impl fmt::Debug for FieldEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldEntries({})", self.0.len())
    }
}

struct Unique<V>(&'static str, PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
            }
            let value = map.next_value()?;
            entries.insert(key, value);
        }
        Ok(entries)
    }
}

impl<'de> Deserialize<'de> for ContextEntries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ContextEntries, D::Error> {
        from.deserialize_map(Unique("an object of names and values", PhantomData)).map(ContextEntries)
    }
}

impl<'de> Deserialize<'de> for FieldEntries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<FieldEntries, D::Error> {
        from.deserialize_map(Unique("an object of names and texts", PhantomData)).map(FieldEntries)
    }
}
