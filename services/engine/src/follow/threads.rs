//! The threads that follow: partition p on thread p mod n, woken when a frame was committed.
//!
//! Followers that stand at the same place are taken forward together, so a frame is read and accepted once for all of
//! them; one that was rebuilt follows in a group of its own until it has caught up. A failure is retried with doubling
//! waits; a fork, a newer format and a log that was cut stop the follower until an operator has looked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eventlog::{LogReader, ReadLimit, Topic};
use ledger::ChainId;

use super::advance::{advance, stands_on};
use super::rebuild::forget;
use super::{Cursor, Error, Follower, Halt, Progress, Settings, Standing, WaitError, all, cursor, digest, frame};
use crate::datadir::Deployment;
use crate::kv::Kv;

/// Followers at work.
pub struct Followers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    kv: Arc<dyn Kv>,
    log: Arc<dyn LogReader>,
    followers: Vec<Arc<dyn Follower>>,
    partitions: Vec<Mutex<Partition>>,
    settings: Settings,
    progress: Arc<Progress>,
    signals: Arc<Signals>,
}

struct Partition {
    chain: ChainId,
    tracks: Vec<Track>,
    failures: u32,
    not_before: Option<Instant>,
}

/// One follower in one partition.
struct Track {
    follower: Arc<dyn Follower>,
    cursor: Cursor,
    /// Whether the log was seen to hold what the cursor stands on.
    checked: bool,
    halted: bool,
}

#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

struct Signals {
    each: Vec<Signal>,
    stop: AtomicBool,
}

impl Signals {
    fn of(&self, partition: u32) -> Option<&Signal> {
        let partition = usize::try_from(partition).ok()?;
        self.each.get(partition.checked_rem(self.each.len())?)
    }
}

impl Signal {
    fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self, timeout: Duration) {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut woken, _) =
            self.changed.wait_timeout_while(woken, timeout, |woken| !*woken).unwrap_or_else(PoisonError::into_inner);
        *woken = false;
    }
}

/// Tells followers that there is something to read. Cheap, from any thread.
#[derive(Clone)]
pub struct Waker(Arc<Signals>);

impl Waker {
    /// A frame of this partition was committed.
    pub fn wake(&self, partition: u32) {
        if let Some(signal) = self.0.of(partition) {
            signal.wake();
        }
    }
}

/// The chains of a deployment, one for each partition.
pub fn chains(deployment: &Deployment) -> Vec<ChainId> {
    (0..deployment.partitions).map(|partition| deployment.chain(partition)).collect()
}

/// What a follower derived from a partition, as one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The partition.
    pub partition: u32,
    /// The last event that is in it.
    pub last_seq: Option<u64>,
    /// SHA3-256, see [`super::digest`].
    pub digest: [u8; 32],
}

impl Followers {
    /// Follows every partition of a deployment with every follower, from where each one stands.
    ///
    /// # Errors
    /// A cursor cannot be read, or a thread not be started.
    pub fn start(kv: Arc<dyn Kv>, log: Arc<dyn LogReader>, deployment: &Deployment) -> Result<Followers, Error> {
        Followers::with(kv, log, chains(deployment), Settings::default())
    }

