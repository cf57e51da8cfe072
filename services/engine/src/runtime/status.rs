//! How each partition is, for readiness: truthful, because it is what the owners themselves said last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::owner::Status;

#[derive(Clone, Debug)]
struct Known {
    status: Status,
    store_failed: Option<String>,
}

/// The partitions of a process.
#[derive(Clone, Default)]
pub struct Statuses(Arc<Mutex<BTreeMap<u32, Known>>>);

impl Statuses {
    /// All idle.
    pub fn new(partitions: u32) -> Statuses {
        let idle = |partition| (partition, Known { status: Status::Idle, store_failed: None });
        Statuses(Arc::new(Mutex::new((0..partitions).map(idle).collect())))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, partition: u32, status: Status) {
        if let Some(known) = self.lock().get_mut(&partition) {
            if status == Status::Running {
                known.store_failed = None;
            }
            known.status = status;
        }
    }

    pub(super) fn store_failed(&self, partition: u32, why: String) {
        if let Some(known) = self.lock().get_mut(&partition) {
            known.store_failed = Some(why);
        }
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
