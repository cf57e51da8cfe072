//! One round of group commit: everything that was queued, in two writes and two syncs.
//!
//! 1. Requests, staged records, outcomes and removals in one write, not synced: they lie earlier in the same
//!    write-ahead log as the frames.
//! 2. The frames of all partitions in one synced write, which makes the first durable too.
//! 3. The anchor, synced.
//! 4. Removed keys erased from the medium.
//!
//! Only then is anything readable or answered. Without frames there is no sync: no acknowledgement depends on it.
//! INVARIANT: a round either succeeds whole or is answered `Unknown` whole, and the log is closed.

use std::collections::BTreeMap;

use rocksdb::WriteBatch;

use super::{
    anchor::{self, Mark},
    erase, rows,
    shared::Shared,
    store::{Bounds, Store},
};
use crate::{
    Completion, Done, Error, NewRecord, Position, Removal, Ticket, Topic,
    queue::{Append, Remove, Round, Write},
};

/// Point deletions up to here, a range deletion beyond: the former cost readers nothing once they have passed, the
/// latter costs every read of the memtable that holds it.
const POINT_DELETIONS_MAX: u64 = 4_096;

/// A round that is prepared: what to write, and what to say when it is written.
pub(super) struct Prepared {
    ordinary: WriteBatch,
    frames: WriteBatch,
    bounds: BTreeMap<(Topic, u32), Bounds>,
    heads: BTreeMap<u32, anchor::FrameHash>,
    /// Removals of keys: `Removed` only when they are gone from the medium.
    erasures: Vec<Ticket>,
    completions: Vec<Completion>,
}

/// Plans a round. Nothing is written, so an error leaves the log as it was.
pub(super) fn prepare(store: &Store, shared: &Shared, round: Round, now_us: i64) -> Result<Prepared, Error> {
    let mut prepared = Prepared {
        ordinary: WriteBatch::default(),
        frames: WriteBatch::default(),
        bounds: BTreeMap::new(),
        heads: BTreeMap::new(),
        erasures: Vec::new(),
        completions: round.refused,
    };
    for write in round.writes {
        prepared.write(store, shared, write, now_us)?;
    }
    for remove in round.removes {
        prepared.remove(store, shared, remove)?;
    }
    prepared.counters(store)?;
    for append in round.appends {
        prepared.append(store, shared, append, now_us)?;
    }
    Ok(prepared)
}

impl Prepared {
    /// Executes the plan. After an error nothing is known.
    pub(super) fn execute(
        mut self,
        store: &Store,
        shared: &Shared,
        write_anchor: impl FnOnce(&Mark) -> Result<(), Error>,
    ) -> Result<Vec<Completion>, Error> {
        if !self.ordinary.is_empty() {
            store.write(self.ordinary, false)?;
        }
        if !self.frames.is_empty() {
            store.write(self.frames, true)?;
            let mark = anchored(shared, &self.bounds, &self.heads)?;
            write_anchor(&mark)?;
            *shared.mark() = mark;
        }
        if !self.erasures.is_empty() && !erase::erase(store, erase::UNLINK_WAIT_MAX)? {
            for completion in &mut self.completions {
                if self.erasures.contains(&completion.ticket) {
                    completion.done = Done::Unknown;
                }
            }
        }
        for ((topic, partition), bounds) in self.bounds {
            shared.set_bounds(topic, partition, bounds);
        }
        Ok(self.completions)
    }

    fn write(&mut self, store: &Store, shared: &Shared, write: Write, now_us: i64) -> Result<(), Error> {
        let mut positions = Vec::with_capacity(write.records.len());
        for record in &write.records {
            let bounds = self.bounds_of(shared, record.topic, record.partition)?;
            let position = bounds.tail;
            bounds.tail = position.next();
            let key = rows::key(record.partition, position);
            self.ordinary.put_cf(store.family(record.topic)?, key, rows::encode(record, now_us));
            positions.push(position);
        }
        self.completions.push(write.completion(positions));
        Ok(())
    }

    fn remove(&mut self, store: &Store, shared: &Shared, remove: Remove) -> Result<(), Error> {
        let Remove { ticket, topic, partition, positions } = remove;
        let family = store.family(topic)?;
        let bounds = self.bounds_of(shared, topic, partition)?;
        match positions {
            Removal::Exactly(positions) => {
                let tail = bounds.tail;
                for position in positions.into_iter().filter(|position| *position < tail) {
                    self.ordinary.delete_cf(family, rows::key(partition, position));
                }
            }
            Removal::Below(end) => {
                let (start, end) = (bounds.start, end.min(bounds.tail).max(bounds.start));
                bounds.start = end;
                // Keys always by point deletions: they are what the erasure counts afterwards.
                if end.0 - start.0 > POINT_DELETIONS_MAX && topic != Topic::Keys {
                    let (from, to) = (rows::key(partition, start), rows::key(partition, end));
                    self.ordinary.delete_range_cf(family, from, to);
                } else {
                    for position in (start.0..end.0).map(Position) {
                        self.ordinary.delete_cf(family, rows::key(partition, position));
                    }
                }
            }
        }
        if topic == Topic::Keys {
            self.erasures.push(ticket);
        }
        self.completions.push(Completion { ticket, done: Done::Removed });
        Ok(())
    }

    /// The tails and starts that this round moves, in the write that moves them.
    fn counters(&mut self, store: &Store) -> Result<(), Error> {
        let meta = store.meta()?;
        for ((topic, partition), bounds) in &self.bounds {
            let (tail, start) = (rows::tail_row(*topic, *partition), rows::start_row(*topic, *partition));
            self.ordinary.put_cf(meta, tail, bounds.tail.0.to_be_bytes());
            self.ordinary.put_cf(meta, start, bounds.start.0.to_be_bytes());
        }
        Ok(())
    }

    fn append(&mut self, store: &Store, shared: &Shared, append: Append, now_us: i64) -> Result<(), Error> {
        let Append { ticket, partition, at, frame } = append;
        let bounds = self.bounds_of(shared, Topic::Ledger, partition)?;
        let done = if bounds.tail == at {
            bounds.tail = at.next();
            self.heads.insert(partition, anchor::hash(&frame));
            let record = NewRecord::new(Topic::Ledger, partition, Vec::new(), frame);
            let row = rows::encode(&record, now_us);
            self.frames.put_cf(store.family(Topic::Ledger)?, rows::key(partition, at), row);
            Done::Committed(at)
        } else {
            Done::Conflict
        };
        self.completions.push(Completion { ticket, done });
        Ok(())
    }

    fn bounds_of(&mut self, shared: &Shared, topic: Topic, partition: u32) -> Result<&mut Bounds, Error> {
        let now = shared.bounds(topic, partition)?;
        Ok(self.bounds.entry((topic, partition)).or_insert(now))
    }
}

/// The anchor after a sync: every tail, for all that was written before is durable with it.
pub(super) fn anchored(
    shared: &Shared,
    moved: &BTreeMap<(Topic, u32), Bounds>,
    frames: &BTreeMap<u32, anchor::FrameHash>,
) -> Result<Mark, Error> {
    let mut mark = shared.mark().clone();
    for (partition, head) in (0..).zip(&mut mark.heads) {
        for (topic, tail) in Topic::ALL.into_iter().zip(&mut head.tails) {
            let bounds = match moved.get(&(topic, partition)) {
                Some(bounds) => *bounds,
                None => shared.bounds(topic, partition)?,
            };
            *tail = bounds.tail.0;
        }
        if let Some(frame) = frames.get(&partition) {
            head.frame = *frame;
        }
    }
    Ok(mark)
}
