//! Why a batch was refused: the first place that is wrong, and in which way.
//!
//! Runs only after `accept` refused, so it need not be fast, and it can never turn a refusal into a pass. The order of
//! the questions is the order in FORMAT.md, "Faults"; the oracle asks them in the same order.

use super::fault::{Fault, FaultKind, Place};
use crate::accept::Refused;
use crate::chain::Head;
use crate::event::{StoredEvent, event_type};
use crate::hash::{self, Hash};
use crate::record::{self, RecordKind};
use crate::run::Run;
use crate::tree::{self, Algorithm};

/// The event records and the run record of a batch that the verifier framed itself.
pub(super) fn records(batch: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut events, mut run, mut rest) = (Vec::new(), [].as_slice(), batch);
    while let Some((kind, content, after)) = record::split(rest) {
        if kind == RecordKind::Event as u8 {
            events.push(content);
        } else {
            run = content;
        }
        rest = after;
    }
    (events, run)
}

pub(super) fn diagnose(head: &Head, batch: &[u8], refused: &Refused) -> Fault {
    let (stored, run) = records(batch);
    let found = events(head, &stored)
        .and_then(|events| {
            let run = readable_run(head, &events, run)?;
            commitments(head, &events, &run)?;
            writers(head, &events)
        })
        .err();
    found.unwrap_or_else(|| at(head, 0).fault(FaultKind::LinkBroken, refused))
}

/// The place of the event with this index in the batch.
fn at(head: &Head, index: usize) -> Place {
    Place::new(head.chain.partition, head.next_seq.saturating_add(index as u64))
}

/// Each event on its own: readable, consistent with itself, in its place, its sections unchanged.
fn events<'a>(head: &Head, stored: &[&'a [u8]]) -> Result<Vec<StoredEvent<'a>>, Fault> {
    let mut events = Vec::with_capacity(stored.len());
    for (index, stored) in stored.iter().enumerate() {
        let place = at(head, index);
        let event = StoredEvent::decode(stored).map_err(|error| place.fault(FaultKind::Undecodable, error))?;
        let body = &event.body;
        if body.event_id != body.chain.event_id(body.seq) {
            let detail = "the event id is not the one of its ledger, partition, epoch and seq";
            return Err(place.fault(FaultKind::BodyMismatch, detail));
        }
        if body.chain != head.chain {
            let detail = format!("the event belongs to {:?}", body.chain);
            return Err(place.fault(FaultKind::LinkBroken, detail));
        }
        let expected = head.next_seq.saturating_add(index as u64);
        if body.seq < expected {
            let place = Place::new(head.chain.partition, body.seq);
            return Err(place.fault(FaultKind::Forked, "a second event has this seq"));
        }
        if body.seq > expected {
            let detail = format!("the event has seq {}: those before it are missing", body.seq);
            return Err(place.fault(FaultKind::LinkBroken, detail));
        }
        event.sections_match().map_err(|tag| {
            let detail = format!("section {tag} is not the one that the body names");
            place.fault(FaultKind::BodyMismatch, detail)
        })?;
        events.push(event);
    }
    Ok(events)
}

/// The run on its own, and the seqs that it claims.
fn readable_run(head: &Head, events: &[StoredEvent<'_>], run: &[u8]) -> Result<Run, Fault> {
    let last = at(head, events.len().saturating_sub(1));
    let run = Run::decode(run).map_err(|error| last.fault(FaultKind::Undecodable, error))?;
    if run.chain != head.chain {
        let detail = format!("the run belongs to {:?}", run.chain);
        return Err(last.fault(FaultKind::BodyMismatch, detail));
    }
    let first_seq = head.next_seq;
    let next_seq = first_seq.saturating_add(events.len() as u64);
    let detail = format!("the run covers seq {} to {}", run.first_seq, run.last_seq);
    if run.first_seq > first_seq && run.first_seq < next_seq {
        // Events of two batches stand together, so the run of the first one is missing.
        let place = Place::new(head.chain.partition, run.first_seq);
        return Err(place.fault(FaultKind::LinkBroken, detail));
    }
    if run.last_seq >= next_seq {
        return Err(at(head, events.len()).fault(FaultKind::LinkBroken, detail));
    }
    if run.first_seq != first_seq || run.last_seq.checked_add(1) != Some(next_seq) {
        return Err(last.fault(FaultKind::LinkBroken, detail));
    }
    Ok(run)
}

/// Which of link, body and run is wrong, when they disagree: the run commits twice (last hash and root) to the events.
fn commitments(head: &Head, events: &[StoredEvent<'_>], run: &Run) -> Result<(), Fault> {
    let last = at(head, events.len().saturating_sub(1));
    let mut chained: Vec<Hash> = Vec::with_capacity(events.len());
    for event in events {
        let prev = chained.last().unwrap_or(&head.run_head);
        chained.push(hash::event_hash(prev, event.body_bytes));
    }
    let root_holds = tree::root(Algorithm::H3, &chained) == run.run_root;
    let end_holds = chained.last() == Some(&run.events_head);
    let expected = std::iter::once(&head.run_head).chain(&chained);
    let broken = events.iter().zip(expected).position(|(event, prev)| event.prev_hash != *prev);
    if root_holds || end_holds {
        if let Some(index) = broken {
            let detail = "prev_hash is not the hash of what stands before";
            return Err(at(head, index).fault(FaultKind::LinkBroken, detail));
        }
        if run.prev_head != head.run_head || !end_holds {
            let detail = "the run's prev_head or events_head is not that of its events";
            return Err(last.fault(FaultKind::LinkBroken, detail));
        }
        if !root_holds {
            let detail = "the run's root is not that of its events";
            return Err(last.fault(FaultKind::BodyMismatch, detail));
        }
        return Ok(());
    }
    match broken {
        Some(0) => {
            let detail = "prev_hash is not the head of the chain so far";
            Err(at(head, 0).fault(FaultKind::LinkBroken, detail))
        }
        // What follows links to another hash, and the run does not commit to this body either.
        Some(index) => {
            let detail = "the event is not the one that the next event and the run commit to";
            Err(at(head, index - 1).fault(FaultKind::BodyMismatch, detail))
        }
        None => {
            let detail = "the events are not those that the run commits to";
            Err(last.fault(FaultKind::BodyMismatch, detail))
        }
    }
}

/// Who wrote: intact records that may nevertheless not stand here.
fn writers(head: &Head, events: &[StoredEvent<'_>]) -> Result<(), Fault> {
    let forked = |index, detail: &str| Err(at(head, index).fault(FaultKind::Forked, detail));
    if head.closed {
        return forked(0, "events follow the end of the chain epoch");
    }
    let mut before = None;
    for (index, event) in events.iter().enumerate() {
        let body = &event.body;
        let claims = body.event_type == event_type::WRITER_CLAIMED;
        let expected = match before {
            None if claims => head.writer_epoch.checked_add(1),
            None => Some(head.writer_epoch).filter(|_| head.next_seq > 0),
            Some((epoch, _)) => Some(epoch),
        };
        if expected != Some(body.writer_epoch) {
            return forked(index, "the writer epoch may not follow: another writer's event");
        }
        if claims && index > 0 {
            return forked(index, "a claim stands inside a batch");
        }
        if before.is_some_and(|(_, closes)| closes) {
            return forked(index, "events follow the end of the chain epoch");
        }
        before = Some((body.writer_epoch, body.event_type == event_type::EPOCH_CLOSED));
    }
    Ok(())
}
