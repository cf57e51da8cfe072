//! One process: the owner, its local state, and what it has asked of the log and not yet heard about.
//!
//! The owner runs on as far as it can on its own: local state, and the input topics, which nobody else changes, are
//! there at once. Where another process can come in between, it stops and waits to be chosen: before the ledger or the
//! keyring is read, before the log takes what was sent, and before it hears that its frame was committed. (An answer
//! that says nothing is heard at once: to hear it later is to act later on it, which is a choice already.)

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use engine::kv::Kv;
use engine::kv::memory::MemoryKv;
use engine::owner::{Action, Context, Input, Owner, Reading, Status, Stimulus, Tag};
use eventlog::memory::{Fate, LogState, Memory, Plan, WriteFate};
use eventlog::{Done, NewRecord, Position, ReadLimit, Topic};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use replay_tests::audit::{self, Told};
use replay_tests::defect::{Defect, Flaw};
use replay_tests::sample;

/// How much later it is when a wait has run out: more than any back-off.
const WAITED_US: i64 = 1_000_000;

/// What an owner touches besides its own.
pub struct Around<'a> {
    pub ctx: &'a Arc<Context>,
    /// Ledger, keyring, dead letters.
    pub log: &'a mut LogState,
    /// Requests, commands, policies.
    pub inputs: &'a mut LogState,
    /// Whether consumed requests are removed.
    pub removes: bool,
    /// What callers are told.
    pub told: &'a mut Vec<Told>,
    /// Number of the process.
    pub who: usize,
}

/// Something that the log has not taken yet.
#[derive(Clone, Hash)]
pub enum Sent {
    Stage { tag: u64, records: Vec<NewRecord> },
    Append { tag: u64, at: Position, frame: Vec<u8> },
}

/// See above.
#[derive(Clone)]
pub struct Process {
    owner: Owner,
    pub kv: MemoryKv,
    pub flaw: Flaw,
    pub clock_us: i64,
    /// Ledger or keyring, and from where.
    pub reads: VecDeque<(Topic, Position)>,
    pub sent: VecDeque<Sent>,
    /// Commits that it has not heard about.
    pub committed: VecDeque<(u64, Position)>,
    last_tag: u64,
    pub yielded: bool,
    pub stopped: Option<String>,
}

impl Process {
    /// A process that owns nothing yet.
    pub fn new(ctx: &Arc<Context>, kv: MemoryKv, flaw: Flaw, clock_us: i64) -> Process {
        Process {
            owner: Owner::new(ctx.clone(), sample::chain(0), ChaCha20Rng::seed_from_u64(0)),
            kv,
            flaw,
            clock_us,
            reads: VecDeque::new(),
            sent: VecDeque::new(),
            committed: VecDeque::new(),
            last_tag: 0,
            yielded: false,
            stopped: None,
        }
    }

    /// Equal for processes that do the same from here on.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.owner.fingerprint(&mut hasher);
        (&self.kv, &self.flaw, self.clock_us, &self.reads, self.yielded, &self.stopped).hash(&mut hasher);
        // A tag only matters by whether it is the latest.
        for sent in &self.sent {
            match sent {
                Sent::Stage { tag, records } => (self.last_tag - tag, records).hash(&mut hasher),
                Sent::Append { tag, at, frame } => (self.last_tag - tag, at, frame).hash(&mut hasher),
            }
        }
        for (tag, position) in &self.committed {
            (self.last_tag - tag, position).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The process ends and starts again, with its local state or without.
    pub fn restart(&mut self, around: &mut Around<'_>, keeps_state: bool) {
        let kv = if keeps_state { self.kv.clone() } else { MemoryKv::default() };
        let mut flaw = self.flaw.clone();
        flaw.crash(keeps_state);
        *self = Process::new(around.ctx, kv, flaw, self.clock_us);
        self.feed(around, Input::Assigned);
    }

    /// The partition is taken away and given back; what was sent stays on its way.
    pub fn reassign(&mut self, around: &mut Around<'_>) {
        self.feed(around, Input::Revoked);
        self.feed(around, Input::Assigned);
    }

    /// Every wait is over.
    pub fn tick(&mut self, around: &mut Around<'_>) {
        self.feed(around, Input::Tick);
    }

    /// The log answers the oldest read.
    pub fn read(&mut self, around: &mut Around<'_>) {
        let Some((topic, from)) = self.reads.pop_front() else { return };
        if topic == Topic::Ledger && self.flaw.doubts() {
            let log = Arc::new(Memory::from_state(around.log.clone(), Plan::plain()));
            // A violation here is the judge's to report.
            self.flaw.read_again(&audit::partition(around.ctx, log, sample::chain(0)).unwrap_or_default());
        }
        let read = if topic == Topic::Keys && self.flaw.hides_keys() {
            Input::Read { topic, from, records: Vec::new(), start: Position::ZERO, tail: from }
        } else {
            read(around.log, topic, from)
        };
        self.feed(around, read);
    }

    /// The log takes the oldest frame.
    pub fn append(&mut self, around: &mut Around<'_>, fate: Fate) {
        let Some(Sent::Append { tag, at, frame }) = self.sent.pop_front() else { return };
        match self.flaw.heard(around.log.append(0, at, frame, fate), at) {
            Done::Committed(position) => self.committed.push_back((tag, position)),
            done => self.feed(around, Input::Completed { tag: Tag(tag), done }),
        }
    }

    /// The log takes the oldest staged records.
    pub fn stage(&mut self, around: &mut Around<'_>, fate: WriteFate) {
        let Some(Sent::Stage { tag, records }) = self.sent.pop_front() else { return };
        let done = match around.log.write(records, fate) {
            Ok(Some(positions)) => Done::Staged { positions },
            Ok(None) => Done::Unknown,
            Err(error) => Done::Failed(error),
        };
        self.feed(around, Input::Completed { tag: Tag(tag), done });
    }

    /// The process hears about its oldest commit.
    pub fn hear(&mut self, around: &mut Around<'_>) {
        let Some((tag, position)) = self.committed.pop_front() else { return };
        self.feed(around, Input::Completed { tag: Tag(tag), done: Done::Committed(position) });
        let log = Memory::from_state(around.log.clone(), Plan::plain());
        let swept = self.flaw.swept(around.ctx, &self.kv, &log, 0);
        if !swept.is_empty() {
            around.log.remove(Topic::Keys, 0, &eventlog::Removal::Exactly(swept)).unwrap();
        }
    }

    fn feed(&mut self, around: &mut Around<'_>, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let waited_us = if matches!(input, Input::Tick) { WAITED_US } else { 0 };
            let now = Reading { wall_us: self.clock_us + waited_us, trusted: true };
            self.owner.reseed(self.chance(around));
            for action in self.owner.step(&self.flaw.view(&self.kv, 0), Stimulus { now, input }) {
                self.execute(around, action, &mut inputs);
            }
        }
    }

