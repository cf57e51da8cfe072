//! From a stored event and keys to everything that can still be read.
//!
//! Invariants: `Erased` is said only when the ledger's state says so, a key that is merely not there is `KeyMissing`, a
//! fault; a person whose key is gone takes nothing else along: the rest of the event stays readable. What was opened is
//! exactly what was sealed, so an event can be sealed again from its record, byte for byte ([`reseal`]).
//! Deliberately not here: who may see what was opened.

use std::collections::BTreeMap;
use std::fmt;

use domain::command::Identity;
use domain::event::{Answer, AnswerKind};
use domain::ids::Origin;
use domain::request::{PersonRole, PersonalPart, Request};
use ledger::layout::{Facts, Outcome};
use ledger::seal::{Context, Envelope};
use ledger::{NewEvent, StoredEvent, section_tag};
use policy::ReasonCode;
use wire::SharedPart;

use super::clear::{self, Clear};
use super::seal::{Sealing, seal_committed};
use super::{Error, KeyState, Material, SectionKey, numbers};

/// Where data keys come from.
///
/// MUST: answer from the ledger's state whether a key counts or was erased, and `Live` only with the key that the
/// ledger committed to. MUST NOT: answer `Erased` because a key is not there.
pub trait Keys {
    /// A data key of a partition.
    ///
    /// # Errors
    /// Whether it counts, or where it is, cannot be told.
    fn dek(&self, partition: u32, dek_id: &[u8; 16]) -> Result<KeyState, crate::keys::Error>;
}

/// What became of a sealed value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Read<T> {
    /// It can be read.
    Value(T),
    /// Its key was forgotten on purpose.
    Erased,
    /// Its key must not be used for the time being.
    Restricted,
    /// Its bytes are not in this copy.
    Pruned,
    /// Its key ought to be there and is not: a fault.
    KeyMissing,
    /// It does not open, or what it holds is not understood: a fault.
    Corrupt,
}

impl<T> Read<T> {
    /// The value, if it can be read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Read::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The value, or why there is none.
    fn into_result<U>(self) -> Result<T, Read<U>> {
        match self {
            Read::Value(value) => Ok(value),
            Read::Erased => Err(Read::Erased),
            Read::Restricted => Err(Read::Restricted),
            Read::Pruned => Err(Read::Pruned),
            Read::KeyMissing => Err(Read::KeyMissing),
            Read::Corrupt => Err(Read::Corrupt),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Read::Value(_) => "Value",
            Read::Erased => "Erased",
            Read::Restricted => "Restricted",
            Read::Pruned => "Pruned",
            Read::KeyMissing => "KeyMissing",
            Read::Corrupt => "Corrupt",
        }
    }
}

impl<T> fmt::Debug for Read<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the value: it was sealed for a reason.
        f.write_str(self.name())
    }
}

/// An event that answers a request, as far as it can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its type.
    pub event_type: u16,
    /// Its place.
    pub seq: u64,
    /// Section 1.
    pub facts: Facts,
    /// Section 2.
    pub outcome: Outcome,
    /// Section 32.
    pub shared: Read<SharedPart>,
    /// Sections of persons, by tag.
    pub persons: Vec<(u16, Read<PersonalPart>)>,
    /// The whole request, when all of it can be read. None also for input that was no request.
    pub request: Option<Request>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("seq", &self.seq)
            .field("shared", &self.shared)
            .field("persons", &self.persons)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// Whether everything in it can be read.
    pub fn is_readable(&self) -> bool {
        self.shared.value().is_some() && self.persons.iter().all(|(_, part)| part.value().is_some())
    }

    /// The answer as the domain gave it; none when something cannot be read any more. `forwarded_to` says to which
    /// partition a request belongs (by its routing key), for an answer that forwarded it.
    ///
    /// # Errors
    /// A number in clear that this version does not know.
    pub fn answer(&self, forwarded_to: impl FnOnce(&Request) -> u32) -> Result<Option<Answer>, Error> {
        let Read::Value(shared) = &self.shared else { return Ok(None) };
        if !self.is_readable() {
            return Ok(None);
        }
        let unknown = |what, found: u64| Error::Unknown { seq: self.seq, what, found };
        let Opened { facts, outcome, .. } = self;
        let kind = match (numbers::to_answer_kind(self.event_type), &self.request) {
            (Some(AnswerKind::Rerouted { .. }), Some(request)) => {
                AnswerKind::Rerouted { partition: forwarded_to(request) }
            }
            (Some(kind), _) => kind,
            (None, _) => return Err(Error::NoAnswer { seq: self.seq, event_type: self.event_type }),
        };
        Ok(Some(Answer {
            kind,
            identity: Identity { key: facts.request_key, mac: facts.request_mac },
            request: self.request.clone(),
            outcome: numbers::to_outcome(outcome.outcome).ok_or_else(|| unknown("outcome", outcome.outcome.into()))?,
            reason: ReasonCode::from_number(outcome.reason_code)
                .ok_or_else(|| unknown("reason code", outcome.reason_code.into()))?,
            policies: outcome.policies.clone(),
            obligations: outcome.obligations.clone(),
            severity: shared.severity,
            explanation: shared.explanation.clone(),
            detail: shared.detail.clone(),
            bundle_hash: facts.bundle_hash.0,
            mode: numbers::to_mode(facts.mode).ok_or_else(|| unknown("mode", facts.mode.into()))?,
            retention_class: numbers::to_retention_class(facts.retention_class)
                .ok_or_else(|| unknown("retention class", facts.retention_class.into()))?,
            risk_score: shared.risk_score,
        }))
    }
}

