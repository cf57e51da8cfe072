//! A state of the model, what can happen in it, and what comes of that.
//!
//! INVARIANT: a choice that spends nothing of the bounds changes something that does not come back (a record is taken,
//! an answer is heard, a read is answered), so the states within the bounds are finite.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use engine::kv::memory::MemoryKv;
use engine::owner::Context;
use eventlog::memory::{Fate, LogState, WriteFate};
use eventlog::{NewRecord, Topic};
use replay_tests::audit::Told;
use replay_tests::defect::{Defect, Flaw};
use replay_tests::sample;

use crate::process::{Around, Process, Sent};

/// Later than any frame that follows: a frame on its way arrives when that is chosen.
const WHEN_CHOSEN: u32 = u32::MAX;
/// A jump of a clock: longer than offsets may stay uncovered.
const JUMP_US: i64 = 3_600_000_000;

/// How often each thing may happen on the way to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Processes that want the partition, one or two.
    pub writers: usize,
    /// Requests that are produced, at any time.
    pub requests: usize,
    /// Appends and staged records that meet anything but success.
    pub faults: u8,
    /// Ends of one process, or of everything.
    pub crashes: u8,
    /// Partitions taken away and given back.
    pub reassignments: u8,
    /// Claims of a process that had yielded.
    pub returns: u8,
    /// Jumps of one process's clock.
    pub jumps: u8,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The next request is produced.
    Produce,
    /// A process's waits are over, and it looks at its inputs again.
    Tick(usize),
    /// The log answers a process's read.
    Read(usize),
    /// The log takes what a process staged.
    Stage(usize, WriteFate),
    /// The log takes a process's frame.
    Append(usize, Fate),
    /// A process hears that its frame was committed.
    Hear(usize),
    /// A frame on its way arrives.
    Arrive(usize),
    /// A process ends and starts again, with its local state.
    Crash(usize),
    /// A process ends and starts again, without.
    Lose(usize),
    /// The one process and its log end; what the log had not synced is lost.
    PowerLoss,
    /// The partition is taken from a process and given back.
    Reassign(usize),
    /// A process's clock jumps ahead.
    Jump(usize),
}

/// See above.
#[derive(Clone)]
pub struct State {
    pub log: Arc<LogState>,
    pub inputs: Arc<LogState>,
    pub processes: [Arc<Process>; 2],
    /// What may still happen.
    pub left: Bounds,
    /// What callers were told on the way to this state from the one before.
    pub told: Vec<Told>,
    prints: [u64; 4],
}

/// What does not change: the deployment, and the requests that may be produced.
pub struct World {
    pub ctx: Arc<Context>,
    pub requests: Vec<NewRecord>,
    /// Whether consumed requests are removed, as on the embedded log, or kept until some retention ends.
    pub removes: bool,
}

impl State {
    /// Two processes that have just been given the partition of a log.
    pub fn new(
        world: &World,
        log: LogState,
        inputs: LogState,
        kv: &MemoryKv,
        left: Bounds,
        defect: Option<Defect>,
    ) -> State {
        let process = || Arc::new(Process::new(&world.ctx, kv.clone(), Flaw::new(defect), sample::START_US));
        let mut state = State {
            log: Arc::new(log),
            inputs: Arc::new(inputs),
            processes: [process(), process()],
            left,
            told: Vec::new(),
            prints: [0; 4],
        };
        for who in 0..state.processes.len() {
            state.with(world, who, |process, around| process.restart(around, true));
        }
        state.print_log();
        state
    }

