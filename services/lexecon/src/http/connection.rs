//! Which connections are open, and which one makes room when there are too many.
//!
//! A limit alone would let a thousand silent connections lock everybody else out until their time-outs. So at the
//! limit the connection that has been waiting for a request longest is closed; one that is being answered never is.
//! Whoever trickles bytes waits from the first of them on, so slow clients go before quick ones.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// One open connection.
pub(super) struct Connection {
    /// Requests whose answers are not sent completely.
    busy: AtomicUsize,
    /// Since when it waits for a request.
    waiting_since: Mutex<Instant>,
    /// Told to close.
    pub(super) evicted: Notify,
}

impl Connection {
    /// A request began; dropping the guard ends it.
    pub(super) fn work(self: &Arc<Self>) -> Working {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Working(Arc::clone(self))
    }

    fn since(&self) -> MutexGuard<'_, Instant> {
        self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While this lives, its connection is not closed to make room.
pub(super) struct Working(Arc<Connection>);

impl Drop for Working {
    fn drop(&mut self) {
        *self.0.since() = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All open connections.
#[derive(Clone)]
pub(super) struct Connections {
    max: usize,
    open: Arc<Mutex<HashMap<u64, Arc<Connection>>>>,
}

impl Connections {
    pub(super) fn new(max: usize) -> Connections {
        Connections { max, open: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in. At the limit another one is told to close; none when all are being answered, and then
    /// the new one is not taken.
    pub(super) fn enter(&self, id: u64) -> Option<(Arc<Connection>, Option<Arc<Connection>>)> {
        let mut open = self.lock();
        let mut evicted = None;
        if open.len() >= self.max {
            let idle = open.iter().filter(|(_, one)| one.busy.load(Ordering::Relaxed) == 0);
            let longest = idle.min_by_key(|(_, one)| *one.since()).map(|(id, _)| *id)?;
            evicted = open.remove(&longest);
        }
        let connection = Arc::new(Connection {
            busy: AtomicUsize::new(0),
            waiting_since: Mutex::new(Instant::now()),
            evicted: Notify::new(),
        });
        open.insert(id, Arc::clone(&connection));
        Some((connection, evicted))
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
    fn the_longest_idle_one_makes_room_and_a_busy_one_never() {
        let all = Connections::new(2);
        let (first, none) = all.enter(1).unwrap();
        assert!(none.is_none());
        let (second, none) = all.enter(2).unwrap();
        assert!(none.is_none());
        let working = first.work();
        let (third, evicted) = all.enter(3).unwrap();
        assert!(Arc::ptr_eq(&evicted.unwrap(), &second), "the busy one was closed");
        let _also = third.work();
        assert!(all.enter(4).is_none(), "all are busy");
        drop(working);
        let (_, evicted) = all.enter(4).unwrap();
        assert!(Arc::ptr_eq(&evicted.unwrap(), &first));
        assert_eq!(all.count(), 2);
    }
}
