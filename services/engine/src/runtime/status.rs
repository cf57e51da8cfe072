//! How each partition is, for readiness: truthful, because it is what the owners themselves said last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::owner::Status;

#[derive(Clone, Debug)]
struct Known {
    status: Status,
    store_failed: Option<String>,
}

impl Known {
    fn is_running(&self) -> bool {
        self.store_failed.is_none() && self.status == Status::Running
    }
}

/// The partitions of a process.
#[derive(Clone, Default)]
pub struct Statuses(Arc<Inner>);

#[derive(Default)]
struct Inner {
    known: Mutex<BTreeMap<u32, Known>>,
    /// How many do not run: what every submission asks, without waiting for anybody.
    not_running: AtomicUsize,
}

impl Statuses {
    /// All idle.
    pub fn new(partitions: u32) -> Statuses {
        let idle = |partition| (partition, Known { status: Status::Idle, store_failed: None });
        let known: BTreeMap<u32, Known> = (0..partitions).map(idle).collect();
        let not_running = AtomicUsize::new(known.len());
        Statuses(Arc::new(Inner { known: Mutex::new(known), not_running }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, partition: u32, change: impl FnOnce(&mut Known)) {
        let mut all = self.lock();
        if let Some(known) = all.get_mut(&partition) {
            change(known);
        }
        let not_running = all.values().filter(|known| !known.is_running()).count();
        // Under the lock, so that a later change is never overwritten by an earlier count.
        self.0.not_running.store(not_running, Ordering::Release);
    }

    pub(super) fn set(&self, partition: u32, status: Status) {
        self.change(partition, |known| {
            if status == Status::Running {
                known.store_failed = None;
            }
            known.status = status;
        });
    }

    pub(super) fn store_failed(&self, partition: u32, why: String) {
        self.change(partition, |known| known.store_failed = Some(why));
    }

    /// Whether every partition runs.
    pub fn all_running(&self) -> bool {
        self.0.not_running.load(Ordering::Acquire) == 0
    }

    /// Why a request that is sent now might not be decided; empty when nothing stands against it.
    pub fn not_running(&self) -> Vec<String> {
        self.lock()
            .iter()
            .filter_map(|(partition, known)| {
                let why = match (&known.store_failed, &known.status) {
                    (Some(why), _) => format!("state cannot be written: {why}"),
                    (None, Status::Running) => return None,
                    (None, Status::CatchingUp { reason }) => format!("catching up: {reason}"),
                    (None, Status::ClockSuspect) => "the wall clock jumped; check time synchronisation".to_owned(),
                    (None, Status::Yielded) => "another writer claimed it".to_owned(),
                    (None, Status::Idle) => "not assigned".to_owned(),
                    (None, Status::Stopped { reason }) => format!("stopped: {reason}"),
                };
                Some(format!("partition {partition}: {why}"))
            })
            .collect()
    }

    /// The partitions whose owner stopped for lack of writable state; they are to be assigned again.
    pub(super) fn idle(&self) -> Vec<u32> {
        self.lock()
            .iter()
            .filter(|(_, known)| known.status == Status::Idle && known.store_failed.is_some())
            .map(|(p, _)| *p)
            .collect()
    }

    /// Every partition with its status.
    pub fn all(&self) -> Vec<(u32, Status)> {
        self.lock().iter().map(|(partition, known)| (*partition, known.status.clone())).collect()
    }
}
