//! What the writer shares with readers: the open store, and how far each partition may be read.
//!
//! INVARIANT: a tail here is never beyond what may be read: for the ledger what is synced and anchored, else what was
//! written. The store may be ahead of it; the difference is nobody's business until the round is over.

use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};

use super::{
    anchor::Mark,
    settings::Settings,
    store::{Bounds, Store},
};
use crate::{Error, Health, LogReader, Position, ReadLimit, Record, Topic, identity, queue};

pub(super) struct Shared {
    pub(super) settings: Settings,
    log_id: [u8; 16],
    store: RwLock<Slot>,
    bounds: Vec<SharedBounds>,
    /// What the anchor file says.
    mark: Mutex<Mark>,
    /// Why nothing is accepted although the store is open and can be read.
    suspended: Mutex<Option<Error>>,
}

/// The store, or why there is none.
pub(super) enum Slot {
    Open(Box<Store>),
    Broken { error: Error, attempts: u32 },
}

#[derive(Default)]
struct SharedBounds {
    start: AtomicU64,
    tail: AtomicU64,
}

impl Shared {
    pub(super) fn new(settings: Settings, store: Store, mark: Mark) -> Result<Self, Error> {
        let count = Topic::COUNT * mark.heads.len();
        let shared = Self {
            settings,
            log_id: store.log_id,
            bounds: std::iter::repeat_with(SharedBounds::default).take(count).collect(),
            mark: Mutex::new(mark),
            suspended: Mutex::default(),
            store: RwLock::new(Slot::Broken { error: Error::Unavailable { reason: String::new() }, attempts: 0 }),
        };
        shared.reopened(store)?;
        Ok(shared)
    }

    pub(super) fn log_id(&self) -> [u8; 16] {
        self.log_id
    }

    /// Runs with the open store; it stays open meanwhile.
    pub(super) fn with_store<T>(&self, run: impl FnOnce(&Store) -> Result<T, Error>) -> Result<T, Error> {
        match &*self.slot() {
            Slot::Open(store) => run(store),
            Slot::Broken { error, .. } => Err(Error::Unavailable { reason: error.to_string() }),
        }
    }

    /// Closes the store. Waits for readers.
    pub(super) fn broken(&self, error: Error, attempts: u32) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = Slot::Broken { error, attempts };
    }

    /// Takes a store that was opened and checked, with all that lies in it.
    pub(super) fn reopened(&self, store: Store) -> Result<(), Error> {
        for partition in 0..self.settings.partitions {
            for topic in Topic::ALL {
                self.set_bounds(topic, partition, store.bounds(topic, partition)?);
            }
        }
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = Slot::Open(Box::new(store));
        Ok(())
    }

    pub(super) fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, Error> {
        queue::check_partition(topic, partition, self.settings.partitions)?;
        let bounds = self.shared_bounds(topic, partition);
        Ok(bounds.map_or_else(Bounds::default, |bounds| Bounds {
            start: Position(bounds.start.load(Ordering::Acquire)),
            tail: Position(bounds.tail.load(Ordering::Acquire)),
        }))
    }

    pub(super) fn set_bounds(&self, topic: Topic, partition: u32, now: Bounds) {
        if let Some(bounds) = self.shared_bounds(topic, partition) {
            bounds.tail.store(now.tail.0, Ordering::Release);
            bounds.start.store(now.start.0, Ordering::Release);
        }
    }

    pub(super) fn mark(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts nothing for this reason, or again. Returns whether that is new.
    pub(super) fn suspend(&self, reason: Option<Error>) -> bool {
        let before = std::mem::replace(&mut *self.suspended(), reason.clone());
        before.is_some() != reason.is_some()
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.suspended().is_some()
    }

    fn suspended(&self) -> MutexGuard<'_, Option<Error>> {
        self.suspended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> RwLockReadGuard<'_, Slot> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared_bounds(&self, topic: Topic, partition: u32) -> Option<&SharedBounds> {
        let partition = usize::try_from(partition).ok()?;
        self.bounds.get(partition * Topic::COUNT + usize::from(topic.number()))
    }
}

impl LogReader for Shared {
    fn read(&self, topic: Topic, partition: u32, from: Position, limit: ReadLimit) -> Result<Vec<Record>, Error> {
        self.with_store(|store| {
            let bounds = self.bounds(topic, partition)?;
            store.read(topic, partition, from, bounds, limit)
        })
    }

    fn tail(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.with_store(|_| Ok(self.bounds(topic, partition)?.tail))
    }

    fn start(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.with_store(|_| Ok(self.bounds(topic, partition)?.start))
    }

    fn topic_id(&self, topic: Topic, partition: u32) -> [u8; 16] {
        identity::of(&self.log_id, topic, partition)
    }

    fn health(&self) -> Health {
        match &*self.slot() {
            Slot::Open(_) => match self.suspended().clone() {
                None => Health::Working,
                Some(error) => Health::Broken { error, attempts: 0 },
            },
            Slot::Broken { error, attempts } => Health::Broken { error: error.clone(), attempts: *attempts },
        }
    }
}