    /// Equal for states from which the same can happen. 64 bits: among a million states two that differ are taken for
    /// one with a chance of one in 30 million.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.prints, self.left).hash(&mut hasher);
        hasher.finish()
    }

    /// Of the log alone, and of what a process is.
    pub fn prints(&self, who: usize) -> (u64, u64) {
        (self.prints[0], self.prints[2 + who])
    }

    /// Equal for states whose logs and inputs are the same.
    pub fn log_fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.prints[..2].hash(&mut hasher);
        hasher.finish()
    }

    /// Everything that can happen now, within the bounds.
    pub fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        let Bounds { writers, requests, faults, crashes, reassignments, returns, jumps } = self.left;
        if requests > 0 {
            choices.push(Choice::Produce);
        }
        choices.extend((0..self.log.late()).map(Choice::Arrive));
        for (who, process) in self.processes.iter().enumerate().take(writers) {
            if process.reads.is_empty() && (!process.yielded || returns > 0) {
                choices.push(Choice::Tick(who));
            }
            if !process.reads.is_empty() {
                choices.push(Choice::Read(who));
            }
            match process.sent.front() {
                Some(Sent::Stage { .. }) => choices.extend(stages(faults).map(|fate| Choice::Stage(who, fate))),
                Some(Sent::Append { at, .. }) => {
                    let first = self.log.tail(Topic::Ledger, 0).unwrap() == *at;
                    choices.extend(appends(faults, first).map(|fate| Choice::Append(who, fate)));
                }
                None => {}
            }
            if !process.committed.is_empty() {
                choices.push(Choice::Hear(who));
            }
            if crashes > 0 {
                choices.extend([Choice::Crash(who), Choice::Lose(who)]);
            }
            if reassignments > 0 {
                choices.push(Choice::Reassign(who));
            }
            if jumps > 0 {
                choices.push(Choice::Jump(who));
            }
        }
        // A log that several processes share does not go down with one of them.
        if crashes > 0 && writers == 1 {
            choices.push(Choice::PowerLoss);
        }
        choices
    }

    /// What comes of a choice; nothing where it changes nothing.
    pub fn after(&self, world: &World, choice: Choice) -> Option<State> {
        let mut next = self.clone();
        next.told.clear();
        match choice {
            Choice::Produce => {
                let record = world.requests[world.requests.len() - self.left.requests].clone();
                Arc::make_mut(&mut next.inputs).write(vec![record], WriteFate::Plain).unwrap();
                next.left.requests -= 1;
            }
            Choice::Tick(who) => {
                next.left.returns -= u8::from(self.processes[who].yielded);
                next.with(world, who, Process::tick);
                if next.prints == self.prints {
                    return None;
                }
            }
            Choice::Read(who) => next.with(world, who, Process::read),
            Choice::Stage(who, fate) => {
                next.left.faults -= u8::from(fate != WriteFate::Plain);
                next.with(world, who, |process, around| process.stage(around, fate));
            }
            Choice::Append(who, fate) => {
                next.left.faults -= u8::from(fate != Fate::Plain);
                next.with(world, who, |process, around| process.append(around, fate));
            }
            Choice::Hear(who) => next.with(world, who, Process::hear),
            Choice::Arrive(nth) => Arc::make_mut(&mut next.log).settle(nth),
            Choice::Crash(who) | Choice::Lose(who) => {
                next.left.crashes -= 1;
                let keeps_state = matches!(choice, Choice::Crash(_));
                next.with(world, who, |process, around| process.restart(around, keeps_state));
            }
            Choice::PowerLoss => {
                next.left.crashes -= 1;
                let log = Arc::make_mut(&mut next.log);
                // What was on its way was in the memory of the process that is gone.
                (0..log.late()).for_each(|_| log.lose(0));
                log.crash();
                next.with(world, 0, |process, around| process.restart(around, true));
            }
            Choice::Reassign(who) => {
                next.left.reassignments -= 1;
                next.with(world, who, Process::reassign);
            }
            Choice::Jump(who) => {
                next.left.jumps -= 1;
                next.with(world, who, |process, _| process.clock_us += JUMP_US);
            }
        }
        next.print_log();
        Some(next)
    }

    fn with(&mut self, world: &World, who: usize, act: impl FnOnce(&mut Process, &mut Around<'_>)) {
        let process = Arc::make_mut(&mut self.processes[who]);
        let (log, inputs) = (Arc::make_mut(&mut self.log), Arc::make_mut(&mut self.inputs));
        act(process, &mut Around { ctx: &world.ctx, log, inputs, removes: world.removes, told: &mut self.told, who });
        self.prints[2 + who] = process.fingerprint();
    }

    fn print_log(&mut self) {
        for (print, log) in self.prints.iter_mut().zip([&self.log, &self.inputs]) {
            let mut hasher = DefaultHasher::new();
            log.hash(&mut hasher);
            *print = hasher.finish();
        }
    }
}

fn stages(faults: u8) -> impl Iterator<Item = WriteFate> {
    let fates = [WriteFate::Plain, WriteFate::Lost, WriteFate::Unknown, WriteFate::Refused];
    fates.into_iter().filter(move |fate| faults > 0 || *fate == WriteFate::Plain)
}

/// Fates of a frame. One that is not `first` to lie at its place is not stored, or stored in vain and called a
/// conflict, which two fates do alike.
fn appends(faults: u8, first: bool) -> impl Iterator<Item = Fate> {
    let fates = [
        Fate::Plain,
        Fate::Lost,
        Fate::Unknown,
        Fate::Late { after: WHEN_CHOSEN },
        Fate::Twice { after: WHEN_CHOSEN },
        Fate::Conflict,
    ];
    fates
        .into_iter()
        .filter(move |fate| *fate == Fate::Plain || faults > 0 && (first || *fate != Fate::Conflict))
        .chain((faults > 0 && !first).then_some(Fate::Blind))
}
