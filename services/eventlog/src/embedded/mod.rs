//! The embedded log: one RocksDB database, one write-ahead log, synced group commit, and a head anchor beside it.
//!
//! A column family per topic; a round of [`EventLog::poll`] is two writes and two syncs (`round`). On any failed write
//! or sync the round is answered `Unknown`, the database is closed, and `poll` reopens it with doubling back-off: what a
//! failed sync left behind is only known after recovery has read it back and written it anew. Opening checks the store
//! against its anchor and refuses one that lost anything acknowledged.
//!
//! Deliberately not here: threads of our own (the caller's log thread does it all), retention by time (callers remove
//! what they have consumed), repair (a damaged log is restored from a backup, never guessed at).

mod anchor;
mod erase;
mod fault;
mod round;
mod rows;
mod settings;
mod shared;
mod store;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

pub use settings::{Compression, Settings};

use self::{anchor::Anchor, shared::Shared, store::Store};
use crate::{
    Completion, Done, Error, EventLog, Health, LogReader, NewRecord, Position, Removal, Ticket,
    Topic, Waker,
    queue::{Kind, Queue, Round},
    signal::Signal,
};

/// How often a log without work looks whether a background flush or compaction failed.
const BACKGROUND_LOOK_EVERY: Duration = Duration::from_secs(1);

/// The writer. One per database, in one process.
pub struct Embedded {
    shared: Arc<Shared>,
    queue: Queue,
    signal: Signal,
    assigned: bool,
    /// None while the log is broken.
    anchor: Option<Anchor>,
    reopen: Backoff,
    background_looked: Instant,
}

/// When to try again.
struct Backoff {
    at: Instant,
    wait: Duration,
    attempts: u32,
}

