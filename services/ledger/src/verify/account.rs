//! What an intact chain says: layouts, time, schemas, outcome numbers, and the accounting of inputs, counted again.
//!
//! Invariant: nothing here trusts a count that stands in the ledger; runs are compared with what their events show.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Fault, FaultKind, Place};
use super::report::Report;
use crate::accept::Accepted;
use crate::chain::Head;
use crate::event::{SectionKind, StoredEvent, event_type, section_tag};
use crate::hash::{self, Hash};
use crate::layout;
use crate::run::{self, InputRange, Run};

/// Topic and input partition.
type Pair = (String, u32);

/// One chain as far as it was read.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) head: Head,
    /// What `EpochClosed` named.
    pub(super) next_chain_epoch: Option<u32>,
    /// Whether reading began after seq 0, so that earlier declarations are not known.
    partial: bool,
    recorded_at_us: i64,
    /// `None` until the first one is seen of a chain whose beginning is not known.
    outcome_no: Option<u64>,
    schemas: BTreeSet<Hash>,
    /// Next offset of every input.
    inputs: BTreeMap<Pair, u64>,
}

/// What the events of one batch say about one input.
#[derive(Default)]
struct Tally {
    decisions: u64,
    rejected: u64,
    /// Offsets answered, as ranges, with the seq of the event.
    answered: Vec<(u64, u64, u64)>,
}

type Tallies = BTreeMap<Pair, Tally>;

/// Documents of an export, and whether an event declared or used each.
type Documents = BTreeMap<Hash, bool>;

impl Chain {
    pub(super) fn new(head: Head, partial: bool) -> Self {
        Self {
            head,
            next_chain_epoch: None,
            partial,
            recorded_at_us: i64::MIN,
            outcome_no: (!partial).then_some(0),
            schemas: BTreeSet::new(),
            inputs: BTreeMap::new(),
        }
    }

    /// Checks an accepted batch and adds it to the report. `documents` are those of an export; a log has none.
    pub(super) fn batch(
        &mut self,
        accepted: &Accepted<'_>,
        mut documents: Option<&mut Documents>,
        report: &mut Report,
    ) -> Result<(), Fault> {
        let mut tallies = Tallies::new();
        for event in &accepted.events {
            let place = Place::new(self.head.chain.partition, event.body.seq);
            self.clear_sections(event, place)?;
            if event.body.recorded_at_us < self.recorded_at_us {
                return Err(place.fault(FaultKind::LinkBroken, "recorded time goes back"));
            }
            self.recorded_at_us = event.body.recorded_at_us;
            self.read(event, place, &mut tallies, documents.as_deref_mut(), report)?;
            self.schema(event, place, documents.as_deref_mut())?;
            report.events += 1;
            report.pruned += event.pruned() as u64;
        }
        self.inputs(&accepted.run, tallies, report)?;
        report.runs += 1;
        Ok(())
    }

    /// Only sealed sections may be left out.
    fn clear_sections(&self, event: &StoredEvent<'_>, place: Place) -> Result<(), Fault> {
        let mut entries = event.body.sections.iter();
        let absent = entries.find(|entry| entry.kind != SectionKind::Sealed && event.section(entry.tag).is_none());
        match absent {
            None => Ok(()),
            Some(entry) => {
                let detail = format!("section {} is not sealed and yet absent", entry.tag);
                Err(place.fault(FaultKind::BodyMismatch, detail))
            }
        }
    }

