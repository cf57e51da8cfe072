//! The partition owner: one sans-I/O step function for everything that happens to a partition.
//!
//! `step` takes one input (a record read, a completion, an assignment, time) and returns actions (read, stage, append,
//! store, answer, remove). It touches nothing but local state through [`Kv`]: it reads it, and while catching up it
//! stores each fold before the next one reads it. So the model checker, the simulation and the crash tests drive the
//! very function that runs.
//!
//! Invariants, each with the sentence of the contract that it carries:
//! - One frame is in flight at a time; nothing of a batch is stored or answered before the log says `Committed` at
//!   exactly the position that follows everything folded.
//! - Anything else (`Conflict`, `Unknown`) forgets the batch with every random value drawn for it, reads on, folds, and
//!   decides again from what is folded.
//! - The first frame is a claim. Who reads another's claim gives the partition up, and claims again only when that
//!   writer has been silent for a random, doubling time.
//! - What is staged completes before the frame that refers to it is sent.
//! - Nothing is decided, and nobody is told of an event, before the keyring is read as far as the ledger: a key or a
//!   surrogate that counts would be drawn a second time, and an event would be shown as unreadable.
//!
//! Deliberately not here: threads, channels, clocks and the log itself (`runtime`), and rules of what is decided
//! (`domain`).

mod batch;
mod catch_up;
mod commit;
mod draw;
mod explore;
mod guard;
mod intake;
mod understand;

use std::collections::VecDeque;
use std::sync::Arc;

use domain::command::Identity;
use domain::decide::Terms;
use domain::ids::Micros;
use domain::routing::Routing;
use eventlog::{Done, NewRecord, Position, Record, Removal, Topic};
use ledger::{ChainId, Head};
use policy::PolicySet;
use rand_chacha::ChaCha20Rng;

use crate::keys::Secrets;
use crate::kv::{Kv, Write};
use crate::store::{StateKey, StateRecord, Store};
use crate::view::DecisionView;
use batch::Batch;
use draw::Drawn;
use intake::Intake;

pub use draw::Bundles;
pub use guard::Guard;
pub use understand::{HEADER_FORWARDED, identify, lookup, lookups};

/// What all owners of a process share and none changes.
pub struct Context {
    /// Keys.
    pub secrets: Arc<Secrets>,
    /// Writer schemas by id.
    pub requests: Arc<wire::RequestReader>,
    /// Limits of decisions.
    pub terms: Terms,
    /// What shares a partition.
    pub routing: Routing,
    /// How many partitions there are.
    pub partitions: u32,
    /// Identities of the input topics' contents, by topic and partition.
    pub topic_id: Box<dyn Fn(Topic, u32) -> [u8; 16] + Send + Sync>,
    /// Limits of batches and waits.
    pub limits: Limits,
    /// Compiled bundles, shared by the partitions.
    pub bundles: Bundles,
}

/// Limits of an owner. Every one is a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events in one frame.
    pub batch_events_max: usize,
    /// Records waiting in memory, per input.
    pub queue_records_max: usize,
    /// Bytes waiting in memory, per input.
    pub queue_bytes_max: usize,
    /// First wait after `Unknown`, doubled each time. Microseconds.
    pub backoff_first_us: Micros,
    /// Longest wait after `Unknown`. Microseconds.
    pub backoff_max_us: Micros,
    /// How long consumed offsets may stay without an event that covers them. Microseconds.
    pub input_advance_us: Micros,
    /// How often an idle input is read again, should a push have been lost. Microseconds.
    pub recheck_us: Micros,
    /// Deaths of the process on one record after which it is set aside without decoding; see [`Guard`]. 0 is never.
    pub crashes_max: u32,
    /// Section keys kept in memory per partition.
    pub cached_keys_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            batch_events_max: 512,
            queue_records_max: 4096,
            queue_bytes_max: 16 * 1024 * 1024,
            backoff_first_us: 20_000,
            backoff_max_us: 10_000_000,
            input_advance_us: 10 * 60 * 1_000_000,
            recheck_us: 500_000,
            crashes_max: 3,
            cached_keys_max: 4096,
        }
    }
}

/// One reading of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Microseconds since 1970-01-01 UTC.
    pub wall_us: Micros,
    /// Whether wall and monotonic clock agree; while they do not, nothing is written.
    pub trusted: bool,
}

/// Names a batch's operation, so that an answer to a forgotten one is not taken for an answer to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