impl Embedded {
    /// Opens a log, or makes one in an empty or missing directory.
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Locked`]; [`Error::NotWritable`]; [`Error::NoSpace`]; [`Error::Foreign`],
    /// [`Error::NewerFormat`], [`Error::PartitionsDiffer`]; [`Error::Damaged`]; [`Error::AnchorMissing`],
    /// [`Error::AnchorDamaged`], [`Error::TailBelowAnchor`], [`Error::FrameDiffersFromAnchor`].
    pub fn open(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let (store, anchor) = open(&settings)?;
        let queue = Queue::new(store.partitions(), settings.record_bytes_max);
        let mark = store.mark()?;
        let reopen = Backoff {
            at: Instant::now(),
            wait: settings.reopen_after_min,
            attempts: 0,
        };
        Ok(Self {
            shared: Arc::new(Shared::new(settings, store, mark)?),
            queue,
            signal: Signal::default(),
            assigned: false,
            anchor: Some(anchor),
            reopen,
            background_looked: Instant::now(),
        })
    }

    /// For backups from another thread while the log runs.
    pub fn backup(&self) -> Backup {
        Backup(Arc::clone(&self.shared))
    }

    fn execute(&mut self, round: Round) -> Vec<Completion> {
        let (tickets, refused) = (tickets(&round), round.refused.clone());
        let Some(anchor) = &mut self.anchor else {
            return refused
                .into_iter()
                .chain(unavailable(&tickets, &self.shared.health()))
                .collect();
        };
        let shared = &self.shared;
        let executed = shared.with_store(|store| {
            let prepared = round::prepare(store, shared, round, now_us())?;
            prepared.execute(store, shared, |mark| anchor.write(mark))
        });
        executed.unwrap_or_else(|error| {
            self.fail(error);
            let unknown = |ticket: &(Ticket, bool)| Completion {
                ticket: ticket.0,
                done: Done::Unknown,
            };
            refused
                .into_iter()
                .chain(tickets.iter().map(unknown))
                .collect()
        })
    }

    fn fail(&mut self, error: Error) {
        tracing::error!(%error, "event log closed after a failure, reopening");
        self.anchor = None;
        self.reopen.fresh(&self.shared.settings);
        self.shared.broken(error, 0);
    }

    /// Tries to reopen when it is time.
    fn mend(&mut self) {
        if self.anchor.is_some() || Instant::now() < self.reopen.at {
            return;
        }
        let reopened = open(&self.shared.settings).and_then(|(store, anchor)| {
            if store.log_id != self.shared.log_id() {
                return Err(
                    store.damaged("it was replaced by another log while this one was running")
                );
            }
            *self.shared.mark() = store.mark()?;
            self.shared.reopened(store)?;
            Ok(anchor)
        });
        match reopened {
            Ok(anchor) => {
                tracing::info!(attempts = self.reopen.attempts, "event log reopened");
                self.anchor = Some(anchor);
            }
            Err(error) => {
                self.reopen.failed(&self.shared.settings);
                tracing::error!(%error, attempts = self.reopen.attempts, "event log cannot be reopened");
                self.shared.broken(error, self.reopen.attempts);
            }
        }
    }

    /// A failed flush or compaction makes the database refuse writes; it is found out here when there are none.
    fn look_behind(&mut self) {
        if self.anchor.is_none() || self.background_looked.elapsed() < BACKGROUND_LOOK_EVERY {
            return;
        }
        self.background_looked = Instant::now();
        let errors = self.shared.with_store(|store| {
            let errors = store.db.property_int_value("rocksdb.background-errors");
            errors.map_err(|error| store.fault(&error))
        });
        match errors {
            Ok(Some(0) | None) => {}
            Ok(Some(errors)) => self.fail(Error::Storage {
                path: self.shared.settings.directory.clone(),
                detail: format!("{errors} background flushes or compactions failed"),
            }),
            Err(error) => self.fail(error),
        }
    }

    /// Waits for a wake-up, and does what is due meanwhile.
    fn wait(&mut self, timeout: Duration) {
        let begun = Instant::now();
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            let due = if self.anchor.is_some() {
                BACKGROUND_LOOK_EVERY
            } else {
                self.reopen.at.saturating_duration_since(Instant::now())
            };
            if self.signal.wait(left.min(due)) || left <= due {
                return;
            }
            self.mend();
            self.look_behind();
        }
    }
}

impl EventLog for Embedded {
    fn partitions(&self) -> u32 {
        self.shared.settings.partitions
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::clone(&self.shared) as Arc<dyn LogReader>
    }

    fn submit(&mut self, record: NewRecord) -> Ticket {
        self.queue.write(Kind::Submit, vec![record])
    }

    fn stage(&mut self, records: Vec<NewRecord>) -> Ticket {
        self.queue.write(Kind::Stage, records)
    }

    fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket {
        self.queue.append(partition, at, frame)
    }

    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        self.queue.publish(partition, outcomes)
    }

    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        self.queue.remove(topic, partition, positions)
    }

    fn poll(&mut self, timeout: Duration) -> Vec<Completion> {
        if !self.assigned {
            self.assigned = true;
            let assigned = Done::Assigned((0..self.partitions()).collect());
            let mut done = vec![Completion {
                ticket: Ticket::NOTICE,
                done: assigned,
            }];
            let round = self.queue.take();
            if !round.is_empty() {
                done.extend(self.execute(round));
            }
            return done;
        }
        if self.queue.is_empty() && !timeout.is_zero() {
            self.wait(timeout);
        }
        self.mend();
        self.look_behind();
        let round = self.queue.take();
        if round.is_empty() {
            Vec::new()
        } else {
            self.execute(round)
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let shared = &self.shared;
        let Some(anchor) = &mut self.anchor else {
            return shared.with_store(|_| Ok(()));
        };
        let flushed = shared.with_store(|store| {
            store
                .db
                .flush_wal(true)
                .map_err(|error| store.fault(&error))?;
            let mark = round::anchored(shared, &BTreeMap::new(), &BTreeMap::new())?;
            anchor.write(&mark)?;
            *shared.mark() = mark;
            Ok(())
        });
        flushed.inspect_err(|error| self.fail(error.clone()))
    }

    fn waker(&self) -> Waker {
        self.signal.waker()
    }

    fn health(&self) -> Health {
        self.shared.health()
    }
}

/// Takes backups; a clone may go to any thread.
#[derive(Clone)]
pub struct Backup(Arc<Shared>);

impl Backup {
    /// Writes a checkpoint of the log into a directory that does not exist yet, laid out as [`Settings::at`] has it.
    /// Unchanging files are linked where the file system can, else copied. The log goes on meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NotWritable`] (also if the directory exists), [`Error::NoSpace`],
    /// [`Error::Storage`].
    pub fn checkpoint(&self, data: impl AsRef<Path>) -> Result<(), Error> {
        let target = Settings::at(data.as_ref());
        fs::create_dir(data.as_ref()).map_err(|error| fault::of_io(data.as_ref(), &error))?;
        self.0.with_store(|store| {
            // Taken first: the checkpoint then holds at least what the anchor says.
            let mark = self.0.mark().clone();
            let checkpoint = rocksdb::checkpoint::Checkpoint::new(&store.db);
            let checkpoint = checkpoint.map_err(|error| store.fault(&error))?;
            let made = checkpoint.create_checkpoint(&target.directory);
            made.map_err(|error| fault::of_rocksdb(&target.directory, &error))?;
            anchor::create(&target.anchor, &mark).map(|_| ())
        })
    }
}

