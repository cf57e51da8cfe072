//! What follows the log's answer about a batch.
//!
//! `Committed` at exactly the position asked for is the only good news. Everything else forgets the batch and reads on:
//! the frame may be in the ledger, or get there later, and only reading tells. What the log refuses for good (a record
//! that is too large, a partition that it does not have) stops the owner.

use eventlog::{Done, Position, Removal, Topic};

use super::batch::{Batch, Purpose};
use super::{Action, Error, Owner, Phase, Reading, Status, Tag};
use crate::keys::Claim;
use crate::kv::Kv;
use crate::store::{StateKey, Store};

/// Keyring records that one sweep looks at; what is left is swept after the next claim.
const SWEEP_MAX: usize = 10_000;

impl Owner {
    pub(super) fn completed(
        &mut self,
        kv: &dyn Kv,
        now: Reading,
        tag: Tag,
        done: Done,
        out: &mut Vec<Action>,
    ) -> Result<(), Error> {
        match std::mem::replace(&mut self.phase, Phase::Running) {
            Phase::Staging(batch) if batch.tag == tag => self.staged(*batch, now, done, out),
            Phase::Appending(batch) if batch.tag == tag => self.appended(kv, *batch, now, done, out)?,
            other if self.sweeping.as_ref().is_some_and(|(sweeping, _)| *sweeping == tag) => {
                self.phase = other;
                self.swept(done, out);
            }
            // An answer about a batch that was forgotten: whatever became of it is found by reading.
            other => self.phase = other,
        }
        Ok(())
    }

    fn staged(&mut self, mut batch: Batch, now: Reading, done: Done, out: &mut Vec<Action>) {
        match done {
            Done::Staged { positions } => {
                batch.staged_at = positions;
                self.append(batch, out);
            }
            Done::Failed(error) => self.refused(batch, now, "staged records", &error, out),
            other => self.forget(batch, now, format!("staged records: {other:?}"), out),
        }
    }

    fn appended(
        &mut self,
        kv: &dyn Kv,
        batch: Batch,
        now: Reading,
        done: Done,
        out: &mut Vec<Action>,
    ) -> Result<(), Error> {
        match done {
            Done::Committed(position) if position == batch.at => self.commit(kv, batch, out),
            Done::Failed(error) => {
                self.refused(batch, now, "a frame", &error, out);
                Ok(())
            }
            Done::Conflict => {
                self.put_back(batch);
                self.read_ledger(out);
                Ok(())
            }
            other => {
                self.forget(batch, now, format!("append: {other:?}"), out);
                Ok(())
            }
        }
    }

    /// Nothing was written. A log that is full, or closed until it is reopened, takes it later: stopping for that would
    /// need an operator for what mends itself.
    fn refused(&mut self, batch: Batch, now: Reading, what: &str, error: &eventlog::Error, out: &mut Vec<Action>) {
        let reason = format!("the log refused {what}: {error}");
        if error.is_transient() {
            self.forget(batch, now, reason, out);
        } else {
            self.stop(reason, out);
        }
    }

    fn put_back(&mut self, batch: Batch) {
        self.intake.put_back(batch.source);
    }

    fn forget(&mut self, batch: Batch, now: Reading, reason: String, out: &mut Vec<Action>) {
        self.put_back(batch);
        self.wait(now, reason, out);
    }

    fn commit(&mut self, kv: &dyn Kv, batch: Batch, out: &mut Vec<Action>) -> Result<(), Error> {
        let store = Store::new(kv, self.partition);
        let ends_surrogates = batch.fold.ends_surrogates();
        let mut writes = batch.fold.into_writes(&store, batch.first_seq, batch.at);
        let keyring = self.keyring(kv);
        for (staged, record) in &batch.keyring {
            if let Some(position) = batch.staged_at.get(*staged) {
                writes.extend(keyring.index(record, *position)?);
            }
        }
        writes.push(crate::store::head_place(self.partition, &batch.frame.head));
        out.push(Action::Store(writes));
        self.head = batch.frame.head;
        self.recorded_at_us = batch.recorded_at_us;
        self.next_outcome_no = batch.next_outcome_no;
        self.position = batch.at.next();
        self.policies = batch.policies;
        self.drawn.keep(batch.drawn);
        if ends_surrogates {
            self.drawn.clear();
        }
        self.failures = 0;
        metrics::histogram!(crate::metrics::BATCH_EVENTS).record(batch_events(batch.frame.events.len()));
        out.push(Action::Advanced { position: self.position });
        out.extend(batch.answers.into_iter().map(Action::Answer));
        if self.intake.covered(&batch.ranges) {
            let below = Position(self.intake.covered_to(Topic::Requests));
            out.push(Action::Remove {
                tag: None,
                topic: Topic::Requests,
                partition: self.partition,
                positions: Removal::Below(below),
            });
        }
        if batch.purpose == Purpose::Claim {
            self.claimed = Some(self.head.writer_epoch);
            self.was_owner = true;
            self.yields = 0;
            self.sweep(kv, out)?;
        }
        self.phase = Phase::Running;
        self.set_status(Status::Running, out);
        Ok(())
    }

    /// Removes keyring records that no accepted event counts, as far as they were there before our accepted claim was
    /// sent: later ones may belong to a frame that is on its way.
    fn sweep(&mut self, kv: &dyn Kv, out: &mut Vec<Action>) -> Result<(), Error> {
        let store = Store::new(kv, self.partition);
        let counts = |claim: &Claim| -> Result<bool, Error> {
            let key = match claim {
                Claim::Dek(dek_id) => StateKey::DekCounted(*dek_id),
                Claim::Surrogate(surrogate) => StateKey::Surrogate(*surrogate),
            };
            Ok(store.get(&key)?.is_some())
        };
        let orphans = self.keyring(kv).orphans(self.keys_watermark, SWEEP_MAX, counts)?;
        if orphans.positions.is_empty() {
            out.push(Action::Store(orphans.writes));
            return Ok(());
        }
        let tag = self.tag();
        self.sweeping = Some((tag, orphans.writes));
        out.push(Action::Remove {
            tag: Some(tag),
            topic: Topic::Keys,
            partition: self.partition,
            positions: Removal::Exactly(orphans.positions),
        });
        Ok(())
    }

    /// The index forgets what is gone. What may still lie in the topic stays in it, for the sweep after the next claim:
    /// a record without a row would be found by none.
    fn swept(&mut self, done: Done, out: &mut Vec<Action>) {
        if let Some((_, writes)) = self.sweeping.take()
            && done == Done::Removed
        {
            out.push(Action::Store(writes));
        }
    }
}

/// Fewer than 2^32 by the limit of a frame's bytes.
fn batch_events(events: usize) -> f64 {
    f64::from(u32::try_from(events).unwrap_or(u32::MAX))
}
