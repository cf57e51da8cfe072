//! Avro and domain values.
//!
//! The only room that knows Avro. Everything that enters is walked within [`limits`] before it is decoded, and every
//! way of failing has a code and holds no byte of what failed ([`Undecodable`]). Schemas are files under `schemas/`,
//! frozen when released and compiled in. Canonical bytes ([`encode_request`]) are the same for the same request.
//!
//! Deliberately not here: what a request must be to be decided (`domain`), sealing (`ledger`), and fetching schemas
//! from a registry, which gives its documents to [`RequestReader::add`].

mod command;
mod dead_letter;
mod decision;
mod error;
mod fields;
pub mod framing;
pub mod limits;
mod outcome;
mod policy;
mod request;
mod schema;
mod terms;

pub use command::{CommandRecord, Mark, command_schema};
pub use dead_letter::{DeadLetter, Header, dead_letter_schema};
pub use decision::{
    DeadLetterRef, SharedPart, decision_schema, decode_person, decode_shared, encode_person, encode_shared,
};
pub use error::{BadField, Error, SchemaFault, Undecodable};
pub use framing::SchemaId;
pub use limits::Limits;
pub use outcome::{Outcome, OutcomeRecord, outcome_schema};
pub use policy::{PolicyRecord, policy_schema};
pub use request::{
    BUILTIN_SCHEMAS, NEWEST, RequestReader, decode_request, encode_request, frame_request, request_schema,
};
