//! Where frames lie in the log, and which hashes were heads of the chain. Hints that can be made again from the log;
//! no part of the state, and in no digest.
//!
//! Frozen keys of [`Space::Places`]: `u32 partition ‖ 1 ‖ u64 first_seq` → `u64 position`, and
//! `u32 partition ‖ 2 ‖ first 16 bytes of a run head` → nothing. One pair a frame, not an event.
//! Owner and followers write the same rows, each as far as it has come, so the rows of both are one set.

use eventlog::Position;
use ledger::{Hash, Head};

use super::Error;
use super::codec::{Reader, Writer};
use crate::kv::{Kv, Space, Write};

const FRAME: u8 = 1;
const HEAD: u8 = 2;

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Seq of its first event.
    pub first_seq: u64,
    /// Its position in the ledger topic.
    pub at: Position,
}

fn frame_key(partition: u32, first_seq: u64) -> Vec<u8> {
    Writer::with_capacity(13).u32(partition).u8(FRAME).u64(first_seq).done()
}

pub(crate) fn head_key(partition: u32, head: &Hash) -> Vec<u8> {
    let (short, _) = head.0.split_at(16);
    Writer::with_capacity(21).u32(partition).u8(HEAD).bytes(short).done()
}

/// Records that the frame that begins with `first_seq` lies `at`.
pub fn place(partition: u32, first_seq: u64, at: Position) -> Write {
    let value = at.0.to_be_bytes().to_vec();
    Write::Put(Space::Places, frame_key(partition, first_seq), value)
}

/// Records that `head` is, or was, a head of the chain.
pub fn head_place(partition: u32, head: &Head) -> Write {
    Write::Put(Space::Places, head_key(partition, &head.run_head), Vec::new())
}

/// The last frame that begins at or before `seq`, among those that were recorded.
///
/// # Errors
/// [`Error::Kv`], or [`Error::Key`].
pub fn place_of(kv: &dyn Kv, partition: u32, seq: u64) -> Result<Option<Place>, Error> {
    let from = frame_key(partition, 0);
    let mut to = frame_key(partition, seq);
    to.push(0);
    let found = kv.scan(Space::Places, &from, &to, 1, true)?;
    found.first().map(|(key, value)| read(key, value).ok_or(Error::Key { kind: FRAME })).transpose()
}

fn read(key: &[u8], value: &[u8]) -> Option<Place> {
    let mut reader = Reader::new(key);
    let (_partition, _kind) = (reader.u32()?, reader.u8()?);
    let first_seq = reader.u64()?;
    let mut value = Reader::new(value);
    let at = Position(value.u64()?);
    value.end(Place { first_seq, at })
}

/// Whether `hash` was recorded as a head. Genesis is not recorded: the caller knows its chain.
///
/// # Errors
/// [`Error::Kv`].
pub fn was_head(kv: &dyn Kv, partition: u32, hash: &Hash) -> Result<bool, Error> {
    Ok(kv.get(Space::Places, &head_key(partition, hash))?.is_some())
}
