//! Threads around the owners: one log thread, a few workers, a clock; and how they start and stop.
//!
//! Partition p runs on worker p mod n, so decisions use all cores; the log thread executes what the workers ask for, so
//! that one fsync serves all partitions. tokio is not used here: a loop that must never wait for a scheduler has a
//! thread of its own, and callers of any runtime wait on a channel.

pub mod clock;
mod log_thread;
mod status;
pub mod submission;
pub mod waiters;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use eventlog::{Done, EventLog, LogReader, NewRecord, ReadLimit};

use crate::kv::Kv;
use crate::owner::Owner;
use clock::Clock;
use log_thread::{Inbox, LogThread, ToLog};
pub use status::Statuses;
use submission::{Place, Receipt, Submission};
use tokio::sync::oneshot;
use waiters::{Told, Waiters};
use worker::{ToWorker, Worker};

/// What the threads of a process share.
pub struct Parts {
    /// The log; the log thread takes it over.
    pub log: Box<dyn EventLog>,
    /// State, keyring index and read models.
    pub kv: Arc<dyn Kv>,
    /// One owner per partition.
    pub owners: Vec<Owner>,
    /// The clock.
    pub clock: Clock,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Called with a partition whenever its ledger has grown.
    pub advanced: Arc<dyn Fn(u32) + Send + Sync>,
}

/// The running threads.
pub struct Runtime {
    to_log: Sender<ToLog>,
    to_workers: Vec<Sender<ToWorker>>,
    log: Option<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    /// Who waits for what.
    pub waiters: Waiters,
    /// How each partition is.
    pub statuses: Statuses,
    /// Reads the log.
    pub reader: Arc<dyn LogReader>,
}

/// Ends the process when its thread panics. A partition without its thread would look alive and decide nothing; a
/// restart recovers from the ledger, and the crash guard finds the record that did it.
struct CrashOnPanic;

impl Drop for CrashOnPanic {
    #[expect(
        clippy::disallowed_methods,
        reason = "a panic is no error to be handled: the state of the thread is unknown"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a thread of the engine panicked; ending the process so that it restarts from the ledger");
            std::process::abort();
        }
    }
}

/// How long the log may take to take a record over before the caller is told that it is busy.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A thread could not be started, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system has none left.
    #[error("a thread could not be started: {0}; raise the limit of processes for this user")]
    Thread(#[from] std::io::Error),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
    /// The log did not answer; the record may still be written.
    #[error("the log did not answer within {} s; is the disk full or failing?", SUBMIT_TIMEOUT.as_secs())]
    Slow,
    /// The log refused the record.
    #[error("the log refused the record: {0}")]
    Refused(eventlog::Error),
    /// Nobody knows whether the record was written.
    #[error("the log cannot say whether the record was written; send it again, a repeat is recognised")]
    Unknown,
}

