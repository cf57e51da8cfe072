//! Who waits for the answer to which request.
//!
//! A repeat of a request in flight joins the one that is there instead of going through the log again. Entries are
//! found by the request's keyed identity and not by its place in the log, so that an answer that is only found by
//! reading on (after an unknown append) reaches whoever waits. An entry ends with whatever is told, also when the log
//! did not take the request, so that a repeat submits again instead of joining one that nobody will answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::command::Identity;
use tokio::sync::oneshot;

use super::submission::Receipt;
use crate::view::DecisionView;

/// What a waiting caller is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// The event was committed just now.
    New(Arc<DecisionView>),
    /// The event stands in the ledger already: read it.
    Earlier {
        /// Its place.
        seq: u64,
    },
    /// The log did not take the request: nothing was written and nothing will be.
    NotTaken {
        /// Why.
        reason: Arc<str>,
    },
    /// Nobody knows whether the request is in the log.
    Unknown,
}

type Waiting = HashMap<[u8; 32], Vec<Entry>>;

struct Entry {
    mac: [u8; 32],
    /// Of the record that was submitted for all of them.
    receipt: Arc<Receipt>,
    listeners: Vec<(u64, oneshot::Sender<Told>)>,
}

#[derive(Default)]
struct Inner {
    waiting: Waiting,
    next_id: u64,
    count: usize,
}

impl Inner {
    fn take(&mut self, identity: &Identity) -> Option<Entry> {
        let entries = self.waiting.get_mut(&identity.key)?;
        let index = entries.iter().position(|entry| entry.mac == identity.mac)?;
        let entry = entries.swap_remove(index);
        if entries.is_empty() {
            self.waiting.remove(&identity.key);
        }
        self.count = self.count.saturating_sub(entry.listeners.len());
        Some(entry)
    }
}

/// All waiting callers of a process.
#[derive(Clone, Default)]
pub struct Waiters(Arc<Mutex<Inner>>);

/// A place in the queue; leaving it unregisters.
pub struct Listener {
    waiters: Waiters,
    identity: Identity,
    id: u64,
    receiver: oneshot::Receiver<Told>,
    /// Whoever is told is unregistered already.
    is_told: bool,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers. Whoever gets no receipt is the first and has to submit, under `own`; others wait for the record that
    /// the receipt stands for.
    pub fn register(&self, own: &Arc<Receipt>) -> (Listener, Option<Arc<Receipt>>) {
        let identity = *own.identity();
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id = id.wrapping_add(1);
        inner.count = inner.count.saturating_add(1);
        let entries = inner.waiting.entry(identity.key).or_default();
        let joined = match entries.iter_mut().find(|entry| entry.mac == identity.mac) {
            Some(entry) => {
                entry.listeners.push((id, sender));
                Some(entry.receipt.clone())
            }
            None => {
                entries.push(Entry { mac: identity.mac, receipt: own.clone(), listeners: vec![(id, sender)] });
                None
            }
        };
        drop(inner);
        (Listener { waiters: self.clone(), identity, id, receiver, is_told: false }, joined)
    }

    /// Tells everybody who waits for these requests and bodies: a frame's answers at once, so that callers and owners
    /// meet at the lock once a frame.
    pub fn tell(&self, answers: impl IntoIterator<Item = (Identity, Told)>) {
        let mut found = Vec::new();
        let mut inner = self.lock();
        for (identity, told) in answers {
            found.extend(inner.take(&identity).map(|entry| (entry, told)));
        }
        drop(inner);
        for (entry, told) in found {
            for (_, listener) in entry.listeners {
                // Whoever has stopped waiting asks by id later.
                let _ = listener.send(told.clone());
            }
        }
    }

    /// How many callers wait.
    pub fn count(&self) -> usize {
        self.lock().count
    }

    fn leave(&self, identity: &Identity, id: u64) {
        let mut inner = self.lock();
        let mut left = 0;
        if let Some(entries) = inner.waiting.get_mut(&identity.key) {
            for entry in entries.iter_mut() {
                let before = entry.listeners.len();
                entry.listeners.retain(|(known, _)| *known != id);
                left += before.saturating_sub(entry.listeners.len());
            }
            entries.retain(|entry| !entry.listeners.is_empty());
            if entries.is_empty() {
                inner.waiting.remove(&identity.key);
            }
        }
        inner.count = inner.count.saturating_sub(left);
    }
}

impl Listener {
    /// Waits for the answer; none when the process stops before there is one.
    pub async fn told(&mut self) -> Option<Told> {
        let told = (&mut self.receiver).await.ok();
        self.is_told = told.is_some();
        told
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.is_told {
            self.waiters.leave(&self.identity, self.id);
        }
    }
}
