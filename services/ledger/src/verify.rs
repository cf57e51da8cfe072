//! Streaming verification of exports, and of live logs ([`log::LogVerifier`]).
//!
//! Invariants:
//! - What extends a chain is decided by [`crate::accept()`] and by nothing else; when it refuses, `diagnose` names the
//!   first place that is wrong. So the verifier cannot be more lenient than a reader of the log.
//! - Every byte of an export is either hashed into the chain, compared with something recomputed, or part of the
//!   framing. Memory is bounded by one batch, whatever the size of the file.
//! - An independent verifier in `tests/oracle/` must give the same verdict, kind and place.
//!
//! Deliberately not here: signatures. Without a signed checkpoint the heads show corruption, not forgery, and every
//! report says so; `UNSIGNED` is reserved for that.

mod account;
mod diagnose;
mod fault;
pub mod log;
mod report;

use std::collections::BTreeMap;

pub use fault::{Fault, FaultKind};
pub use report::{Anchor, Report};

use crate::accept::accept;
use crate::chain::{ChainId, Head};
use crate::event::{StoredEvent, event_type};
use crate::export::{self, HeadEntry, Parser};
use crate::frame::FRAME_BYTES_MAX;
use crate::hash::{self, Hash};
use crate::record::{self, PREFIX_BYTES, RecordKind};
use crate::run::Run;

use account::Chain;
use fault::Place;
use report::Anchors;

/// What a verifier is asked beyond what the file says of itself.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether partitions may start after seq 0, at a run boundary.
    pub partial: bool,
    /// Hashes that are known from elsewhere.
    pub anchors: Vec<Anchor>,
}

/// Verifies one export file that is fed to it in chunks.
#[derive(Debug)]
pub struct Verifier {
    parser: Parser,
    state: State,
}

impl Verifier {
    /// A verifier that has read nothing.
    pub fn new(options: Options) -> Self {
        Self { parser: Parser::default(), state: State::new(options) }
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// The first fault. The verifier is of no further use then.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        self.parser.feed(chunk);
        loop {
            let at_byte = self.parser.offset();
            let record = match self.parser.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(()),
                Err(error) => {
                    let place = self.state.here();
                    return Err(place.fault(FaultKind::Undecodable, error).at(at_byte));
                }
            };
            let taken = self.state.record(record.kind, record.bytes);
            taken.map_err(|fault| fault.at(at_byte))?;
        }
    }

    /// Says what the file proved, once all of it was fed.
    ///
    /// # Errors
    /// The first fault that only the end shows.
    pub fn finish(self) -> Result<Report, Fault> {
        if !self.state.ended || !self.parser.at_boundary() {
            let detail = "the file ends before its heads record";
            let fault = self.state.here().fault(FaultKind::Truncated, detail);
            return Err(fault.at(self.parser.offset()));
        }
        self.state.finish()
    }
}

#[derive(Debug)]
struct State {
    partial: bool,
    anchors: Anchors,
    /// Documents of the export, and whether an event declared or used each.
    documents: BTreeMap<Hash, bool>,
    current: Option<Chain>,
    /// Heads of the partitions before the current one.
    done: BTreeMap<u32, Head>,
    /// The batch that is being read, framed as in a log.
    batch: Vec<u8>,
    batch_events: u64,
    any_event: bool,
    ended: bool,
    report: Report,
}

impl State {
    fn new(options: Options) -> Self {
        Self {
            partial: options.partial,
            anchors: Anchors::new(options.anchors),
            documents: BTreeMap::new(),
            current: None,
            done: BTreeMap::new(),
            batch: Vec::new(),
            batch_events: 0,
            any_event: false,
            ended: false,
            report: Report::default(),
        }
    }

