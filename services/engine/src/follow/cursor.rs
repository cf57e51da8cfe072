//! How far a follower has come in a partition. Frozen: key `u32 partition ‖ name`, value `u8 layout = 1 ‖ u64 position ‖
//! head ‖ u64 last frame (all ones: none) ‖ i64 recorded_at_us ‖ i64 appended_at_us ‖ u64 harmless ‖ u64 garbage`.

use eventlog::Position;
use ledger::{ChainId, Head};

use super::Error;
use crate::kv::{Kv, Space};
use crate::store::codec::{Reader, Writer};
use crate::store::{put_head, take_head};

/// Frames in the log that are no part of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// Races lost, retries, zombies.
    pub harmless: u64,
    /// Bytes that are no frame of this ledger.
    pub garbage: u64,
}

/// How far a follower has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The next position of the log to read.
    pub position: Position,
    /// Head of the chain after what was followed.
    pub head: Head,
    /// Where the last accepted frame lies.
    pub last_frame: Option<Position>,
    /// Recorded time of the last event, microseconds; 0 before the first.
    pub recorded_at_us: i64,
    /// When the log took the last record that was read, microseconds by the log's clock; 0 before the first.
    pub appended_at_us: i64,
    /// Strays passed.
    pub strays: Strays,
}

const NO_FRAME: u64 = u64::MAX;

impl Cursor {
    /// Before the first frame.
    pub fn start(chain: ChainId) -> Cursor {
        Cursor {
            position: Position::ZERO,
            head: Head::genesis(chain),
            last_frame: None,
            recorded_at_us: 0,
            appended_at_us: 0,
            strays: Strays::default(),
        }
    }

    /// The last event that was followed.
    pub fn last_seq(&self) -> Option<u64> {
        self.head.next_seq.checked_sub(1)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        put_head(Writer::layout(1).u64(self.position.0), &self.head)
            .u64(self.last_frame.map_or(NO_FRAME, |at| at.0))
            .i64(self.recorded_at_us)
            .i64(self.appended_at_us)
            .u64(self.strays.harmless)
            .u64(self.strays.garbage)
            .done()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Cursor> {
        let mut reader = Reader::layout(bytes, 1)?;
        let cursor = Cursor {
            position: Position(reader.u64()?),
            head: take_head(&mut reader)?,
            last_frame: Some(reader.u64()?).filter(|at| *at != NO_FRAME).map(Position),
            recorded_at_us: reader.i64()?,
            appended_at_us: reader.i64()?,
            strays: Strays { harmless: reader.u64()?, garbage: reader.u64()? },
        };
        reader.end(cursor)
    }
}

pub(super) fn key(partition: u32, name: &str) -> Vec<u8> {
    Writer::with_capacity(4 + name.len()).u32(partition).bytes(name.as_bytes()).done()
}

/// The cursor of a follower in a partition; none when it has not begun.
///
/// # Errors
/// [`Error::Kv`], or [`Error::Model`] for bytes that are no cursor.
pub(crate) fn load(kv: &dyn Kv, partition: u32, name: &'static str) -> Result<Option<Cursor>, Error> {
    let found = kv.get(Space::Cursors, &key(partition, name))?;
    found.map(|bytes| Cursor::decode(&bytes).ok_or(Error::Model { name, partition })).transpose()
}
