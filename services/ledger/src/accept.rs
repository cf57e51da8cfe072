//! The one judge of what belongs to a ledger: `accept(head, frame)`.
//!
//! A log may store frames late, twice, or from a writer that lost its partition. A frame belongs to the ledger if and
//! only if it extends the head; every reader applies this function to the same order of frames and gets the same
//! ledger. Invariant: the checks are exactly those of FORMAT.md, "Frame". Input accounting, time, Avro, record keys
//! and unknown event types are deliberately not looked at: the verifier reports those.
//!
//! First the frame is read on its own (is it well-formed?), then it is held against the head (does it follow?). What
//! is well-formed and does not follow keeps its `prev_head`, because that decides whether the reader may go on.

use crate::Error;
use crate::chain::{ChainId, Head};
use crate::event::{StoredEvent, event_type};
use crate::frame::FRAME_BYTES_MAX;
use crate::hash::{self, Hash};
use crate::record::{self, RecordKind};
use crate::run::Run;
use crate::tree::{self, Algorithm};

/// A frame that extends the head.
#[derive(Clone, Debug)]
pub struct Accepted<'a> {
    /// The head after it.
    pub head: Head,
    /// Its events.
    pub events: Vec<StoredEvent<'a>>,
    /// Its run.
    pub run: Run,
}

/// Where a well-formed frame says that it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Seq of its first event.
    pub first_seq: u64,
    /// The head that it extends.
    pub prev_head: Hash,
    /// Whether its first seq lies beyond the head's next one.
    pub beyond: bool,
}

/// Why a frame is not part of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than [`FRAME_BYTES_MAX`] bytes.
    #[error("the frame has {bytes} bytes, more than a frame may have")]
    Size {
        /// Bytes of the frame.
        bytes: usize,
    },
    /// Not event records followed by one run record, to the last byte.
    #[error("the bytes are not event records followed by one run record")]
    Framing,
    /// A record cannot be read.
    #[error("record {at} of the frame cannot be read: {error}")]
    Malformed {
        /// Index of the record in the frame.
        at: usize,
        /// What is wrong with it.
        error: Error,
    },
    /// A format or suite that this version does not know.
    #[error("record {at} of the frame: {error}")]
    Version {
        /// Index of the record in the frame.
        at: usize,
        /// The version that was found.
        error: Error,
    },
    /// The frame is of another ledger.
    #[error("the frame belongs to another ledger")]
    ForeignLedger,
    /// The events and the run do not name one chain.
    #[error("record {at} of the frame names another chain than the first")]
    MixedChains {
        /// Index of the record.
        at: usize,
    },
    /// An event's id is not the one derived from chain and seq.
    #[error("event {at} of the frame has an id that is not derived from its place")]
    EventId {
        /// Index of the event.
        at: usize,
    },
    /// Events of a frame are not dense and linked.
    #[error("event {at} of the frame does not follow the one before it")]
    Unlinked {
        /// Index of the event.
        at: usize,
    },
    /// A section that is present is not the one in the body.
    #[error("section {tag} of event {at} is not the one that its body names")]
    Section {
        /// Index of the event.
        at: usize,
        /// Tag of the section.
        tag: u16,
    },
    /// More than one writer epoch, a claim that is not first, or an event after `EpochClosed`.
    #[error("event {at} of the frame may not stand there: {reason}")]
    Misplaced {
        /// Index of the event.
        at: usize,
        /// Which rule.
        reason: &'static str,
    },
    /// The run does not cover exactly the events.
    #[error("the run does not cover exactly the events of the frame: {reason}")]
    Run {
        /// Which field.
        reason: &'static str,
    },
    /// Well-formed, of this ledger, for another partition or chain epoch.
    #[error("the frame belongs to another chain of this ledger")]
    OtherChain(Place),
    /// Well-formed, but not at the next seq.
    #[error("the frame starts at seq {}, which is not the next", .0.first_seq)]
    Seq(Place),
    /// Well-formed and at the next seq, but on another head.
    #[error("the frame extends {}, which is not the head", .0.prev_head)]
    PrevHead(Place),
    /// Well-formed and on the head, but the writer epoch may not follow.
    #[error("the writer epoch {found} may not follow {current}")]
    WriterEpoch {
        /// Where the frame belongs.
        place: Place,
        /// Epoch of the head.
        current: u32,
        /// Epoch of the frame.
        found: u32,
    },
    /// The chain was closed.
    #[error("nothing follows the end of a chain epoch")]
    Closed(Place),
}