    fn record(&mut self, kind: RecordKind, bytes: &[u8]) -> Result<(), Fault> {
        if self.ended {
            let detail = "a record follows the heads record, which must be the last";
            return Err(self.undecodable(detail));
        }
        match kind {
            RecordKind::Schema => self.document(bytes),
            RecordKind::Event | RecordKind::Run => {
                self.any_event = true;
                if self.batch.len() + PREFIX_BYTES + bytes.len() > FRAME_BYTES_MAX {
                    return Err(self.undecodable("a batch is larger than a frame may be"));
                }
                record::put(&mut self.batch, kind, bytes);
                if kind == RecordKind::Event {
                    self.batch_events += 1;
                    return Ok(());
                }
                let batch = std::mem::take(&mut self.batch);
                let verified = self.batch(&batch);
                self.batch = batch;
                self.batch.clear();
                self.batch_events = 0;
                verified
            }
            RecordKind::Heads => {
                self.ended = true;
                self.heads(bytes)
            }
        }
    }

    fn document(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.any_event {
            let detail = "a schema document follows an event: schemas come first";
            return Err(self.undecodable(detail));
        }
        match self.documents.insert(hash::schema_hash(bytes), false) {
            Some(_) => Err(self.undecodable("a schema document stands twice")),
            None => Ok(()),
        }
    }

    fn undecodable(&self, detail: &str) -> Fault {
        self.here().fault(FaultKind::Undecodable, detail)
    }

    /// The partition and seq that come next, as far as they are known.
    fn here(&self) -> Place {
        match record::split(&self.batch) {
            Some((_, first, _)) => match self.belongs(first, None) {
                Some((chain, seq)) => Place::new(chain.partition, seq.saturating_add(self.batch_events)),
                None => Place::default(),
            },
            None => match &self.current {
                Some(chain) => Place::new(chain.head.chain.partition, chain.head.next_seq),
                None => Place::default(),
            },
        }
    }

    /// The chain and seq at which a batch belongs: the current head if the batch extends it, else what its first event
    /// says if that is consistent in itself, else what its run says.
    fn belongs(&self, first: &[u8], run: Option<&Run>) -> Option<(ChainId, u64)> {
        let head = self.current.as_ref().map(|chain| &chain.head);
        let extends = head.filter(|head| {
            first.get(..32) == Some(head.run_head.as_ref()) || run.is_some_and(|run| run.prev_head == head.run_head)
        });
        if let Some(head) = extends {
            return Some((head.chain, head.next_seq));
        }
        let body = StoredEvent::decode(first).ok().map(|event| event.body);
        if let (Some(body), Some(head)) = (&body, head)
            && body.chain == head.chain
        {
            return Some((head.chain, head.next_seq));
        }
        body.filter(|body| body.event_id == body.chain.event_id(body.seq))
            .map(|body| (body.chain, body.seq))
            .or_else(|| run.map(|run| (run.chain, run.first_seq)))
    }

    fn batch(&mut self, batch: &[u8]) -> Result<(), Fault> {
        let (events, run_bytes) = diagnose::records(batch);
        let run = Run::decode(run_bytes);
        let Some(first) = events.first() else {
            let here = self.here();
            return Err(match run {
                Err(error) => here.fault(FaultKind::Undecodable, error),
                Ok(_) => here.fault(FaultKind::LinkBroken, "a run stands without its events"),
            });
        };
        let run = run.ok();
        let Some((chain, seq)) = self.belongs(first, run.as_ref()) else {
            let detail = "neither the first event nor the run of a batch can be read";
            return Err(Place::default().fault(FaultKind::Undecodable, detail));
        };
        self.enter(chain, seq, first)?;
        let State { current: Some(current), report, documents, anchors, .. } = self else {
            return Err(Place::default().fault(FaultKind::Undecodable, "no chain was entered"));
        };
        let accepted =
            accept(&current.head, batch).map_err(|refused| diagnose::diagnose(&current.head, batch, &refused))?;
        current.batch(&accepted, Some(documents), report)?;
        anchors.see(&accepted);
        current.head = accepted.head;
        Ok(())
    }

