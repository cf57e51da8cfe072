//! One process of the simulation: owners, their local store and a connection to the log, driven step by step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use engine::kv::Kv;
use engine::kv::memory::MemoryKv;
use engine::owner::{Action, Answer, Context, Input, Owner, Reading, Status, Stimulus, Tag};
use eventlog::memory::{Handle, Memory};
use eventlog::{Done, EventLog, NewRecord, Position, ReadLimit, Record, Removal, Ticket, Topic};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use replay_tests::defect::{Defect, Flaw};
use replay_tests::{audit, sample};

/// Flaws of a process, by partition.
pub type Flaws = BTreeMap<u32, Flaw>;

/// Staged or appended, by whom, and where a frame is to lie.
struct Waiting {
    partition: u32,
    tag: Tag,
    at: Position,
}

pub struct Node {
    ctx: Arc<Context>,
    pub kv: MemoryKv,
    owners: BTreeMap<u32, Owner>,
    handle: Handle,
    waiting: BTreeMap<Ticket, Waiting>,
    inputs: VecDeque<(u32, Input)>,
    pub flaws: Flaws,
    /// Keys whose frame has gone ahead, by a defect.
    overtaken: Vec<NewRecord>,
    /// What callers were told, by partition.
    pub told: Vec<(u32, Answer)>,
    /// Owners that stopped, and why.
    pub stopped: Vec<String>,
}

impl Node {
    pub fn start(ctx: &Arc<Context>, log: &Memory, kv: MemoryKv, seed: u64, flaws: Flaws) -> Node {
        let owner = |partition: u32| {
            Owner::new(
                ctx.clone(),
                sample::chain(partition),
                ChaCha20Rng::seed_from_u64(seed ^ u64::from(partition) << 40),
            )
        };
        Node {
            ctx: ctx.clone(),
            kv,
            owners: flaws.keys().map(|partition| (*partition, owner(*partition))).collect(),
            handle: log.connect(),
            waiting: BTreeMap::new(),
            inputs: VecDeque::new(),
            flaws,
            overtaken: Vec::new(),
            told: Vec::new(),
            stopped: Vec::new(),
        }
    }

    /// New records of an input, as the log thread would push them.
    pub fn push(&mut self, partition: u32, topic: Topic, records: Vec<Record>) {
        self.inputs.push_back((partition, Input::Pushed { topic, records }));
    }

    pub fn revoke(&mut self) {
        for partition in self.owners.keys() {
            self.inputs.push_back((*partition, Input::Revoked));
            self.inputs.push_back((*partition, Input::Assigned));
        }
    }

    /// Polls the log and lets the owners run until nothing is left to do but wait.
    pub fn turn(&mut self, now_us: i64) {
        for completion in self.handle.poll(Duration::ZERO) {
            match (self.waiting.remove(&completion.ticket), completion.done) {
                (Some(Waiting { partition, tag, at }), done) => {
                    let done = self.flaws.get_mut(&partition).map_or(done.clone(), |flaw| flaw.heard(done, at));
                    self.inputs.push_back((partition, Input::Completed { tag, done }));
                }
                (None, Done::Assigned(partitions)) => {
                    self.inputs.extend(partitions.into_iter().map(|partition| (partition, Input::Assigned)));
                }
                // Answers to removals, and to what a forgotten flaw sent.
                (None, _) => {}
            }
        }
        for partition in self.owners.keys() {
            self.inputs.push_back((*partition, Input::Tick));
        }
        if !self.overtaken.is_empty() {
            self.handle.stage(std::mem::take(&mut self.overtaken));
        }
        while let Some((partition, input)) = self.inputs.pop_front() {
            self.feed(partition, input, now_us);
        }
    }

    fn feed(&mut self, partition: u32, input: Input, now_us: i64) {
        let Some(mut owner) = self.owners.remove(&partition) else { return };
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let committed = matches!(input, Input::Completed { done: Done::Committed(_), .. });
            let now = Reading { wall_us: now_us, trusted: true };
            let actions = owner.step(&self.flaws[&partition].view(&self.kv, partition), Stimulus { now, input });
            for action in actions {
                inputs.extend(self.execute(&owner, action));
            }
            if committed {
                self.sweep(partition);
            }
        }
        self.owners.insert(partition, owner);
    }

    fn sweep(&mut self, partition: u32) {
        let swept = self.flaws[&partition].swept(&self.ctx, &self.kv, self.handle.log(), partition);
        if !swept.is_empty() {
            self.handle.remove(Topic::Keys, partition, Removal::Exactly(swept));
        }
    }

    fn execute(&mut self, owner: &Owner, action: Action) -> Option<Input> {
        let partition = owner.partition();
        let flaw = self.flaws.get_mut(&partition)?;
        match action {
            Action::Store(writes) => flaw.view(&self.kv, partition).write(writes).unwrap(),
            Action::Proceed => return Some(Input::Proceed),
            Action::Read { topic, partition, from } => {
                if topic == Topic::Ledger && flaw.doubts() {
                    // A violation here is the check's to report.
                    flaw.read_again(
                        &audit::partition(&self.ctx, self.handle.log(), sample::chain(partition)).unwrap_or_default(),
                    );
                }
                return Some(self.read(topic, partition, from));
            }
            Action::Stage { tag, records } => {
                if flaw.is(Defect::FrameBeforeKeys) {
                    let positions = records.iter().map(|_| Position(u64::MAX / 2)).collect();
                    self.overtaken.extend(records);
                    return Some(Input::Completed { tag, done: Done::Staged { positions } });
                }
                let ticket = self.handle.stage(records);
                self.waiting.insert(ticket, Waiting { partition, tag, at: Position::ZERO });
            }
            Action::Append { tag, at, frame, .. } => {
                flaw.appending(owner.head(), &frame);
                let ticket = self.handle.append(partition, at, frame);
                self.waiting.insert(ticket, Waiting { partition, tag, at });
            }
            Action::Remove { topic, partition, positions } => {
                self.handle.remove(topic, partition, positions);
            }
            Action::Answer(answer) => self.told.push((partition, answer)),
            Action::Status(Status::Stopped { reason }) => self.stopped.push(format!("partition {partition}: {reason}")),
            Action::Advanced { .. } | Action::Status(_) => {}
        }
        None
    }

    fn read(&self, topic: Topic, partition: u32, from: Position) -> Input {
        let reader = self.handle.reader();
        let tail = reader.tail(topic, partition).unwrap();
        let start = reader.start(topic, partition).unwrap();
        let limit = ReadLimit { records: 7, ..ReadLimit::default() };
        Input::Read { topic, from, records: reader.read(topic, partition, from, limit).unwrap(), start, tail }
    }
}
