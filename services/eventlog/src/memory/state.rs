//! The log as pure data: what lies where, what of it would survive a crash, what is still on its way.
//!
//! No clock, no randomness, no lock: every choice is an argument, so the same calls give the same state, and a model
//! can clone, compare and hash it. Cloning copies pointers: a sequence is shared until one of its owners writes.
//!
//! INVARIANT: a sequence's records up to its durable length, and what was removed before the last sync, survive `crash`.

use std::sync::Arc;

use super::plan::{Fate, WriteFate};
use crate::{Done, Error, NewRecord, Position, ReadLimit, Record, Removal, Topic, queue};

/// One log of all topics and partitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogState {
    partitions: u32,
    now_us: i64,
    sequences: Vec<Arc<Sequence>>,
    late: Vec<Late>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Sequence {
    /// By position; none where one was removed.
    records: Vec<Option<Arc<Record>>>,
    start: usize,
    durable: usize,
    durable_start: usize,
    /// Removed since the last sync: a crash brings them back.
    removed: Vec<(usize, Arc<Record>)>,
}

/// A frame on its way: it arrives after so many further appends to its partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Late {
    partition: u32,
    frame: Vec<u8>,
    after: u32,
}

impl LogState {
    /// An empty log.
    pub fn new(partitions: u32) -> Self {
        let count = Topic::COUNT * usize::try_from(partitions).unwrap_or(usize::MAX / Topic::COUNT);
        Self { partitions, now_us: 0, sequences: vec![Arc::default(); count], late: Vec::new() }
    }

    /// How many partitions each topic has.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The log's own clock, for [`Record::appended_at_us`]. It stands still until it is set.
    pub fn set_now_us(&mut self, now_us: i64) {
        self.now_us = now_us;
    }

    /// Writes ordinary records, not yet durable. Returns the answer's positions, none if the answer is `Unknown`.
    ///
    /// # Errors
    /// [`Error::UnknownPartition`], or [`Error::Unavailable`] where it is refused; nothing is written then.
    pub fn write(&mut self, records: Vec<NewRecord>, fate: WriteFate) -> Result<Option<Vec<Position>>, Error> {
        for record in &records {
            queue::check_partition(record.topic, record.partition, self.partitions)?;
        }
        match fate {
            WriteFate::Lost => return Ok(None),
            WriteFate::Refused => return Err(Error::Unavailable { reason: "so it was planned".into() }),
            WriteFate::Plain | WriteFate::Unknown => {}
        }
        let mut positions = Vec::with_capacity(records.len());
        for record in records {
            positions.push(self.store(record));
        }
        Ok((fate == WriteFate::Plain).then_some(positions))
    }

