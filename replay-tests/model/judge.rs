//! What must hold in every state.
//!
//! The log is audited by `replay_tests::audit` once for each content that it ever has; then what callers were just told
//! is looked up in it, and each process's local state is compared with the fold. An acknowledged event that is in the
//! ledger once is there for ever: the audit shows that readers agree, and records are only added.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use eventlog::memory::{Memory, Plan};
use eventlog::{LogReader, Position, Topic};
use ledger::{Head, event_type};
use replay_tests::audit::{self, Account};
use replay_tests::defect::{self, Defect};
use replay_tests::sample;

use crate::state::{Choice, State, World};

/// Remembers what it has seen.
#[derive(Default)]
pub struct Judge {
    /// By the content of ledger and keyring, and by the log with what is on its way.
    accounts: HashMap<u64, Arc<Account>>,
    by_log: HashMap<u64, Arc<Account>>,
    processes: HashSet<(u64, u64)>,
    drained: HashSet<u64>,
    /// Logs from which everything was brought to an end.
    pub ends: usize,
}

impl Judge {
    /// Different contents of ledger and keyring that were audited.
    pub fn audited(&self) -> usize {
        self.accounts.len()
    }

    /// Judges a state.
    ///
    /// # Errors
    /// The first violation.
    pub fn state(&mut self, world: &World, state: &State, defect: Option<Defect>) -> Result<Arc<Account>, String> {
        let account = self.account(world, state, defect)?;
        for told in &state.told {
            audit::told(&account, told)?;
        }
        for (who, process) in state.processes.iter().enumerate() {
            if let Some(reason) = &process.stopped {
                return Err(format!("an owner stopped, and nothing happened that needs an operator: {reason}"));
            }
            process.flaw.denied_stays_out(&account)?;
            if defect.is_none() && self.processes.insert(state.prints(who)) {
                audit::state(&account, &process.kv, sample::chain(0))?;
            }
        }
        Ok(account)
    }

    fn account(&mut self, world: &World, state: &State, defect: Option<Defect>) -> Result<Arc<Account>, String> {
        if let Some(account) = self.by_log.get(&state.prints(0).0) {
            return Ok(account.clone());
        }
        let log = Arc::new(Memory::from_state((*state.log).clone(), Plan::plain()));
        let print = print(&log);
        let account = match self.accounts.get(&print) {
            Some(account) => account.clone(),
            None => Arc::new(audit::partition(&world.ctx, log.clone(), sample::chain(0))?),
        };
        if defect == Some(Defect::AcceptByEpoch) {
            defect::read_by_epoch(&*log, Head::genesis(sample::chain(0)), &account)?;
        }
        self.accounts.insert(print, account.clone());
        self.by_log.insert(state.prints(0).0, account.clone());
        Ok(account)
    }

    /// Brings everything to an end, without further faults: what is on its way arrives, and one new process, with
    /// nothing but the log, decides what is left. Then each identity that was produced has its one answer, each other
    /// body its conflict, everything consumed is accounted for, and all of it can be decided again from log and keys.
    ///
    /// # Errors
    /// What is missing or twice.
    pub fn end(&mut self, world: &World, state: &State) -> Result<(), String> {
        if !self.drained.insert(state.log_fingerprint()) {
            return Ok(());
        }
        self.ends += 1;
        let mut state = state.clone();
        while state.log.late() > 0 {
            state = state.after(world, Choice::Arrive(0)).unwrap();
        }
        state.left.crashes = 1;
        state = state.after(world, Choice::Lose(0)).unwrap();
        state = drain(world, state);
        let account = self.state(world, &state, None)?;
        let tail = state.inputs.tail(Topic::Requests, 0).unwrap();
        if Position(account.covered) != tail {
            return Err(format!("I8: the ledger covers requests up to {}, of {tail}", account.covered));
        }
        let mut bodies: HashMap<[u8; 32], HashSet<[u8; 32]>> = HashMap::new();
        for record in &world.requests[..usize::try_from(tail.0).unwrap()] {
            let request = world.ctx.requests.read(&record.value).unwrap();
            let identity = sample::identity(&world.ctx, &request);
            bodies.entry(identity.key).or_default().insert(identity.mac);
        }
        for (key, bodies) in bodies {
            account.answer(&key).ok_or("I1: a request has no answer")?;
            let conflicts = account
                .answers
                .iter()
                .filter(|answer| answer.request_key == key && answer.event_type == event_type::CONFLICTED);
            if conflicts.count() + 1 != bodies.len() {
                return Err("I1: other bodies and conflicts are not as many".into());
            }
        }
        let log = Memory::from_state((*state.log).clone(), Plan::plain());
        audit::replayed(&world.ctx, &log, sample::chain(0))?;
        Ok(())
    }
}

/// Lets the first process run until nothing changes any more.
pub fn drain(world: &World, mut state: State) -> State {
    use eventlog::memory::{Fate, WriteFate};
    state.left.jumps = 1;
    loop {
        let next = [
            Choice::Read(0),
            Choice::Stage(0, WriteFate::Plain),
            Choice::Append(0, Fate::Plain),
            Choice::Hear(0),
            Choice::Tick(0),
        ];
        let possible = state.choices();
        let moved =
            next.into_iter().filter(|choice| possible.contains(choice)).find_map(|choice| state.after(world, choice));
        state = match moved {
            Some(moved) => moved,
            // Repeats alone are covered when they have waited for long.
            None if state.left.jumps > 0 => state.after(world, Choice::Jump(0)).unwrap(),
            None => return state,
        };
    }
}

/// Of the ledger and the keyring, which is all that an audit reads.
fn print(log: &Memory) -> u64 {
    let mut hasher = DefaultHasher::new();
    for topic in [Topic::Ledger, Topic::Keys] {
        log.read(topic, 0, Position::ZERO, audit::WHOLE).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}
