//! Becoming and staying the owner: read the ledger's tail, fold what the state lacks, read the keyring, claim, resume.
//!
//! The same path serves the start, a conflict and an unknown answer. Frames that do not extend the head are strays:
//! harmless ones are skipped, the others mean that history was lost or rewritten, and the owner stops.

use eventlog::{Position, Record, Topic};
use ledger::layout::{Claim, InputStart, Origin};
use ledger::{Refused, Stray, accept};
use rand::RngExt;

use super::{Action, Answer, AnsweredBy, Error, Owner, Phase, Reading, Status, Then};
use crate::fold::{self, FoldedTo};
use crate::kv::{Kv, Space};
use crate::record::Clear;
use crate::store::{StateKey, StateRecord, Store};

impl Owner {
    pub(super) fn assigned(&mut self, kv: &dyn Kv, out: &mut Vec<Action>) -> Result<(), Error> {
        if !matches!(self.phase, Phase::Idle) {
            return Ok(());
        }
        let store = Store::new(kv, self.partition);
        let (folded, position) = FoldedTo::load(&store, self.head.chain)?;
        if folded.head.chain != self.head.chain {
            self.stop(
                format!(
                    "the state in the data directory belongs to ledger {}, the log to {}; they must be restored as a pair",
                    folded.head.chain.ledger_id, self.head.chain.ledger_id
                ),
                out,
            );
            return Ok(());
        }
        self.head = folded.head;
        self.recorded_at_us = folded.recorded_at_us;
        self.next_outcome_no = folded.next_outcome_no;
        self.position = position;
        self.claimed = None;
        self.was_owner = false;
        self.keys_behind = true;
        self.failures = 0;
        self.intake.crashed(kv.get(Space::Attempts, &self.partition.to_be_bytes())?.as_deref());
        self.set_status(Status::CatchingUp { reason: "reading the ledger".into() }, out);
        self.phase = Phase::CatchingUp;
        // The record before the stored position is read again: it must give the stored head.
        let from = position.previous().unwrap_or(Position::ZERO);
        out.push(Action::Read { topic: Topic::Ledger, partition: self.partition, from });
        Ok(())
    }

