//! From an answer to its event: facts and outcome in clear, the rest sealed for the organisation and for each person.
//!
//! Invariants: everything random comes in; salts are drawn in the order of the section tags, the shared section first,
//! so that a record tells in which order they were drawn. A section is bound to its place in the chain, so the place
//! must be known first. Input that could not be read leaves a commitment to its bytes and nothing else here: the bytes
//! lie in the dead letter alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use domain::event::Answer;
use domain::ids::Origin;
use domain::request::{PersonRole, PersonalPart, Request};
use ledger::layout::{Facts, Outcome, SchemaAdded};
use ledger::seal::{Context, Dek};
use ledger::{ChainId, Hash, NewEvent, Section, SectionKind, identity, section_tag};
use wire::SharedPart;

use super::clear::{Clear, answered};
use super::{Error, numbers};

static DECISION_SCHEMA: LazyLock<Hash> =
    LazyLock::new(|| ledger::hash::schema_hash(wire::decision_schema().as_bytes()));

/// Hash of the record schema of the sealed sections.
pub fn decision_schema_hash() -> Hash {
    *DECISION_SCHEMA
}

/// The event that must stand in a partition before the first answer: the record schema of the sealed sections.
pub fn decision_schema() -> SchemaAdded {
    SchemaAdded { schema_hash: decision_schema_hash(), document: wire::decision_schema().as_bytes().to_vec() }
}

/// A data key with what an envelope says about it.
#[derive(Clone)]
pub struct SectionKey {
    /// Its id.
    pub dek_id: [u8; 16],
    /// Its key period: the envelope's `dek_version`.
    pub period: u32,
    /// The key.
    pub dek: Dek,
}

impl fmt::Debug for SectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SectionKey").field("period", &self.period).finish_non_exhaustive()
    }
}

/// What is drawn or looked up for one answer, salts apart.
#[derive(Clone)]
pub struct Material {
    /// Of the commitment to the request.
    pub nonce: [u8; 32],
    /// Surrogate of who acts, of whatever kind.
    pub actor: [u8; 16],
    /// Surrogate of whom it acts for.
    pub on_behalf_of: Option<[u8; 16]>,
    /// Surrogates of the persons concerned, in the order of the request.
    pub subjects: Vec<[u8; 16]>,
    /// Key of the shared section: that of the tenant, or of no tenant when the input could not be read.
    pub organisation: SectionKey,
    /// Keys of the persons' sections: exactly those that `Request::split` takes out.
    pub persons: BTreeMap<PersonRole, SectionKey>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("persons", &self.persons.len()).finish_non_exhaustive()
    }
}

/// One answer on its way into the ledger.
pub struct Sealing<'a> {
    /// What was decided.
    pub answer: &'a Answer,
    /// Where the request came from.
    pub origin: &'a Origin,
    /// The canonical bytes of the request, or the raw bytes of what could not be read.
    pub request_bytes: &'a [u8],
    /// The chain that the event is for.
    pub chain: ChainId,
    /// Its place in it.
    pub seq: u64,
    /// Microseconds since 1970-01-01 UTC.
    pub recorded_at_us: i64,
    /// The next outcome number of the partition, also for an answer that takes none.
    pub outcome_no: u64,
    /// What was drawn.
    pub material: &'a Material,
    /// Draws the salt of one section.
    pub salts: &'a mut dyn FnMut() -> [u8; 32],
}

/// Seals an answer into an event, and says what it tells the fold.
///
/// # Errors
/// The material does not fit the request, a person has no section ([`Error::NoSection`]), or a value does not fit its
/// field.
pub fn seal_answer(sealing: Sealing<'_>) -> Result<(NewEvent, Clear), Error> {
    let commit = identity::request_commit(&sealing.material.nonce, sealing.request_bytes);
    seal_committed(sealing, commit)
}

