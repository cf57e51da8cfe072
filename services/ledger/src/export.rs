//! The export file, `*.ledger` (FORMAT.md, "Export file"): a first line, then records.
//!
//! The library does no I/O. Reading is a push parser that is fed chunks of any size and holds at most one record;
//! writing appends to a buffer that the caller drains. Invariant: a writer that returned no error wrote a file that
//! the verifier reads to its end.

use crate::Error;
use crate::accept::Accepted;
use crate::chain::Head;
use crate::codec::{Reader, Writer};
use crate::frame::FRAME_BYTES_MAX;
use crate::hash::Hash;
use crate::record::{self, PREFIX_BYTES, RecordKind};

/// The first line.
pub const MAGIC: &[u8] = b"lexecon/ledger-export@v1\n";

/// Longest record, in bytes: none is longer than the frame that it came from.
pub const RECORD_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// The end of a partition, as the heads record states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadEntry {
    /// The partition.
    pub partition: u32,
    /// Seq of its last event.
    pub last_seq: u64,
    /// Head of its last run.
    pub run_head: Hash,
}

/// `u32 n × { u32 partition ‖ u64 last_seq ‖ 32 run_head }`.
///
/// # Errors
/// When there are more than 2^32 − 1 entries.
pub fn encode_heads(heads: &[HeadEntry]) -> Result<Vec<u8>, Error> {
    let count = u32::try_from(heads.len()).map_err(|_| Error::Exhausted { field: "heads" })?;
    let mut out = Writer::with_capacity(4 + heads.len() * 44).u32(count);
    for head in heads {
        out = out.u32(head.partition).u64(head.last_seq).bytes(&head.run_head.0);
    }
    Ok(out.done())
}

/// Reads a heads record to its end.
///
/// # Errors
/// When the bytes are none, or partitions are not strictly ascending.
pub fn decode_heads(bytes: &[u8]) -> Result<Vec<HeadEntry>, Error> {
    let mut reader = Reader::new(bytes);
    let heads = (0..reader.u32("n_heads")?)
        .map(|_| {
            Ok(HeadEntry {
                partition: reader.u32("partition")?,
                last_seq: reader.u64("last_seq")?,
                run_head: reader.hash("run_head")?,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    reader.end("heads")?;
    if heads.is_sorted_by(|a, b| a.partition < b.partition) {
        Ok(heads)
    } else {
        Err(Error::Order { field: "partition" })
    }
}

/// Why bytes are no export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The first line is another one.
    #[error("the first line is not that of a ledger export, version 1")]
    Magic,
    /// No such kind of record.
    #[error("{0} is no kind of record")]
    Kind(u8),
    /// Longer than any record may be.
    #[error("a record claims {0} bytes, more than a record may have")]
    Length(u32),
}

/// One record of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// Its content.
    pub bytes: &'a [u8],
}

/// Splits chunks into records. Memory: one record and one chunk.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were handed out.
    consumed: usize,
    /// Offset in the file of the first byte of `buffer`.
    offset: u64,
    started: bool,
}

impl Parser {
    /// Takes the next bytes of the file.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.consumed);
        self.offset += self.consumed as u64;
        self.consumed = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// Offset in the file of the record that comes next.
    pub fn offset(&self) -> u64 {
        self.offset + self.consumed as u64
    }

    /// Whether the bytes so far end where a record ends.
    pub fn at_boundary(&self) -> bool {
        self.started && self.consumed == self.buffer.len()
    }

    /// The next record, or `None` until more is fed.
    ///
    /// # Errors
    /// When the bytes are no export.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Unreadable> {
        if !self.started {
            let seen = self.buffer.len().min(MAGIC.len());
            if self.buffer.get(..seen) != MAGIC.get(..seen) {
                return Err(Unreadable::Magic);
            }
            if seen < MAGIC.len() {
                return Ok(None);
            }
            self.consumed = MAGIC.len();
            self.started = true;
        }
        let pending = self.buffer.get(self.consumed..).unwrap_or_default();
        let Some((number, rest)) = pending.split_first() else {
            return Ok(None);
        };
        let kind = RecordKind::from_number(*number).ok_or(Unreadable::Kind(*number))?;
        if let Some(length) = rest.first_chunk::<4>().map(|l| u32::from_be_bytes(*l))
            && usize::try_from(length).is_ok_and(|length| length > RECORD_BYTES_MAX)
        {
            return Err(Unreadable::Length(length));
        }
        let Some((_, bytes, _)) = record::split(pending) else {
            return Ok(None);
        };
        self.consumed += PREFIX_BYTES + bytes.len();
        Ok(Some(Record { kind, bytes }))
    }
}

/// Writes an export: documents first, then accepted frames in order, then the heads.
#[derive(Clone, Debug)]
pub struct ExportWriter {
    heads: Vec<HeadEntry>,
    last: Option<Head>,
    framed: bool,
}

impl ExportWriter {
    /// Starts a file in `out`.
    pub fn new(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(MAGIC);
        Self { heads: Vec::new(), last: None, framed: false }
    }

    /// Appends a schema document: each one once, every one that a `SchemaAdded` event of the export declares.
    ///
    /// # Errors
    /// After the first frame, and when the document is longer than a record may be.
    pub fn schema(&mut self, document: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let length = document.len();
        if length > RECORD_BYTES_MAX {
            return Err(Error::TooLong { field: "document", length, limit: RECORD_BYTES_MAX });
        }
        if self.framed {
            return Err(Error::Order { field: "schema" });
        }
        record::put(out, RecordKind::Schema, document);
        Ok(())
    }

    /// Appends an accepted frame. `before` is the head that it was accepted on.
    ///
    /// # Errors
    /// When partitions do not ascend or the frame does not follow the last one of its partition.
    pub fn frame(
        &mut self,
        before: &Head,
        accepted: &Accepted<'_>,
        frame: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let in_place = self.last.as_ref().is_none_or(|last| {
            last == before
                || last.chain.partition < before.chain.partition
                || (last.closed
                    && last.chain.partition == before.chain.partition
                    && *before == Head::genesis(before.chain))
        });
        if !in_place {
            return Err(Error::Order { field: "frame" });
        }
        self.framed = true;
        out.extend_from_slice(frame);
        let head = &accepted.head;
        let entry =
            HeadEntry { partition: head.chain.partition, last_seq: accepted.run.last_seq, run_head: head.run_head };
        self.heads.retain(|known| known.partition != entry.partition);
        self.heads.push(entry);
        self.last = Some(head.clone());
        Ok(())
    }

    /// Closes the file.
    ///
    /// # Errors
    /// When there are more partitions than a heads record holds.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), Error> {
        let heads = encode_heads(&self.heads)?;
        record::put(out, RecordKind::Heads, &heads).ok_or(Error::Exhausted { field: "heads" })
    }
}
