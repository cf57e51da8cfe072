//! A small ledger that holds every event type, and a large one for measurements.

use ledger::export::{ExportWriter, HeadEntry, encode_heads};
use ledger::layout::*;
use ledger::seal::{Context, Dek, seal};
use ledger::{
    Body, ChainId, Frame, FrameBuilder, Hash, Head, InputRange, LedgerId, NewEvent, Run, Section, SectionEntry,
    SectionKind, StoredEvent, accept, event_type, hash, section_tag,
};

pub const DOCUMENT: &[u8] = br#"{"type":"record","name":"Decision","fields":[]}"#;
pub const START_US: i64 = 1_790_000_000_000_000;
pub const FIRST_OFFSET: u64 = 100;

pub fn chain(partition: u32) -> ChainId {
    ChainId { ledger_id: LedgerId(*b"a sample ledger."), partition, chain_epoch: 0 }
}

pub fn clear(tag: u16, bytes: Vec<u8>) -> Section {
    let kind = SectionKind::Clear;
    Section { tag, kind, bytes }
}

pub fn own(event_type: u16, section: Vec<u8>) -> NewEvent {
    NewEvent {
        event_type,
        recorded_at_us: START_US,
        schema_hash: Hash::ZERO,
        sections: vec![clear(section_tag::FACTS, section)],
    }
}

pub fn range(topic: &str, partition: u32, from: u64, counts: [u64; 4]) -> InputRange {
    let [requests, decisions, rejected, non_request] = counts;
    InputRange {
        topic: topic.to_owned(),
        partition,
        from_offset: from,
        to_offset: from + requests + non_request,
        requests,
        decisions,
        rejected,
        non_request,
    }
}

pub fn facts(partition: u32, offset: u64) -> Facts {
    Facts {
        tenant: "default".to_owned(),
        request_key: [1; 32],
        request_mac: [2; 32],
        request_commit: [3; 32],
        topic: "requests".to_owned(),
        input_partition: partition,
        input_offset: offset,
        occurred_at_us: START_US - 5,
        bundle_hash: Hash([4; 32]),
        engine_version: 1,
        mode: 0,
        retention_class: 1,
        legal_basis: 2,
        surrogates: vec![(0, [5; 16]), (2, [6; 16])],
        action: "send_email".to_owned(),
        amount: Some((-150, *b"EUR")),
        flags: vec![("new_decision_engine".to_owned(), "off".to_owned())],
    }
}

/// Builds the frames of one partition.
pub struct Partition {
    pub partition: u32,
    pub head: Head,
    pub frames: Vec<(Head, Frame)>,
    pub next_offset: u64,
    pub next_outcome: u64,
    pub now_us: i64,
    pub subjects: u16,
    pub payload: usize,
}

impl Partition {
    pub fn new(partition: u32) -> Self {
        Partition {
            partition,
            head: Head::genesis(chain(partition)),
            frames: Vec::new(),
            next_offset: FIRST_OFFSET,
            next_outcome: 0,
            now_us: START_US,
            subjects: 1,
            payload: 40,
        }
    }

    pub fn builder(&self, claims: bool) -> FrameBuilder {
        FrameBuilder::new(&self.head, self.head.writer_epoch + u32::from(claims))
    }

    pub fn put(&mut self, frame: Frame) {
        let before = std::mem::replace(&mut self.head, frame.head.clone());
        self.frames.push((before, frame));
    }

    /// The first claim and everything that must be declared before the first decision.
    pub fn begin(&mut self) {
        let start = |topic: &str, start| InputStart {
            topic: topic.to_owned(),
            partition: self.partition,
            topic_id: [7; 16],
            start,
        };
        let origin = Origin {
            partitions: 3,
            routing: ROUTING_ACTOR,
            inputs: vec![start("commands", 0), start("requests", FIRST_OFFSET)],
        };
        let claim = Claim { writer_id: [8; 16], origin: Some(origin) };
        let added = SchemaAdded { schema_hash: hash::schema_hash(DOCUMENT), document: DOCUMENT.to_vec() };
        let mut builder = self.builder(true);
        for (event_type, section) in
            [(event_type::WRITER_CLAIMED, claim.encode().unwrap()), (event_type::SCHEMA_ADDED, added.encode().unwrap())]
        {
            builder.push(own(event_type, section)).unwrap();
        }
        let frame = builder.finish(vec![range("commands", self.partition, 0, [0, 0, 0, 3])]);
        self.put(frame.unwrap());
    }

