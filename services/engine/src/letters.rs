//! The desk for dead letters: listing, looking at, retrying and discarding what could not be processed.
//!
//! Invariants: nothing is removed by hand; what an operator did is a command through the log and a ledger event. Whose
//! data a letter holds nobody can say, so its bytes are never shown here: only where it came from, why it was set aside
//! and how long it is. A retry submits the very bytes again and is marked after they are in the log: a crash between
//! the two leaves a letter that can be retried once more, which the de-duplication makes harmless. One that cannot be
//! opened (its key is gone, its bytes are damaged) is listed as such: it never hides the others.
//! Deliberately not here: how letters are sealed ([`crate::dead_letter`]).

use std::time::{Duration, Instant};

use domain::command::DeadLetterMark;
use domain::state::{Key, Record as StateRecordOf};
use eventlog::{LogReader, Position, ReadLimit, Record, Topic};
use wire::{CommandRecord, DeadLetter, Mark};

use crate::dead_letter;
use crate::keys::Secrets;
use crate::kv::Kv;
use crate::store::{StateKey, StateRecord, Store};
use crate::system::{StartError, System, command_id};

/// Why a dead letter could not be shown or dealt with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such letter.
    #[error("there is no dead letter {partition}:{position}; list them to see which there are")]
    Unknown {
        /// Partition asked for.
        partition: u32,
        /// Position asked for.
        position: Position,
    },
    /// It was dealt with.
    #[error("dead letter {partition}:{position} was {} already, by event {seq}", word(*.mark))]
    Done {
        /// Its partition.
        partition: u32,
        /// Its position.
        position: Position,
        /// What was done.
        mark: DeadLetterMark,
        /// The event that says so.
        seq: u64,
    },
    /// Only its size was kept.
    #[error("dead letter {partition}:{position} was too large to be kept, so there is nothing to retry; discard it")]
    NotKept {
        /// Its partition.
        partition: u32,
        /// Its position.
        position: Position,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] eventlog::Error),
    /// It cannot be opened.
    #[error(transparent)]
    Sealed(#[from] dead_letter::Error),
    /// State.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The log does not take the retry.
    #[error(transparent)]
    Submit(#[from] crate::system::SubmitError),
    /// The log does not take the command.
    #[error(transparent)]
    Command(#[from] StartError),
}

fn word(mark: DeadLetterMark) -> &'static str {
    match mark {
        DeadLetterMark::Retried => "retried",
        DeadLetterMark::Discarded => "discarded",
    }
}

/// What can be shown of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterView {
    /// Its partition.
    pub partition: u32,
    /// Its position among the dead letters of the partition.
    pub position: Position,
    /// When it was set aside, microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Name of the reason.
    pub reason_code: String,
    /// Field, place and remedy, without values.
    pub detail: String,
    /// Logical topic that it came from.
    pub topic: String,
    /// Partition there.
    pub input_partition: u32,
    /// Offset there.
    pub offset: u64,
    /// Length of its value as it arrived.
    pub value_bytes: u64,
    /// Whether the value was kept and can be retried.
    pub kept: bool,
    /// What was done with it, and the event that says so.
    pub done: Option<(DeadLetterMark, u64)>,
}

/// The reason code of a letter that cannot be opened; its own reason stands inside.
pub const UNREADABLE: &str = "unreadable";

/// A partition and a position in it.
pub type Place = (u32, Position);

impl LetterView {
    /// `open`, `retried` or `discarded`.
    pub fn state(&self) -> &'static str {
        self.done.map_or("open", |(mark, _)| word(mark))
    }
}

/// Reads dead letters; of a running system or of a directory that nobody uses.
pub struct Letters<'a> {
    log: &'a dyn LogReader,
    secrets: &'a Secrets,
    kv: &'a dyn Kv,
    partitions: u32,
}