    /// As [`start`](Self::start), of these chains and with these settings.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn with(
        kv: Arc<dyn Kv>,
        log: Arc<dyn LogReader>,
        chains: impl IntoIterator<Item = ChainId>,
        settings: Settings,
    ) -> Result<Followers, Error> {
        let followers = all(&settings);
        let progress = Arc::new(Progress::default());
        let mut partitions = Vec::new();
        for chain in chains {
            let mut tracks = Vec::new();
            for follower in &followers {
                let stored = cursor::load(&*kv, chain.partition, follower.name())?;
                let fresh = stored.is_none();
                let mut track = Track {
                    follower: Arc::clone(follower),
                    cursor: stored.unwrap_or_else(|| Cursor::start(chain)),
                    checked: fresh,
                    halted: false,
                };
                progress.set(Standing::of(follower.name(), &track.cursor));
                if track.cursor.head.chain != chain {
                    track.halt(&progress, Halt::Foreign { found: track.cursor.head.chain, expected: chain });
                }
                tracks.push(track);
            }
            partitions.push(Mutex::new(Partition { chain, tracks, failures: 0, not_before: None }));
        }
        let threads = settings.threads.clamp(1, partitions.len().max(1));
        let shared = Arc::new(Shared {
            kv,
            log,
            followers,
            partitions,
            settings,
            progress,
            signals: Arc::new(Signals {
                each: (0..threads).map(|_| Signal::default()).collect(),
                stop: AtomicBool::new(false),
            }),
        });
        let mut started = Followers { shared, threads: Vec::new() };
        for number in 0..threads {
            let shared = Arc::clone(&started.shared);
            let thread = std::thread::Builder::new()
                .name(format!("follow-{number}"))
                .spawn(move || shared.run(number))
                .map_err(|error| Error::Thread { reason: error.to_string() })?;
            started.threads.push(thread);
        }
        Ok(started)
    }

    /// Wakes the followers of a partition.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared.signals))
    }

    /// Where everything stands, for waiting.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.shared.progress)
    }

    /// Where every follower stands, with its lag measured now.
    pub fn standings(&self) -> Vec<Standing> {
        measured(self.shared.progress.standings(), &*self.shared.log)
    }

    /// What stands against calling the read models up to date: followers that stopped, fail, or lag by more than
    /// `lag_events_max` events.
    pub fn faults(&self, lag_events_max: u64) -> Vec<String> {
        let mut faults = Vec::new();
        for standing in self.standings() {
            let Standing { name, partition, .. } = standing;
            let why = if let Some(halt) = &standing.halt {
                halt.to_string()
            } else if let Some(failure) = &standing.failure {
                failure.clone()
            } else if standing.lag_events > lag_events_max {
                format!("{} events behind", standing.lag_events)
            } else {
                continue;
            };
            faults.push(format!("partition {partition}: follower {name}: {why}"));
        }
        if self.threads.iter().any(JoinHandle::is_finished) && !self.shared.stopping() {
            faults.push("a thread that follows has ended; restart the process".to_owned());
        }
        faults
    }

    /// Waits until everything has followed each of these events. `timeout` is for all of them together.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn wait_for(&self, positions: &[(u32, u64)], timeout: Duration) -> Result<(), WaitError> {
        wait_for(&self.shared.progress, positions, timeout)
    }

    /// Empties a follower's spaces and follows again from the first event, while the others go on. Until it has caught
    /// up, reads that wait for a position wait, and others see what is there.
    ///
    /// # Errors
    /// [`Error::Unknown`] names those that there are; [`Error::Kv`].
    pub fn rebuild(&self, name: &str) -> Result<(), Error> {
        self.known(name)?;
        for partition in &self.shared.partitions {
            let mut partition = lock(partition);
            let chain = partition.chain;
            for track in partition.tracks.iter_mut().filter(|track| track.follower.name() == name) {
                self.shared.kv.write(forget(&*track.follower, chain.partition))?;
                track.cursor = Cursor::start(chain);
                track.checked = true;
                track.halted = false;
                self.shared.progress.set(Standing::of(track.follower.name(), &track.cursor));
                self.waker().wake(chain.partition);
            }
        }
        Ok(())
    }

    /// Digests of what a follower has derived, each partition at rest while it is read.
    ///
    /// # Errors
    /// As [`rebuild`](Self::rebuild).
    pub fn digests(&self, name: &str) -> Result<Vec<Digest>, Error> {
        self.known(name)?;
        let mut digests = Vec::new();
        for partition in &self.shared.partitions {
            let partition = lock(partition);
            for track in partition.tracks.iter().filter(|track| track.follower.name() == name) {
                let number = track.cursor.head.chain.partition;
                digests.push(Digest {
                    partition: number,
                    last_seq: track.cursor.last_seq(),
                    digest: digest(&*track.follower, number, &*self.shared.kv)?,
                });
            }
        }
        Ok(digests)
    }

    fn known(&self, name: &str) -> Result<(), Error> {
        let names: Vec<&str> = self.shared.followers.iter().map(|follower| follower.name()).collect();
        if names.contains(&name) {
            return Ok(());
        }
        Err(Error::Unknown { name: name.to_owned(), known: names.join(", ") })
    }

    /// Stops the threads, each after the batch that it is at. What is waited for is told that time is up.
    pub fn stop(&mut self) {
        self.shared.signals.stop.store(true, Ordering::Release);
        for signal in &self.shared.signals.each {
            signal.wake();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that follows the ledger panicked");
            }
        }
        self.shared.progress.stop();
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(partition: &Mutex<Partition>) -> MutexGuard<'_, Partition> {
    // What a panicking thread left is the cursor before its batch, so going on from it is right.
    partition.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until everything has followed each of these events.
///
/// # Errors
/// [`WaitError`].
pub(crate) fn wait_for(progress: &Progress, positions: &[(u32, u64)], timeout: Duration) -> Result<(), WaitError> {
    let started = Instant::now();
    for (partition, seq) in positions {
        progress.wait_for(*partition, *seq, timeout.saturating_sub(started.elapsed()))?;
    }
    Ok(())
}

/// Fills in how far each one lags, by the last record of the log.
pub(crate) fn measured(mut standings: Vec<Standing>, log: &dyn LogReader) -> Vec<Standing> {
    for standing in &mut standings {
        let Ok(tail) = log.tail(Topic::Ledger, standing.partition) else {
            continue;
        };
        standing.tail = tail;
        let Some(last) = tail.previous().filter(|_| standing.position < tail) else {
            continue;
        };
        let limit = ReadLimit { records: 1, bytes: 0 };
        let record = |at| log.read(Topic::Ledger, standing.partition, at, limit).ok()?.into_iter().next();
        let Some(newest) = record(last) else { continue };
        let next_seq = standing.last_seq.map_or(0, |seq| seq.saturating_add(1));
        if let Some(run) = frame::run_of(&newest.value) {
            standing.lag_events = run.last_seq.saturating_add(1).saturating_sub(next_seq);
        }
        let since = record(standing.position).map_or(newest.appended_at_us, |next| next.appended_at_us);
        standing.lag_us = u64::try_from(newest.appended_at_us.saturating_sub(since)).unwrap_or(0);
    }
    standings
}