impl Runtime {
    /// Starts the threads. Owners begin when the log assigns their partitions.
    ///
    /// # Errors
    /// `Thread` when the system refuses one.
    pub fn start(parts: Parts) -> Result<Runtime, Error> {
        let reader = parts.log.reader();
        let waiters = Waiters::default();
        let count = u32::try_from(parts.owners.len()).unwrap_or(u32::MAX);
        let statuses = Statuses::new(count);
        let (to_log, from_all) = unbounded();
        let workers_max = parts.workers.max(1);
        let channels: Vec<(Sender<ToWorker>, Receiver<ToWorker>)> = (0..workers_max).map(|_| unbounded()).collect();
        let to_workers: Vec<_> = channels.iter().map(|(sender, _)| sender.clone()).collect();
        let mut shares: Vec<BTreeMap<u32, Owner>> = (0..workers_max).map(|_| BTreeMap::new()).collect();
        for owner in parts.owners {
            let index = usize::try_from(owner.partition()).unwrap_or(0) % workers_max;
            if let Some(share) = shares.get_mut(index) {
                share.insert(owner.partition(), owner);
            }
        }
        let mut workers = Vec::new();
        for (index, (owners, (_, inbox))) in shares.into_iter().zip(channels).enumerate() {
            let worker = Worker {
                owners,
                inbox,
                log: to_log.clone(),
                reader: reader.clone(),
                kv: parts.kv.clone(),
                clock: parts.clock,
                waiters: waiters.clone(),
                statuses: statuses.clone(),
                advanced: parts.advanced.clone(),
                read_limit: ReadLimit::default(),
            };
            workers.push(std::thread::Builder::new().name(format!("owner-{index}")).spawn(move || {
                let _crash = CrashOnPanic;
                worker.run();
            })?);
        }
        let inboxes = to_workers.iter().cloned().map(Inbox::new).collect();
        let log = LogThread::new(parts.log, from_all, inboxes, waiters.clone(), count);
        let log = std::thread::Builder::new().name("log".into()).spawn(move || {
            let _crash = CrashOnPanic;
            log.run();
        })?;
        Ok(Runtime { to_log, to_workers, log: Some(log), workers, waiters, statuses, reader })
    }

    /// Hands requests to the log and does not wait. Whoever waits for one that the log does not take is told.
    ///
    /// # Errors
    /// `Stopping`; then none of them is handed over.
    pub fn submit(&self, requests: Vec<Submission>) -> Result<(), Error> {
        self.to_log.send(ToLog::Submit(requests)).map_err(|refused| {
            if let ToLog::Submit(requests) = refused.0 {
                // Others may have joined what was about to be sent.
                let reason: Arc<str> = Error::Stopping.to_string().into();
                let told = |one: Submission| (*one.receipt.identity(), Told::NotTaken { reason: reason.clone() });
                self.waiters.tell(requests.into_iter().map(told));
            }
            Error::Stopping
        })
    }

    /// Hands a record to the log and waits until it is durable; its place. `place` is kept until the log is done.
    ///
    /// # Errors
    /// Every variant but `Thread`.
    pub fn submit_and_wait(&self, record: NewRecord, place: Option<Place>) -> Result<(u32, eventlog::Position), Error> {
        let (done, receiver) = bounded(1);
        self.to_log.send(ToLog::Record { record, place, done }).map_err(|_| Error::Stopping)?;
        match receiver.recv_timeout(SUBMIT_TIMEOUT) {
            Ok(Done::Submitted { partition, position }) => Ok((partition, position)),
            Ok(Done::Failed(error)) => Err(Error::Refused(error)),
            Ok(_) => Err(Error::Unknown),
            Err(_) => Err(Error::Slow),
        }
    }

    /// Asks whether a record is in the log for good.
    pub fn confirmer(&self) -> Confirmer {
        Confirmer(self.to_log.clone())
    }

    /// How many operations wait for the log thread.
    pub fn queued(&self) -> usize {
        self.to_log.len()
    }

    /// Stops the workers, then the log thread, which makes durable what has completed.
    pub fn stop(&mut self) {
        for worker in &self.to_workers {
            let _ = worker.send(ToWorker::Stop);
        }
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker thread ended with a panic; its partitions were not served any more");
            }
        }
        let _ = self.to_log.send(ToLog::Stop);
        if let Some(log) = self.log.take()
            && log.join().is_err()
        {
            tracing::error!("the log thread ended with a panic");
        }
    }
}

/// Asks the log thread whether a record is in the log for good. Cheap to clone.
#[derive(Clone)]
pub struct Confirmer(Sender<ToLog>);

impl Confirmer {
    /// True once the record that the receipt stands for is durable; false when nobody knows.
    pub async fn is_durable(&self, receipt: Arc<Receipt>) -> bool {
        let (tell, told) = oneshot::channel();
        self.0.send(ToLog::Confirm { receipt, tell }).is_ok() && told.await.unwrap_or(false)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop();
    }
}