impl<'a> Letters<'a> {
    /// Over a deployment with that many partitions.
    pub fn new(log: &'a dyn LogReader, secrets: &'a Secrets, kv: &'a dyn Kv, partitions: u32) -> Letters<'a> {
        Letters { log, secrets, kv, partitions }
    }

    /// Letters from a place on, by partition and position, at most `limit`; and where to go on.
    ///
    /// # Errors
    /// [`Error`].
    pub fn page(&self, from: Place, limit: usize) -> Result<(Vec<LetterView>, Option<Place>), Error> {
        let mut found = Vec::new();
        let (first, mut position) = from;
        for partition in first..self.partitions {
            loop {
                let records = self.log.read(
                    Topic::DeadLetters,
                    partition,
                    position,
                    ReadLimit { records: limit.max(1), ..ReadLimit::default() },
                )?;
                let Some(last) = records.last().map(|record| record.position) else { break };
                for record in records {
                    if found.len() == limit {
                        return Ok((found, Some((partition, record.position))));
                    }
                    found.push(match dead_letter::open(self.secrets, partition, &record.value) {
                        Ok(letter) => self.view(partition, record.position, &letter)?,
                        Err(error) => self.unreadable(partition, &record, &error)?,
                    });
                }
                position = last.next();
            }
            position = Position::ZERO;
        }
        Ok((found, None))
    }

    /// One letter.
    ///
    /// # Errors
    /// [`Error::Unknown`], or what reading it says.
    pub fn one(&self, partition: u32, position: Position) -> Result<LetterView, Error> {
        let record = self.record(partition, position)?;
        match dead_letter::open(self.secrets, partition, &record.value) {
            Ok(letter) => self.view(partition, position, &letter),
            Err(error) => self.unreadable(partition, &record, &error),
        }
    }

    /// How many there are, dealt with or not.
    ///
    /// # Errors
    /// The log.
    pub fn count(&self) -> Result<u64, Error> {
        let mut count = 0_u64;
        for partition in 0..self.partitions {
            let (start, tail) =
                (self.log.start(Topic::DeadLetters, partition)?, self.log.tail(Topic::DeadLetters, partition)?);
            count = count.saturating_add(tail.0.saturating_sub(start.0));
        }
        Ok(count)
    }

    fn open(&self, partition: u32, position: Position) -> Result<DeadLetter, Error> {
        Ok(dead_letter::open(self.secrets, partition, &self.record(partition, position)?.value)?)
    }

    fn record(&self, partition: u32, position: Position) -> Result<Record, Error> {
        if partition >= self.partitions {
            return Err(Error::Unknown { partition, position });
        }
        let limit = ReadLimit { records: 1, ..ReadLimit::default() };
        let record = self
            .log
            .read(Topic::DeadLetters, partition, position, limit)?
            .into_iter()
            .find(|record| record.position == position);
        record.ok_or(Error::Unknown { partition, position })
    }

    /// What can be said of a letter without opening it. Where it came from stands inside.
    fn unreadable(&self, partition: u32, record: &Record, error: &dead_letter::Error) -> Result<LetterView, Error> {
        Ok(LetterView {
            partition,
            position: record.position,
            at_us: record.appended_at_us,
            reason_code: UNREADABLE.to_owned(),
            detail: format!("it cannot be opened: {error}; discard it, or restore its key"),
            topic: String::new(),
            input_partition: partition,
            offset: 0,
            value_bytes: 0,
            kept: false,
            done: self.done(partition, record.position)?,
        })
    }

    fn view(&self, partition: u32, position: Position, letter: &DeadLetter) -> Result<LetterView, Error> {
        Ok(LetterView {
            partition,
            position,
            at_us: letter.at_us,
            reason_code: letter.reason_code.clone(),
            detail: letter.detail.clone(),
            topic: letter.topic.clone(),
            input_partition: letter.partition,
            offset: letter.offset,
            value_bytes: letter.value_bytes,
            kept: letter.value.is_some(),
            done: self.done(partition, position)?,
        })
    }

    fn done(&self, partition: u32, position: Position) -> Result<Option<(DeadLetterMark, u64)>, Error> {
        Ok(match Store::new(self.kv, partition).get(&StateKey::Domain(Key::DeadLetter(position.0)))? {
            Some(StateRecord::Domain(StateRecordOf::DeadLetter { mark, seq })) => Some((mark, seq)),
            _ => None,
        })
    }
}

impl System {
    /// Submits a dead letter's bytes again and records that it was done. Waits until the record is there, `wait` at
    /// most; the letter as it is then.
    ///
    /// # Errors
    /// [`Error`].
    pub fn retry(&self, partition: u32, position: Position, by: &str, wait: Duration) -> Result<LetterView, Error> {
        self.untouched(partition, position)?;
        let letter = self.letters().open(partition, position)?;
        let value = letter.value.ok_or(Error::NotKept { partition, position })?;
        self.submit_raw(letter.partition, &value)?;
        self.mark(partition, position, Mark::Retried, by, wait)
    }

    /// Records that a dead letter needs nothing more. As [`System::retry`].
    ///
    /// # Errors
    /// [`Error`].
    pub fn discard(&self, partition: u32, position: Position, by: &str, wait: Duration) -> Result<LetterView, Error> {
        self.untouched(partition, position)?;
        self.mark(partition, position, Mark::Discarded, by, wait)
    }

    fn untouched(&self, partition: u32, position: Position) -> Result<(), Error> {
        let letters = self.letters();
        letters.record(partition, position)?;
        match letters.done(partition, position)? {
            Some((mark, seq)) => Err(Error::Done { partition, position, mark, seq }),
            None => Ok(()),
        }
    }

    fn mark(
        &self,
        partition: u32,
        position: Position,
        mark: Mark,
        by: &str,
        wait: Duration,
    ) -> Result<LetterView, Error> {
        let command = CommandRecord::MarkDeadLetter {
            command_id: command_id()?,
            partition,
            position: position.0,
            mark,
            by: by.to_owned(),
        };
        self.command(partition, &command)?;
        let until = Instant::now() + wait;
        loop {
            let view = self.letters().one(partition, position)?;
            if view.done.is_some() || Instant::now() >= until {
                return Ok(view);
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}
