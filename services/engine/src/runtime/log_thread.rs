//! The one thread that writes the log: it gathers what everybody wants written and lets one `poll` commit it.
//!
//! While a round is being synced, the next one gathers in the channel: under load, batches grow by themselves, and an
//! idle system answers after one sync. Completions go back to the owners as inputs.
//!
//! Invariants: whoever waits for a record is told when the log does not take it; what is told to a caller as being in
//! the log has been synced before. What waits here is bounded: requests by the places of [`super::submission`], owners
//! by having one batch in flight, and what owners have not taken yet by [`PUSHED_BYTES_MAX`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use domain::command::Identity;
use eventlog::{Completion, Done, EventLog, Health, NewRecord, Position, Record, Removal, Ticket, Topic};
use tokio::sync::oneshot;

use super::submission::{Place, Receipt, Submission};
use super::waiters::{Told, Waiters};
use super::worker::ToWorker;
use crate::metrics as names;
use crate::owner::{Input, Tag};

/// Messages taken into one round at most, so that completions are not held back without end.
const ROUND_MAX: usize = 4096;

/// How long an idle log thread sleeps before it looks at the log again.
const IDLE: Duration = Duration::from_millis(50);

/// Bytes of pushed records that one worker has yet to take, at most. What does not fit is read from the log.
const PUSHED_BYTES_MAX: usize = 32 << 20;

/// What the log thread is asked for.
pub(super) enum ToLog {
    /// Requests, for owners to answer.
    Submit(Vec<Submission>),
    /// One record whose place is told once it is durable.
    Record {
        record: NewRecord,
        place: Option<Place>,
        done: Sender<Done>,
    },
    /// Whether the record that this receipt stands for is in the log for good; syncs first.
    Confirm {
        receipt: Arc<Receipt>,
        tell: oneshot::Sender<bool>,
    },
    Stage {
        partition: u32,
        tag: Tag,
        records: Vec<NewRecord>,
    },
    Append {
        partition: u32,
        tag: Tag,
        at: Position,
        frame: Vec<u8>,
    },
    /// Whoever asks for it by name is told.
    Remove {
        asked_by: Option<(u32, Tag)>,
        topic: Topic,
        partition: u32,
        positions: Removal,
    },
    Stop,
}

enum Waiting {
    Submit { record: NewRecord, receipt: Arc<Receipt> },
    Record { record: NewRecord, _place: Option<Place>, done: Sender<Done> },
    Stage { partition: u32, tag: Tag, forwarded: Vec<(usize, NewRecord)> },
    Append { partition: u32, tag: Tag, since: Instant },
    Remove { asked_by: Option<(u32, Tag)> },
}

/// What is told only after a sync.
#[derive(Default)]
struct Unsynced {
    records: Vec<(Sender<Done>, Done)>,
    confirms: Vec<(Arc<Receipt>, oneshot::Sender<bool>)>,
}

/// Keeps count of pushed records while a worker has not taken them.
pub(super) struct Pushed {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Drop for Pushed {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A worker, and what was pushed to it and is not taken yet.
pub(super) struct Inbox {
    sender: Sender<ToWorker>,
    pushed: Arc<AtomicUsize>,
}

impl Inbox {
    pub(super) fn new(sender: Sender<ToWorker>) -> Inbox {
        Inbox { sender, pushed: Arc::default() }
    }
}

pub(super) struct LogThread {
    log: Box<dyn EventLog>,
    inbox: Receiver<ToLog>,
    workers: Vec<Inbox>,
    waiters: Waiters,
    partitions: u32,
    unsynced: Unsynced,
    /// How often the log was found broken: what it had taken and not synced may be gone since.
    failures: u64,
    is_broken: bool,
    /// The last record that did not fit, for each partition and topic: an owner that sees it reads what is before it.
    held_back: BTreeMap<(u32, Topic), Record>,
}

impl LogThread {
    pub(super) fn new(
        log: Box<dyn EventLog>,
        inbox: Receiver<ToLog>,
        workers: Vec<Inbox>,
        waiters: Waiters,
        partitions: u32,
    ) -> LogThread {
        LogThread {
            log,
            inbox,
            workers,
            waiters,
            partitions,
            unsynced: Unsynced::default(),
            failures: 0,
            is_broken: false,
            held_back: BTreeMap::new(),
        }
    }

