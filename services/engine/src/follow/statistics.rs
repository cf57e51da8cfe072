//! Read model: counts of what was answered, by kind, outcome, reason, policy, action, tenant and hour.
//!
//! Bounded: names come from producers, so of policies, actions and tenants only so many are kept apart (a setting) and
//! the rest is counted together, see [`top`]; hours are kept for a time (a setting). Both settings shape what is
//! stored, so a changed one takes full effect with a rebuild.
//!
//! Frozen: [`Space::Statistics`], keys `u32 partition ‖ u8 dimension ‖ rest`: 1 policy, 2 action, 3 tenant (rest: the
//! name; value in [`top`]), 4 kind (u8 event type), 5 outcome of decisions (u8), 6 reason (u16), 7 hour (u32 since 1970
//! ‖ u8 outcome of a decision, 3 for every other answer); values of 4 to 7: `u64 count`.

mod top;
mod totals;

use std::collections::BTreeMap;

use ledger::{event_type, layout};

use super::{Batch, Error, Follower, Frame, Settings};
use crate::kv::{Space, after_prefix};
use crate::store::codec::{Reader, Writer};

pub use totals::{Counted, Hour, Totals};

/// Follows answers and counts them.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    names_max: usize,
    hours_max: u32,
}

const NAME: &str = "statistics";
const POLICY: u8 = 1;
const ACTION: u8 = 2;
const TENANT: u8 = 3;
const KIND: u8 = 4;
const OUTCOME: u8 = 5;
const REASON: u8 = 6;
const HOUR: u8 = 7;

const HOUR_US: i64 = 3_600_000_000;

impl Statistics {
    /// With the bounds of `settings`.
    pub fn new(settings: &Settings) -> Self {
        Statistics { names_max: settings.statistics_names_max.max(1), hours_max: settings.statistics_hours_max.max(1) }
    }
}

fn key(partition: u32, dimension: u8, rest: &[u8]) -> Vec<u8> {
    Writer::with_capacity(5 + rest.len()).u32(partition).u8(dimension).bytes(rest).done()
}

fn broken(partition: u32) -> Error {
    Error::Model { name: NAME, partition }
}

fn count_of(bytes: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(bytes);
    let count = reader.u64()?;
    reader.end(count)
}

fn hour_key(partition: u32, hour: u32, outcome: u8) -> Vec<u8> {
    let rest = Writer::with_capacity(5).u32(hour).u8(outcome).done();
    key(partition, HOUR, &rest)
}

fn hour_of(recorded_at_us: i64) -> u32 {
    u32::try_from(recorded_at_us.div_euclid(HOUR_US)).unwrap_or(0)
}

impl Follower for Statistics {
    fn name(&self) -> &'static str {
        NAME
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Statistics]
    }

    fn follow(&self, frame: &Frame<'_>, batch: &mut Batch<'_>) -> Result<(), Error> {
        let partition = frame.partition;
        if frame.answers.is_empty() {
            return Ok(());
        }
        let mut tops = [POLICY, ACTION, TENANT].map(|dimension| top::Top::new(partition, dimension, self.names_max));
        let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for answer in &frame.answers {
            let (body, outcome) = (&answer.event.body, &answer.outcome);
            let [policies, actions, tenants] = &mut tops;
            for policy in &outcome.policies {
                policies.count(batch, policy)?;
            }
            actions.count(batch, &answer.facts.action)?;
            tenants.count(batch, &answer.facts.tenant)?;
            let decided = body.event_type == event_type::DECIDED;
            let decision = if decided { outcome.outcome } else { layout::OUTCOME_NONE };
            let kind = u8::try_from(body.event_type).unwrap_or(0);
            let mut cells = vec![
                key(partition, KIND, &[kind]),
                key(partition, REASON, &outcome.reason_code.to_be_bytes()),
                hour_key(partition, hour_of(body.recorded_at_us), decision),
            ];
            if decided {
                cells.push(key(partition, OUTCOME, &[decision]));
            }
            for cell in cells {
                let count = counts.entry(cell).or_default();
                *count = count.saturating_add(1);
            }
        }
        for top in tops {
            top.finish(batch)?;
        }
        let mut newest = None;
        for (cell, more) in counts {
            let stored = batch.get(Space::Statistics, &cell)?;
            let before = match &stored {
                Some(bytes) => count_of(bytes).ok_or_else(|| broken(partition))?,
                None => 0,
            };
            if stored.is_none() && cell.get(4) == Some(&HOUR) {
                newest = Some(cell.clone());
            }
            let count = before.saturating_add(more);
            batch.put(Space::Statistics, cell, count.to_be_bytes().to_vec());
        }
        match newest {
            Some(cell) => self.forget_hours(partition, &cell, batch),
            None => Ok(()),
        }
    }
}

impl Statistics {
    /// Removes hours that are too old, seen from the newest cell. Done when a cell appears and at no other time, so
    /// that it depends on the ledger alone.
    fn forget_hours(&self, partition: u32, newest: &[u8], batch: &mut Batch<'_>) -> Result<(), Error> {
        let mut reader = Reader::new(newest.get(5..).unwrap_or_default());
        let hour = reader.u32().ok_or_else(|| broken(partition))?;
        let from = key(partition, HOUR, &[]);
        let kept = hour.saturating_add(1).saturating_sub(self.hours_max);
        let to = key(partition, HOUR, &kept.to_be_bytes());
        for (old, _) in batch.scan(Space::Statistics, &from, &to, usize::MAX)? {
            batch.delete(Space::Statistics, old);
        }
        Ok(())
    }
}

/// The range of a dimension, and how much of a key to cut off.
fn range(partition: u32, dimension: u8) -> (Vec<u8>, Vec<u8>, usize) {
    let from = key(partition, dimension, &[]);
    let cut = from.len();
    (from.clone(), after_prefix(&from), cut)
}
