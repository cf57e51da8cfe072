//! Which connections are open, and which one makes room when there are too many.
//!
//! A limit alone would let a thousand silent connections lock everybody else out until their time-outs. So at the
//! limit one connection is closed whose request is not there completely: first of those that never got an answer the
//! one that has been at it longest, then of the others the one that has been idle longest. So who trickles a header or
//! a body goes before who asks and gets answers, and a request that is there completely is never cut off.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

#[derive(Clone, Copy)]
struct State {
    /// Whether a request is there completely and its answer is not sent completely.
    busy: bool,
    /// Whether a request was ever answered.
    known: bool,
    /// Since when it waits for a request.
    since: Instant,
}

/// One open connection.
pub(super) struct Connection {
    state: Mutex<State>,
    /// Told to close.
    pub(super) evicted: Notify,
}

impl Connection {
    fn new() -> Connection {
        let state = State { busy: false, known: false, since: Instant::now() };
        Connection { state: Mutex::new(state), evicted: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is there completely.
    pub(super) fn received(&self) {
        self.lock().busy = true;
    }

    /// An answer is sent, or given up.
    pub(super) fn answered(&self) {
        *self.lock() = State { busy: false, known: true, since: Instant::now() };
    }

    /// What the connection is ordered by when one must go; none when it must not.
    fn rank(&self) -> Option<(bool, Instant)> {
        let State { busy, known, since } = *self.lock();
        (!busy).then_some((known, since))
    }
}

/// All open connections.
#[derive(Clone)]
pub(super) struct Connections {
    max: usize,
    open: Arc<Mutex<HashMap<u64, Arc<Connection>>>>,
}

/// A connection that was taken in, and the one that made room for it.
pub(super) struct Entered {
    pub(super) connection: Arc<Connection>,
    pub(super) evicted: Option<Arc<Connection>>,
}

impl Connections {
    pub(super) fn new(max: usize) -> Connections {
        Connections { max, open: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in; none when all are being answered.
    pub(super) fn enter(&self, id: u64) -> Option<Entered> {
        let mut open = self.lock();
        let mut evicted = None;
        if open.len() >= self.max {
            let candidates = open.iter().filter_map(|(id, one)| Some((one.rank()?, *id)));
            let (_, first) = candidates.min()?;
            evicted = open.remove(&first);
        }
        let connection = Arc::new(Connection::new());
        open.insert(id, Arc::clone(&connection));
        Some(Entered { connection, evicted })
    }

    pub(super) fn leave(&self, id: u64) {
        self.lock().remove(&id);
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn strangers_go_first_and_whole_requests_never() {
        let all = Connections::new(3);
        let enter = |id| all.enter(id).unwrap();
        let went =
            |entered: &Entered, expected: &Arc<Connection>| Arc::ptr_eq(entered.evicted.as_ref().unwrap(), expected);
        let (oldest, stranger, busy) = (enter(1).connection, enter(2).connection, enter(3).connection);
        oldest.received();
        oldest.answered();
        busy.received();
        let fourth = enter(4);
        assert!(went(&fourth, &stranger), "who never asked anything goes before who did");
        let fifth = enter(5);
        assert!(went(&fifth, &fourth.connection));
        fifth.connection.received();
        let sixth = enter(6);
        assert!(went(&sixth, &oldest), "with no stranger left the longest idle one goes");
        sixth.connection.received();
        assert!(all.enter(7).is_none(), "all are being answered");
        busy.answered();
        assert!(went(&enter(7), &busy));
        assert_eq!(all.count(), 3);
    }
}