/// What a frame that was not accepted means for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// A race lost, a retry, a zombie: skip and count.
    Harmless,
    /// Not a frame of this ledger: skip and count.
    Garbage,
    /// History was lost or rewritten: stop.
    Forked,
    /// A newer version wrote here: stop.
    Undecodable,
}

impl Refused {
    /// What this means for the reader. `was_head` says whether a hash ever was a head of this chain, genesis included.
    pub fn classify(&self, was_head: impl Fn(&Hash) -> bool) -> Stray {
        match self {
            Refused::Version { .. } => Stray::Undecodable,
            Refused::OtherChain(place)
            | Refused::Seq(place)
            | Refused::PrevHead(place)
            | Refused::WriterEpoch { place, .. }
            | Refused::Closed(place) => {
                if was_head(&place.prev_head) && !place.beyond {
                    Stray::Harmless
                } else {
                    Stray::Forked
                }
            }
            Refused::Size { .. }
            | Refused::Framing
            | Refused::Malformed { .. }
            | Refused::ForeignLedger
            | Refused::MixedChains { .. }
            | Refused::EventId { .. }
            | Refused::Unlinked { .. }
            | Refused::Section { .. }
            | Refused::Misplaced { .. }
            | Refused::Run { .. } => Stray::Garbage,
        }
    }
}

/// Whether `frame` extends `head`, and what it holds.
///
/// # Errors
/// The first reason for which it does not.
pub fn accept<'a>(head: &Head, frame: &'a [u8]) -> Result<Accepted<'a>, Refused> {
    let formed = WellFormed::read(frame)?;
    formed.follows(head)
}

/// A frame that is consistent in itself.
struct WellFormed<'a> {
    chain: ChainId,
    first_seq: u64,
    writer_epoch: u32,
    claims: bool,
    closes: bool,
    events: Vec<StoredEvent<'a>>,
    run: Run,
    run_bytes: &'a [u8],
}

impl<'a> WellFormed<'a> {
    fn read(frame: &'a [u8]) -> Result<Self, Refused> {
        if frame.len() > FRAME_BYTES_MAX {
            let bytes = frame.len();
            return Err(Refused::Size { bytes });
        }
        let (records, run_bytes) = records(frame).ok_or(Refused::Framing)?;
        let mut events = Vec::with_capacity(records.len());
        for (at, stored) in records.iter().enumerate() {
            events.push(StoredEvent::decode(stored).map_err(|error| unreadable(at, error))?);
        }
        let run = Run::decode(run_bytes).map_err(|error| unreadable(events.len(), error))?;
        let first = &events.first().ok_or(Refused::Framing)?.body;
        let formed = WellFormed {
            chain: first.chain,
            first_seq: first.seq,
            writer_epoch: first.writer_epoch,
            claims: first.event_type == event_type::WRITER_CLAIMED,
            closes: events.last().is_some_and(|event| event.body.event_type == event_type::EPOCH_CLOSED),
            events,
            run,
            run_bytes,
        };
        formed.events_hold()?;
        formed.run_covers()?;
        Ok(formed)
    }

