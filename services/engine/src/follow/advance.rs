//! One step of following: read frames, accept them, let followers derive, store everything as one write.
//!
//! Sans-thread, so that tests and the offline rebuild run what the threads run. INVARIANT: cursors are stored in the
//! batch of what they stand for, or not at all.

use std::fmt;
use std::sync::Arc;

use eventlog::{LogReader, Position, ReadLimit, Record, Topic};
use ledger::{Hash, Refused, Stray};

use super::{Batch, Cursor, Error, Follower, Frame, Settings, cursor};
use crate::kv::{Kv, Space};
use crate::store;

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// The cursor after it.
    pub cursor: Cursor,
    /// Frames that were followed.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// One past the last record of the log, taken before the step.
    pub tail: Position,
    /// Why following ends here, if it does.
    pub halt: Option<Halt>,
}

/// Why a partition cannot be followed any further. Nothing but an operator changes that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// History was lost or rewritten.
    Forked {
        /// Where the frame lies.
        at: Position,
        /// What is wrong with it.
        refused: Refused,
    },
    /// A newer version wrote here.
    Undecodable {
        /// Where the frame lies.
        at: Position,
        /// What is wrong with it.
        refused: Refused,
    },
    /// The read models are of another chain than the one to be followed.
    Foreign {
        /// Theirs.
        found: ledger::ChainId,
        /// The one to be followed.
        expected: ledger::ChainId,
    },
    /// The log is shorter than what was followed, or holds another frame there.
    Truncated {
        /// The next position to read.
        position: Position,
        /// One past the last record of the log.
        tail: Position,
    },
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Forked { at, refused } => write!(
                f,
                "FORKED at position {at}: {refused}; history was lost or rewritten, keep the log as evidence and restore a backup"
            ),
            Halt::Undecodable { at, refused } => {
                write!(f, "UNDECODABLE at position {at}: {refused}; a newer version wrote this log, use that one")
            }
            Halt::Foreign { found, expected } => write!(
                f,
                "read models are of ledger {} (chain epoch {}), not of ledger {} (chain epoch {}); rebuild them, or restore \
                 the data directory whole",
                found.ledger_id, found.chain_epoch, expected.ledger_id, expected.chain_epoch
            ),
            Halt::Truncated { position, tail } => write!(
                f,
                "TRUNCATED: read models stand at position {position} of a log that ends at {tail} or holds other frames; \
                 restore log and read models as a pair, or rebuild the read models when the log is right"
            ),
        }
    }
}

/// Takes the followers of one partition, all at the same cursor, one batch further.
///
/// # Errors
/// [`Error`]; then nothing was stored, or, if the store failed, all of it or nothing.
pub fn advance(
    followers: &[Arc<dyn Follower>],
    cursor: &Cursor,
    log: &dyn LogReader,
    kv: &dyn Kv,
    settings: &Settings,
) -> Result<Advanced, Error> {
    let partition = cursor.head.chain.partition;
    let tail = log.tail(Topic::Ledger, partition)?;
    let mut step = Advanced { cursor: cursor.clone(), frames: 0, events: 0, tail, halt: None };
    if tail < cursor.position {
        step.halt = Some(Halt::Truncated { position: cursor.position, tail });
        return Ok(step);
    }
    if tail == cursor.position {
        return Ok(step);
    }
    let limit = ReadLimit { records: settings.read_frames_max, bytes: settings.read_bytes_max };
    let records = log.read(Topic::Ledger, partition, cursor.position, limit)?;
    let mut batch = Batch::new(kv);
    for record in &records {
        take(&mut step, record, followers, &mut batch)?;
        if step.halt.is_some() || batch.size() >= settings.batch_bytes_max {
            break;
        }
    }
    if step.cursor != *cursor {
        for follower in followers {
            batch.put(Space::Cursors, cursor::key(partition, follower.name()), step.cursor.encode());
        }
        kv.write(batch.into_writes())?;
    }
    Ok(step)
}

fn take(
    step: &mut Advanced,
    record: &Record,
    followers: &[Arc<dyn Follower>],
    batch: &mut Batch<'_>,
) -> Result<(), Error> {
    let partition = step.cursor.head.chain.partition;
    let accepted = match ledger::accept(&step.cursor.head, &record.value) {
        Ok(accepted) => accepted,
        Err(refused) => return stray(step, record, refused, batch),
    };
    let frame = Frame::new(partition, record.position, &accepted)?;
    for follower in followers {
        follower.follow(&frame, batch)?;
    }
    batch.add(store::place(partition, accepted.run.first_seq, record.position))?;
    batch.add(store::head_place(partition, &accepted.head))?;
    let cursor = &mut step.cursor;
    cursor.last_frame = Some(record.position);
    if let Some(last) = accepted.events.last() {
        cursor.recorded_at_us = last.body.recorded_at_us;
    }
    step.frames = step.frames.saturating_add(1);
    step.events = step.events.saturating_add(u64::try_from(accepted.events.len()).unwrap_or(u64::MAX));
    cursor.head = accepted.head;
    pass(cursor, record);
    Ok(())
}

fn pass(cursor: &mut Cursor, record: &Record) {
    cursor.position = record.position.next();
    cursor.appended_at_us = record.appended_at_us;
}

fn stray(step: &mut Advanced, record: &Record, refused: Refused, batch: &Batch<'_>) -> Result<(), Error> {
    let cursor = &mut step.cursor;
    let chain = cursor.head.chain;
    let failed = std::cell::RefCell::new(None);
    let was_head = |hash: &Hash| {
        if *hash == chain.genesis() || *hash == cursor.head.run_head {
            return true;
        }
        match batch.get(Space::Places, &store::head_key(chain.partition, hash)) {
            Ok(found) => found.is_some(),
            Err(error) => {
                failed.replace(Some(error));
                false
            }
        }
    };
    let verdict = refused.classify(was_head);
    if let Some(error) = failed.into_inner() {
        return Err(error.into());
    }
    let at = record.position;
    match verdict {
        Stray::Harmless => cursor.strays.harmless = cursor.strays.harmless.saturating_add(1),
        Stray::Garbage => cursor.strays.garbage = cursor.strays.garbage.saturating_add(1),
        Stray::Forked => {
            step.halt = Some(Halt::Forked { at, refused });
            return Ok(());
        }
        Stray::Undecodable => {
            step.halt = Some(Halt::Undecodable { at, refused });
            return Ok(());
        }
    }
    pass(cursor, record);
    Ok(())
}

/// Whether the log still holds, where the cursor says, the frame that gave its head: checked when following begins
/// anew, because a log that was replaced may be as long as the old one.
///
/// # Errors
/// [`Error::Log`].
pub(super) fn stands_on(cursor: &Cursor, log: &dyn LogReader) -> Result<bool, Error> {
    let Some(at) = cursor.last_frame else {
        return Ok(cursor.head.next_seq == 0);
    };
    let limit = ReadLimit { records: 1, bytes: 0 };
    let found = log.read(Topic::Ledger, cursor.head.chain.partition, at, limit)?;
    Ok(found
        .first()
        .filter(|record| record.position == at)
        .and_then(|record| super::frame::run_of(&record.value))
        .is_some_and(|run| run.run_head().is_ok_and(|head| head == cursor.head.run_head)))
}