    /// Reads the fixed layout of an event.
    fn read(
        &mut self,
        event: &StoredEvent<'_>,
        place: Place,
        tallies: &mut Tallies,
        documents: Option<&mut Documents>,
        report: &mut Report,
    ) -> Result<(), Fault> {
        use crate::event::event_type::*;
        let kind = event.body.event_type;
        if event_type::answers_request(kind) {
            return self.answer(event, place, tallies);
        }
        if kind > DEAD_LETTER_MARKED {
            report.unknown_types += 1;
            return Ok(());
        }
        let bytes = clear(event, section_tag::FACTS, place)?;
        let decoded = match kind {
            WRITER_CLAIMED => {
                let claim = layout::Claim::decode(bytes).map_err(|e| unreadable(place, &e))?;
                return self.claim(event, claim, place, report);
            }
            INPUT_LOST => {
                let lost = layout::InputLost::decode(bytes).map_err(|e| unreadable(place, &e))?;
                return lose(event, lost, place, tallies);
            }
            SCHEMA_ADDED => {
                let added = layout::SchemaAdded::decode(bytes).map_err(|e| unreadable(place, &e))?;
                return self.declare(&added, place, documents);
            }
            EPOCH_CLOSED => layout::EpochClosed::decode(bytes).map(|closed| {
                self.next_chain_epoch = Some(closed.next_chain_epoch);
            }),
            INPUT_ADVANCED => layout::InputAdvanced::decode(bytes).map(drop),
            KEY_CREATED => layout::KeyCreated::decode(bytes).map(drop),
            ERASURE_REQUESTED => layout::ErasureRequested::decode(bytes).map(drop),
            ERASURE_KEYS_DESTROYED => layout::ErasureKeysDestroyed::decode(bytes).map(drop),
            ERASURE_FINAL => layout::ErasureFinal::decode(bytes).map(drop),
            KEK_ROLLED => layout::KekRolled::decode(bytes).map(drop),
            POLICY_PUBLISHED => layout::PolicyPublished::decode(bytes).map(drop),
            POLICY_ACTIVATED => layout::PolicyActivated::decode(bytes).map(drop),
            TENANT_CREATED => layout::TenantCreated::decode(bytes).map(drop),
            COMMAND_REFUSED => layout::CommandRefused::decode(bytes).map(drop),
            DEAD_LETTER_MARKED => layout::DeadLetterMarked::decode(bytes).map(drop),
            unknown => Err(crate::Error::Unknown { field: "event_type", found: unknown.into() }),
        };
        decoded.map_err(|error| unreadable(place, &error))
    }

    fn answer(&mut self, event: &StoredEvent<'_>, place: Place, tallies: &mut Tallies) -> Result<(), Fault> {
        let facts = clear(event, section_tag::FACTS, place)?;
        let facts = layout::Facts::decode(facts).map_err(|e| unreadable(place, &e))?;
        let outcome = clear(event, section_tag::OUTCOME, place)?;
        let outcome = layout::Outcome::decode(outcome).map_err(|e| unreadable(place, &e))?;
        let expected = self.outcome_no.unwrap_or(outcome.outcome_no);
        if outcome.outcome_no != expected {
            let detail = format!("outcome_no is {}, expected {expected}", outcome.outcome_no);
            return Err(place.fault(FaultKind::Accounting, detail));
        }
        let numbered = event.body.event_type != event_type::REROUTED;
        self.outcome_no = Some(expected.saturating_add(numbered.into()));
        let offset = facts.input_offset;
        let tally = tallies.entry((facts.topic, facts.input_partition)).or_default();
        if event.body.event_type == event_type::DECIDED {
            tally.decisions += 1;
        } else {
            tally.rejected += 1;
        }
        let seq = event.body.seq;
        tally.answered.push((offset, offset.saturating_add(1), seq));
        Ok(())
    }

    fn claim(
        &mut self,
        event: &StoredEvent<'_>,
        claim: layout::Claim,
        place: Place,
        report: &mut Report,
    ) -> Result<(), Fault> {
        let first = event.body.seq == 0;
        let Some(origin) = claim.origin else {
            if first {
                let detail = "the first claim of a partition does not say where it all began";
                return Err(place.fault(FaultKind::Undecodable, detail));
            }
            return Ok(());
        };
        if !first {
            let detail = "a later claim says again where it all began";
            return Err(place.fault(FaultKind::Undecodable, detail));
        }
        report.partitions_declared = report.partitions_declared.max(Some(origin.partitions));
        for input in origin.inputs {
            let repeat = self.inputs.insert((input.topic, input.partition), input.start);
            if repeat.is_some() {
                let detail = "the first claim names an input twice";
                return Err(place.fault(FaultKind::Accounting, detail));
            }
        }
        Ok(())
    }

    fn declare(
        &mut self,
        added: &layout::SchemaAdded,
        place: Place,
        documents: Option<&mut Documents>,
    ) -> Result<(), Fault> {
        if hash::schema_hash(&added.document) != added.schema_hash {
            let detail = "the schema document does not have the hash that is declared";
            return Err(place.fault(FaultKind::BodyMismatch, detail));
        }
        self.schemas.insert(added.schema_hash);
        let Some(documents) = documents else {
            return Ok(());
        };
        match documents.get_mut(&added.schema_hash) {
            Some(used) => {
                *used = true;
                Ok(())
            }
            None => {
                let detail = "the declared schema is not among the documents of the export";
                Err(place.fault(FaultKind::BodyMismatch, detail))
            }
        }
    }