    /// Compare-and-append with the given fate. Whatever is stored of it is durable, and all before it.
    pub fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>, fate: Fate) -> Done {
        let tail = match self.tail(Topic::Ledger, partition) {
            Ok(tail) => tail,
            Err(error) => return Done::Failed(error),
        };
        let answer = match fate {
            Fate::Plain | Fate::Blind if at == tail => Done::Committed(at),
            Fate::Plain | Fate::Blind | Fate::Conflict => Done::Conflict,
            Fate::Lost | Fate::Unknown | Fate::Late { .. } | Fate::Twice { .. } => Done::Unknown,
        };
        match fate {
            Fate::Plain if at != tail => {}
            Fate::Lost => {}
            Fate::Late { after } => self.late.push(Late { partition, frame, after }),
            Fate::Twice { after: 0 } => {
                self.arrive(partition, frame.clone());
                self.arrive(partition, frame);
            }
            Fate::Twice { after } => {
                self.arrive(partition, frame.clone());
                self.late.push(Late { partition, frame, after });
            }
            Fate::Plain | Fate::Blind | Fate::Conflict | Fate::Unknown => {
                self.arrive(partition, frame);
            }
        }
        answer
    }

    /// How many frames are on their way.
    pub fn late(&self) -> usize {
        self.late.len()
    }

    /// Lets the n-th frame on its way arrive now. Nothing happens if there is none.
    pub fn settle(&mut self, nth: usize) {
        if nth < self.late.len() {
            let late = self.late.remove(nth);
            self.arrive(late.partition, late.frame);
        }
    }

    /// Forgets the n-th frame on its way: it never arrives.
    pub fn lose(&mut self, nth: usize) {
        if nth < self.late.len() {
            self.late.remove(nth);
        }
    }

    /// Removes records; like a write, durable with the next sync.
    ///
    /// # Errors
    /// [`Error::NeverRemoved`], [`Error::UnknownPartition`].
    pub fn remove(&mut self, topic: Topic, partition: u32, positions: &Removal) -> Result<(), Error> {
        if topic == Topic::Ledger {
            return Err(Error::NeverRemoved { topic });
        }
        let sequence = Arc::make_mut(self.sequence_mut(topic, partition)?);
        match positions {
            Removal::Below(end) => {
                let end = index(*end).min(sequence.records.len());
                (sequence.start..end).for_each(|place| sequence.forget(place));
                sequence.start = sequence.start.max(end);
            }
            Removal::Exactly(places) => {
                places.iter().for_each(|place| sequence.forget(index(*place)));
            }
        }
        // A removed key is gone from the medium when that is answered.
        if topic == Topic::Keys {
            self.sync();
        }
        Ok(())
    }

    /// Makes everything durable.
    pub fn sync(&mut self) {
        for sequence in &mut self.sequences {
            if sequence.is_dirty() {
                Arc::make_mut(sequence).sync();
            }
        }
    }

    /// Drops whatever was not durable. Frames on their way stay on their way.
    pub fn crash(&mut self) {
        for sequence in &mut self.sequences {
            if sequence.is_dirty() {
                Arc::make_mut(sequence).crash();
            }
        }
    }

    /// As [`LogReader::read`](crate::LogReader::read).
    ///
    /// # Errors
    /// [`Error::UnknownPartition`].
    pub fn read(&self, topic: Topic, partition: u32, from: Position, limit: ReadLimit) -> Result<Vec<Record>, Error> {
        let sequence = self.sequence(topic, partition)?;
        let mut read: Vec<Record> = Vec::new();
        let mut bytes = 0usize;
        for record in sequence.records.iter().skip(index(from)).flatten() {
            bytes = bytes.saturating_add(record.size());
            if !read.is_empty() && (read.len() >= limit.records || bytes > limit.bytes) {
                break;
            }
            read.push(Record::clone(record));
        }
        Ok(read)
    }

    /// As [`LogReader::tail`](crate::LogReader::tail).
    ///
    /// # Errors
    /// [`Error::UnknownPartition`].
    pub fn tail(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.sequence(topic, partition).map(|sequence| position(sequence.records.len()))
    }

    /// As [`LogReader::start`](crate::LogReader::start).
    ///
    /// # Errors
    /// [`Error::UnknownPartition`].
    pub fn start(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.sequence(topic, partition).map(|sequence| position(sequence.start))
    }

    fn arrive(&mut self, partition: u32, frame: Vec<u8>) {
        // A frame that arrives may bring the next one's turn, which may bring the next.
        let mut arriving = vec![frame];
        while let Some(frame) = arriving.pop() {
            self.store(NewRecord::new(Topic::Ledger, partition, Vec::new(), frame));
            self.sync();
            for late in self.late.iter_mut().filter(|late| late.partition == partition) {
                late.after = late.after.saturating_sub(1);
            }
            let due = |late: &Late| late.partition == partition && late.after == 0;
            if let Some(nth) = self.late.iter().position(due) {
                arriving.push(self.late.remove(nth).frame);
            }
        }
    }

    fn store(&mut self, record: NewRecord) -> Position {
        let now_us = self.now_us;
        match self.sequence_mut(record.topic, record.partition) {
            Ok(sequence) => {
                let sequence = Arc::make_mut(sequence);
                let place = position(sequence.records.len());
                sequence.records.push(Some(Arc::new(record.at(place, now_us))));
                place
            }
            // Checked by every caller.
            Err(_) => Position::ZERO,
        }
    }

    fn sequence(&self, topic: Topic, partition: u32) -> Result<&Sequence, Error> {
        let place = self.place(topic, partition)?;
        self.sequences.get(place).map(Arc::as_ref).ok_or_else(|| self.unknown(topic, partition))
    }

    fn sequence_mut(&mut self, topic: Topic, partition: u32) -> Result<&mut Arc<Sequence>, Error> {
        let place = self.place(topic, partition)?;
        let unknown = self.unknown(topic, partition);
        self.sequences.get_mut(place).ok_or(unknown)
    }

    fn place(&self, topic: Topic, partition: u32) -> Result<usize, Error> {
        queue::check_partition(topic, partition, self.partitions)?;
        let place = u64::from(topic.number()) * u64::from(self.partitions) + u64::from(partition);
        usize::try_from(place).map_err(|_| self.unknown(topic, partition))
    }

    fn unknown(&self, topic: Topic, partition: u32) -> Error {
        Error::UnknownPartition { topic, partition, partitions: self.partitions }
    }
}

impl Sequence {
    fn forget(&mut self, place: usize) {
        if let Some(record) = self.records.get_mut(place).and_then(Option::take) {
            self.removed.push((place, record));
        }
    }

    fn is_dirty(&self) -> bool {
        self.durable != self.records.len() || self.durable_start != self.start || !self.removed.is_empty()
    }

    fn sync(&mut self) {
        self.durable = self.records.len();
        self.durable_start = self.start;
        self.removed.clear();
    }

    fn crash(&mut self) {
        for (place, record) in std::mem::take(&mut self.removed) {
            if let Some(slot) = self.records.get_mut(place) {
                *slot = Some(record);
            }
        }
        self.records.truncate(self.durable);
        self.start = self.durable_start;
    }
}

fn position(place: usize) -> Position {
    Position(u64::try_from(place).unwrap_or(u64::MAX))
}

fn index(position: Position) -> usize {
    usize::try_from(position.0).unwrap_or(usize::MAX)
}
