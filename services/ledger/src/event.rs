//! One event: its body, its sections, its stored form (FORMAT.md, "Event").
//!
//! Invariant: decoding keeps the stored bytes beside what was read from them, and hashes are computed over those.
//! Decoding is structure only; whether sections match the body is [`StoredEvent::sections_match`], whether the event
//! belongs to a chain is `accept`.

use crate::Error;
use crate::chain::{ChainId, EventId, LedgerId};
use crate::codec::{Reader, Writer};
use crate::hash::{self, Hash, Tag, tag};

/// Event types of format version 1. From 32 up they belong to the domain.
pub mod event_type {
    /// A writer takes a partition.
    pub const WRITER_CLAIMED: u16 = 0;
    /// A request was decided.
    pub const DECIDED: u16 = 1;
    /// A request was rejected without evaluation.
    pub const REJECTED: u16 = 2;
    /// A request was forwarded to its partition.
    pub const REROUTED: u16 = 3;
    /// The log lost a range of input.
    pub const INPUT_LOST: u16 = 4;
    /// A request id was used again with another body.
    pub const CONFLICTED: u16 = 5;
    /// A record schema enters the partition.
    pub const SCHEMA_ADDED: u16 = 6;
    /// Input without events is accounted for.
    pub const INPUT_ADVANCED: u16 = 7;
    /// A data key exists.
    pub const KEY_CREATED: u16 = 8;
    /// A subject is to be erased.
    pub const ERASURE_REQUESTED: u16 = 9;
    /// The keys of an erased subject are gone.
    pub const ERASURE_KEYS_DESTROYED: u16 = 10;
    /// The key period of an erasure ended.
    pub const ERASURE_FINAL: u16 = 11;
    /// Keys were wrapped anew for the next period.
    pub const KEK_ROLLED: u16 = 12;
    /// The chain ends here.
    pub const EPOCH_CLOSED: u16 = 13;
    /// A piece of a policy bundle.
    pub const POLICY_PUBLISHED: u16 = 32;
    /// A bundle comes into force.
    pub const POLICY_ACTIVATED: u16 = 33;
    /// A tenant exists.
    pub const TENANT_CREATED: u16 = 34;
    /// A command was refused.
    pub const COMMAND_REFUSED: u16 = 35;
    /// A dead letter was dealt with.
    pub const DEAD_LETTER_MARKED: u16 = 36;

    /// Whether events of this type answer a request: then section 1 is facts and section 2 is outcome.
    pub const fn answers_request(event_type: u16) -> bool {
        matches!(event_type, DECIDED | REJECTED | REROUTED | CONFLICTED)
    }
}

/// Section tags. From 16 up sections are Avro and opaque here.
pub mod section_tag {
    /// Clear facts of a request; for every event type that answers no request, that type's own fixed layout.
    pub const FACTS: u16 = 1;
    /// The clear outcome.
    pub const OUTCOME: u16 = 2;
    /// The first tag whose content is Avro.
    pub const AVRO_FIRST: u16 = 16;
    /// Sealed under the organisation's key.
    pub const SHARED: u16 = 32;
    /// Sealed for one data subject each, from here up.
    pub const SUBJECT_FIRST: u16 = 0x100;
}

/// How a section is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SectionKind {
    /// In clear. Never pruned.
    Clear = 0,
    /// A ciphertext envelope (see [`crate::seal`]).
    Sealed = 1,
    /// A salted commitment only.
    Commitment = 2,
}

impl SectionKind {
    /// The persisted number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this persisted number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(SectionKind::Clear),
            1 => Some(SectionKind::Sealed),
            2 => Some(SectionKind::Commitment),
            _ => None,
        }
    }
}

/// A section to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is, see [`section_tag`].
    pub tag: u16,
    /// How it is stored.
    pub kind: SectionKind,
    /// Its bytes as stored.
    pub bytes: Vec<u8>,
}

/// Prints the size only: sections may hold what must not reach a log file.
impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Section { tag, kind, bytes } = self;
        write!(f, "Section {{ tag: {tag}, kind: {kind:?}, {} bytes }}", bytes.len())
    }
}

