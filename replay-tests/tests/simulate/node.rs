//! One process of the simulation: owners, their local store and a connection to the log, driven step by step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use engine::kv::Kv;
use engine::kv::memory::MemoryKv;
use engine::owner::{Action, Context, Input, Owner, Reading, Status, Stimulus, Tag};
use eventlog::memory::{Handle, Memory};
use eventlog::{Done, EventLog, NewRecord, Position, ReadLimit, Record, Removal, Ticket, Topic};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use replay_tests::audit::{self, Told};
use replay_tests::defect::{Defect, Flaw};
use replay_tests::sample;

/// Flaws of a process, by partition.
pub type Flaws = BTreeMap<u32, Flaw>;

/// Staged, appended or removed, by whom, and where a frame is to lie.
struct Waiting {
    partition: u32,
    tag: Tag,
    kind: Kind,
}

enum Kind {
    Stage,
    Append { at: Position },
    Remove,
}

/// A process's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// How far it is ahead of the others, or behind.
    pub skew_us: i64,
    /// Whether it agrees with the monotonic clock.
    pub trusted: bool,
    /// Whether it seems to agree until something is about to be computed.
    pub stumbles: bool,
}

impl Clock {
    /// Like the others'.
    pub const RIGHT: Clock = Clock { skew_us: 0, trusted: true, stumbles: false };
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
    pub clock: Clock,
    /// How each partition is.
    pub statuses: BTreeMap<u32, Status>,
    /// What callers were told, by partition.
    pub told: Vec<(u32, Told)>,
    /// Owners that stopped, or wrote while their clock could not be trusted.
    pub complaints: Vec<String>,
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
            clock: Clock::RIGHT,
            statuses: BTreeMap::new(),
            told: Vec::new(),
            complaints: Vec::new(),
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
                (Some(Waiting { partition, tag, kind }), done) => {
                    let done = match (self.flaws.get_mut(&partition), kind) {
                        (Some(flaw), Kind::Append { at }) => flaw.heard(done, at),
                        (Some(flaw), Kind::Remove) => flaw.heard_removal(done),
                        _ => done,
                    };
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
            let Clock { skew_us, trusted, stumbles } = self.clock;
            let trusted = trusted && !(stumbles && matches!(input, Input::Proceed));
            let now = Reading { wall_us: now_us + skew_us, trusted };
            // What was computed before may be sent on.
            let may_write = trusted || matches!(input, Input::Completed { .. });
            let actions = owner.step(&self.flaws[&partition].view(&self.kv, partition), Stimulus { now, input });
            for action in actions {
                if !may_write && matches!(action, Action::Stage { .. } | Action::Append { .. }) {
                    self.complaints.push(format!("partition {partition}: written by a clock that is not trusted"));
                }
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
                    let account = audit::partition(&self.ctx, self.handle.reader(), sample::chain(partition));
                    flaw.read_again(&account.unwrap_or_default());
                }
                let nothing = topic == Topic::Keys && flaw.hides_keys();
                return Some(if nothing {
                    Input::Read { topic, from, records: Vec::new(), start: Position::ZERO, tail: from }
                } else {
                    self.read(topic, partition, from)
                });
            }
            Action::Stage { tag, records } => {
                if flaw.is(Defect::FrameBeforeKeys) {
                    let positions = records.iter().map(|_| Position(u64::MAX / 2)).collect();
                    self.overtaken.extend(records);
                    return Some(Input::Completed { tag, done: Done::Staged { positions } });
                }
                let ticket = self.handle.stage(records);
                self.waiting.insert(ticket, Waiting { partition, tag, kind: Kind::Stage });
            }
            Action::Append { tag, at, frame } => {
                flaw.appending(owner.head(), &frame);
                let ticket = self.handle.append(partition, at, frame);
                self.waiting.insert(ticket, Waiting { partition, tag, kind: Kind::Append { at } });
            }
            Action::Remove { tag, topic, partition, positions } => {
                let ticket = self.handle.remove(topic, partition, positions);
                if let Some(tag) = tag {
                    self.waiting.insert(ticket, Waiting { partition, tag, kind: Kind::Remove });
                }
            }
            Action::Answer(answer) => {
                let chain = sample::chain(partition);
                self.told.push((partition, Told::by(&self.ctx, &self.kv, self.handle.reader(), chain, &answer)));
            }
            Action::Status(status) => {
                if let Status::Stopped { reason } = &status {
                    self.complaints.push(format!("partition {partition}: an owner stopped: {reason}"));
                }
                self.statuses.insert(partition, status);
            }
            Action::Advanced { .. } => {}
        }
        None
    }

    fn read(&self, topic: Topic, partition: u32, from: Position) -> Input {
        let reader = self.handle.reader();
        let limit = ReadLimit { records: 7, ..ReadLimit::default() };
        let read = reader.tail(topic, partition).and_then(|tail| {
            let start = reader.start(topic, partition)?;
            Ok(Input::Read { topic, from, records: reader.read(topic, partition, from, limit)?, start, tail })
        });
        read.unwrap_or_else(|error| Input::ReadFailed {
            topic,
            transient: error.is_transient(),
            detail: error.to_string(),
        })
    }
}
