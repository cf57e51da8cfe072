//! Worker threads: each runs the owners of its partitions and executes what they ask for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use domain::command::Identity;
use eventlog::{LogReader, ReadLimit, Topic};

use super::clock::Clock;
use super::log_thread::{Pushed, ToLog};
use super::status::Statuses;
use super::waiters::{Told, Waiters};
use crate::kv::Kv;
use crate::metrics as names;
use crate::owner::{Action, Answer, AnsweredBy, Input, Owner, Status, Stimulus};

/// How often time passes for an owner, whatever its neighbours do.
const TICK: Duration = Duration::from_millis(20);

/// Inputs merged before owners run, so that a burst becomes one batch.
const MERGE_MAX: usize = 1024;

pub(super) enum ToWorker {
    /// `pushed` counts the bytes of pushed records until the message is taken.
    Input {
        partition: u32,
        input: Input,
        pushed: Option<Pushed>,
    },
    Stop,
}

pub(super) struct Worker {
    pub(super) owners: BTreeMap<u32, Owner>,
    pub(super) inbox: Receiver<ToWorker>,
    pub(super) log: Sender<ToLog>,
    pub(super) reader: Arc<dyn LogReader>,
    pub(super) kv: Arc<dyn Kv>,
    pub(super) clock: Clock,
    pub(super) waiters: Waiters,
    pub(super) statuses: Statuses,
    pub(super) advanced: Arc<dyn Fn(u32) + Send + Sync>,
    pub(super) read_limit: ReadLimit,
}

impl Worker {
    /// Runs until told to stop.
    pub(super) fn run(mut self) {
        let mut ticked = Instant::now();
        loop {
            let mut inputs: VecDeque<(u32, Input)> = VecDeque::new();
            let mut stop = match self.inbox.recv_timeout(TICK.saturating_sub(ticked.elapsed())) {
                Ok(message) => merge(&mut inputs, message),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            // By the clock and not by silence: a partition that waits must not wait for another that is busy.
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                let again = self.statuses.idle();
                inputs.extend(self.owners.keys().map(|partition| {
                    (*partition, if again.contains(partition) { Input::Assigned } else { Input::Tick })
                }));
            }
            for _ in 0..MERGE_MAX {
                match self.inbox.try_recv() {
                    Ok(message) => stop |= merge(&mut inputs, message),
                    Err(_) => break,
                }
            }
            for (partition, input) in inputs {
                self.feed(partition, input);
            }
            if stop {
                return;
            }
        }
    }

    fn feed(&mut self, partition: u32, input: Input) {
        let Some(mut owner) = self.owners.remove(&partition) else { return };
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let stimulus = Stimulus { now: self.clock.read(), input };
            let mut answers = Vec::new();
            for action in owner.step(self.kv.as_ref(), stimulus) {
                match action {
                    Action::Answer(answer) => answers.push(told(answer)),
                    action => inputs.extend(self.execute(partition, action)),
                }
            }
            // Last in the step, so after every store that stands before them.
            if !answers.is_empty() {
                self.waiters.tell(answers);
            }
        }
        self.owners.insert(partition, owner);
    }

    /// Does what an owner asks for, and returns what it must hear of it at once.
    fn execute(&self, partition: u32, action: Action) -> Option<Input> {
        match action {
            Action::Store(writes) => {
                if let Err(error) = self.kv.write(writes) {
                    // State is a fold: giving the partition up and folding again is always safe.
                    tracing::error!(partition, %error, "state could not be written; reading the ledger again");
                    self.statuses.store_failed(partition, error.to_string());
                    return Some(Input::Revoked);
                }
            }
            Action::Proceed => return Some(Input::Proceed),
            Action::Read { topic, partition: of, from } => return Some(self.read(topic, of, from)),
            Action::Stage { tag, records } => self.send(ToLog::Stage { partition, tag, records }),
            Action::Append { tag, at, frame } => self.send(ToLog::Append { partition, tag, at, frame }),
            Action::Remove { tag, topic, partition: of, positions } => {
                let asked_by = tag.map(|tag| (partition, tag));
                self.send(ToLog::Remove { asked_by, topic, partition: of, positions });
            }
            Action::Answer(answer) => self.waiters.tell([told(answer)]),
            Action::Advanced { .. } => (self.advanced)(partition),
            Action::Status(status) => {
                if let Status::Stopped { reason } = &status {
                    tracing::error!(partition, %reason, "partition stopped");
                }
                self.statuses.set(partition, status);
            }
        }
        None
    }

    fn send(&self, message: ToLog) {
        // The log thread outlives the workers; it is gone only when the process ends.
        let _ = self.log.send(message);
    }

    fn read(&self, topic: Topic, partition: u32, from: eventlog::Position) -> Input {
        let result = self.reader.tail(topic, partition).and_then(|tail| {
            let start = self.reader.start(topic, partition)?;
            let records = self.reader.read(topic, partition, from, self.read_limit)?;
            Ok(Input::Read { topic, from, records, start, tail })
        });
        result.unwrap_or_else(|error| Input::ReadFailed {
            topic,
            transient: error.is_transient(),
            detail: error.to_string(),
        })
    }
}

fn told(answer: Answer) -> (Identity, Told) {
    let told = match answer.event {
        AnsweredBy::New(view) => {
            names::answered(&view);
            Told::New(Arc::from(view))
        }
        AnsweredBy::Earlier { seq } => Told::Earlier { seq },
    };
    (answer.identity, told)
}

/// Appends an input, joining pushes to the same input so that they become one batch.
fn merge(inputs: &mut VecDeque<(u32, Input)>, message: ToWorker) -> bool {
    let ToWorker::Input { partition, input, pushed } = message else { return true };
    // Taken: from here on the owner's own limits hold.
    drop(pushed);
    if let Input::Pushed { topic, records } = input {
        for (known, earlier) in inputs.iter_mut() {
            if let Input::Pushed { topic: of, records: waiting } = earlier
                && *known == partition
                && *of == topic
            {
                waiting.extend(records);
                return false;
            }
        }
        inputs.push_back((partition, Input::Pushed { topic, records }));
    } else {
        inputs.push_back((partition, input));
    }
    false
}