    /// Runs until told to stop.
    pub(super) fn run(mut self) {
        let mut waiting: BTreeMap<Ticket, Waiting> = BTreeMap::new();
        loop {
            let mut stop = match self.inbox.recv_timeout(IDLE) {
                Ok(message) => self.take(message, &mut waiting),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            for _ in 0..ROUND_MAX {
                match self.inbox.try_recv() {
                    Ok(message) => stop |= self.take(message, &mut waiting),
                    Err(_) => break,
                }
            }
            let syncs = waiting.values().any(|one| matches!(one, Waiting::Append { .. }));
            let since = Instant::now();
            let completions = self.log.poll(Duration::ZERO);
            if syncs {
                metrics::histogram!(names::SYNC_SECONDS).record(since.elapsed().as_secs_f64());
            }
            self.look();
            self.complete(completions, &mut waiting);
            self.settle();
            if stop {
                if let Err(error) = self.log.flush() {
                    tracing::error!(%error, "the log could not be flushed at shutdown; what was acknowledged is durable all the same");
                }
                return;
            }
        }
    }

    fn take(&mut self, message: ToLog, waiting: &mut BTreeMap<Ticket, Waiting>) -> bool {
        let (ticket, entry) = match message {
            ToLog::Submit(submissions) => {
                for Submission { record, receipt } in submissions {
                    let ticket = self.log.submit(record.clone());
                    waiting.insert(ticket, Waiting::Submit { record, receipt });
                }
                return false;
            }
            ToLog::Record { record, place, done } => {
                (self.log.submit(record.clone()), Waiting::Record { record, _place: place, done })
            }
            ToLog::Confirm { receipt, tell } => {
                self.unsynced.confirms.push((receipt, tell));
                return false;
            }
            ToLog::Stage { partition, tag, records } => {
                let forwarded = records
                    .iter()
                    .enumerate()
                    .filter(|(_, record)| record.topic == Topic::Requests)
                    .map(|(i, r)| (i, r.clone()))
                    .collect();
                (self.log.stage(records), Waiting::Stage { partition, tag, forwarded })
            }
            ToLog::Append { partition, tag, at, frame } => {
                metrics::histogram!(names::FRAME_BYTES).record(bytes(frame.len()));
                (self.log.append(partition, at, frame), Waiting::Append { partition, tag, since: Instant::now() })
            }
            ToLog::Remove { asked_by, topic, partition, positions } => {
                (self.log.remove(topic, partition, positions), Waiting::Remove { asked_by })
            }
            ToLog::Stop => return true,
        };
        waiting.insert(ticket, entry);
        false
    }

    /// Notices that the log fails. It reopens itself in a later poll, so no failure is missed between two looks.
    fn look(&mut self) {
        let broken = matches!(self.log.health(), Health::Broken { .. });
        if broken && !self.is_broken {
            self.failures = self.failures.saturating_add(1);
        }
        self.is_broken = broken;
    }

    /// Syncs if somebody is to be told that a record is in the log, and tells.
    fn settle(&mut self) {
        let Unsynced { records, confirms } = std::mem::take(&mut self.unsynced);
        if records.is_empty() && confirms.is_empty() {
            return;
        }
        let synced = self.log.flush();
        if let Err(error) = &synced {
            tracing::error!(%error, "records could not be synced; their callers are told that it is unknown whether they are kept");
        }
        self.look();
        for (done, answer) in records {
            let _ = done.send(if synced.is_ok() { answer } else { Done::Unknown });
        }
        for (receipt, tell) in confirms {
            let _ = tell.send(synced.is_ok() && receipt.is_taken_since(self.failures));
        }
    }

    fn complete(&mut self, completions: Vec<Completion>, waiting: &mut BTreeMap<Ticket, Waiting>) {
        let mut not_taken: Vec<(Identity, Told)> = Vec::new();
        let mut pushed: BTreeMap<(u32, Topic), Vec<Record>> =
            std::mem::take(&mut self.held_back).into_iter().map(|(of, record)| (of, vec![record])).collect();
        for Completion { ticket, done } in completions {
            match (waiting.remove(&ticket), done) {
                (Some(Waiting::Submit { record, receipt }), done) => match done {
                    Done::Submitted { partition, position } => {
                        receipt.taken(self.failures);
                        pushed.entry((partition, record.topic)).or_default().push(readable(record, position));
                    }
                    Done::Failed(error) => {
                        not_taken.push((*receipt.identity(), Told::NotTaken { reason: error.to_string().into() }));
                    }
                    _ => not_taken.push((*receipt.identity(), Told::Unknown)),
                },
                (Some(Waiting::Record { record, done: notify, .. }), done) => {
                    if let Done::Submitted { partition, position } = done {
                        pushed.entry((partition, record.topic)).or_default().push(readable(record, position));
                        self.unsynced.records.push((notify, done));
                    } else {
                        let _ = notify.send(done);
                    }
                }
                (Some(Waiting::Stage { partition, tag, forwarded }), done) => {
                    if let Done::Staged { positions } = &done {
                        for (index, record) in forwarded {
                            if let Some(position) = positions.get(index) {
                                pushed
                                    .entry((record.partition, record.topic))
                                    .or_default()
                                    .push(readable(record, *position));
                            }
                        }
                    }
                    self.send(partition, Input::Completed { tag, done });
                }
                (Some(Waiting::Append { partition, tag, since }), done) => {
                    metrics::histogram!(names::APPEND_SECONDS).record(since.elapsed().as_secs_f64());
                    match &done {
                        Done::Conflict => {
                            metrics::counter!(names::APPENDS_REFUSED, "answer" => "conflict").increment(1)
                        }
                        Done::Unknown => metrics::counter!(names::APPENDS_REFUSED, "answer" => "unknown").increment(1),
                        _ => {}
                    }
                    self.send(partition, Input::Completed { tag, done });
                }
                (Some(Waiting::Remove { asked_by }), done) => {
                    if done != Done::Removed {
                        tracing::warn!(?done, "records were not removed; they are removed with a later batch");
                    }
                    if let Some((partition, tag)) = asked_by {
                        self.send(partition, Input::Completed { tag, done });
                    }
                }
                (None, Done::Assigned(partitions)) => self.send_all(&partitions, || Input::Assigned),
                (None, Done::Revoked(partitions) | Done::Lost(partitions)) => {
                    self.send_all(&partitions, || Input::Revoked)
                }
                (None, done) => tracing::debug!(?done, "completion of an unknown operation"),
            }
        }
        if !not_taken.is_empty() {
            self.waiters.tell(not_taken);
        }
        for ((partition, topic), records) in pushed {
            self.push(partition, topic, records);
        }
    }

    /// Hands new records to whoever owns them.
    fn push(&mut self, partition: u32, topic: Topic, records: Vec<Record>) {
        let held_back = if topic == Topic::Policies {
            // Every partition reads the one partition of policies.
            (0..self.partitions).filter_map(|owner| self.push_to(owner, topic, records.clone())).next_back()
        } else {
            self.push_to(partition, topic, records)
        };
        if let Some(last) = held_back {
            self.held_back.insert((partition, topic), last);
        }
    }

    /// A worker that is far behind gets none: the last of the records comes back, to be pushed once it fits, and the
    /// owner then reads from the log what was before it.
    fn push_to(&self, owner: u32, topic: Topic, records: Vec<Record>) -> Option<Record> {
        let inbox = self.worker(owner)?;
        let bytes: usize = records.iter().map(Record::size).sum();
        let untaken = inbox.pushed.load(Ordering::Relaxed);
        if untaken > 0 && untaken.saturating_add(bytes) > PUSHED_BYTES_MAX {
            return records.into_iter().next_back();
        }
        inbox.pushed.fetch_add(bytes, Ordering::Relaxed);
        let pushed = Some(Pushed { bytes, of: inbox.pushed.clone() });
        let input = Input::Pushed { topic, records };
        let _ = inbox.sender.send(ToWorker::Input { partition: owner, input, pushed });
        None
    }

    fn worker(&self, partition: u32) -> Option<&Inbox> {
        let count = self.workers.len().max(1);
        self.workers.get(usize::try_from(partition).unwrap_or(0) % count)
    }

    fn send_all(&self, partitions: &[u32], input: impl Fn() -> Input) {
        for partition in partitions {
            self.send(*partition, input());
        }
    }

    fn send(&self, partition: u32, input: Input) {
        if let Some(worker) = self.worker(partition) {
            // A worker that is gone is only gone at shutdown.
            let _ = worker.sender.send(ToWorker::Input { partition, input, pushed: None });
        }
    }
}

fn readable(record: NewRecord, position: Position) -> Record {
    Record {
        position,
        key: record.key,
        headers: record.headers,
        value: record.value,
        appended_at_us: super::clock::wall_us(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a histogram of sizes below 2^53")]
fn bytes(len: usize) -> f64 {
    len as f64
}