impl Track {
    fn halt(&mut self, progress: &Progress, halt: Halt) {
        let (name, partition) = (self.follower.name(), self.cursor.head.chain.partition);
        tracing::error!(follower = name, partition, "stopped following: {halt}");
        self.halted = true;
        progress.update(partition, name, |standing| standing.halt = Some(halt));
    }
}

impl Shared {
    fn stopping(&self) -> bool {
        self.signals.stop.load(Ordering::Acquire)
    }

    fn run(&self, number: usize) {
        let mine = || self.partitions.iter().skip(number).step_by(self.signals.each.len().max(1));
        while !self.stopping() {
            let began = Instant::now();
            let mut more = false;
            for partition in mine() {
                if self.stopping() {
                    return;
                }
                more |= self.round(&mut lock(partition));
            }
            if !more && let Some(signal) = self.signals.each.get(number) {
                signal.wait(self.settings.poll);
                // Idle followers start at once; busy ones let frames gather, because counters, cursors and the write
                // cost the same for one frame as for ten.
                let rest = self.settings.gather.saturating_sub(began.elapsed());
                if !rest.is_zero() && !self.stopping() {
                    std::thread::sleep(rest);
                }
            }
        }
    }

    /// Takes each group of followers of a partition one batch further. True when there is more to read.
    fn round(&self, partition: &mut Partition) -> bool {
        if partition.not_before.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        match self.groups(partition) {
            Ok(more) => {
                partition.failures = 0;
                partition.not_before = None;
                more
            }
            Err(error) => {
                self.failed(partition, &error);
                false
            }
        }
    }

    fn groups(&self, partition: &mut Partition) -> Result<bool, Error> {
        self.check(partition)?;
        let mut more = false;
        let mut done = vec![false; partition.tracks.len()];
        while let Some(first) = (0..done.len()).find(|at| {
            !done.get(*at).copied().unwrap_or(true) && partition.tracks.get(*at).is_some_and(|track| !track.halted)
        }) {
            let Some(cursor) = partition.tracks.get(first).map(|track| track.cursor.clone()) else {
                break;
            };
            let mut group = Vec::new();
            for (track, done) in partition.tracks.iter().zip(&mut done) {
                if !track.halted && track.cursor.position == cursor.position && track.cursor.head == cursor.head {
                    *done = true;
                    group.push(Arc::clone(&track.follower));
                }
            }
            let step = advance(&group, &cursor, &*self.log, &*self.kv, &self.settings)?;
            more |= step.halt.is_none() && step.cursor.position < step.tail;
            // Nothing to tell while nothing happens: those who wait would be woken fifty times a second for it.
            if step.cursor == cursor && step.halt.is_none() && partition.failures == 0 {
                continue;
            }
            for track in &mut partition.tracks {
                if group.iter().any(|follower| follower.name() == track.follower.name()) {
                    track.cursor = step.cursor.clone();
                    let mut standing = Standing::of(track.follower.name(), &track.cursor);
                    standing.tail = step.tail;
                    self.progress.set(standing);
                    if let Some(halt) = &step.halt {
                        track.halt(&self.progress, halt.clone());
                    }
                }
            }
        }
        Ok(more)
    }

    /// Looks, once, whether the log holds what the cursors stand on.
    fn check(&self, partition: &mut Partition) -> Result<(), Error> {
        for track in partition.tracks.iter_mut().filter(|track| !track.checked && !track.halted) {
            if stands_on(&track.cursor, &*self.log)? {
                track.checked = true;
            } else {
                let position = track.cursor.position;
                let tail = self.log.tail(Topic::Ledger, track.cursor.head.chain.partition)?;
                track.halt(&self.progress, Halt::Truncated { position, tail });
            }
        }
        Ok(())
    }

    fn failed(&self, partition: &mut Partition, error: &Error) {
        let wait = self.settings.retry_min.saturating_mul(1 << partition.failures.min(16)).min(self.settings.retry_max);
        partition.failures = partition.failures.saturating_add(1);
        partition.not_before = Instant::now().checked_add(wait);
        for track in &partition.tracks {
            let number = track.cursor.head.chain.partition;
            if partition.failures == 1 {
                tracing::warn!(
                    follower = track.follower.name(),
                    partition = number,
                    "following failed, trying again: {error}"
                );
            }
            self.progress.update(number, track.follower.name(), |standing| {
                standing.failure = Some(error.to_string());
            });
        }
    }
}