    pub(super) fn read_ledger(&mut self, out: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Yielded { .. }) {
            self.phase = Phase::CatchingUp;
        }
        out.push(Action::Read { topic: Topic::Ledger, partition: self.partition, from: self.position });
    }

    pub(super) fn ledger_read(
        &mut self,
        kv: &dyn Kv,
        now: Reading,
        from: Position,
        records: &[Record],
        tail: Position,
        out: &mut Vec<Action>,
    ) -> Result<(), Error> {
        if !matches!(self.phase, Phase::CatchingUp | Phase::Yielded { .. }) {
            return Ok(());
        }
        if tail < self.position {
            let (tail, position) = (tail, self.position);
            self.stop(
                format!(
                    "the ledger ends at {tail}, the state knows it up to {position}; restore data and log as a pair"
                ),
                out,
            );
            return Ok(());
        }
        let before = self.position;
        for record in records {
            if record.position < self.position {
                self.check_anchor(record, out);
            } else {
                self.fold_record(kv, record, out)?;
            }
            if matches!(self.phase, Phase::Stopped) {
                return Ok(());
            }
        }
        if self.position < tail && (!records.is_empty() || from < self.position) {
            self.read_more_ledger(out);
            return Ok(());
        }
        self.caught_up(kv, now, before, out)
    }

    fn read_more_ledger(&mut self, out: &mut Vec<Action>) {
        out.push(Action::Read { topic: Topic::Ledger, partition: self.partition, from: self.position });
    }

    fn check_anchor(&mut self, record: &Record, out: &mut Vec<Action>) {
        if record.position.next() == self.position && ledger::run_head_of(&record.value) != Some(self.head.run_head) {
            self.stop(
                format!(
                    "the frame at position {} is not the one that the state was folded from; restore data and log as a pair, \
                     or run `lexecon rebuild --replace` if the log is right",
                    record.position
                ),
                out,
            );
        }
    }

    /// Folds one record of the ledger topic, or sets it aside as a stray.
    fn fold_record(&mut self, kv: &dyn Kv, record: &Record, out: &mut Vec<Action>) -> Result<(), Error> {
        let store = Store::new(kv, self.partition);
        let frame = match accept(&self.head, &record.value) {
            Ok(frame) => frame,
            Err(refused) => return self.stray(kv, record, &refused, out),
        };
        let so_far = FoldedTo {
            head: self.head.clone(),
            recorded_at_us: self.recorded_at_us,
            next_outcome_no: self.next_outcome_no,
        };
        let (fold, folded) = fold::accepted(&store, &frame, so_far, self.ctx.terms.remembered_us())?;
        let mut writes = fold.into_writes(&store, frame.run.first_seq, record.position);
        writes.push(crate::store::head_place(self.partition, &folded.head));
        // Folds must be visible to the next one, so this one is stored before the step goes on.
        kv.write(writes)?;
        for event in &frame.events {
            if let Clear::Domain { recorded, .. } = crate::record::clear(event)?
                && let domain::evolve::Fact::Answer { identity, .. } = recorded.fact
            {
                self.untold.push_back(Answer { identity, event: AnsweredBy::Earlier { seq: recorded.seq } });
            }
        }
        // Of a long way through the ledger only the end can be waited for.
        let forgotten = self.untold.len().saturating_sub(self.ctx.limits.queue_records_max);
        self.untold.drain(..forgotten);
        self.keys_behind = true;
        self.drawn.clear();
        self.head = folded.head;
        self.recorded_at_us = folded.recorded_at_us;
        self.next_outcome_no = folded.next_outcome_no;
        self.position = record.position.next();
        self.intake.covered(&frame.run.inputs);
        if self.claimed.is_some_and(|epoch| self.head.writer_epoch > epoch) {
            self.claimed = None;
        }
        out.push(Action::Advanced { position: self.position });
        Ok(())
    }

    fn stray(&mut self, kv: &dyn Kv, record: &Record, refused: &Refused, out: &mut Vec<Action>) -> Result<(), Error> {
        let mut failed = None;
        let was_head = |hash: &ledger::Hash| match crate::store::was_head(kv, self.partition, hash) {
            Ok(known) => known || *hash == self.head.chain.genesis(),
            Err(error) => {
                failed = Some(error);
                false
            }
        };
        let verdict = classify(refused, was_head);
        if let Some(error) = failed {
            return Err(error.into());
        }
        match verdict {
            Stray::Harmless | Stray::Garbage => {
                metrics::counter!(crate::metrics::LEDGER_STRAYS, "partition" => self.partition.to_string()).increment(1);
                self.position = record.position.next();
            }
            Stray::Forked => self.stop(
                format!("FORKED at position {}: {refused}; history was lost or rewritten, keep the log as evidence and restore a backup", record.position),
                out,
            ),
            Stray::Undecodable => self.stop(
                format!("UNDECODABLE at position {}: {refused}; this log was written by a newer version", record.position),
                out,
            ),
        }
        Ok(())
    }

    /// Everything up to the tail is folded: resume, claim, or leave the partition to whoever claimed it. First the keys
    /// of what was folded are read.
    fn caught_up(&mut self, kv: &dyn Kv, now: Reading, before: Position, out: &mut Vec<Action>) -> Result<(), Error> {
        let then = match self.phase {
            Phase::Yielded { seen, .. } if self.position == seen && before == seen => Then::Claim,
            Phase::Yielded { .. } => Then::GiveUp,
            _ if self.claimed == Some(self.head.writer_epoch) => Then::Resume,
            // Owned in this assignment, and claimed by another writer since.
            _ if self.claimed.is_none() && self.was_owner => Then::GiveUp,
            _ => Then::Claim,
        };
        if self.keys_behind || then == Then::Claim {
            self.phase = Phase::ReadingKeys { then };
            let from = self.keyring(kv).cursor()?;
            out.push(Action::Read { topic: Topic::Keys, partition: self.partition, from });
            return Ok(());
        }
        self.go_on(kv, now, then, out)
    }

    fn go_on(&mut self, kv: &dyn Kv, now: Reading, then: Then, out: &mut Vec<Action>) -> Result<(), Error> {
        match then {
            Then::Resume => {
                self.policies = self.policies_in_force(kv)?;
                self.phase = Phase::Running;
                self.set_status(Status::Running, out);
                Ok(())
            }
            Then::GiveUp => {
                self.give_up(now, out);
                Ok(())
            }
            Then::Claim => {
                self.resume_inputs(kv)?;
                self.policies = self.policies_in_force(kv)?;
                if now.trusted {
                    self.claim(kv, now, out)
                } else {
                    self.wait(now, "the clock cannot be trusted".into(), out);
                    Ok(())
                }
            }
        }
    }

    /// Leaves the partition to the writer that claimed it, and looks again after a random, doubling time.
    fn give_up(&mut self, now: Reading, out: &mut Vec<Action>) {
        let longest = self.ctx.limits.backoff_max_us.max(1);
        let doubled = self.ctx.limits.backoff_first_us.max(1).saturating_mul(1 << self.yields.min(16)).min(longest);
        self.yields = self.yields.saturating_add(1);
        let wait = doubled.saturating_add(self.rng.random_range(0..doubled));
        self.claimed = None;
        self.phase = Phase::Yielded { until_us: now.wall_us.saturating_add(wait), seen: self.position };
        self.set_status(Status::Yielded, out);
    }

    pub(super) fn keys_read(
        &mut self,
        kv: &dyn Kv,
        now: Reading,
        records: &[Record],
        tail: Position,
        out: &mut Vec<Action>,
    ) -> Result<(), Error> {
        let Phase::ReadingKeys { then } = self.phase else { return Ok(()) };
        let (writes, cursor) = self.keyring(kv).absorb(records, tail)?;
        kv.write(writes)?;
        if cursor < tail {
            out.push(Action::Read { topic: Topic::Keys, partition: self.partition, from: cursor });
            return Ok(());
        }
        self.keys_behind = false;
        if then == Then::Claim {
            self.keys_watermark = tail;
        }
        out.extend(self.untold.drain(..).map(Action::Answer));
        self.go_on(kv, now, then, out)
    }

    fn resume_inputs(&mut self, kv: &dyn Kv) -> Result<(), Error> {
        let inputs: Vec<_> = self.intake.inputs().collect();
        for (topic, partition) in inputs {
            let covered = match self.load(kv, &StateKey::Input { topic: topic.as_str().to_owned(), partition })? {
                Some(StateRecord::Input { to_offset }) => to_offset,
                _ => 0,
            };
            self.intake.resume(topic, covered);
        }
        Ok(())
    }

    fn policies_in_force(&self, kv: &dyn Kv) -> Result<Option<policy::PolicySet>, Error> {
        let active = self.load(kv, &StateKey::Domain(domain::state::Key::ActivePolicy))?;
        let Some(StateRecord::Domain(domain::state::Record::ActivePolicy { bundle_hash, .. })) = active else {
            return Ok(None);
        };
        self.ctx.bundles.get(kv, self.partition, &bundle_hash)?.map(Some).map_err(Error::Bundle)
    }

    /// Who claims, and for the first claim of a partition what the deployment is.
    pub(super) fn claim_layout(&mut self) -> Claim {
        let topic_id = &self.ctx.topic_id;
        let origin = (self.head.next_seq == 0).then(|| Origin {
            partitions: self.ctx.partitions,
            routing: self.ctx.routing.number(),
            inputs: self
                .intake
                .inputs()
                .map(|(topic, partition)| InputStart {
                    topic: topic.as_str().to_owned(),
                    partition,
                    topic_id: topic_id(topic, partition),
                    start: 0,
                })
                .collect(),
        });
        Claim { writer_id: self.random(), origin }
    }
}

/// What a refused record means, given which hashes were heads of this chain.
fn classify(refused: &Refused, mut was_head: impl FnMut(&ledger::Hash) -> bool) -> Stray {
    let cell = std::cell::RefCell::new(&mut was_head);
    refused.classify(|hash| (cell.borrow_mut())(hash))
}