    /// The record schema of an event was declared before.
    fn schema(&self, event: &StoredEvent<'_>, place: Place, documents: Option<&mut Documents>) -> Result<(), Fault> {
        let named = &event.body.schema_hash;
        if *named == Hash::ZERO {
            let mut entries = event.body.sections.iter();
            return match entries.find(|entry| entry.tag >= section_tag::AVRO_FIRST) {
                None => Ok(()),
                Some(entry) => {
                    let detail = format!("section {} has no record schema", entry.tag);
                    Err(place.fault(FaultKind::Undecodable, detail))
                }
            };
        }
        if self.schemas.contains(named) {
            return Ok(());
        }
        // The declaration may stand before the beginning of a partial export.
        if let Some(used) = documents.filter(|_| self.partial).and_then(|documents| documents.get_mut(named)) {
            *used = true;
            return Ok(());
        }
        let detail = format!("schema {named} was not declared before its use");
        Err(place.fault(FaultKind::BodyMismatch, detail))
    }

    /// Ranges tile, add up, and agree with the events.
    fn inputs(&mut self, run: &Run, mut tallies: Tallies, report: &mut Report) -> Result<(), Fault> {
        let place = Place::new(self.head.chain.partition, run.last_seq);
        let wrong = |detail: String| Err(place.fault(FaultKind::Accounting, detail));
        if !run::pairs_ascend(&run.inputs) {
            return wrong("the inputs of the run are not sorted and unique".to_owned());
        }
        for input in &run.inputs {
            let name = format!("{} partition {}", input.topic, input.partition);
            let pair = (input.topic.clone(), input.partition);
            match self.inputs.get(&pair) {
                Some(next) if *next == input.from_offset => {}
                Some(next) => {
                    let from = input.from_offset;
                    return wrong(format!("{name} goes on at offset {from}, expected {next}"));
                }
                None if self.partial => {}
                None => return wrong(format!("{name} is not an input of the first claim")),
            }
            if !input.adds_up() {
                return wrong(format!("the counts of {name} do not fill its range"));
            }
            let tally = tallies.remove(&pair).unwrap_or_default();
            self.agrees(input, tally, place)?;
            self.inputs.insert(pair, input.to_offset);
            report.requests = report.requests.saturating_add(input.requests);
            report.decisions = report.decisions.saturating_add(input.decisions);
            report.rejected = report.rejected.saturating_add(input.rejected);
        }
        match tallies.keys().next() {
            None => Ok(()),
            Some((topic, partition)) => {
                wrong(format!("events answer requests of {topic} partition {partition}, which the run does not name"))
            }
        }
    }

    /// One range against the events: the same numbers, and every event answers an offset of its own.
    fn agrees(&self, input: &InputRange, mut tally: Tally, place: Place) -> Result<(), Fault> {
        let counted = (tally.decisions, tally.rejected);
        if counted != (input.decisions, input.rejected) {
            let detail = format!(
                "the run says {} decided and {} rejected, the events say {} and {}",
                input.decisions, input.rejected, tally.decisions, tally.rejected
            );
            return Err(place.fault(FaultKind::Accounting, detail));
        }
        tally.answered.sort_unstable();
        let mut from = input.from_offset;
        for (start, end, seq) in tally.answered {
            if start < from || end > input.to_offset {
                let detail = format!("offset {start} is outside the run's range or answered twice");
                let place = Place::new(self.head.chain.partition, seq);
                return Err(place.fault(FaultKind::Accounting, detail));
            }
            from = end;
        }
        Ok(())
    }
}

fn lose(event: &StoredEvent<'_>, lost: layout::InputLost, place: Place, tallies: &mut Tallies) -> Result<(), Fault> {
    let Some(count) = lost.to_offset.checked_sub(lost.from_offset) else {
        return Err(place.fault(FaultKind::Accounting, "a lost range ends before it starts"));
    };
    let tally = tallies.entry((lost.topic, lost.partition)).or_default();
    tally.rejected = tally.rejected.saturating_add(count);
    let range = (lost.from_offset, lost.to_offset, event.body.seq);
    tally.answered.push(range);
    Ok(())
}

/// The bytes of a section that must be there in clear.
fn clear<'a>(event: &StoredEvent<'a>, tag: u16, place: Place) -> Result<&'a [u8], Fault> {
    let mut entries = event.body.sections.iter();
    let is_clear = entries.any(|entry| entry.tag == tag && entry.kind == SectionKind::Clear);
    event.section(tag).filter(|_| is_clear).ok_or_else(|| {
        let detail = format!("an event of this type has section {tag} in clear");
        place.fault(FaultKind::Undecodable, detail)
    })
}

fn unreadable(place: Place, error: &crate::Error) -> Fault {
    place.fault(FaultKind::Undecodable, error)
}