/// An event to be written; its place in the chain is the [`crate::FrameBuilder`]'s business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// See [`event_type`].
    pub event_type: u16,
    /// The time that the decision used, microseconds since 1970-01-01 UTC.
    pub recorded_at_us: i64,
    /// The record schema of sections from 16 up; [`Hash::ZERO`] when there is none.
    pub schema_hash: Hash,
    /// Strictly ascending by tag.
    pub sections: Vec<Section>,
}

/// What the body says about one section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionEntry {
    /// See [`section_tag`].
    pub tag: u16,
    /// How it is stored.
    pub kind: SectionKind,
    /// Bytes of the section.
    pub length: u64,
    /// `section_hash` over tag, kind, length and bytes.
    pub hash: Hash,
}

/// The hashed part of an event. Never pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Ledger, partition and chain epoch.
    pub chain: ChainId,
    /// Dense from 0.
    pub seq: u64,
    /// Who wrote it.
    pub writer_epoch: u32,
    /// See [`event_type`].
    pub event_type: u16,
    /// Derived from chain and seq.
    pub event_id: EventId,
    /// Microseconds since 1970-01-01 UTC.
    pub recorded_at_us: i64,
    /// The record schema, or [`Hash::ZERO`].
    pub schema_hash: Hash,
    /// Strictly ascending by tag.
    pub sections: Vec<SectionEntry>,
}

const FORMAT: u8 = 1;
const SUITE: u8 = 1;
const BODY_BYTES_FIXED: usize = 115;
const ENTRY_BYTES: usize = 43;
/// `u16 tag ‖ u64 length` before the bytes of a stored section.
const SECTION_BYTES_FIXED: usize = 10;

impl Body {
    /// The bytes that are hashed.
    ///
    /// # Errors
    /// When there are more than 65,535 sections or their tags are not strictly ascending.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        ascending(self.sections.iter().map(|entry| entry.tag))?;
        let size = BODY_BYTES_FIXED + self.sections.len() * ENTRY_BYTES;
        let mut out = Writer::with_capacity(size)
            .bytes(tag(Tag::Event))
            .u8(FORMAT)
            .u8(SUITE)
            .bytes(&self.chain.ledger_id.0)
            .u32(self.chain.partition)
            .u32(self.chain.chain_epoch)
            .u64(self.seq)
            .u32(self.writer_epoch)
            .u16(self.event_type)
            .bytes(&self.event_id.0)
            .i64(self.recorded_at_us)
            .bytes(&self.schema_hash.0)
            .count16("n_sections", self.sections.len())?;
        for entry in &self.sections {
            out = out.u16(entry.tag).u8(entry.kind.number()).u64(entry.length).bytes(&entry.hash.0);
        }
        Ok(out.done())
    }

    /// Reads a body that fills `bytes` to the end.
    ///
    /// # Errors
    /// [`Error::Version`] for a format or suite that is not 1; others for what is no body at all.
    pub fn decode(bytes: &[u8]) -> Result<Body, Error> {
        let mut reader = Reader::new(bytes);
        let body = Body::read(&mut reader)?;
        reader.end("event body")?;
        Ok(body)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Body, Error> {
        let event_tag = tag(Tag::Event);
        if reader.bytes("tag", event_tag.len())? != event_tag {
            return Err(Error::Tag { record: "event" });
        }
        version("format", reader.u8("format")?, FORMAT)?;
        version("hash_suite", reader.u8("hash_suite")?, SUITE)?;
        let chain = ChainId {
            ledger_id: LedgerId(reader.array("ledger_id")?),
            partition: reader.u32("partition")?,
            chain_epoch: reader.u32("chain_epoch")?,
        };
        let seq = reader.u64("seq")?;
        let writer_epoch = reader.u32("writer_epoch")?;
        let event_type = reader.u16("event_type")?;
        let event_id = EventId(reader.array("event_id")?);
        let recorded_at_us = reader.i64("recorded_at_us")?;
        let schema_hash = reader.hash("schema_hash")?;
        let count = usize::from(reader.u16("n_sections")?);
        // A count is a claim of the input: what the input can hold bounds the allocation.
        let mut sections = Vec::with_capacity(count.min(reader.rest().len() / ENTRY_BYTES));
        for _ in 0..count {
            let tag = reader.u16("section_tag")?;
            let number = reader.u8("kind")?;
            let kind =
                SectionKind::from_number(number).ok_or(Error::Unknown { field: "kind", found: number.into() })?;
            sections.push(SectionEntry {
                tag,
                kind,
                length: reader.u64("length")?,
                hash: reader.hash("section_hash")?,
            });
        }
        ascending(sections.iter().map(|entry| entry.tag))?;
        Ok(Body { chain, seq, writer_epoch, event_type, event_id, recorded_at_us, schema_hash, sections })
    }
}