    fn events_hold(&self) -> Result<(), Refused> {
        let mut before: Option<&StoredEvent<'_>> = None;
        for (at, event) in self.events.iter().enumerate() {
            let body = &event.body;
            if body.chain != self.chain {
                return Err(Refused::MixedChains { at });
            }
            if body.event_id != self.chain.event_id(body.seq) {
                return Err(Refused::EventId { at });
            }
            event.sections_match().map_err(|tag| Refused::Section { at, tag })?;
            let misplaced = |reason| Refused::Misplaced { at, reason };
            if body.writer_epoch != self.writer_epoch {
                return Err(misplaced("a frame has one writer epoch"));
            }
            if let Some(before) = before {
                let dense = before.body.seq.checked_add(1) == Some(body.seq);
                if !dense || event.prev_hash != before.event_hash {
                    return Err(Refused::Unlinked { at });
                }
                if body.event_type == event_type::WRITER_CLAIMED {
                    return Err(misplaced("a claim stands only first"));
                }
                if before.body.event_type == event_type::EPOCH_CLOSED {
                    return Err(misplaced("nothing follows the end of a chain epoch"));
                }
            }
            before = Some(event);
        }
        Ok(())
    }

    fn run_covers(&self) -> Result<(), Refused> {
        let (Some(first), Some(last)) = (self.events.first(), self.events.last()) else {
            return Err(Refused::Framing);
        };
        let refuse = |reason| Err(Refused::Run { reason });
        let run = &self.run;
        if run.chain != self.chain {
            return Err(Refused::MixedChains { at: self.events.len() });
        }
        if run.first_seq != first.body.seq || run.last_seq != last.body.seq {
            return refuse("first_seq or last_seq");
        }
        if run.prev_head != first.prev_hash {
            return refuse("prev_head");
        }
        if run.events_head != last.event_hash {
            return refuse("events_head");
        }
        let hashes = self.events.iter().map(|event| event.event_hash);
        if run.run_root != tree::root(Algorithm::H3, hashes) {
            return refuse("run_root");
        }
        Ok(())
    }

    fn follows(self, head: &Head) -> Result<Accepted<'a>, Refused> {
        if self.chain.ledger_id != head.chain.ledger_id {
            return Err(Refused::ForeignLedger);
        }
        let place =
            Place { first_seq: self.first_seq, prev_head: self.run.prev_head, beyond: self.first_seq > head.next_seq };
        if self.chain != head.chain {
            return Err(Refused::OtherChain(place));
        }
        if place.first_seq != head.next_seq {
            return Err(Refused::Seq(place));
        }
        if place.prev_head != head.run_head {
            return Err(Refused::PrevHead(place));
        }
        if head.closed {
            return Err(Refused::Closed(place));
        }
        let expected = if self.claims {
            head.writer_epoch.checked_add(1)
        } else {
            Some(head.writer_epoch).filter(|_| head.next_seq > 0)
        };
        let exhausted = self.run.last_seq.checked_add(1);
        let (Some(_), Some(next_seq)) = (expected.filter(|e| *e == self.writer_epoch), exhausted) else {
            return Err(Refused::WriterEpoch { place, current: head.writer_epoch, found: self.writer_epoch });
        };
        let head = Head {
            chain: self.chain,
            next_seq,
            run_head: hash::run_head(&self.run.events_head, self.run_bytes),
            writer_epoch: self.writer_epoch,
            closed: self.closes,
        };
        Ok(Accepted { head, events: self.events, run: self.run })
    }
}

fn unreadable(at: usize, error: Error) -> Refused {
    match error {
        Error::Version { .. } => Refused::Version { at, error },
        _ => Refused::Malformed { at, error },
    }
}

/// The event records and the run record of a frame; `None` when the framing is anything else.
fn records(frame: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let (mut events, mut rest) = (Vec::new(), frame);
    loop {
        let (kind, content, after) = record::split(rest)?;
        match RecordKind::from_number(kind)? {
            RecordKind::Event => events.push(content),
            RecordKind::Run if after.is_empty() => return Some((events, content)),
            _ => return None,
        }
        rest = after;
    }
}