/// Opens an event that answers a request.
///
/// # Errors
/// The event is of another type, a clear section is damaged, a key cannot be looked up, or parts that opened do not
/// make a request (a fault of the program that sealed them).
pub fn open(event: &StoredEvent<'_>, keys: &dyn Keys) -> Result<Opened, Error> {
    let (facts, outcome) = (clear::facts(event)?, clear::outcome(event)?);
    let shared = read(event, section_tag::SHARED, keys, wire::decode_shared)?;
    let mut persons = Vec::new();
    for entry in event.body.sections.iter().filter(|entry| entry.tag >= section_tag::SUBJECT_FIRST) {
        let part = read(event, entry.tag, keys, wire::decode_person)?;
        let misplaced = part.value().is_some_and(|part| numbers::person_tag(part.role) != Some(entry.tag));
        persons.push((entry.tag, if misplaced { Read::Corrupt } else { part }));
    }
    let request = join(event.body.seq, &shared, &persons)?;
    Ok(Opened { event_type: event.body.event_type, seq: event.body.seq, facts, outcome, shared, persons, request })
}

fn join(seq: u64, shared: &Read<SharedPart>, persons: &[(u16, Read<PersonalPart>)]) -> Result<Option<Request>, Error> {
    let Some(impersonal) = shared.value().and_then(|shared| shared.request.clone()) else { return Ok(None) };
    let parts: Option<Vec<PersonalPart>> = persons.iter().map(|(_, part)| part.value().cloned()).collect();
    parts.map(|parts| Request::join(impersonal, parts).map_err(|fault| Error::Join { seq, fault })).transpose()
}

fn read<T>(
    event: &StoredEvent<'_>,
    tag: u16,
    keys: &dyn Keys,
    decode: impl FnOnce(&[u8]) -> Result<T, wire::Error>,
) -> Result<Read<T>, Error> {
    let (envelope, key) = match lookup(event, tag, keys)? {
        Ok(found) => found,
        Err(why) => return Ok(why),
    };
    let context = Context {
        chain: event.body.chain,
        event_id: event.body.event_id,
        section_tag: tag,
        schema_hash: event.body.schema_hash,
        dek_id: key.dek_id,
        dek_version: key.period,
    };
    let opened = ledger::seal::open(&key.dek, &context, envelope);
    Ok(match opened.map(|plaintext| decode(&plaintext)) {
        Ok(Ok(value)) => Read::Value(value),
        Ok(Err(_)) | Err(_) => Read::Corrupt,
    })
}

/// The bytes of a sealed section and the key that they name, or why they cannot be opened.
#[expect(clippy::type_complexity, reason = "the outer result is a fault, the inner one an answer")]
fn lookup<'a, T>(
    event: &StoredEvent<'a>,
    tag: u16,
    keys: &dyn Keys,
) -> Result<Result<(&'a [u8], SectionKey), Read<T>>, Error> {
    let Some(bytes) = event.section(tag) else { return Ok(Err(Read::Pruned)) };
    let Ok(envelope) = Envelope::decode(bytes) else { return Ok(Err(Read::Corrupt)) };
    Ok(match keys.dek(event.body.chain.partition, &envelope.dek_id)? {
        KeyState::Live(dek) => Ok((bytes, SectionKey { dek_id: envelope.dek_id, period: envelope.dek_version, dek })),
        KeyState::Erased { .. } => Err(Read::Erased),
        KeyState::Restricted => Err(Read::Restricted),
        KeyState::Never | KeyState::Missing => Err(Read::KeyMissing),
    })
}

