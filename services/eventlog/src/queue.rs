//! What was asked for and not yet executed: the same for every adapter that executes on `poll`.
//!
//! Everything that can be refused without looking at the log is refused here, so that the adapters agree about it. A
//! refusal keeps its place in the queue and is answered by `poll` like everything else.

use crate::{Completion, Done, Error, NewRecord, Position, Removal, Ticket, Topic};

/// Which of the three writes it was: they differ in nothing but their answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Submit,
    Stage,
    Publish,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Stage => "stage",
            Self::Publish => "publish",
        }
    }

    const fn writes(self, topic: Topic) -> bool {
        match self {
            Self::Submit => topic.is_submitted(),
            Self::Stage => topic.is_staged(),
            Self::Publish => matches!(topic, Topic::Outcomes),
        }
    }

    /// The answer, given where the records lie.
    pub(crate) fn answer(self, partition: u32, positions: Vec<Position>) -> Done {
        match self {
            Self::Submit => match positions.first() {
                Some(position) => Done::Submitted { partition, position: *position },
                None => Done::Unknown,
            },
            Self::Stage => Done::Staged { positions },
            Self::Publish => Done::Published { positions },
        }
    }
}

/// A write of ordinary records.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) ticket: Ticket,
    pub(crate) kind: Kind,
    pub(crate) records: Vec<NewRecord>,
}

impl Write {
    /// Its answer, given where the records lie.
    pub(crate) fn completion(&self, positions: Vec<Position>) -> Completion {
        let partition = self.records.first().map_or(0, |record| record.partition);
        Completion { ticket: self.ticket, done: self.kind.answer(partition, positions) }
    }
}

/// A compare-and-append.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    pub(crate) ticket: Ticket,
    pub(crate) partition: u32,
    pub(crate) at: Position,
    pub(crate) frame: Vec<u8>,
}

/// A removal.
#[derive(Clone, Debug)]
pub(crate) struct Remove {
    pub(crate) ticket: Ticket,
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    pub(crate) positions: Removal,
}

/// One round's work, in the order in which it is executed; within a kind, the order of the calls.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) refused: Vec<Completion>,
    pub(crate) writes: Vec<Write>,
    pub(crate) removes: Vec<Remove>,
    pub(crate) appends: Vec<Append>,
}

impl Round {
    pub(crate) fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.writes.is_empty() && self.removes.is_empty() && self.appends.is_empty()
    }
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    partitions: u32,
    bytes_max: usize,
    issued: u64,
    round: Round,
}

impl Queue {
    pub(crate) fn new(partitions: u32, bytes_max: usize) -> Self {
        Self { partitions, bytes_max, issued: 0, round: Round::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.round.is_empty()
    }

    /// Empties it.
    pub(crate) fn take(&mut self) -> Round {
        std::mem::take(&mut self.round)
    }

    pub(crate) fn write(&mut self, kind: Kind, records: Vec<NewRecord>) -> Ticket {
        let ticket = self.ticket();
        match records.iter().try_for_each(|record| self.check_record(kind, record)) {
            Ok(()) => self.round.writes.push(Write { ticket, kind, records }),
            Err(error) => self.refuse(ticket, error),
        }
        ticket
    }

    /// As [`write`](Self::write), all records to one partition.
    pub(crate) fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        let stranger = outcomes.iter().find(|record| record.partition != partition);
        match stranger.map(|record| record.partition) {
            None => self.write(Kind::Publish, outcomes),
            Some(partition) => {
                let ticket = self.ticket();
                self.refuse(ticket, Error::PartitionsMixed { topic: Topic::Outcomes, partition });
                ticket
            }
        }
    }

    pub(crate) fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket {
        let ticket = self.ticket();
        match self.check(Topic::Ledger, partition, frame.len()) {
            Ok(()) => self.round.appends.push(Append { ticket, partition, at, frame }),
            Err(error) => self.refuse(ticket, error),
        }
        ticket
    }

    pub(crate) fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        let ticket = self.ticket();
        if topic == Topic::Ledger {
            self.refuse(ticket, Error::NeverRemoved { topic });
        } else if let Err(error) = self.check(topic, partition, 0) {
            self.refuse(ticket, error);
        } else {
            self.round.removes.push(Remove { ticket, topic, partition, positions });
        }
        ticket
    }

    fn ticket(&mut self) -> Ticket {
        self.issued = self.issued.saturating_add(1);
        Ticket::numbered(self.issued)
    }

    fn refuse(&mut self, ticket: Ticket, error: Error) {
        self.round.refused.push(Completion { ticket, done: Done::Failed(error) });
    }

    fn check_record(&self, kind: Kind, record: &NewRecord) -> Result<(), Error> {
        if !kind.writes(record.topic) {
            return Err(Error::WrongTopic { operation: kind.name(), topic: record.topic });
        }
        self.check(record.topic, record.partition, record.size())
    }

    fn check(&self, topic: Topic, partition: u32, bytes: usize) -> Result<(), Error> {
        check_partition(topic, partition, self.partitions)?;
        if bytes > self.bytes_max {
            return Err(Error::TooLarge { topic, bytes, limit: self.bytes_max });
        }
        Ok(())
    }
}

/// Readers refuse an unknown partition in the same words.
pub(crate) fn check_partition(topic: Topic, partition: u32, partitions: u32) -> Result<(), Error> {
    if partition >= partitions {
        return Err(Error::UnknownPartition { topic, partition, partitions });
    }
    Ok(())
}