/// As [`seal_answer`], with the commitment to the request given instead of its bytes.
pub(super) fn seal_committed(sealing: Sealing<'_>, commit: [u8; 32]) -> Result<(NewEvent, Clear), Error> {
    let Sealing { answer, origin, chain, seq, recorded_at_us, outcome_no, material, salts, .. } = sealing;
    let (impersonal, parts) =
        answer.request.as_ref().map(Request::split).map_or((None, Vec::new()), |(r, p)| (Some(r), p));
    let facts = facts(answer, origin, material, commit)?;
    let outcome = Outcome {
        outcome: numbers::outcome(answer.outcome),
        reason_code: answer.reason.number(),
        outcome_no,
        policies: answer.policies.clone(),
        obligations: answer.obligations.clone(),
    };
    let event_type = numbers::answer_kind(answer.kind);
    let clear = answered(event_type, seq, recorded_at_us, &facts, &outcome)?;
    let shared = wire::encode_shared(&SharedPart {
        nonce: material.nonce,
        request: impersonal,
        explanation: answer.explanation.clone(),
        detail: answer.detail.clone(),
        severity: answer.severity,
        risk_score: answer.risk_score,
        // The dead letter is found by the origin in the facts; its own position is not known yet when this is sealed.
        undecodable: None,
    })?;
    let place = Place { chain, seq };
    let mut sections = vec![
        Section { tag: section_tag::FACTS, kind: SectionKind::Clear, bytes: facts.encode()? },
        Section { tag: section_tag::OUTCOME, kind: SectionKind::Clear, bytes: outcome.encode()? },
        place.seal(section_tag::SHARED, &material.organisation, salts(), &shared)?,
    ];
    for (tag, key, part) in persons(&parts, material)? {
        sections.push(place.seal(tag, key, salts(), &wire::encode_person(part)?)?);
    }
    let event = NewEvent { event_type, recorded_at_us, schema_hash: decision_schema_hash(), sections };
    Ok((event, clear))
}

/// Each person's section with its key, in the order of the tags.
fn persons<'a>(
    parts: &'a [PersonalPart],
    material: &'a Material,
) -> Result<Vec<(u16, &'a SectionKey, &'a PersonalPart)>, Error> {
    if parts.len() != material.persons.len() {
        return Err(Error::Material("as many keys as persons"));
    }
    let mut sections = Vec::with_capacity(parts.len());
    for part in parts {
        let tag = numbers::person_tag(part.role).ok_or(Error::NoSection(part.role))?;
        let key = material.persons.get(&part.role).ok_or(Error::Material("a key for each person"))?;
        sections.push((tag, key, part));
    }
    sections.sort_by_key(|(tag, ..)| *tag);
    Ok(sections)
}

fn facts(answer: &Answer, origin: &Origin, material: &Material, request_commit: [u8; 32]) -> Result<Facts, Error> {
    let request = answer.request.as_ref();
    let text = |of: fn(&Request) -> &str| request.map_or(String::new(), |request| of(request).to_owned());
    Ok(Facts {
        tenant: text(|request| request.tenant.as_str()),
        request_key: answer.identity.key,
        request_mac: answer.identity.mac,
        request_commit,
        topic: origin.topic.to_owned(),
        input_partition: origin.partition,
        input_offset: origin.offset,
        // What could not be read states no time.
        occurred_at_us: request.map_or(0, |request| request.occurred_at_us),
        bundle_hash: Hash(answer.bundle_hash),
        engine_version: policy::EVALUATOR_VERSION,
        mode: numbers::mode(answer.mode),
        retention_class: numbers::retention_class(answer.retention_class),
        legal_basis: numbers::legal_basis(request.and_then(|request| request.legal_basis)),
        surrogates: request.map_or(Ok(Vec::new()), |request| surrogates(request, material))?,
        action: text(|request| request.action.as_str()),
        amount: request.and_then(|request| request.amount.as_ref()).map(|amount| (amount.minor_units, amount.currency)),
        flags: Vec::new(),
    })
}

fn surrogates(request: &Request, material: &Material) -> Result<Vec<(u8, [u8; 16])>, Error> {
    if request.actor.on_behalf_of.is_some() != material.on_behalf_of.is_some() {
        return Err(Error::Material("a surrogate of whom the actor acts for, if it acts for another"));
    }
    if request.subjects.len() != material.subjects.len() {
        return Err(Error::Material("as many surrogates as subjects"));
    }
    let mut all = vec![(numbers::ROLE_ACTOR, material.actor)];
    all.extend(material.on_behalf_of.map(|surrogate| (numbers::ROLE_ON_BEHALF_OF, surrogate)));
    all.extend(material.subjects.iter().map(|surrogate| (numbers::ROLE_SUBJECT, *surrogate)));
    Ok(all)
}

/// Where in the ledger a section is sealed for.
#[derive(Clone, Copy)]
struct Place {
    chain: ChainId,
    seq: u64,
}

impl Place {
    fn seal(&self, tag: u16, key: &SectionKey, salt: [u8; 32], plaintext: &[u8]) -> Result<Section, Error> {
        let context = Context {
            chain: self.chain,
            event_id: self.chain.event_id(self.seq),
            section_tag: tag,
            schema_hash: decision_schema_hash(),
            dek_id: key.dek_id,
            dek_version: key.period,
        };
        let bytes = ledger::seal::seal(&key.dek, salt, &context, plaintext)?;
        Ok(Section { tag, kind: SectionKind::Sealed, bytes })
    }
}
