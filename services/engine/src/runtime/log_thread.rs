//! The one thread that writes the log: it gathers what everybody wants written and lets one `poll` commit it.
//!
//! While a round is being synced, the next one gathers in the channel: under load, batches grow by themselves, and an
//! idle system answers after one sync. Completions go back to the owners as inputs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use eventlog::{Completion, Done, EventLog, NewRecord, Position, Record, Removal, Ticket, Topic};

use super::worker::ToWorker;
use crate::metrics as names;
use crate::owner::{Input, Tag};

/// Messages taken into one round at most, so that completions are not held back without end.
const ROUND_MAX: usize = 4096;

/// How long an idle log thread sleeps before it looks at the log again.
const IDLE: Duration = Duration::from_millis(50);

/// What the log thread is asked for.
pub(super) enum ToLog {
    /// Each of the records is told to `done` by itself.
    Submit {
        records: Vec<NewRecord>,
        done: Option<Sender<Done>>,
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
    Submit { record: NewRecord, done: Option<Sender<Done>> },
    Stage { partition: u32, tag: Tag, forwarded: Vec<(usize, NewRecord)> },
    Append { partition: u32, tag: Tag, since: Instant },
    Remove { asked_by: Option<(u32, Tag)> },
}

pub(super) struct LogThread {
    pub(super) log: Box<dyn EventLog>,
    pub(super) inbox: Receiver<ToLog>,
    pub(super) workers: Vec<Sender<ToWorker>>,
    pub(super) partitions: u32,
}

impl LogThread {
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
            self.complete(completions, &mut waiting);
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
            ToLog::Submit { records, done } => {
                for record in records {
                    let ticket = self.log.submit(record.clone());
                    waiting.insert(ticket, Waiting::Submit { record, done: done.clone() });
                }
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

    fn complete(&mut self, completions: Vec<Completion>, waiting: &mut BTreeMap<Ticket, Waiting>) {
        let mut pushed: BTreeMap<(u32, Topic), Vec<Record>> = BTreeMap::new();
        for Completion { ticket, done } in completions {
            match (waiting.remove(&ticket), done) {
                (Some(Waiting::Submit { record, done: notify }), done) => {
                    if let Done::Submitted { partition, position } = done {
                        pushed.entry((partition, record.topic)).or_default().push(readable(record, position));
                    }
                    if let Some(notify) = notify {
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
        for ((partition, topic), records) in pushed {
            if topic == Topic::Policies {
                // Every partition reads the one partition of policies.
                for owner in 0..self.partitions {
                    self.send(owner, Input::Pushed { topic, records: records.clone() });
                }
            } else {
                self.send(partition, Input::Pushed { topic, records });
            }
        }
    }

    fn send_all(&self, partitions: &[u32], input: impl Fn() -> Input) {
        for partition in partitions {
            self.send(*partition, input());
        }
    }

    fn send(&self, partition: u32, input: Input) {
        let count = self.workers.len().max(1);
        let worker = usize::try_from(partition).unwrap_or(0) % count;
        if let Some(worker) = self.workers.get(worker) {
            // A worker that is gone is only gone at shutdown.
            let _ = worker.send(ToWorker::Input { partition, input });
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
