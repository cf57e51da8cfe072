//! What can be wrong at this boundary.
//!
//! Invariant: nothing here holds a byte of a payload. The Avro crate's own errors quote values, so they are dropped
//! and replaced by ours. Schema documents are not personal: faults of schemas may name what they are about.

use domain::ids::BadName;

/// Why bytes are no value of the expected kind. Closed: every way of failing has its code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// No magic byte, or too short for a schema id.
    #[error("not in the confluent wire format: send 0x00, the schema id in 4 bytes, then the datum")]
    NotFramed,
    /// The writer schema is not known.
    #[error("schema id {id} is not known: register the schema first")]
    UnknownSchema {
        /// As found in the framing.
        id: u32,
    },
    /// More bytes than allowed.
    #[error("larger than {max} bytes: send less")]
    TooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// The bytes end inside a value.
    #[error("ends inside a value: send the whole datum, with the id of the schema that wrote it")]
    Truncated,
    /// Bytes are left after the datum.
    #[error("{bytes} bytes are left after the datum: send one datum, with the id of the schema that wrote it")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A variable-length integer of more than 64 bits, or one outside its type.
    #[error("holds an integer outside its type: encode as the avro specification says")]
    Number,
    /// A truth value other than 0 and 1.
    #[error("holds a truth value other than 0 and 1: encode as the avro specification says")]
    Boolean,
    /// Text that is no UTF-8.
    #[error("holds text that is no utf-8: encode text as utf-8")]
    Utf8,
    /// A branch of a union that its schema does not have.
    #[error("names a branch that its union does not have: send the id of the schema that wrote it")]
    Branch,
    /// A value that the writer's schema allows and the current one has no place for.
    #[error("holds a value of a type that the current schema has no place for: use the current schema")]
    NoPlace,
    /// A symbol that its enum, or the current one, does not have.
    #[error("holds a symbol that the current schema does not have: use the current schema")]
    Symbol,
    /// A length or count that the bytes cannot hold.
    #[error("claims more entries or bytes than follow: encode as the avro specification says")]
    Count,
    /// A block of an array or map is not as long as it says.
    #[error("holds a block that is not as long as it says: encode as the avro specification says")]
    Block,
    /// The same key twice in a map.
    #[error("holds the same key twice in a map: send each key once")]
    DuplicateKey,
    /// More values than allowed, most of them without bytes.
    #[error("holds more than {max} values: send less")]
    TooManyValues {
        /// The limit.
        max: u64,
    },
    /// Defaults would make it larger than allowed.
    #[error("grows beyond {max} bytes under the current schema: use the current schema")]
    Expands {
        /// The limit in bytes.
        max: usize,
    },
    /// A field has a value that no request can have.
    #[error("{path} {why}")]
    Field {
        /// Where, for example `subjects[2].id`.
        path: String,
        /// What it must be.
        why: BadField,
    },
    /// The bytes have the schema's shape and still do not make the value: a fault of ours, never of the sender.
    #[error("does not fit the type for its schema: report this as a defect")]
    Shape,
}

impl Undecodable {
    /// Stable machine-readable name.
    pub fn code(&self) -> &'static str {
        match self {
            Undecodable::NotFramed => "not_framed",
            Undecodable::UnknownSchema { .. } => "unknown_schema",
            Undecodable::TooLarge { .. } => "too_large",
            Undecodable::Truncated => "truncated",
            Undecodable::Trailing { .. } => "trailing_bytes",
            Undecodable::Number => "bad_number",
            Undecodable::Boolean => "bad_boolean",
            Undecodable::Utf8 => "bad_utf8",
            Undecodable::Branch => "bad_branch",
            Undecodable::NoPlace => "no_place",
            Undecodable::Symbol => "bad_symbol",
            Undecodable::Count => "bad_count",
            Undecodable::Block => "bad_block",
            Undecodable::DuplicateKey => "duplicate_key",
            Undecodable::TooManyValues { .. } => "too_many_values",
            Undecodable::Expands { .. } => "expands",
            Undecodable::Field { .. } => "bad_field",
            Undecodable::Shape => "bad_shape",
        }
    }
}

/// What a field must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadField {
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A number outside its range.
    #[error("must be a whole number within its range")]
    Range,
    /// No currency code.
    #[error("must be an ISO 4217 code of three upper-case letters")]
    Currency,
}

/// Why a schema document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    /// More bytes than allowed.
    #[error("the schema is larger than {max} bytes: make it smaller")]
    TooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// Nested more deeply than allowed.
    #[error("the schema is nested more than {max} deep: make it flatter")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More types than allowed.
    #[error("the schema has more than {max} types: make it smaller")]
    TooManyTypes {
        /// The limit.
        max: usize,
    },
    /// Not Avro.
    #[error("not an avro schema: {detail}")]
    NotASchema {
        /// What the parser says, cut to 200 characters.
        detail: String,
    },
    /// A type that contains itself, so that data may be nested without limit.
    #[error("{name} contains itself: recursive schemas are refused")]
    Recursive {
        /// Full name of the type.
        name: String,
    },
    /// A reference to a type that is not defined before it, or one defined twice.
    #[error("{name} must be defined once, before its first use")]
    Undefined {
        /// Full name of the type.
        name: String,
    },
    /// The current schema cannot read what this one writes.
    #[error("the current schema cannot read it at {path}: {why}")]
    Unresolvable {
        /// Where in the current schema, for example `actor.kind`.
        path: String,
        /// What does not fit.
        why: &'static str,
    },
    /// The id stands for another document.
    #[error("schema id {id} stands for another schema: ids are given once")]
    Taken {
        /// The id.
        id: u32,
    },
    /// More schemas than allowed.
    #[error("more than {max} schemas: retire some")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A compiled-in schema is broken; every build is tested against this.
    #[error("a built-in schema is broken, rebuild from an unchanged source: {0}")]
    Schema(#[from] SchemaFault),
    /// A field has a value that its schema cannot hold.
    #[error("{path} {why}")]
    Field {
        /// Where.
        path: &'static str,
        /// What it must be.
        why: BadField,
    },
    /// The value does not fit its schema: a fault of ours.
    #[error("the value does not fit its schema, report this as a defect")]
    Unencodable,
    /// The bytes are no such value.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
}