pub(crate) fn version(field: &'static str, found: u8, known: u8) -> Result<(), Error> {
    if found == known { Ok(()) } else { Err(Error::Version { field, found }) }
}

fn ascending(tags: impl Iterator<Item = u16>) -> Result<(), Error> {
    if tags.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(Error::Order { field: "section_tag" }) }
}

/// An event as it lies in a log or an export: `prev_hash ‖ body ‖ sections present`.
#[derive(Clone, Debug)]
pub struct StoredEvent<'a> {
    /// The hash of the event before, the head of the run before, or genesis.
    pub prev_hash: Hash,
    /// What the body says.
    pub body: Body,
    /// The body's bytes, which are what is hashed.
    pub body_bytes: &'a [u8],
    /// `H3(tag("chain") ‖ prev_hash ‖ H3(body))`.
    pub event_hash: Hash,
    /// The whole record.
    pub stored: &'a [u8],
    sections: Vec<(u16, &'a [u8])>,
}

impl<'a> StoredEvent<'a> {
    /// Reads a stored event that fills `stored` to the end. Structure only.
    ///
    /// # Errors
    /// As [`Body::decode`], and for sections that are cut short.
    pub fn decode(stored: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(stored);
        let prev_hash = reader.hash("prev_hash")?;
        let from_body = reader.rest();
        let body = Body::read(&mut reader)?;
        let length = from_body.len() - reader.rest().len();
        let body_bytes = from_body.get(..length).unwrap_or_default();
        let mut sections = Vec::with_capacity(body.sections.len());
        while !reader.rest().is_empty() {
            let tag = reader.u16("section_tag")?;
            let length = reader.u64("length")?;
            let length = usize::try_from(length).map_err(|_| Error::Short { field: "section" })?;
            sections.push((tag, reader.bytes("section", length)?));
        }
        Ok(StoredEvent {
            prev_hash,
            event_hash: hash::event_hash(&prev_hash, body_bytes),
            body,
            body_bytes,
            stored,
            sections,
        })
    }

    /// The bytes of a section, when it is present.
    pub fn section(&self, tag: u16) -> Option<&'a [u8]> {
        let found = self.sections.iter().find(|(present, _)| *present == tag);
        found.map(|(_, bytes)| *bytes)
    }

    /// How many sections of the body are absent.
    pub fn pruned(&self) -> usize {
        self.body.sections.len().saturating_sub(self.sections.len())
    }

    /// Whether every section that is present is the one that the body names, in the body's order.
    ///
    /// # Errors
    /// The tag of the first section that is not.
    pub fn sections_match(&self) -> Result<(), u16> {
        let mut entries = self.body.sections.iter();
        for (tag, bytes) in &self.sections {
            let entry = entries.find(|entry| entry.tag == *tag).ok_or(*tag)?;
            let same = u64::try_from(bytes.len()) == Ok(entry.length)
                && hash::section_hash(*tag, entry.kind.number(), bytes) == entry.hash;
            if !same {
                return Err(*tag);
            }
        }
        Ok(())
    }
}

/// Bytes that an event takes in its stored form.
pub(crate) fn stored_size(event: &NewEvent) -> usize {
    let fixed = Hash::ZERO.0.len() + BODY_BYTES_FIXED;
    let each = |section: &Section| ENTRY_BYTES + SECTION_BYTES_FIXED + section.bytes.len();
    fixed + event.sections.iter().map(each).sum::<usize>()
}
