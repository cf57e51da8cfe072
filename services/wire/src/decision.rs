//! The Avro sections of an event that answers a request: what its readers share, and one part for each person.
//!
//! Invariants: one document holds both types, so that one `schema_hash` names it; a section is encoded by the type of
//! its field in that document, which are section 32 and sections 256 to 273. What is here is sealed before it is
//! stored: nothing of it may be printed, so `Debug` shows sizes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use domain::request::{PersonRole, PersonalPart, Request, Severity};
use serde::{Deserialize, Serialize};

use crate::error::{BadField, Error, Undecodable};
use crate::limits::RECORD_BYTES_MAX;
use crate::schema::codec::{Builtin, Codec, builtin};
use crate::schema::datum::{Fixed, Text};
use crate::{fields, terms};

const DOCUMENT: &str = include_str!("../../../schemas/decision/v1.avsc");

static SHARED: Builtin = LazyLock::new(|| Codec::of_named(DOCUMENT, "lexecon.decision.Shared"));
static PERSON: Builtin = LazyLock::new(|| Codec::of_named(DOCUMENT, "lexecon.decision.Person"));

/// The schema document that events name by its hash.
pub fn decision_schema() -> &'static str {
    DOCUMENT
}

/// Section 32: what every reader of a decision shares. No subject's values.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedPart {
    /// Of the commitment to the request.
    pub nonce: [u8; 32],
    /// The request without its persons ([`Request::split`]); none if the input could not be decoded.
    pub request: Option<Request>,
    /// Why it was decided so, in plain language.
    pub explanation: String,
    /// What was wrong with the input; empty if nothing was.
    pub detail: String,
    /// Of an escalation.
    pub severity: Option<Severity>,
    /// As evaluated, 0 to 100.
    pub risk_score: Option<u8>,
    /// Where undecodable input was set aside. A hash of it is deliberately nowhere.
    pub undecodable: Option<DeadLetterRef>,
}

impl fmt::Debug for SharedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPart")
            .field("request", &self.request.is_some())
            .field("explanation_bytes", &self.explanation.len())
            .field("detail_bytes", &self.detail.len())
            .finish_non_exhaustive()
    }
}

/// Place of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterRef {
    /// Partition of the dead-letter topic.
    pub partition: u32,
    /// Position in it.
    pub position: u64,
}

#[derive(Serialize, Deserialize)]
struct Shared<'a> {
    nonce: Fixed<32>,
    #[serde(borrow)]
    request: Option<fields::Request<'a>>,
    #[serde(borrow)]
    explanation: Text<'a>,
    #[serde(borrow)]
    detail: Text<'a>,
    severity: Option<terms::Severity>,
    risk_score: Option<i32>,
    undecodable: Option<Place>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "DeadLetterRef")]
struct Place {
    partition: i64,
    position: i64,
}

/// Encodes section 32.
///
/// # Errors
/// [`Error::Field`] for a value that the schema cannot hold.
pub fn encode_shared(part: &SharedPart) -> Result<Vec<u8>, Error> {
    let range = Error::Field { path: "undecodable.position", why: BadField::Range };
    let place = |place: DeadLetterRef| match i64::try_from(place.position) {
        Ok(position) => Ok(Place { partition: i64::from(place.partition), position }),
        Err(_) => Err(range),
    };
    builtin(&SHARED)?.encode(&Shared {
        nonce: Fixed(part.nonce),
        request: part.request.as_ref().map(fields::Request::try_from).transpose()?,
        explanation: Text::from(&part.explanation),
        detail: Text::from(&part.detail),
        severity: part.severity.map(Into::into),
        risk_score: part.risk_score.map(i32::from),
        undecodable: part.undecodable.map(place).transpose()?,
    })
}

/// Decodes section 32.
///
/// # Errors
/// [`Error::Undecodable`].
pub fn decode_shared(bytes: &[u8]) -> Result<SharedPart, Error> {
    let shared: Shared<'_> = builtin(&SHARED)?.decode(bytes, RECORD_BYTES_MAX)?;
    let range = |path: &str| Undecodable::Field { path: path.to_owned(), why: BadField::Range };
    let place = |place: Place| {
        Ok::<_, Undecodable>(DeadLetterRef {
            partition: u32::try_from(place.partition).map_err(|_| range("undecodable.partition"))?,
            position: u64::try_from(place.position).map_err(|_| range("undecodable.position"))?,
        })
    };
    Ok(SharedPart {
        nonce: shared.nonce.0,
        request: shared.request.map(Request::try_from).transpose()?,
        explanation: shared.explanation.into(),
        detail: shared.detail.into(),
        severity: shared.severity.map(Into::into),
        risk_score: shared.risk_score.map(u8::try_from).transpose().map_err(|_| range("risk_score"))?,
        undecodable: shared.undecodable.map(place).transpose()?,
    })
}

#[derive(Serialize, Deserialize)]
struct Person<'a> {
    role: Role,
    position: i32,
    id_type: terms::IdType,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    fields: BTreeMap<Text<'a>, Text<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Actor,
    OnBehalfOf,
    Subject,
}

/// Encodes a person's section.
///
/// # Errors
/// [`Error`] if the built-in schema is broken.
pub fn encode_person(part: &PersonalPart) -> Result<Vec<u8>, Error> {
    let (role, position) = match part.role {
        PersonRole::Actor => (Role::Actor, 0),
        PersonRole::OnBehalfOf => (Role::OnBehalfOf, 0),
        PersonRole::Subject(position) => (Role::Subject, i32::from(position)),
    };
    builtin(&PERSON)?.encode(&Person {
        role,
        position,
        id_type: part.id_type.into(),
        id: Text::from(&part.id),
        fields: part
            .fields
            .iter()
            .map(|(name, value)| (Text::from(name.as_str()), Text::from(value.as_str())))
            .collect(),
    })
}

/// Decodes a person's section.
///
/// # Errors
/// [`Error::Undecodable`].
pub fn decode_person(bytes: &[u8]) -> Result<PersonalPart, Error> {
    let person: Person<'_> = builtin(&PERSON)?.decode(bytes, RECORD_BYTES_MAX)?;
    let range = || Undecodable::Field { path: "position".to_owned(), why: BadField::Range };
    let role = match (person.role, person.position) {
        (Role::Actor, 0) => PersonRole::Actor,
        (Role::OnBehalfOf, 0) => PersonRole::OnBehalfOf,
        (Role::Subject, position) => PersonRole::Subject(u8::try_from(position).map_err(|_| range())?),
        _ => return Err(range().into()),
    };
    let fields = person.fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    Ok(PersonalPart { role, id_type: person.id_type.into(), id: person.id.into(), fields })
}