    /// Random values by what there is, so that alike states stay alike: a writer draws the same ones again only when
    /// the log is as it was, and then nothing that it drew before is left. INVARIANT: each draft that is taken by the
    /// log in any form makes one of these numbers grow, and one that waits is counted.
    fn chance(&self, around: &Around<'_>) -> ChaCha20Rng {
        let mut hasher = DefaultHasher::new();
        let tail = |topic| around.log.tail(topic, 0).unwrap();
        (around.who, tail(Topic::Ledger), tail(Topic::Keys), tail(Topic::DeadLetters)).hash(&mut hasher);
        (around.log.late(), self.sent.len()).hash(&mut hasher);
        ChaCha20Rng::seed_from_u64(hasher.finish())
    }

    fn execute(&mut self, around: &mut Around<'_>, action: Action, inputs: &mut VecDeque<Input>) {
        match action {
            Action::Store(writes) => self.flaw.view(&self.kv, 0).write(writes).unwrap(),
            Action::Proceed => inputs.push_back(Input::Proceed),
            Action::Read { topic: topic @ (Topic::Ledger | Topic::Keys), from, .. } => {
                self.reads.push_back((topic, from))
            }
            Action::Read { topic, from, .. } => inputs.push_back(read(around.inputs, topic, from)),
            Action::Stage { tag, records } => {
                self.last_tag = tag.0;
                if self.flaw.is(Defect::FrameBeforeKeys) {
                    let first = around.log.tail(Topic::Keys, 0).unwrap().0;
                    let positions = (first..).map(Position).take(records.len()).collect();
                    inputs.push_back(Input::Completed { tag, done: Done::Staged { positions } });
                }
                self.sent.push_back(Sent::Stage { tag: tag.0, records });
            }
            Action::Append { tag, at, frame } => {
                assert!(
                    !self.sent.iter().any(|sent| matches!(sent, Sent::Append { frame: other, .. } if *other == frame)),
                    "drawn twice"
                );
                self.last_tag = tag.0;
                self.flaw.appending(self.owner.head(), &frame);
                self.sent.push_front(Sent::Append { tag: tag.0, at, frame });
                // In order, unless a defect lets the frame overtake its keys.
                if !self.flaw.is(Defect::FrameBeforeKeys) {
                    self.sent.rotate_left(1);
                }
            }
            Action::Remove { tag, topic, partition, positions } => {
                if let Some(tag) = tag {
                    inputs.push_back(Input::Completed { tag, done: Done::Removed });
                }
                let log = if topic == Topic::Keys { &mut *around.log } else { &mut *around.inputs };
                if topic == Topic::Keys || around.removes {
                    log.remove(topic, partition, &positions).unwrap();
                }
            }
            Action::Answer(answer) => {
                let log = Arc::new(Memory::from_state(around.log.clone(), Plan::plain()));
                around.told.push(Told::by(around.ctx, &self.kv, log, sample::chain(0), &answer));
            }
            Action::Advanced { .. } => {}
            Action::Status(status) => {
                self.yielded = status == Status::Yielded;
                if let Status::Stopped { reason } = status {
                    self.stopped = Some(reason);
                }
            }
        }
    }
}

fn read(log: &LogState, topic: Topic, from: Position) -> Input {
    Input::Read {
        topic,
        from,
        records: log.read(topic, 0, from, ReadLimit::default()).unwrap(),
        start: log.start(topic, 0).unwrap(),
        tail: log.tail(topic, 0).unwrap(),
    }
}
