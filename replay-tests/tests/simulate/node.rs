//! One process of the simulation: owners, their local store and a connection to the log, driven step by step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use engine::kv::Kv;
use engine::kv::memory::MemoryKv;
use engine::owner::{Action, Context, Input, Owner, Reading, Stimulus, Tag};
use eventlog::memory::{Handle, Memory};
use eventlog::{Done, EventLog, ReadLimit, Record, Ticket, Topic};
use ledger::ChainId;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::world::Planted;

pub struct Node {
    pub kv: MemoryKv,
    owners: BTreeMap<u32, Owner>,
    handle: Handle,
    waiting: BTreeMap<Ticket, (u32, Tag)>,
    inputs: VecDeque<(u32, Input)>,
    planted: Option<Planted>,
    /// Identities that this process was told an answer for, with the frame's place in the ledger.
    pub answered: Vec<[u8; 32]>,
    /// Owners that stopped, and why.
    pub stopped: Vec<String>,
    asked: BTreeMap<u32, eventlog::Position>,
}

impl Node {
    pub fn start(
        ctx: &Arc<Context>,
        chains: &[ChainId],
        log: &Memory,
        kv: MemoryKv,
        seed: u64,
        planted: Option<Planted>,
    ) -> Node {
        let owners = chains
            .iter()
            .map(|chain| {
                (
                    chain.partition,
                    Owner::new(
                        ctx.clone(),
                        *chain,
                        ChaCha20Rng::seed_from_u64(seed ^ u64::from(chain.partition) << 40),
                    ),
                )
            })
            .collect();
        Node {
            kv,
            owners,
            handle: log.connect(),
            waiting: BTreeMap::new(),
            inputs: VecDeque::new(),
            planted,
            answered: Vec::new(),
            stopped: Vec::new(),
            asked: BTreeMap::new(),
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

    /// Polls the log and lets the owners run until nothing is left to do but wait. Returns records that were staged
    /// for other partitions.
    pub fn turn(&mut self, now_us: i64) {
        for completion in self.handle.poll(Duration::ZERO) {
            match (self.waiting.remove(&completion.ticket), completion.done) {
                (Some((partition, tag)), done) => {
                    let done = match (self.planted, done) {
                        (Some(Planted::CommitAssumed), Done::Unknown | Done::Conflict) => {
                            Done::Committed(self.next_position(partition))
                        }
                        (_, done) => done,
                    };
                    self.inputs.push_back((partition, Input::Completed { tag, done }));
                }
                (None, Done::Assigned(partitions)) => {
                    self.inputs.extend(partitions.into_iter().map(|partition| (partition, Input::Assigned)));
                }
                (None, _) => {}
            }
        }
        for partition in self.owners.keys().copied().collect::<Vec<_>>() {
            self.inputs.push_back((partition, Input::Tick));
        }
        while let Some((partition, input)) = self.inputs.pop_front() {
            self.feed(partition, input, now_us);
        }
    }

    fn next_position(&self, partition: u32) -> eventlog::Position {
        self.asked.get(&partition).copied().unwrap_or_default()
    }

    fn feed(&mut self, partition: u32, input: Input, now_us: i64) {
        let Some(mut owner) = self.owners.remove(&partition) else { return };
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Reading { wall_us: now_us, trusted: true };
            for action in owner.step(&self.kv, Stimulus { now, input }) {
                inputs.extend(self.execute(partition, action));
            }
        }
        self.owners.insert(partition, owner);
    }

    fn execute(&mut self, partition: u32, action: Action) -> Option<Input> {
        match action {
            Action::Store(writes) => self.kv.write(writes).unwrap(),
            Action::Proceed => return Some(Input::Proceed),
            Action::Read { topic, partition, from } => return Some(self.read(topic, partition, from)),
            Action::Stage { tag, records } => {
                if self.planted == Some(Planted::KeysNotStaged) {
                    let positions = records.iter().map(|_| eventlog::Position(u64::MAX / 2)).collect();
                    return Some(Input::Completed { tag, done: Done::Staged { positions } });
                }
                let ticket = self.handle.stage(records);
                self.waiting.insert(ticket, (partition, tag));
            }
            Action::Append { tag, at, frame, .. } => {
                self.asked.insert(partition, at);
                let ticket = self.handle.append(partition, at, frame);
                self.waiting.insert(ticket, (partition, tag));
            }
            Action::Remove { topic, partition, positions } => {
                self.handle.remove(topic, partition, positions);
            }
            Action::Answer(answer) => self.answered.push(answer.identity.key),
            Action::Advanced { .. } => {}
            Action::Status(engine::owner::Status::Stopped { reason }) => {
                self.stopped.push(format!("partition {partition}: {reason}"))
            }
            Action::Status(_) => {}
        }
        None
    }

    fn read(&self, topic: Topic, partition: u32, from: eventlog::Position) -> Input {
        let reader = self.handle.reader();
        let tail = reader.tail(topic, partition).unwrap();
        let start = reader.start(topic, partition).unwrap();
        let limit = ReadLimit { records: 7, ..ReadLimit::default() };
        Input::Read { topic, from, records: reader.read(topic, partition, from, limit).unwrap(), start, tail }
    }
}
