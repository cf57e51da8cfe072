//! The head anchor: how far the log was acknowledged, kept outside the database and synced after it.
//!
//! A write-ahead log cannot tell a crash from a lost suffix: one damaged byte in the length of its last record reads as
//! "the writer died here". So the tail of every topic and partition, and the hash of the last frame of each ledger
//! partition, are written to this file after each synced round and before anything is acknowledged. A store below its
//! anchor has lost something and is refused; a store above it crashed between the two syncs, which is fine.
//!
//! Frozen layout, version 1, integers big-endian: two slots of equal size, a multiple of 4,096 so that a torn write of
//! one cannot reach the other. Slot of a generation g is g mod 2:
//! ```text
//! 8 "LEXANCR1" | u64 generation | 16 log id | u32 partitions
//! partitions × { 7 × u64 tail, by topic number | 32 SHA-256 of the last frame, zero if there is none }
//! 32 SHA-256 of all before
//! ```
//! INVARIANT: generations rise by one and alternate between the slots, so the slot being written is never the newest.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::fault;
use crate::{Error, Position, Topic};

const MAGIC: &[u8; 8] = b"LEXANCR1";
const HEADER_BYTES: usize = 8 + 8 + 16 + 4;
const HASH_BYTES: usize = 32;
const TAILS_BYTES: usize = 8 * Topic::COUNT;
const SECTOR_BYTES: usize = 4_096;

/// SHA-256 of a frame.
pub(super) type FrameHash = [u8; HASH_BYTES];

pub(super) fn hash(bytes: &[u8]) -> FrameHash {
    Sha256::digest(bytes).into()
}

/// What is anchored of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// By topic number.
    pub(super) tails: [u64; Topic::COUNT],
    /// Of the frame before the ledger's tail; zero if there is none.
    pub(super) frame: FrameHash,
}

impl Head {
    pub(super) fn tail(&self, topic: Topic) -> Position {
        Position(self.tails.get(usize::from(topic.number())).copied().unwrap_or(0))
    }
}

/// What one slot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) log_id: [u8; 16],
    /// By partition.
    pub(super) heads: Vec<Head>,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Anchor {
    path: PathBuf,
    file: File,
    generation: u64,
}

/// The newest whole slot of a file; none if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<(u64, Mark)>, Error> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault::of_io(path, &error)),
        Ok(file) => {
            // 4,096 partitions need less; whatever is larger is no anchor and is not read whole.
            let read = file.take(1 << 20).read_to_end(&mut bytes);
            read.map_err(|error| fault::of_io(path, &error))?;
        }
    }
    let damaged = |detail: &str| Error::AnchorDamaged { anchor: path.into(), detail: detail.into() };
    let half = bytes.len() / 2;
    if half == 0 || !half.is_multiple_of(SECTOR_BYTES) || !bytes.len().is_multiple_of(2) {
        return Err(damaged("its size is not that of two slots"));
    }
    let (first, second) = bytes.split_at(half);
    let newest = [first, second].into_iter().filter_map(decode).max_by_key(|(generation, _)| *generation);
    newest.map(Some).ok_or_else(|| damaged("neither of its two slots is whole"))
}

/// Writes a new file; for the first open, a checkpoint, and a rebuild. Synced, its directory too.
pub(super) fn create(path: &Path, mark: &Mark) -> Result<Anchor, Error> {
    let fault = |error: io::Error| fault::of_io(path, &error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(fault)?;
    // Made whole under another name: a crash leaves either no anchor or a good one.
    let unfinished = path.with_extension("unfinished");
    let mut bytes = encode(1, mark);
    bytes.splice(0..0, vec![0; bytes.len()]);
    fs::write(&unfinished, &bytes).map_err(fault)?;
    File::open(&unfinished).and_then(|file| file.sync_all()).map_err(fault)?;
    fs::rename(&unfinished, path).map_err(fault)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(fault)?;
    Anchor::open(path, 1)
}

impl Anchor {
    /// Opens a file whose newest generation was read.
    pub(super) fn open(path: &Path, generation: u64) -> Result<Self, Error> {
        let file = OpenOptions::new().write(true).open(path);
        let file = file.map_err(|error| fault::of_io(path, &error))?;
        Ok(Self { path: path.into(), file, generation })
    }

    /// Writes and syncs the next generation. After an error nothing is known but that the slot before is whole.
    pub(super) fn write(&mut self, mark: &Mark) -> Result<(), Error> {
        let generation = self.generation.saturating_add(1);
        let slot = encode(generation, mark);
        let offset = if generation.is_multiple_of(2) { 0 } else { u64::try_from(slot.len()).unwrap_or(0) };
        let written = self.file.write_all_at(&slot, offset).and_then(|()| self.file.sync_data());
        written.map_err(|error| fault::of_io(&self.path, &error))?;
        self.generation = generation;
        Ok(())
    }
}

fn slot_bytes(partitions: usize) -> usize {
    let content = HEADER_BYTES + partitions * (TAILS_BYTES + HASH_BYTES) + HASH_BYTES;
    content.next_multiple_of(SECTOR_BYTES)
}

fn encode(generation: u64, mark: &Mark) -> Vec<u8> {
    let mut slot = Vec::with_capacity(slot_bytes(mark.heads.len()));
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&generation.to_be_bytes());
    slot.extend_from_slice(&mark.log_id);
    slot.extend_from_slice(&u32::try_from(mark.heads.len()).unwrap_or(u32::MAX).to_be_bytes());
    for head in &mark.heads {
        head.tails.iter().for_each(|tail| slot.extend_from_slice(&tail.to_be_bytes()));
        slot.extend_from_slice(&head.frame);
    }
    slot.extend_from_slice(&hash(&slot));
    slot.resize(slot_bytes(mark.heads.len()), 0);
    slot
}

