//! Where every follower stands, shared by the threads that follow and everybody who waits or asks.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eventlog::Position;

use super::{Cursor, Halt, Strays};

/// Where one follower stands in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The follower.
    pub name: &'static str,
    /// The partition.
    pub partition: u32,
    /// The last event that it has followed.
    pub last_seq: Option<u64>,
    /// The next position of the log that it will read.
    pub position: Position,
    /// One past the last record of the log, as it was when the follower looked last.
    pub tail: Position,
    /// Recorded time of its last event, microseconds; 0 before the first.
    pub recorded_at_us: i64,
    /// Events of the log that it has not followed, as far as the log's last frame tells; 0 when it is at the tail.
    pub lag_events: u64,
    /// How much later the log took its last record than the one followed last, microseconds; 0 at the tail.
    pub lag_us: u64,
    /// Frames that are no part of the ledger.
    pub strays: Strays,
    /// Why it has stopped for good, if it has.
    pub halt: Option<Halt>,
    /// What went wrong last, while it tries again.
    pub failure: Option<String>,
}

impl Standing {
    pub(crate) fn of(name: &'static str, cursor: &Cursor) -> Standing {
        Standing {
            name,
            partition: cursor.head.chain.partition,
            last_seq: cursor.last_seq(),
            position: cursor.position,
            tail: cursor.position,
            recorded_at_us: cursor.recorded_at_us,
            lag_events: 0,
            lag_us: 0,
            strays: cursor.strays,
            halt: None,
            failure: None,
        }
    }
}

/// Why waiting ended without the position being reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Time was up.
    #[error(
        "read models stand at {stands:?} of partition {partition} and have not reached event {wanted} in time; ask again, or without waiting"
    )]
    TimedOut {
        /// The partition that is behind.
        partition: u32,
        /// The event waited for.
        wanted: u64,
        /// The last one followed.
        stands: Option<u64>,
    },
    /// Nobody follows that partition.
    #[error("there is no partition {partition} here")]
    UnknownPartition {
        /// Asked for.
        partition: u32,
    },
    /// A follower has stopped, so waiting is in vain.
    #[error("read models of partition {partition} have stopped: {reason}")]
    Stopped {
        /// The partition.
        partition: u32,
        /// Why.
        reason: String,
    },
    /// This reader follows nothing.
    #[error("nothing is being followed here, so there is nothing to wait for; ask a running system")]
    NotFollowing,
}

#[derive(Default)]
struct State {
    standings: BTreeMap<(u32, &'static str), Standing>,
    stopped: bool,
}

/// Where all followers stand.
#[derive(Default)]
pub struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, standing: Standing) {
        let key = (standing.partition, standing.name);
        self.lock().standings.insert(key, standing);
        self.changed.notify_all();
    }

    pub(super) fn update(&self, partition: u32, name: &'static str, change: impl FnOnce(&mut Standing)) {
        if let Some(standing) = self.lock().standings.get_mut(&(partition, name)) {
            change(standing);
        }
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Every follower in every partition, by partition and name.
    pub fn standings(&self) -> Vec<Standing> {
        self.lock().standings.values().cloned().collect()
    }

    /// The last event of each partition that all followers have followed; partitions without any are left out.
    pub fn positions(&self) -> Vec<(u32, u64)> {
        let state = self.lock();
        let mut reached: BTreeMap<u32, Option<u64>> = BTreeMap::new();
        for standing in state.standings.values() {
            let least = reached.entry(standing.partition).or_insert(standing.last_seq);
            *least = (*least).min(standing.last_seq);
        }
        reached.into_iter().filter_map(|(partition, seq)| Some((partition, seq?))).collect()
    }

    /// Waits until all followers have followed event `seq` of `partition`.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn wait_for(&self, partition: u32, seq: u64, timeout: Duration) -> Result<(), WaitError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if reached(&state, partition, seq)? {
                return Ok(());
            }
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            if state.stopped || left.is_zero() {
                return Err(WaitError::TimedOut { partition, wanted: seq, stands: least(&state, partition) });
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn of(state: &State, partition: u32) -> impl Iterator<Item = &Standing> {
    state
        .standings
        .range((partition, "")..)
        .take_while(move |((of, _), _)| *of == partition)
        .map(|(_, standing)| standing)
}

fn least(state: &State, partition: u32) -> Option<u64> {
    of(state, partition).map(|standing| standing.last_seq).min().flatten()
}

fn reached(state: &State, partition: u32, seq: u64) -> Result<bool, WaitError> {
    if of(state, partition).next().is_none() {
        return Err(WaitError::UnknownPartition { partition });
    }
    let mut behind = of(state, partition).filter(|standing| standing.last_seq.is_none_or(|last| last < seq)).peekable();
    if behind.peek().is_none() {
        return Ok(true);
    }
    match behind.find_map(|standing| standing.halt.as_ref()) {
        Some(halt) => Err(WaitError::Stopped { partition, reason: halt.to_string() }),
        None => Ok(false),
    }
}
