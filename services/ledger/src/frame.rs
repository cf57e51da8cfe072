//! Building a frame: the events of one batch and the run that closes it, as one record of the log.
//!
//! Invariant: what `finish` returns is accepted on the head that the builder was given, and its accounting adds up.
//! The builder draws nothing at random and reads no clock; a batch that is built again comes out the same.

use crate::Error;
use crate::chain::{ChainId, EventId, Head};
use crate::event::{self, Body, NewEvent, SectionEntry, event_type};
use crate::hash::{self, Hash};
use crate::record::{self, PREFIX_BYTES, RecordKind};
use crate::run::{self, InputRange, Run};
use crate::tree::{Algorithm, CompactRange};

/// Largest frame, in bytes, so that it fits a broker's defaults.
pub const FRAME_BYTES_MAX: usize = 900 * 1024;

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coordinate {
    /// Its number in the chain.
    pub seq: u64,
    /// Derived from chain and seq.
    pub event_id: EventId,
    /// What the next event links to.
    pub event_hash: Hash,
}

/// A finished frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The record for the log.
    pub bytes: Vec<u8>,
    /// The head once the frame is accepted.
    pub head: Head,
    /// The events in order.
    pub events: Vec<Coordinate>,
}

/// Prints the size only: frames hold what must not reach a log file.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let events = self.events.len();
        write!(f, "Frame {{ {events} events, {} bytes, head: {:?} }}", self.bytes.len(), self.head)
    }
}

/// Collects the events of one batch on top of a head.
#[derive(Clone)]
pub struct FrameBuilder {
    head: Head,
    writer_epoch: u32,
    bytes: Vec<u8>,
    events: Vec<Coordinate>,
    prev_hash: Hash,
    tree: CompactRange,
    recorded_at_us: i64,
    closed: bool,
    /// Events of types 1, and of 2, 3 and 5, and whether a loss (type 4) adds to the latter.
    decisions: u64,
    rejected: u64,
    lost: bool,
}

impl FrameBuilder {
    /// Starts a frame on `head`. `writer_epoch` is the head's, or one more when the first event will be a claim.
    pub fn new(head: &Head, writer_epoch: u32) -> Self {
        Self {
            head: head.clone(),
            writer_epoch,
            bytes: Vec::new(),
            events: Vec::new(),
            prev_hash: head.run_head,
            tree: CompactRange::new(Algorithm::H3),
            recorded_at_us: i64::MIN,
            closed: head.closed,
            decisions: 0,
            rejected: 0,
            lost: false,
        }
    }

    /// The chain that the frame extends.
    pub fn chain(&self) -> ChainId {
        self.head.chain
    }

    /// The seq of the event that is pushed next.
    pub fn next_seq(&self) -> u64 {
        self.head.next_seq.saturating_add(self.tree.size())
    }

    /// The id of the event that is pushed next: sealing needs it before the event exists.
    pub fn next_event_id(&self) -> EventId {
        self.head.chain.event_id(self.next_seq())
    }

    /// Bytes of the events so far, without the run.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no event was pushed.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether the frame stays within [`FRAME_BYTES_MAX`] with this event and a run over these inputs.
    pub fn fits(&self, event: &NewEvent, inputs: &[InputRange]) -> bool {
        self.size_with(event::stored_size(event), inputs) <= FRAME_BYTES_MAX
    }

    fn size_with(&self, stored: usize, inputs: &[InputRange]) -> usize {
        self.bytes.len() + PREFIX_BYTES + stored + PREFIX_BYTES + run::encoded_size(inputs)
    }

    /// Appends an event and says where it stands.
    ///
    /// # Errors
    /// When the event may not stand here (claim, epoch, closed chain, time, order of sections) or does not fit. The
    /// builder is unchanged then.
    pub fn push(&mut self, event: NewEvent) -> Result<Coordinate, Error> {
        self.may_stand(&event)?;
        let bytes = self.size_with(event::stored_size(&event), &[]);
        if bytes > FRAME_BYTES_MAX {
            let limit = FRAME_BYTES_MAX;
            return Err(Error::FrameFull { bytes, limit });
        }
        let seq = self.next_seq();
        if seq == u64::MAX {
            return Err(Error::Exhausted { field: "seq" });
        }
        let event_id = self.head.chain.event_id(seq);
        let body = Body {
            chain: self.head.chain,
            seq,
            writer_epoch: self.writer_epoch,
            event_type: event.event_type,
            event_id,
            recorded_at_us: event.recorded_at_us,
            schema_hash: event.schema_hash,
            sections: entries(&event),
        }
        .encode()?;
        let stored = store(&self.prev_hash, &body, &event);
        record::put(&mut self.bytes, RecordKind::Event, &stored)
            .ok_or(Error::FrameFull { bytes: stored.len(), limit: FRAME_BYTES_MAX })?;
        let event_hash = hash::event_hash(&self.prev_hash, &body);
        self.prev_hash = event_hash;
        self.tree.push(&event_hash.0);
        self.count(&event);
        let coordinate = Coordinate { seq, event_id, event_hash };
        self.events.push(coordinate);
        Ok(coordinate)
    }