fn decode(slot: &[u8]) -> Option<(u64, Mark)> {
    let rest = slot.strip_prefix(MAGIC)?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (log_id, rest) = rest.split_first_chunk::<16>()?;
    let (partitions, mut rest) = rest.split_first_chunk::<4>()?;
    let mut heads = Vec::new();
    for _ in 0..u32::from_be_bytes(*partitions) {
        let mut head = Head::default();
        for tail in &mut head.tails {
            let (bytes, after) = rest.split_first_chunk::<8>()?;
            *tail = u64::from_be_bytes(*bytes);
            rest = after;
        }
        let (frame, after) = rest.split_first_chunk::<HASH_BYTES>()?;
        head.frame = *frame;
        rest = after;
        heads.push(head);
    }
    let content = slot.get(..slot.len().checked_sub(rest.len())?)?;
    let (stored, padding) = rest.split_first_chunk::<HASH_BYTES>()?;
    let whole =
        hash(content) == *stored && slot.len() == slot_bytes(heads.len()) && padding.iter().all(|byte| *byte == 0);
    whole.then(|| (u64::from_be_bytes(*generation), Mark { log_id: *log_id, heads }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn mark(tail: u64) -> Mark {
        let head = Head { tails: [tail; Topic::COUNT], frame: hash(&tail.to_be_bytes()) };
        Mark { log_id: [7; 16], heads: vec![head; 3] }
    }

    /// The vectors were computed from FORMAT.md by another program.
    const VECTORS: &str = include_str!("../../../ledger/vectors/engine.txt");

    #[test]
    fn a_slot_is_frozen() {
        let head = Head { tails: [10, 11, 12, 13, 14, 15, 16], frame: hash(b"frame") };
        let mark = Mark { log_id: [7; 16], heads: vec![head] };
        let slot = encode(5, &mark);
        let (content, padding) = slot.split_at(HEADER_BYTES + TAILS_BYTES + 2 * HASH_BYTES);
        let digits: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(VECTORS.lines().any(|line| line == format!("head-anchor {digits}")), "{digits}");
        assert_eq!((4_096, true), (slot.len(), padding.iter().all(|byte| *byte == 0)));
        assert_eq!(Some((5, mark)), decode(&slot));
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("anchor");
        assert_eq!(None, read(&path).unwrap());
        let mut anchor = create(&path, &mark(0)).unwrap();
        assert_eq!(Some((1, mark(0))), read(&path).unwrap());
        for tail in 1..=4 {
            anchor.write(&mark(tail)).unwrap();
            assert_eq!(Some((tail + 1, mark(tail))), read(&path).unwrap());
        }
        let whole = fs::read(&path).unwrap();
        // Any one flipped byte leaves the other slot, so at worst the mark before the last.
        for place in (0..whole.len()).step_by(3) {
            let mut flipped = whole.clone();
            flipped[place] ^= 0x10;
            fs::write(&path, &flipped).unwrap();
            let (generation, found) = read(&path).unwrap().unwrap();
            assert!((4..=5).contains(&generation), "byte {place}");
            assert_eq!(mark(generation - 1), found, "byte {place}");
        }
        let mut both = whole.clone();
        both[20] ^= 1;
        both[whole.len() / 2 + 20] ^= 1;
        for bad in [both, whole[..whole.len() - 1].to_vec(), Vec::new(), b"something else".to_vec()] {
            fs::write(&path, &bad).unwrap();
            assert!(matches!(read(&path), Err(Error::AnchorDamaged { .. })), "{}", bad.len());
        }
    }
}
