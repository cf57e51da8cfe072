//! Derived data: followers read the ledger, each with a cursor and a lag of its own, and write read models.
//!
//! There is no other way to make a read model. Invariants: a follower sees exactly the frames that `ledger::accept`
//! accepts, hashes checked again, in order; its cursor is written in the same batch as what it derived, so a crash
//! repeats nothing and skips nothing; what it derives depends on the ledger's clear bytes alone, so a rebuild gives the
//! same digest, whatever the batches were, and also after an erasure; nothing it writes is a copy of an event. A stray
//! is counted, a fork stops it.
//! Deliberately not here: what reads models ([`crate::reader`]), and state, which the owner folds for itself.

mod advance;
mod batch;
mod conservation;
mod cursor;
mod decisions;
pub(crate) mod frame;
mod outcomes;
mod progress;
mod rebuild;
mod requests;
#[cfg(test)]
pub(crate) mod sample;
mod statistics;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::Arc;
use std::time::Duration;

use eventlog::Position;
use ledger::layout::{Facts, Outcome};
use ledger::{Accepted, StoredEvent, event_type};

use crate::kv::{self, Space};
use crate::record;

pub use advance::{Advanced, Halt, advance};
pub use batch::Batch;
pub use conservation::{Conservation, InputAccount};
pub use cursor::{Cursor, Strays};
pub use decisions::{Choice, Decisions, Entry, Marks, Stream, streams};
pub use outcomes::Outcomes;
pub use progress::{Progress, Standing, WaitError};
pub use rebuild::{Rebuilt, digest, rebuild};
pub use requests::Requests;
pub use statistics::{Counted, Hour, Statistics, Totals};
pub use threads::{Digest, Followers, Waker, chains};

pub(crate) use threads::{measured, wait_for};

pub(crate) use conservation::input_of;
pub(crate) use cursor::load as load_cursor;
pub(crate) use decisions::{acting, find_id, mark_of, short, tenants};
pub(crate) use outcomes::frames_from as outcome_frames_from;
pub(crate) use requests::{find as find_request, key as request_row};

/// A read model in the making.
///
/// MUST: derive from the frame and the batch alone, be the same for any division into batches, write only to its own
/// spaces, with keys that begin with the partition. MUST NOT: keep copies of events; a seq finds them in the ledger.
pub trait Follower: Send + Sync {
    /// Its name: that of its cursor, frozen.
    fn name(&self) -> &'static str;

    /// The spaces that are its alone, and are emptied for a rebuild.
    fn spaces(&self) -> &'static [Space];

    /// Takes in the next frame of a partition. Reads and writes go through `batch`, which shows what was written
    /// before and is not stored yet.
    ///
    /// # Errors
    /// [`Error`]; then nothing of the batch is stored.
    fn follow(&self, frame: &Frame<'_>, batch: &mut Batch<'_>) -> Result<(), Error>;
}

/// One accepted frame, its clear sections read once for all followers.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The partition.
    pub partition: u32,
    /// Where it lies in the log.
    pub position: Position,
    /// What was accepted.
    pub accepted: &'a Accepted<'a>,
    /// Its events that answer requests, in order.
    pub answers: Vec<Answer<'a>>,
}

/// An event that answers a request, in clear.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The event.
    pub event: &'a StoredEvent<'a>,
    /// Section 1.
    pub facts: Facts,
    /// Section 2.
    pub outcome: Outcome,
}

impl<'a> Frame<'a> {
    /// Reads the clear sections of an accepted frame.
    ///
    /// # Errors
    /// [`Error::Record`] when one cannot be read.
    pub fn new(partition: u32, position: Position, accepted: &'a Accepted<'a>) -> Result<Self, Error> {
        let answers = accepted
            .events
            .iter()
            .filter(|event| event_type::answers_request(event.body.event_type))
            .map(|event| Ok(Answer { event, facts: record::facts(event)?, outcome: record::outcome(event)? }))
            .collect::<Result<_, record::Error>>()
            .map_err(|error| Error::Record { partition, position, error: Arc::new(error) })?;
        Ok(Frame { partition, position, accepted, answers })
    }
}

/// Settings of followers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Threads; partition p is followed by thread p mod n. At least 1.
    pub threads: usize,
    /// Frames that are read at once, at most.
    pub read_frames_max: usize,
    /// Bytes that are read at once, at most; one frame always fits.
    pub read_bytes_max: usize,
    /// A batch is stored when it holds this many bytes of keys and values.
    pub batch_bytes_max: usize,
    /// How long a thread without work waits before it looks at the log again without having been woken.
    pub poll: Duration,
    /// How far apart rounds begin at least, so that frames gather; a read that waits for a position waits as long.
    pub gather: Duration,
    /// The first wait after a failure; doubled for each further one.
    pub retry_min: Duration,
    /// The longest wait after failures.
    pub retry_max: Duration,
    /// Names that statistics keep apart, for each of policies, actions and tenants; the rest is counted together.
    pub statistics_names_max: usize,
    /// Hours that statistics keep.
    pub statistics_hours_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            threads: 1,
            read_frames_max: 256,
            read_bytes_max: 4 << 20,
            batch_bytes_max: 4 << 20,
            poll: Duration::from_millis(20),
            gather: Duration::from_millis(5),
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(5),
            statistics_names_max: 256,
            statistics_hours_max: 24 * 90,
        }
    }
}

/// Names of all followers, in their order.
pub const NAMES: [&str; 5] = ["conservation", "decisions", "outcomes", "requests", "statistics"];

/// Every follower there is, in the order of [`NAMES`].
pub fn all(settings: &Settings) -> Vec<Arc<dyn Follower>> {
    vec![
        Arc::new(Conservation),
        Arc::new(Decisions),
        Arc::new(Outcomes),
        Arc::new(Requests),
        Arc::new(Statistics::new(settings)),
    ]
}

/// What can go wrong while following.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The store of the read models.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] eventlog::Error),
    /// State, places.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A record of a read model, or a cursor, that no version wrote.
    #[error(
        "the read model {name} cannot be read in partition {partition}; stop the process and run `lexecon rebuild --replace`"
    )]
    Model {
        /// The follower.
        name: &'static str,
        /// The partition.
        partition: u32,
    },
    /// An accepted event whose clear sections cannot be read.
    #[error("partition {partition}, position {position}: {error}; use the version that wrote it")]
    Record {
        /// The partition.
        partition: u32,
        /// Where the frame lies.
        position: Position,
        /// Why.
        error: Arc<record::Error>,
    },
    /// A thread could not be started.
    #[error("a follower's thread could not be started: {reason}")]
    Thread {
        /// What the system said.
        reason: String,
    },
    /// No such follower.
    #[error("there is no follower {name:?}; there are {known}")]
    Unknown {
        /// Asked for.
        name: String,
        /// Their names.
        known: String,
    },
    /// The rebuilt follower met the end of what can be followed.
    #[error("partition {partition}: {halt}")]
    Halted {
        /// The partition.
        partition: u32,
        /// Why.
        halt: Halt,
    },
}