    /// An event that answers the request at the next offset.
    pub fn answer(&mut self, builder: &FrameBuilder, event_type: u16) -> NewEvent {
        let outcome = Outcome {
            outcome: if event_type == event_type::DECIDED { OUTCOME_PERMIT } else { OUTCOME_NONE },
            reason_code: 1,
            outcome_no: self.next_outcome,
            policies: vec!["platform/0".to_owned()],
            obligations: vec!["log".to_owned()],
        };
        let facts = facts(self.partition, self.next_offset);
        self.next_offset += 1;
        self.next_outcome += u64::from(event_type != event_type::REROUTED);
        let schema_hash = hash::schema_hash(DOCUMENT);
        let seal_in = |tag: u16| {
            let context = Context {
                chain: chain(self.partition),
                event_id: builder.next_event_id(),
                section_tag: tag,
                schema_hash,
                dek_id: [9; 16],
                dek_version: 1,
            };
            let bytes = seal(&Dek([10; 32]), [11; 32], &context, &vec![12; self.payload]).unwrap();
            let kind = SectionKind::Sealed;
            Section { tag, kind, bytes }
        };
        let mut sections = vec![
            clear(section_tag::FACTS, facts.encode().unwrap()),
            clear(section_tag::OUTCOME, outcome.encode().unwrap()),
            seal_in(section_tag::SHARED),
        ];
        sections.extend((0..self.subjects).map(|n| seal_in(section_tag::SUBJECT_FIRST + n)));
        NewEvent { event_type, recorded_at_us: self.now_us, schema_hash, sections }
    }

    /// A frame of answers to consecutive offsets.
    pub fn answers(&mut self, types: &[u16]) {
        let mut builder = self.builder(false);
        let from = self.next_offset;
        for event_type in types {
            self.now_us += 1;
            let event = self.answer(&builder, *event_type);
            builder.push(event).unwrap();
        }
        let decided = types.iter().filter(|t| **t == event_type::DECIDED).count() as u64;
        let all = types.len() as u64;
        let counts = [all, decided, all - decided, 0];
        let frame = builder.finish(vec![range("requests", self.partition, from, counts)]);
        self.put(frame.unwrap());
    }

    /// A take-over: a claim, a loss of four offsets, a decision, two duplicates and a record that is no request.
    pub fn take_over(&mut self) {
        let mut builder = self.builder(true);
        self.now_us += 50;
        let now_us = self.now_us;
        let at = |mut event: NewEvent| {
            event.recorded_at_us = now_us;
            event
        };
        let writer_id = [13; 16];
        let origin = None;
        let claim = Claim { writer_id, origin }.encode().unwrap();
        builder.push(at(own(event_type::WRITER_CLAIMED, claim))).unwrap();
        let from = self.next_offset;
        let lost = InputLost {
            topic: "requests".to_owned(),
            partition: self.partition,
            from_offset: from,
            to_offset: from + 4,
            cause: 1,
        };
        let lost = own(event_type::INPUT_LOST, lost.encode().unwrap());
        builder.push(at(lost)).unwrap();
        self.next_offset += 4;
        let event = self.answer(&builder, event_type::DECIDED);
        builder.push(event).unwrap();
        self.next_offset += 3;
        let inputs = vec![range("requests", self.partition, from, [7, 1, 4, 1])];
        let frame = builder.finish(inputs).unwrap();
        self.put(frame);
    }

    /// Every event type that answers no request and was not written yet.
    pub fn others(&mut self, close: bool) {
        let tenant = || "default".to_owned();
        let (surrogate, command_id) = ([14; 16], [15; 16]);
        let hash = Hash([16; 32]);
        let events = [
            (event_type::INPUT_ADVANCED, InputAdvanced.encode()),
            (
                event_type::KEY_CREATED,
                KeyCreated { tenant: tenant(), surrogate, dek_id: [9; 16], class: 1, period: 1, dek_commit: hash }
                    .encode(),
            ),
            (
                event_type::ERASURE_REQUESTED,
                ErasureRequested { tenant: tenant(), surrogate, command_id, reason: 1 }.encode(),
            ),
            (
                event_type::ERASURE_KEYS_DESTROYED,
                ErasureKeysDestroyed {
                    tenant: tenant(),
                    surrogate,
                    key_commitments: vec![hash],
                    event_count: 1,
                    root: hash,
                }
                .encode(),
            ),
            (event_type::ERASURE_FINAL, ErasureFinal { tenant: tenant(), surrogate, period: 1 }.encode()),
            (event_type::KEK_ROLLED, KekRolled { from_period: 1, to_period: 2 }.encode()),
            (
                event_type::POLICY_PUBLISHED,
                PolicyPublished { bundle_hash: hash, chunk_no: 0, chunks: 1, bytes: vec![17; 9] }.encode(),
            ),
            (
                event_type::POLICY_ACTIVATED,
                PolicyActivated { bundle_hash: hash, mode: 0, command_id, in_force_from_us: START_US }.encode(),
            ),
            (event_type::TENANT_CREATED, TenantCreated { tenant: tenant(), command_id }.encode()),
            (
                event_type::COMMAND_REFUSED,
                CommandRefused {
                    command_id,
                    topic: "commands".to_owned(),
                    partition: self.partition,
                    offset: 4,
                    reason: 1,
                    detail: "no such tenant".to_owned(),
                }
                .encode(),
            ),
            (
                event_type::DEAD_LETTER_MARKED,
                DeadLetterMarked { command_id, partition: 0, position: 1, mark: MARK_RETRIED }.encode(),
            ),
            (500, Ok(b"a later type".to_vec())),
            (event_type::EPOCH_CLOSED, EpochClosed { next_chain_epoch: 1 }.encode()),
        ];
        let mut builder = self.builder(false);
        for (event_type, section) in events {
            if event_type != event_type::EPOCH_CLOSED || close {
                let mut event = own(event_type, section.unwrap());
                event.recorded_at_us = self.now_us;
                builder.push(event).unwrap();
            }
        }
        let inputs = vec![range("commands", self.partition, 3, [0, 0, 0, 9])];
        self.put(builder.finish(inputs).unwrap());
    }
}