    /// Makes `chain` the current one.
    fn enter(&mut self, chain: ChainId, seq: u64, first: &[u8]) -> Result<(), Fault> {
        let place = Place::new(chain.partition, seq);
        if let Some(current) = &self.current {
            let head = &current.head;
            if head.chain == chain {
                return Ok(());
            }
            let (now, next) = (head.chain, chain);
            if now.ledger_id != next.ledger_id {
                let detail = "the event belongs to another ledger";
                return Err(place.fault(FaultKind::LinkBroken, detail));
            }
            if next.partition < now.partition {
                return Err(match self.done.contains_key(&next.partition) {
                    true => place.fault(FaultKind::Forked, "the partition stands twice"),
                    false => place.fault(FaultKind::Undecodable, "partitions must ascend"),
                });
            }
            if next.partition == now.partition {
                let follows = head.closed && current.next_chain_epoch == Some(next.chain_epoch);
                if !follows || seq != 0 {
                    let detail = "the chain epoch changes without an end of the one before";
                    let place = Place::new(now.partition, head.next_seq);
                    return Err(place.fault(FaultKind::LinkBroken, detail));
                }
            } else {
                self.done.insert(now.partition, head.clone());
            }
        }
        let head = self.start(chain, seq, first)?;
        self.current = Some(Chain::new(head, seq > 0));
        Ok(())
    }

    /// The head on which the first batch of a chain stands.
    fn start(&mut self, chain: ChainId, seq: u64, first: &[u8]) -> Result<Head, Fault> {
        if seq == 0 {
            return Ok(Head::genesis(chain));
        }
        if !self.partial {
            let detail = format!(
                "the first event of the partition has seq {seq}: those before it are missing, or the export is partial and must be verified as such"
            );
            let place = Place::new(chain.partition, 0);
            return Err(place.fault(FaultKind::LinkBroken, detail));
        }
        self.report.partial.push((chain.partition, seq));
        let body = StoredEvent::decode(first);
        let (prev_hash, epoch, claim) = body.map_or((Hash::ZERO, 0, false), |event| {
            let claim = event.body.event_type == event_type::WRITER_CLAIMED;
            (event.prev_hash, event.body.writer_epoch, claim)
        });
        Ok(Head {
            chain,
            next_seq: seq,
            run_head: prev_hash,
            writer_epoch: if claim { epoch.saturating_sub(1) } else { epoch },
            closed: false,
        })
    }

    fn heads(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let stated = export::decode_heads(bytes).map_err(|error| self.here().fault(FaultKind::Undecodable, error))?;
        if self.batch_events > 0 {
            let detail = "events stand without the run that closes them";
            return Err(self.here().fault(FaultKind::Truncated, detail));
        }
        if let Some(chain) = self.current.take() {
            self.done.insert(chain.head.chain.partition, chain.head);
        }
        let mut stated: BTreeMap<u32, HeadEntry> = stated.into_iter().map(|head| (head.partition, head)).collect();
        for (partition, head) in &self.done {
            let last_seq = head.next_seq.saturating_sub(1);
            let Some(entry) = stated.remove(partition) else {
                let place = Place::new(*partition, last_seq);
                return Err(place.fault(FaultKind::LinkBroken, "the heads omit the partition"));
            };
            if entry.last_seq > last_seq {
                let detail = format!("the heads say that seq {} is the last", entry.last_seq);
                let place = Place::new(*partition, head.next_seq);
                return Err(place.fault(FaultKind::Truncated, detail));
            }
            if entry.last_seq < last_seq || entry.run_head != head.run_head {
                let detail = "the heads state another end than the chain has";
                let place = Place::new(*partition, last_seq);
                return Err(place.fault(FaultKind::LinkBroken, detail));
            }
        }
        match stated.values().next() {
            None => Ok(()),
            Some(missing) => {
                let detail = "the heads name a partition that the file does not hold";
                let place = Place::new(missing.partition, 0);
                Err(place.fault(FaultKind::Truncated, detail))
            }
        }
    }

    fn finish(mut self) -> Result<Report, Fault> {
        if self.documents.values().any(|used| !used) {
            let detail = "a schema document is declared by no event: it was changed or added";
            return Err(Place::default().fault(FaultKind::BodyMismatch, detail));
        }
        self.anchors.finish(&self.done)?;
        self.report.schemas = self.documents.len() as u64;
        self.report.partitions = self.done.len() as u64;
        self.report.heads = self.done.into_values().collect();
        Ok(self.report)
    }
}