/// What can happen to a partition.
#[derive(Clone, Debug)]
pub enum Input {
    /// It is ours to try for.
    Assigned,
    /// It is no longer ours.
    Revoked,
    /// New records of an input, in order.
    Pushed {
        /// Which input.
        topic: Topic,
        /// The records.
        records: Vec<Record>,
    },
    /// The answer to [`Action::Read`].
    Read {
        /// Which topic.
        topic: Topic,
        /// From where it was asked.
        from: Position,
        /// What stands there.
        records: Vec<Record>,
        /// First position that still exists.
        start: Position,
        /// Watermark taken before the records were read.
        tail: Position,
    },
    /// The log could not be read for now.
    ReadFailed {
        /// Which topic.
        topic: Topic,
        /// Whether trying again may help.
        transient: bool,
        /// What the log says.
        detail: String,
    },
    /// The answer to [`Action::Stage`], [`Action::Append`] or a tagged [`Action::Remove`].
    Completed {
        /// Which operation.
        tag: Tag,
        /// The log's answer.
        done: Done,
    },
    /// The stores before this in the same step are done; go on.
    Proceed,
    /// Time passes.
    Tick,
}

/// An input with the time at which it arrives.
#[derive(Clone, Debug)]
pub struct Stimulus {
    /// The clock.
    pub now: Reading,
    /// What happened.
    pub input: Input,
}

/// What an owner wants done. The runtime does it in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Read a topic of the log; answered by [`Input::Read`] or [`Input::ReadFailed`].
    Read {
        /// Which topic.
        topic: Topic,
        /// Which partition of it.
        partition: u32,
        /// From where.
        from: Position,
    },
    /// Stage records; answered by [`Input::Completed`].
    Stage {
        /// Which operation.
        tag: Tag,
        /// What.
        records: Vec<NewRecord>,
    },
    /// Append a frame; answered by [`Input::Completed`].
    Append {
        /// Which operation.
        tag: Tag,
        /// Directly after everything folded.
        at: Position,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Write local state, atomically, before anything that follows.
    Store(Vec<Write>),
    /// Feed [`Input::Proceed`] after what came before is done.
    Proceed,
    /// Tell whoever waits for a request.
    Answer(Answer),
    /// Remove records of an input, the keyring or the dead letters. Answered by [`Input::Completed`] if it has a tag.
    Remove {
        /// Which operation.
        tag: Option<Tag>,
        /// Which topic.
        topic: Topic,
        /// Which partition of it.
        partition: u32,
        /// What.
        positions: Removal,
    },
    /// Frames up to here are in the ledger: followers may go on.
    Advanced {
        /// The log position after the last accepted frame.
        position: Position,
    },
    /// How the partition is.
    Status(Status),
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which request.
    pub identity: Identity,
    /// Its event.
    pub event: AnsweredBy,
}

/// By which event a request is answered.
#[derive(Clone, Debug)]
pub enum AnsweredBy {
    /// By one just committed.
    New(Box<DecisionView>),
    /// By one that stands in the ledger already.
    Earlier {
        /// Its place.
        seq: u64,
    },
}

/// How a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Owned, decides.
    Running,
    /// Reads the ledger, or waits for its turn.
    CatchingUp {
        /// Why, in words.
        reason: String,
    },
    /// Owned, but the clock cannot be trusted.
    ClockSuspect,
    /// Another writer claimed it.
    Yielded,
    /// Not assigned.
    Idle,
    /// Needs an operator.
    Stopped {
        /// What and what to do.
        reason: String,
    },
}

#[derive(Clone)]
enum Phase {
    Idle,
    CatchingUp,
    ReadingKeys {
        then: Then,
    },
    Running,
    /// The crash guard is being stored; computing follows.
    Guarded,
    Staging(Box<Batch>),
    Appending(Box<Batch>),
    Waiting {
        until_us: Micros,
    },
    Yielded {
        until_us: Micros,
        seen: Position,
    },
    Stopped,
}

/// What follows once ledger and keyring are read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Then {
    /// The partition is still ours.
    Resume,
    /// It is nobody's, as far as can be seen.
    Claim,
    /// Another writer claimed it.
    GiveUp,
}

