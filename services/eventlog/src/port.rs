//! The port: two traits and what they answer. Synchronous, one log thread per process, so that one fsync or one poll
//! serves all partitions.
//!
//! # Contract
//! **MUST**
//! - A record once readable stays, in its place, with its bytes, until it is removed; if it is durable, on every later
//!   open too. (On Kafka this takes eligible leader replicas, min ISR 2 of 3 and no unclean election; one node promises
//!   nothing at power loss.)
//! - Positions of a topic and partition are dense from 0. None is used twice, except those of records that were not yet
//!   durable when the log went down: these are lost together with everything that was written after them.
//! - Staged records are durable no later than any frame appended after they completed; so are submitted ones.
//! - `Committed` only when the frame is durable and directly follows `at`: it lies at exactly that position.
//! - A frame is readable only once it is durable. Any other record is readable when it completes.
//! - Each operation completes once, with the ticket that it returned; a completion is returned by `poll` alone.
//! - A removed record is never read again; one of [`Topic::Keys`] is gone from the medium before `Removed`.
//!
//! **MAY**
//! - Store frames that were answered `Conflict` or `Unknown`, now or later, or twice: both answers mean that the frame
//!   may be, or become, part of the ledger, and only reading on tells. So a client is never told "not decided", only
//!   "unknown, ask by id". The suite's adapters do store them.
//! - Store any other record that was answered `Unknown`, now, later, twice or never.
//! - Complete operations in any order, and any number of polls later.
//!
//! **MUST NOT**
//! - Answer `Committed` twice for one position.
//! - Remove anything from [`Topic::Ledger`].

use std::{fmt, sync::Arc, time::Duration};

use crate::{Error, NewRecord, Position, ReadLimit, Record, Removal, Topic};

/// Names an operation until it completes. Valid for the handle that returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket of assignment notices, which answer no operation.
    pub const NOTICE: Self = Self(0);

    /// For adapters: tickets are numbered from 1 in the order of the calls.
    pub const fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// Its number; 0 is [`NOTICE`](Self::NOTICE).
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What `poll` returns: an operation's answer, or a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The operation, or [`Ticket::NOTICE`].
    pub ticket: Ticket,
    /// Its answer.
    pub done: Done,
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// To `submit`: readable.
    Submitted {
        /// The partition.
        partition: u32,
        /// Its place.
        position: Position,
    },
    /// To `stage`: all readable.
    Staged {
        /// The place of each record, in the order given.
        positions: Vec<Position>,
    },
    /// To `append`: durable, at this position, which is the `at` that was asked for.
    Committed(Position),
    /// To `append`: something else lies, or may lie, at that position. The frame may still be or become part of the
    /// ledger: read on.
    Conflict,
    /// To any operation: it may have happened, may happen later, or never. Read on.
    Unknown,
    /// To `publish`: readable.
    Published {
        /// The place of each outcome, in the order given.
        positions: Vec<Position>,
    },
    /// To `remove`.
    Removed,
    /// To any operation: refused, nothing was written and nothing will be. Whether a retry may succeed is
    /// [`Error::is_transient`]. To `append` only for what no retry mends (size, partition): whatever might be transient
    /// is `Unknown`, so that an owner has one path for it.
    Failed(Error),
    /// Notice: these partitions are ours from now on.
    Assigned(Vec<u32>),
    /// Notice: give these up in order, the frame in flight first.
    Revoked(Vec<u32>),
    /// Notice: these are another's already; forget them at once.
    Lost(Vec<u32>),
}

/// Whether the log works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Working,
    /// A write failed; nothing is acknowledged until it has been reopened.
    Broken {
        /// The failure.
        error: Error,
        /// Attempts to reopen that failed since.
        attempts: u32,
    },
}

/// Reads any partition from any thread.
pub trait LogReader: Send + Sync {
    /// Records of a partition from `from` on, ascending; empty at the tail. Removed records are left out; on
    /// [`Topic::Ledger`] a gap is [`Error::Damaged`].
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Damaged`], [`Error::UnknownPartition`], [`Error::Storage`].
    fn read(&self, topic: Topic, partition: u32, from: Position, limit: ReadLimit) -> Result<Vec<Record>, Error>;

    /// A watermark taken now: one past the last record that can be read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn tail(&self, topic: Topic, partition: u32) -> Result<Position, Error>;

    /// The first place that may still hold a record; the tail when there is none. Only `Removal::Below` and retention
    /// move it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn start(&self, topic: Topic, partition: u32) -> Result<Position, Error>;

    /// Identity of a partition's contents, random for each log made: another log under the same name has another.
    fn topic_id(&self, topic: Topic, partition: u32) -> [u8; 16];

    /// Whether the log works, for readiness; from any thread.
    fn health(&self) -> Health;
}

/// Writes; owned by the log thread. Operations are queued, and executed by [`poll`](Self::poll).
pub trait EventLog: Send {
    /// How many partitions each topic has.
    fn partitions(&self) -> u32;

    /// A reader for any thread.
    fn reader(&self) -> Arc<dyn LogReader>;

    /// Writes a request, command or policy record.
    fn submit(&mut self, record: NewRecord) -> Ticket;

    /// Writes keyring records, dead letters and forwarded requests, before the frame that refers to them.
    fn stage(&mut self, records: Vec<NewRecord>) -> Ticket;

    /// Compare-and-append on [`Topic::Ledger`]: stores the frame if `at` is the tail.
    fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket;

    /// Writes outcomes of one partition, in order.
    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket;

    /// Removes records. Never from [`Topic::Ledger`].
    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket;

    /// Executes what was queued and returns what has completed. With nothing queued it waits for a completion, a notice
    /// or a wake-up, at most for `timeout`; zero never waits.
    fn poll(&mut self, timeout: Duration) -> Vec<Completion>;

    /// Makes durable whatever has completed; for shutdown. Executes nothing that is still queued.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and what the medium says; then nothing is known about what was not durable before.
    fn flush(&mut self) -> Result<(), Error>;

    /// Interrupts a waiting `poll` from another thread.
    fn waker(&self) -> Waker;

    /// Whether the log works.
    fn health(&self) -> Health {
        self.reader().health()
    }
}

impl<L: EventLog + ?Sized> EventLog for Box<L> {
    fn partitions(&self) -> u32 {
        (**self).partitions()
    }
    fn reader(&self) -> Arc<dyn LogReader> {
        (**self).reader()
    }
    fn submit(&mut self, record: NewRecord) -> Ticket {
        (**self).submit(record)
    }
    fn stage(&mut self, records: Vec<NewRecord>) -> Ticket {
        (**self).stage(records)
    }
    fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket {
        (**self).append(partition, at, frame)
    }
    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        (**self).publish(partition, outcomes)
    }
    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        (**self).remove(topic, partition, positions)
    }
    fn poll(&mut self, timeout: Duration) -> Vec<Completion> {
        (**self).poll(timeout)
    }
    fn flush(&mut self) -> Result<(), Error> {
        (**self).flush()
    }
    fn waker(&self) -> Waker {
        (**self).waker()
    }
    fn health(&self) -> Health {
        (**self).health()
    }
}

/// Interrupts a waiting `poll`. A wake-up that meets no waiting poll ends the next one's wait, so none is lost.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// For adapters: `wake` must be quick and may be called from any thread.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Interrupts.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}