/// What was drawn for an event, as its record tells.
#[derive(Clone)]
pub struct Resealing {
    /// Nonce, surrogates and keys.
    pub material: Material,
    /// Salts, in the order in which they were drawn.
    pub salts: Vec<[u8; 32]>,
    /// The commitment to the request.
    pub request_commit: [u8; 32],
    /// The outcome number that was given.
    pub outcome_no: u64,
}

impl fmt::Debug for Resealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resealing").field("salts", &self.salts.len()).finish_non_exhaustive()
    }
}

/// What was drawn for an event that answers a request, so that it can be sealed again.
///
/// # Errors
/// As [`open`].
pub fn material(event: &StoredEvent<'_>, keys: &dyn Keys) -> Result<Read<Resealing>, Error> {
    let (facts, outcome) = (clear::facts(event)?, clear::outcome(event)?);
    let shared = match read(event, section_tag::SHARED, keys, wire::decode_shared)?.into_result() {
        Ok(shared) => shared,
        Err(why) => return Ok(why),
    };
    let mut salts = Vec::new();
    let mut sealed: BTreeMap<u16, SectionKey> = BTreeMap::new();
    for entry in event.body.sections.iter().filter(|entry| entry.tag >= section_tag::SHARED) {
        match lookup(event, entry.tag, keys)? {
            Err(why) => return Ok(why),
            Ok((bytes, key)) => {
                salts.push(Envelope::decode(bytes)?.salt);
                sealed.insert(entry.tag, key);
            }
        }
    }
    let Some(organisation) = sealed.remove(&section_tag::SHARED) else { return Ok(Read::Corrupt) };
    let persons: Option<BTreeMap<PersonRole, SectionKey>> =
        sealed.into_iter().map(|(tag, key)| numbers::to_person(tag).map(|role| (role, key))).collect();
    let Some(persons) = persons else { return Ok(Read::Corrupt) };
    let of = |role| facts.surrogates.iter().filter(move |(known, _)| *known == role).map(|(_, surrogate)| *surrogate);
    let material = Material {
        nonce: shared.nonce,
        actor: of(numbers::ROLE_ACTOR).next().unwrap_or_default(),
        on_behalf_of: of(numbers::ROLE_ON_BEHALF_OF).next(),
        subjects: of(numbers::ROLE_SUBJECT).collect(),
        organisation,
        persons,
    };
    Ok(Read::Value(Resealing { material, salts, request_commit: facts.request_commit, outcome_no: outcome.outcome_no }))
}

/// Seals an answer that was decided again into the place of the event that recorded it first, from what was drawn
/// then. The bytes are those of the record if, and only if, the answer, the request and the origin are.
///
/// The commitment is computed from the request again. That of input which was no request is taken from the record,
/// because its bytes lie in a dead letter, which may be gone.
///
/// # Errors
/// As [`super::seal_answer`]; and when the answer has other sections than the record.
pub fn reseal(
    answer: &Answer,
    origin: &Origin,
    event: &StoredEvent<'_>,
    drawn: &Resealing,
) -> Result<(NewEvent, Clear), Error> {
    let commit = match &answer.request {
        Some(request) => ledger::identity::request_commit(&drawn.material.nonce, &wire::encode_request(request)?),
        None => drawn.request_commit,
    };
    if drawn.salts.len() != drawn.material.persons.len().saturating_add(1) {
        return Err(Error::Material("as many salts as sealed sections"));
    }
    let mut salts = drawn.salts.iter().copied();
    let sealing = Sealing {
        answer,
        origin,
        request_bytes: &[],
        chain: event.body.chain,
        seq: event.body.seq,
        recorded_at_us: event.body.recorded_at_us,
        outcome_no: drawn.outcome_no,
        material: &drawn.material,
        // As many sections are sealed as there are keys, which was checked: the default is never drawn.
        salts: &mut || salts.next().unwrap_or_default(),
    };
    seal_committed(sealing, commit)
}
