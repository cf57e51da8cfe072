//! Read model: from an outcome's number to its event.
//!
//! Numbers are dense, and so are those of one frame: one row a frame says it all. Frozen: [`Space::Outcomes`], key
//! `u32 partition ‖ u64 number of the frame's first outcome`, value `u64 seq` of the frame's first event.

use ledger::event_type;

use super::{Batch, Error, Follower, Frame};
use crate::kv::{Kv, Space};
use crate::store::codec::{Reader, Writer};

/// Follows outcomes by their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes;

const NAME: &str = "outcomes";

fn key(partition: u32, outcome_no: u64) -> Vec<u8> {
    Writer::with_capacity(12).u32(partition).u64(outcome_no).done()
}

impl Follower for Outcomes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Outcomes]
    }

    fn follow(&self, frame: &Frame<'_>, batch: &mut Batch<'_>) -> Result<(), Error> {
        // A rerouted request carries the next number without taking it.
        let first = frame.answers.iter().find(|answer| answer.event.body.event_type != event_type::REROUTED);
        if let Some(first) = first {
            let value = frame.accepted.run.first_seq.to_be_bytes().to_vec();
            let key = key(frame.partition, first.outcome.outcome_no);
            batch.put(Space::Outcomes, key, value);
        }
        Ok(())
    }
}

/// First seqs of at most `limit` frames that hold outcomes, from the one that holds number `from` on.
///
/// # Errors
/// [`Error::Kv`], or [`Error::Model`].
pub(crate) fn frames_from(kv: &dyn Kv, partition: u32, from: u64, limit: usize) -> Result<Vec<u64>, Error> {
    let mut at_or_before = key(partition, from);
    at_or_before.push(0);
    let holds = kv.scan(Space::Outcomes, &key(partition, 0), &at_or_before, 1, true)?;
    let mut end = key(partition, u64::MAX);
    end.push(0);
    let after = kv.scan(Space::Outcomes, &at_or_before, &end, limit, false)?;
    let seqs = holds.iter().chain(&after).take(limit).map(|(_, value)| {
        let mut reader = Reader::new(value);
        let seq = reader.u64();
        seq.and_then(|seq| reader.end(seq)).ok_or(Error::Model { name: NAME, partition })
    });
    seqs.collect()
}
