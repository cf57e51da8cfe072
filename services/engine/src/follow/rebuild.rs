//! Making a read model again from the ledger, and one number for its content.
//!
//! A rebuild into an empty store beside the live one proves that the two are equal without touching the live one;
//! [`super::Followers::rebuild`] does it in place.

use std::sync::Arc;

use eventlog::LogReader;
use ledger::ChainId;

use super::{Cursor, Error, Follower, Settings, advance, cursor};
use crate::kv::{Kv, Space, Write};
use crate::store::{self, Range};

/// What a rebuild of one partition came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The cursor at the end.
    pub cursor: Cursor,
    /// Events followed.
    pub events: u64,
}

/// Follows a partition from its first frame to event `up_to` (or the present tail) into `kv`, which holds nothing of
/// these followers' spaces. `progress` hears events done.
///
/// Ends with the frame that holds `up_to`, so that the digest of a live follower that stands there can be compared.
///
/// # Errors
/// [`Error`]; [`Error::Halted`] for a ledger that cannot be followed that far.
pub fn rebuild(
    followers: &[Arc<dyn Follower>],
    chain: ChainId,
    up_to: Option<u64>,
    log: &dyn LogReader,
    kv: &dyn Kv,
    settings: &Settings,
    progress: &mut dyn FnMut(u64),
) -> Result<Rebuilt, Error> {
    let partition = chain.partition;
    let mut at = Cursor::start(chain);
    let mut events = 0_u64;
    while up_to.is_none_or(|seq| at.head.next_seq <= seq) {
        // Frame by frame when there is an end to meet, since a batch may go beyond it.
        let near = up_to.is_some_and(|seq| seq.saturating_sub(at.head.next_seq) < 100_000);
        let one = Settings { read_frames_max: if near { 1 } else { settings.read_frames_max }, ..settings.clone() };
        let step = advance(followers, &at, log, kv, &one)?;
        if let Some(halt) = step.halt {
            return Err(Error::Halted { partition, halt });
        }
        let stuck = step.cursor.position == at.position;
        at = step.cursor;
        events = events.saturating_add(step.events);
        progress(step.events);
        if stuck {
            break;
        }
    }
    Ok(Rebuilt { cursor: at, events })
}

/// Digest of what a follower derived from a partition; equal for any two that followed the same events.
///
/// # Errors
/// [`Error::Kv`].
pub fn digest(follower: &dyn Follower, partition: u32, kv: &dyn Kv) -> Result<[u8; 32], Error> {
    let ranges: Vec<Range> = follower.spaces().iter().map(|space| Range::partition(*space, partition)).collect();
    Ok(store::digest(kv, &ranges, |_| false)?)
}

/// The writes after which a follower has derived nothing from a partition.
pub(super) fn forget(follower: &dyn Follower, partition: u32) -> Vec<Write> {
    let mut writes: Vec<Write> = follower
        .spaces()
        .iter()
        .map(|space| {
            let Range { space, from, to } = Range::partition(*space, partition);
            Write::DeleteRange(space, from, to)
        })
        .collect();
    let key = cursor::key(partition, follower.name());
    writes.push(Write::Delete(Space::Cursors, key));
    writes
}
