//! A record on its way into the log: who holds a place for it, and whether it has arrived.
//!
//! Invariant: a place is kept until the caller has gone *and* the log is done with the record. A caller that stops
//! waiting leaves its record in the queue, so a place that went with the caller would let the queue grow without bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use domain::command::Identity;
use eventlog::NewRecord;

/// How many records may be on their way at once, over all callers.
pub struct Places {
    max: usize,
    taken: Arc<AtomicUsize>,
}

/// One of them, until dropped.
pub struct Place(Arc<AtomicUsize>);

impl Places {
    /// All free.
    pub fn new(max: usize) -> Places {
        Places { max, taken: Arc::default() }
    }

    /// The limit.
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes one; none when all are taken.
    pub fn take(&self) -> Option<Place> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.taken.clone());
        (before < self.max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of one submitted record; shared by its callers and the log thread.
pub struct Receipt {
    /// 0 while the log has not taken the record; else one more than the failures of the log before it did.
    taken_after: AtomicU64,
    identity: Identity,
    _place: Place,
}

impl Receipt {
    /// Of a record that is not in the log yet.
    pub fn new(identity: Identity, place: Place) -> Arc<Receipt> {
        Arc::new(Receipt { taken_after: AtomicU64::new(0), identity, _place: place })
    }

    /// Whom it concerns.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The log has taken it, after that many failures. It is durable with the next sync that no failure precedes.
    pub(super) fn taken(&self, failures: u64) {
        self.taken_after.store(failures.saturating_add(1), Ordering::Release);
    }

    /// Whether the log took it and has not failed since.
    pub(super) fn is_taken_since(&self, failures: u64) -> bool {
        self.taken_after.load(Ordering::Acquire) == failures.saturating_add(1)
    }
}

/// A request for the log thread; whoever waits for its identity is told when the log does not take it.
pub struct Submission {
    /// What is written.
    pub record: NewRecord,
    /// What is known of it.
    pub receipt: Arc<Receipt>,
}