    fn may_stand(&self, event: &NewEvent) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        let claim = event.event_type == event_type::WRITER_CLAIMED;
        if self.is_empty() {
            let expected = if claim {
                self.head.writer_epoch.checked_add(1)
            } else {
                // Before the first claim there is no epoch to write in.
                Some(self.head.writer_epoch).filter(|epoch| *epoch > 0)
            };
            if expected != Some(self.writer_epoch) {
                return Err(Error::WriterEpoch { current: self.head.writer_epoch, given: self.writer_epoch });
            }
        } else if claim {
            return Err(Error::ClaimPosition);
        }
        if event.recorded_at_us < self.recorded_at_us {
            return Err(Error::TimeDecreases { previous: self.recorded_at_us, given: event.recorded_at_us });
        }
        Ok(())
    }

    fn count(&mut self, event: &NewEvent) {
        self.recorded_at_us = event.recorded_at_us;
        match event.event_type {
            event_type::DECIDED => self.decisions += 1,
            event_type::REJECTED | event_type::REROUTED | event_type::CONFLICTED => {
                self.rejected += 1;
            }
            event_type::INPUT_LOST => self.lost = true,
            event_type::EPOCH_CLOSED => self.closed = true,
            _ => {}
        }
    }

    /// Closes the frame with a run over `inputs`.
    ///
    /// # Errors
    /// When there is no event, the inputs are not sorted and unique or do not add up, or the frame is too large.
    pub fn finish(mut self, inputs: Vec<InputRange>) -> Result<Frame, Error> {
        let last = self.events.last().ok_or(Error::FrameEmpty)?.seq;
        self.adds_up(&inputs)?;
        let run = Run {
            chain: self.head.chain,
            first_seq: self.head.next_seq,
            last_seq: last,
            prev_head: self.head.run_head,
            events_head: self.prev_hash,
            run_root: self.tree.root(),
            inputs,
        }
        .encode()?;
        record::put(&mut self.bytes, RecordKind::Run, &run);
        let bytes = self.bytes.len();
        if bytes > FRAME_BYTES_MAX {
            let limit = FRAME_BYTES_MAX;
            return Err(Error::FrameFull { bytes, limit });
        }
        let head = Head {
            chain: self.head.chain,
            next_seq: self.next_seq(),
            run_head: hash::run_head(&self.prev_hash, &run),
            writer_epoch: self.writer_epoch,
            closed: self.closed,
        };
        Ok(Frame { bytes: self.bytes, head, events: self.events })
    }

    /// What the verifier would count again, as far as it can be told without reading sections.
    fn adds_up(&self, inputs: &[InputRange]) -> Result<(), Error> {
        if !run::pairs_ascend(inputs) {
            return Err(Error::Order { field: "inputs" });
        }
        let (mut decisions, mut rejected) = (0_u64, 0_u64);
        for input in inputs {
            if !input.adds_up() {
                return Err(unbalanced(input, "the counts do not fill the range"));
            }
            decisions = decisions.saturating_add(input.decisions);
            rejected = rejected.saturating_add(input.rejected);
        }
        let same_rejected = rejected == self.rejected || (self.lost && rejected > self.rejected);
        if decisions != self.decisions || !same_rejected {
            let reason = "decisions or rejected differ from the events of the frame";
            return Err(match inputs.first() {
                Some(input) => unbalanced(input, reason),
                None => Error::Accounting { topic: String::new(), partition: 0, reason },
            });
        }
        Ok(())
    }
}

fn unbalanced(input: &InputRange, reason: &'static str) -> Error {
    Error::Accounting { topic: input.topic.clone(), partition: input.partition, reason }
}

fn entries(event: &NewEvent) -> Vec<SectionEntry> {
    let entry = |section: &event::Section| SectionEntry {
        tag: section.tag,
        kind: section.kind,
        length: section.bytes.len() as u64,
        hash: hash::section_hash(section.tag, section.kind.number(), &section.bytes),
    };
    event.sections.iter().map(entry).collect()
}

fn store(prev_hash: &Hash, body: &[u8], event: &NewEvent) -> Vec<u8> {
    let mut stored = Vec::with_capacity(event::stored_size(event));
    stored.extend_from_slice(&prev_hash.0);
    stored.extend_from_slice(body);
    for section in &event.sections {
        stored.extend_from_slice(&section.tag.to_be_bytes());
        stored.extend_from_slice(&(section.bytes.len() as u64).to_be_bytes());
        stored.extend_from_slice(&section.bytes);
    }
    stored
}
