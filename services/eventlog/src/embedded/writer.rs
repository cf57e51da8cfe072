//! The writer: queues, executes rounds, and closes and reopens the store when one fails.
//!
//! A log without work probes itself, so that its health is known before a request has to find out: too little space
//! suspends it, and it can still be read; a write that fails closes it.
//!
//! INVARIANT: the anchor file is open exactly while the store is; without it nothing is written and nothing acknowledged.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    anchor::Anchor, backup::Backup, fault, open::open, round, settings::Settings, shared::Shared, store::Store,
};
use crate::{
    Completion, Done, Error, EventLog, Health, LogReader, NewRecord, Position, Removal, Ticket, Topic, Waker,
    queue::{Kind, Queue, Round},
    signal::Signal,
};

/// The writer. One per database, in one process.
pub struct Embedded {
    shared: Arc<Shared>,
    queue: Queue,
    signal: Signal,
    assigned: bool,
    /// None while the log is broken.
    anchor: Option<Anchor>,
    reopen: Backoff,
    probed: Instant,
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
        let reopen = Backoff { at: Instant::now(), wait: settings.reopen_after_min, attempts: 0 };
        Ok(Self {
            shared: Arc::new(Shared::new(settings, store, mark)?),
            queue,
            signal: Signal::default(),
            assigned: false,
            anchor: Some(anchor),
            reopen,
            probed: Instant::now(),
        })
    }

    /// For backups from another thread while the log runs.
    pub fn backup(&self) -> Backup {
        Backup::new(Arc::clone(&self.shared))
    }

    fn execute(&mut self, round: Round) -> Vec<Completion> {
        let (tickets, refused) = (tickets(&round), round.refused.clone());
        let shared = &self.shared;
        let Some(anchor) = self.anchor.as_mut().filter(|_| !shared.is_suspended()) else {
            return refused.into_iter().chain(unavailable(&tickets, &shared.health())).collect();
        };
        let executed = shared.with_store(|store| {
            let prepared = round::prepare(store, shared, round, now_us())?;
            prepared.execute(store, shared, |mark| anchor.write(mark))
        });
        executed.unwrap_or_else(|error| {
            self.fail(error);
            let unknown = |ticket: &(Ticket, bool)| Completion { ticket: ticket.0, done: Done::Unknown };
            refused.into_iter().chain(tickets.iter().map(unknown)).collect()
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
        let settings = &self.shared.settings;
        let reopened = space(settings).and_then(|()| open(settings)).and_then(|(store, anchor)| {
            store.probe()?;
            if store.log_id != self.shared.log_id() {
                return Err(store.damaged("it was replaced by another log while this one was running"));
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

    /// Finds out whether what comes next could be written.
    fn probe(&mut self) {
        if self.anchor.is_none() || self.probed.elapsed() < self.shared.settings.probe_every {
            return;
        }
        self.probed = Instant::now();
        let space = space(&self.shared.settings);
        if self.shared.suspend(space.clone().err()) {
            match &space {
                Err(error) => tracing::error!(%error, "event log accepts nothing more"),
                Ok(()) => tracing::info!("event log accepts again"),
            }
        }
        if space.is_ok()
            && let Err(error) = self.shared.with_store(Store::probe)
        {
            self.fail(error);
        }
    }

    /// Waits for a wake-up, and does what is due meanwhile.
    fn wait(&mut self, timeout: Duration) {
        let begun = Instant::now();
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            let due = if self.anchor.is_some() {
                self.shared.settings.probe_every
            } else {
                self.reopen.at.saturating_duration_since(Instant::now())
            };
            if self.signal.wait(left.min(due)) || left <= due {
                return;
            }
            self.mend();
            self.probe();
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
            let mut done = vec![Completion { ticket: Ticket::NOTICE, done: assigned }];
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
        self.probe();
        let round = self.queue.take();
        if round.is_empty() { Vec::new() } else { self.execute(round) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let shared = &self.shared;
        let Some(anchor) = &mut self.anchor else {
            return shared.with_store(|_| Ok(()));
        };
        let flushed = shared.with_store(|store| {
            store.db.flush_wal(true).map_err(|error| store.fault(&error))?;
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

/// Refuses a file system that is nearly full.
fn space(settings: &Settings) -> Result<(), Error> {
    let path = &settings.directory;
    let stat = rustix::fs::statvfs(path).map_err(|error| fault::of_io(path, &error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free >= settings.free_bytes_min {
        return Ok(());
    }
    let detail = format!("{free} bytes are free, at least {} are needed", settings.free_bytes_min);
    Err(Error::NoSpace { path: path.clone(), detail })
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
    tickets.iter().map(|(ticket, frame)| Completion { ticket: *ticket, done: done(*frame) }).collect()
}

fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
