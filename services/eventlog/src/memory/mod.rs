//! The log in memory: for tests, the simulation and the explicit-state model, with every fault that the contract
//! permits.
//!
//! [`LogState`] is the log as pure data; [`Memory`] shares one between any number of handles, which compete as processes
//! would; [`Plan`] says what goes wrong. Time is what it was set to.
//!
//! Deliberately not here: threads, clocks, and any fault that the contract forbids. Planted violations belong to the
//! tests of the conformance suite.

mod handle;
mod plan;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use handle::Handle;
pub use plan::{Chances, Fate, Plan, WriteFate};
pub use state::LogState;

use crate::{Error, Health, LogReader, Position, ReadLimit, Record, Topic};

/// One log, shared by its handles and readers. Cloning gives another name for the same log.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    state: LogState,
    plan: Plan,
    id: u64,
    broken: Option<Error>,
}

impl Memory {
    /// An empty log that misbehaves by `plan`.
    pub fn new(partitions: u32, plan: Plan) -> Self {
        Self::from_state(LogState::new(partitions), plan)
    }

    /// A log that starts from a snapshot, and shares nothing with where it was taken.
    pub fn from_state(state: LogState, plan: Plan) -> Self {
        Self(Arc::new(Mutex::new(Shared { state, plan, id: 0, broken: None })))
    }

    /// Sets what [`LogReader::topic_id`] is derived from; 0 until then.
    pub fn set_id(&self, id: u64) {
        self.lock().id = id;
    }

    /// A writer that is assigned every partition at its first poll, whoever else writes.
    pub fn connect(&self) -> Handle {
        let partitions = self.lock().state.partitions();
        self.connect_to((0..partitions).collect())
    }

    /// A writer that is assigned these partitions at its first poll.
    pub fn connect_to(&self, partitions: Vec<u32>) -> Handle {
        Handle::new(self.clone(), partitions)
    }

    /// The log as it is now; cheap.
    pub fn snapshot(&self) -> LogState {
        self.lock().state.clone()
    }

    /// Changes the log directly: crash it, let late frames arrive, set its clock.
    pub fn with_state<T>(&self, change: impl FnOnce(&mut LogState) -> T) -> T {
        change(&mut self.lock().state)
    }

    /// Drops whatever was not durable. Drop the handles too: their processes are gone.
    pub fn crash(&self) {
        self.lock().state.crash();
    }

    /// From now on misbehaves by `plan`.
    pub fn set_plan(&self, plan: Plan) {
        self.lock().plan = plan;
    }

    /// Breaks the log (readers and writers meet this error, frames are `Unknown`) or mends it.
    pub fn set_broken(&self, broken: Option<Error>) {
        self.lock().broken = broken;
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading<T>(&self, read: impl FnOnce(&LogState) -> Result<T, Error>) -> Result<T, Error> {
        let shared = self.lock();
        match &shared.broken {
            Some(error) => Err(Error::Unavailable { reason: error.to_string() }),
            None => read(&shared.state),
        }
    }
}

impl LogReader for Memory {
    fn read(&self, topic: Topic, partition: u32, from: Position, limit: ReadLimit) -> Result<Vec<Record>, Error> {
        self.reading(|state| state.read(topic, partition, from, limit))
    }

    fn tail(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.reading(|state| state.tail(topic, partition))
    }

    fn start(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.reading(|state| state.start(topic, partition))
    }

    fn topic_id(&self, topic: Topic, partition: u32) -> [u8; 16] {
        crate::identity::of(&self.lock().id.to_be_bytes(), topic, partition)
    }

    fn health(&self) -> Health {
        match &self.lock().broken {
            Some(error) => Health::Broken { error: error.clone(), attempts: 0 },
            None => Health::Working,
        }
    }
}