/// Writes a new anchor from what lies in the store, for an operator who has verified the ledger against an export or a
/// signed checkpoint. Never done by itself: it declares whatever is missing as never acknowledged.
///
/// # Errors
/// As [`Embedded::open`], but for those of the anchor.
pub fn rebuild_anchor(settings: &Settings) -> Result<(), Error> {
    settings.check()?;
    if store::is_fresh(&settings.directory)? {
        let (directory, detail) = (settings.directory.clone(), "no event log".to_owned());
        return Err(Error::Foreign { directory, detail });
    }
    let store = Store::open(settings, false)?;
    anchor::create(&settings.anchor, &store.mark()?).map(|_| ())
}

/// Opens the store, checks it against its anchor, and anchors what lies in it: whatever can be read is acknowledged.
/// Recovery has written all of it to synced files by then.
fn open(settings: &Settings) -> Result<(Store, Anchor), Error> {
    let directory = &settings.directory;
    fs::create_dir_all(directory).map_err(|error| fault::of_io(directory, &error))?;
    let anchored = anchor::read(&settings.anchor)?;
    let fresh = store::is_fresh(directory)?;
    if let (true, Some((_, mark))) = (fresh, &anchored) {
        return Err(missing_store(settings, mark));
    }
    let store = Store::open(settings, fresh)?;
    let mark = store.mark()?;
    let anchor = match anchored {
        Some((generation, stored)) => {
            store.check(&stored, &settings.anchor)?;
            let mut anchor = Anchor::open(&settings.anchor, generation)?;
            anchor.write(&mark)?;
            anchor
        }
        None if mark
            .heads
            .iter()
            .any(|head| head.tail(Topic::Ledger) > Position::ZERO) =>
        {
            let (anchor, directory) = (settings.anchor.clone(), directory.clone());
            return Err(Error::AnchorMissing { anchor, directory });
        }
        None => anchor::create(&settings.anchor, &mark)?,
    };
    Ok((store, anchor))
}

/// There is an anchor and no database.
fn missing_store(settings: &Settings, mark: &anchor::Mark) -> Error {
    let heads = || (0..).zip(&mark.heads);
    let lost = Topic::ALL
        .into_iter()
        .rev()
        .flat_map(|topic| heads().map(move |(p, head)| (topic, p, head.tail(topic))));
    let anchor = settings.anchor.clone();
    match lost.max_by_key(|(topic, _, tail)| (*topic == Topic::Ledger && tail.0 > 0, *tail)) {
        Some((topic, partition, anchored)) if anchored > Position::ZERO => Error::TailBelowAnchor {
            topic,
            partition,
            tail: Position::ZERO,
            anchored,
            anchor,
        },
        _ => Error::AnchorDamaged {
            anchor,
            detail: "its log does not exist".to_owned(),
        },
    }
}

impl Backoff {
    fn fresh(&mut self, settings: &Settings) {
        self.attempts = 0;
        self.wait = settings.reopen_after_min;
        self.at = Instant::now() + self.wait;
    }

    fn failed(&mut self, settings: &Settings) {
        self.attempts = self.attempts.saturating_add(1);
        self.wait = self.wait.saturating_mul(2).min(settings.reopen_after_max);
        self.at = Instant::now() + self.wait;
    }
}

/// Everything that must be answered, and whether it is a frame.
fn tickets(round: &Round) -> Vec<(Ticket, bool)> {
    let writes = round.writes.iter().map(|write| (write.ticket, false));
    let removes = round.removes.iter().map(|remove| (remove.ticket, false));
    let appends = round.appends.iter().map(|append| (append.ticket, true));
    writes.chain(removes).chain(appends).collect()
}

fn unavailable(tickets: &[(Ticket, bool)], health: &Health) -> Vec<Completion> {
    let reason = match health {
        Health::Broken { error, .. } => error.to_string(),
        Health::Working => String::new(),
    };
    let failed = Done::Failed(Error::Unavailable { reason });
    let done = |frame: bool| if frame { Done::Unknown } else { failed.clone() };
    tickets
        .iter()
        .map(|(ticket, frame)| Completion {
            ticket: *ticket,
            done: done(*frame),
        })
        .collect()
}

fn now_us() -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