/// One partition, as its owner sees it. Copied by whoever explores what it may do; a process has one.
#[derive(Clone)]
pub struct Owner {
    ctx: Arc<Context>,
    partition: u32,
    rng: ChaCha20Rng,
    phase: Phase,
    status: Status,
    head: Head,
    recorded_at_us: Micros,
    next_outcome_no: u64,
    position: Position,
    /// The epoch of our own accepted claim; none before it.
    claimed: Option<u32>,
    intake: Intake,
    policies: Option<PolicySet>,
    drawn: Drawn,
    next_tag: u64,
    failures: u32,
    yields: u32,
    /// Whether a claim of ours was accepted in this assignment.
    was_owner: bool,
    /// Keyring watermark taken before the claim, for the sweep after it.
    keys_watermark: Position,
    /// What to forget of the keyring's index once its records are removed.
    sweeping: Option<(Tag, Vec<Write>)>,
    /// Whether frames were folded whose keys the index of the keyring may lack.
    keys_behind: bool,
    /// Answers by events that were found by reading on: told when their keys are there too, because whoever hears of an
    /// event reads it.
    untold: VecDeque<Answer>,
}

/// A state that cannot be worked with: the store is broken, or holds what no version of ours writes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error("state: {0}")]
    Store(#[from] crate::store::Error),
    /// The bytes below it.
    #[error("state: {0}")]
    Kv(#[from] crate::kv::Error),
    /// A key that nobody fetched.
    #[error(transparent)]
    NotFetched(#[from] domain::state::NotFetched),
    /// An event that cannot be built.
    #[error("frame: {0}")]
    Ledger(#[from] ledger::Error),
    /// Sealing.
    #[error("sealing: {0}")]
    Record(#[from] crate::record::Error),
    /// Keys.
    #[error("keys: {0}")]
    Keys(#[from] crate::keys::Error),
    /// A data key that the ledger counts is in the keyring no more. To draw another in its place would hide that what
    /// it sealed cannot be read.
    #[error(
        "keys were lost: {surrogate} has a data key by the ledger, {}, and the keyring of partition {partition} does \
         not hold it; restore the data directory from a backup",
        hex::encode(dek_id)
    )]
    KeyLost {
        /// The partition.
        partition: u32,
        /// Whose it is, in words.
        surrogate: &'static str,
        /// Its id.
        dek_id: [u8; 16],
    },
    /// Dead letters.
    #[error(transparent)]
    DeadLetter(#[from] crate::dead_letter::Error),
    /// Encoding.
    #[error("encoding: {0}")]
    Wire(#[from] wire::Error),
    /// The bundle in force is not whole in the state, or does not parse any more.
    #[error("policy bundle in force: {0}")]
    Bundle(String),
}

impl Owner {
    /// An owner that owns nothing yet. `rng` draws keys, surrogates, nonces and salts: seed it from the system, or from
    /// a number in a simulation.
    pub fn new(ctx: Arc<Context>, chain: ChainId, rng: ChaCha20Rng) -> Owner {
        Owner {
            partition: chain.partition,
            intake: Intake::new(chain.partition),
            drawn: Drawn::new(ctx.limits.cached_keys_max),
            ctx,
            rng,
            phase: Phase::Idle,
            status: Status::Idle,
            head: Head::genesis(chain),
            recorded_at_us: 0,
            next_outcome_no: 0,
            position: Position::default(),
            claimed: None,
            policies: None,
            next_tag: 0,
            failures: 0,
            yields: 0,
            was_owner: false,
            keys_watermark: Position::default(),
            sweeping: None,
            keys_behind: true,
            untold: VecDeque::new(),
        }
    }

    /// The partition.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The head of everything folded.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes one input and says what is to be done for it.
    pub fn step(&mut self, kv: &dyn Kv, stimulus: Stimulus) -> Vec<Action> {
        let mut out = Vec::new();
        if let Err(error) = self.dispatch(kv, stimulus, &mut out) {
            let remedy = match error {
                // These name their own.
                Error::Keys(_) | Error::KeyLost { .. } => "",
                _ => "; stop the process, run `lexecon rebuild`, and start again",
            };
            self.stop(format!("{error}{remedy}"), &mut out);
        }
        out
    }

    fn dispatch(&mut self, kv: &dyn Kv, stimulus: Stimulus, out: &mut Vec<Action>) -> Result<(), Error> {
        let now = stimulus.now;
        match stimulus.input {
            Input::Assigned => self.assigned(kv, out)?,
            Input::Revoked => self.revoked(out),
            Input::Pushed { topic, records } => self.intake.push(topic, records, &self.ctx.limits),
            Input::Read { topic: Topic::Ledger, from, records, tail, .. } => {
                self.ledger_read(kv, now, from, &records, tail, out)?;
            }
            Input::Read { topic: Topic::Keys, records, tail, .. } => self.keys_read(kv, now, &records, tail, out)?,
            Input::Read { topic, from, records, start, tail } => {
                if let Err(lost) = self.intake.read(topic, from, records, start, tail, &self.ctx.limits) {
                    self.missing(topic, &lost, out);
                }
            }
            Input::ReadFailed { topic, transient, detail } => self.read_failed(now, topic, transient, detail, out),
            Input::Completed { tag, done } => self.completed(kv, now, tag, done, out)?,
            Input::Proceed => self.compute(kv, now, out)?,
            Input::Tick => self.tick(now, out),
        }
        self.continue_work(kv, now, out)
    }

    /// Undecided input is gone. Another writer may have claimed the partition, decided it and removed it: whoever is
    /// still the owner after reading the ledger to its end, and misses it still, has lost it.
    fn missing(&mut self, topic: Topic, lost: &intake::Lost, out: &mut Vec<Action>) {
        // In any other phase the ledger is about to say more; the input is read again after it has.
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        if lost.confirmed {
            self.stop(lost.to_string(), out);
        } else {
            self.intake.doubt(topic);
            self.read_ledger(out);
        }
    }

    /// Starts the next batch, and reads inputs that lag behind.
    fn continue_work(&mut self, _kv: &dyn Kv, now: Reading, out: &mut Vec<Action>) -> Result<(), Error> {
        if !matches!(self.phase, Phase::Running) {
            return Ok(());
        }
        if !now.trusted {
            self.set_status(Status::ClockSuspect, out);
            return Ok(());
        }
        self.set_status(Status::Running, out);
        self.intake.read_more(&self.ctx.limits, out);
        if self.intake.is_due(now.wall_us, &self.ctx.limits) {
            out.push(Action::Store(vec![self.intake.guard(&self.ctx.limits)]));
            out.push(Action::Proceed);
            self.phase = Phase::Guarded;
        }
        Ok(())
    }

    fn revoked(&mut self, out: &mut Vec<Action>) {
        // Whatever is in flight may still be accepted; it is found again by whoever reads on.
        self.phase = Phase::Idle;
        self.claimed = None;
        self.intake.clear();
        self.drawn.clear();
        self.untold.clear();
        self.sweeping = None;
        self.set_status(Status::Idle, out);
    }

    fn tick(&mut self, now: Reading, out: &mut Vec<Action>) {
        // No wait is longer than twice the longest, so one that seems to be began before the clock was set back.
        let longest = self.ctx.limits.backoff_max_us.saturating_mul(2);
        let is_over = |until_us: Micros| now.wall_us >= until_us || until_us.saturating_sub(now.wall_us) > longest;
        match self.phase {
            Phase::Waiting { until_us } | Phase::Yielded { until_us, .. } if is_over(until_us) => {
                self.read_ledger(out);
            }
            Phase::Running => self.intake.recheck(now.wall_us, &self.ctx.limits),
            _ => {}
        }
    }

    fn read_failed(&mut self, now: Reading, topic: Topic, transient: bool, detail: String, out: &mut Vec<Action>) {
        self.intake.unread(topic);
        if transient {
            self.wait(now, format!("cannot read {}: {detail}", topic.as_str()), out);
        } else {
            self.stop(format!("cannot read {}: {detail}", topic.as_str()), out);
        }
    }

    fn set_status(&mut self, status: Status, out: &mut Vec<Action>) {
        if self.status != status {
            self.status = status.clone();
            out.push(Action::Status(status));
        }
    }

    fn stop(&mut self, reason: String, out: &mut Vec<Action>) {
        self.phase = Phase::Stopped;
        self.set_status(Status::Stopped { reason }, out);
    }

    /// Waits before reading on, twice as long as the last time.
    fn wait(&mut self, now: Reading, reason: String, out: &mut Vec<Action>) {
        let doublings = self.failures.min(16);
        let wait = self.ctx.limits.backoff_first_us.saturating_mul(1 << doublings).min(self.ctx.limits.backoff_max_us);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Waiting { until_us: now.wall_us.saturating_add(wait) };
        self.set_status(Status::CatchingUp { reason }, out);
    }

    fn tag(&mut self) -> Tag {
        self.next_tag = self.next_tag.wrapping_add(1);
        Tag(self.next_tag)
    }

    fn load(&self, kv: &dyn Kv, key: &StateKey) -> Result<Option<StateRecord>, Error> {
        Ok(Store::new(kv, self.partition).get(key)?)
    }
}
