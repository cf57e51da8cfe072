//! How the engine is: readiness, which every submission obeys, and the components for `/health`.
//!
//! Invariant: there is one notion of ready. What is cheap (owners, log, stop) is asked at each submission; what costs
//! reads (policies in force, followers) is asked by the first submission or probe in [`LOOK_EVERY`] and remembered for
//! the others, so a probe that says 503 is never followed by an acknowledgement that does not know it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Component, ComponentState, Readiness, SubmitError, System};

/// How old a look at policies and followers may be when a request is taken.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the last look at the expensive parts found.
pub(super) struct Looked {
    began: Instant,
    /// When to look again, milliseconds since `began`.
    due_ms: AtomicU64,
    is_well: AtomicBool,
    reasons: Mutex<Vec<String>>,
}

impl Looked {
    pub(super) fn new() -> Looked {
        Looked {
            began: Instant::now(),
            due_ms: AtomicU64::new(0),
            is_well: AtomicBool::new(false),
            reasons: Mutex::default(),
        }
    }

    fn next_due_ms(&self) -> u64 {
        u64::try_from((self.began.elapsed() + LOOK_EVERY).as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the caller is to look; says so to one caller at a time.
    fn is_due(&self) -> bool {
        let due = self.due_ms.load(Ordering::Acquire);
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let claim = || self.due_ms.compare_exchange(due, self.next_due_ms(), Ordering::AcqRel, Ordering::Relaxed);
        now >= due && claim().is_ok()
    }

    fn found(&self, reasons: &[String]) {
        let mut known = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.clone_into(&mut known);
        self.is_well.store(reasons.is_empty(), Ordering::Release);
        self.due_ms.store(self.next_due_ms(), Ordering::Release);
    }

    fn reasons(&self) -> Vec<String> {
        if self.is_well.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl System {
    /// Whether a request that is sent now is decided durably.
    pub fn readiness(&self) -> Readiness {
        let mut reasons = self.quick();
        let looked = self.look();
        self.looked.found(&looked);
        reasons.extend(looked);
        if reasons.is_empty() { Readiness::Ready } else { Readiness::NotReady { reasons } }
    }

    /// The same, cheap enough for every call that wants something decided.
    pub(super) fn must_be_ready(&self) -> Result<(), SubmitError> {
        let mut reasons = self.quick();
        if self.looked.is_due() {
            self.looked.found(&self.look());
        }
        reasons.extend(self.looked.reasons());
        if reasons.is_empty() { Ok(()) } else { Err(SubmitError::NotReady(reasons.join("; "))) }
    }

    fn quick(&self) -> Vec<String> {
        let mut reasons =
            if self.runtime.statuses.all_running() { Vec::new() } else { self.runtime.statuses.not_running() };
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("the process is stopping".to_owned());
        }
        if let eventlog::Health::Broken { error, .. } = self.runtime.reader.health() {
            reasons.push(format!("log: {error}"));
        }
        reasons
    }

    fn look(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for partition in 0..self.data.deployment().partitions {
            if !matches!(self.reader.active_policy(partition), Ok(Some(_))) {
                reasons.push(format!("partition {partition}: no policy bundle in force; publish and activate one"));
            }
        }
        reasons.extend(self.followers.faults(self.settings.lag_events_max));
        reasons
    }

    /// Every component with its latency.
    pub fn components(&self) -> Vec<Component> {
        let timed = |name, work: &dyn Fn() -> (ComponentState, String)| {
            let since = Instant::now();
            let (state, detail) = work();
            Component { name, state, latency: since.elapsed(), detail }
        };
        vec![
            timed("log", &|| match self.runtime.reader.health() {
                eventlog::Health::Working => (ComponentState::Up, "embedded".to_owned()),
                eventlog::Health::Broken { error, attempts } => {
                    (ComponentState::Down, format!("{error} ({attempts} attempts to reopen)"))
                }
            }),
            timed("owners", &|| {
                let missing = self.runtime.statuses.not_running();
                if missing.is_empty() {
                    (ComponentState::Up, format!("{} partitions running", self.data.deployment().partitions))
                } else {
                    (ComponentState::Down, missing.join("; "))
                }
            }),
            timed("state", &|| match self.reader.active_policy(0) {
                Ok(Some(_)) => (ComponentState::Up, "readable".to_owned()),
                Ok(None) => (ComponentState::Degraded, "no policy bundle in force".to_owned()),
                Err(error) => (ComponentState::Down, error.to_string()),
            }),
            timed("followers", &|| {
                let faults = self.followers.faults(self.settings.lag_events_max);
                if faults.is_empty() {
                    (ComponentState::Up, "following".to_owned())
                } else {
                    (ComponentState::Degraded, faults.join("; "))
                }
            }),
        ]
    }
}