/// Three partitions that between them hold every event type.
pub fn partitions() -> Vec<Partition> {
    use event_type::{CONFLICTED, DECIDED, REJECTED, REROUTED};
    let mut all: Vec<_> = (0..3).map(Partition::new).collect();
    for partition in &mut all {
        partition.begin();
        partition.answers(&[DECIDED, REJECTED]);
    }
    all[0].answers(&[REROUTED, CONFLICTED, DECIDED]);
    all[0].take_over();
    all[1].others(false);
    all[2].answers(&[DECIDED]);
    all[2].others(true);
    all
}

/// An export of these partitions.
pub fn export(partitions: &[Partition]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = ExportWriter::new(&mut out);
    writer.schema(DOCUMENT, &mut out).unwrap();
    for (before, frame) in partitions.iter().flat_map(|partition| &partition.frames) {
        let accepted = accept(before, &frame.bytes).unwrap();
        writer.frame(before, &accepted, &frame.bytes, &mut out).unwrap();
    }
    writer.finish(&mut out).unwrap();
    out
}

/// An event taken apart: its body and its sections.
pub struct Parts {
    pub body: Body,
    pub sections: Vec<Section>,
}

/// A frame with intact hashes and other content: what an engine with a fault, or a forger with the keys, would write.
pub fn forge(before: &Head, frame: &Frame, edit: impl FnOnce(&mut Vec<Parts>, &mut Run)) -> Frame {
    let accepted = accept(before, &frame.bytes).unwrap();
    let take_apart = |event: &StoredEvent<'_>| {
        let section = |entry: &SectionEntry| Section {
            tag: entry.tag,
            kind: entry.kind,
            bytes: event.section(entry.tag).unwrap().to_vec(),
        };
        let sections = event.body.sections.iter().map(section).collect();
        Parts { body: event.body.clone(), sections }
    };
    let mut parts: Vec<_> = accepted.events.iter().map(take_apart).collect();
    let mut run = accepted.run.clone();
    edit(&mut parts, &mut run);

    let (mut prev, mut hashes, mut bytes) = (before.run_head, Vec::new(), Vec::new());
    let mut put = |kind: u8, content: &[u8]| {
        bytes.push(kind);
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(content);
    };
    for Parts { mut body, sections } in parts {
        let entry = |section: &Section| SectionEntry {
            tag: section.tag,
            kind: section.kind,
            length: section.bytes.len() as u64,
            hash: hash::section_hash(section.tag, section.kind.number(), &section.bytes),
        };
        body.sections = sections.iter().map(entry).collect();
        let body = body.encode().unwrap();
        let mut stored = [prev.as_ref(), &body].concat();
        for section in &sections {
            stored.extend(section.tag.to_be_bytes());
            stored.extend((section.bytes.len() as u64).to_be_bytes());
            stored.extend(&section.bytes);
        }
        put(1, &stored);
        prev = hash::event_hash(&prev, &body);
        hashes.push(prev);
    }
    run.events_head = prev;
    run.run_root = ledger::tree::root(ledger::tree::Algorithm::H3, &hashes);
    put(2, &run.encode().unwrap());
    let head = Head { run_head: run.run_head().unwrap(), ..frame.head.clone() };
    Frame { bytes, head, events: frame.events.clone() }
}

/// As [`export`], without asking anybody whether the frames are acceptable.
pub fn export_blindly(partitions: &[Partition]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = ExportWriter::new(&mut out);
    writer.schema(DOCUMENT, &mut out).unwrap();
    let frames = partitions.iter().flat_map(|partition| &partition.frames);
    frames.for_each(|(_, frame)| out.extend(&frame.bytes));
    let entry = |partition: &Partition| HeadEntry {
        partition: partition.partition,
        last_seq: partition.head.next_seq - 1,
        run_head: partition.head.run_head,
    };
    let heads = encode_heads(&partitions.iter().map(entry).collect::<Vec<_>>()).unwrap();
    out.push(3);
    out.extend((heads.len() as u32).to_be_bytes());
    out.extend(heads);
    out
}
