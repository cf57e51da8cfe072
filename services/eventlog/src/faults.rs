//! A wrapper that makes any adapter misbehave as the contract permits, by a seeded plan.
//!
//! Writers must be correct above it: what it answers is always allowed. Frames are lost, stored and denied, stored late,
//! stored and answered `Conflict`; other writes are lost or stored and answered `Unknown`; completions come polls later
//! and out of order. It never answers `Committed` for a frame that the inner log did not commit.
//!
//! Deliberately not here: faults that break the contract (they are planted in the suite's own tests) and faults below
//! the log (files and disks).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    Completion, Done, Error, EventLog, Health, LogReader, NewRecord, Position, Removal, Ticket, Topic, Waker,
    draws::Draws,
};

/// How often each fault is drawn, in parts of a thousand; at most 1,000 together for frames, and for writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odds {
    /// A frame is not passed on; `Unknown`.
    pub lost: u16,
    /// A frame is passed on; `Unknown`.
    pub unknown: u16,
    /// A frame is passed on 1 to 4 polls later; `Unknown` now.
    pub late: u16,
    /// A frame is passed on; `Conflict`, even if it was committed.
    pub conflict: u16,
    /// Another write is not passed on; `Unknown`.
    pub write_lost: u16,
    /// Another write is passed on; `Unknown`.
    pub write_unknown: u16,
    /// A completion is returned 1 to 4 polls later.
    pub delayed: u16,
}

impl Odds {
    /// Every fault, often.
    pub const STORMY: Self =
        Self { lost: 60, unknown: 80, late: 80, conflict: 60, write_lost: 60, write_unknown: 60, delayed: 200 };
}

/// What was injected so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// Writes and frames not passed on.
    pub lost: u64,
    /// Answers replaced by `Unknown`.
    pub unknown: u64,
    /// Frames passed on later.
    pub late: u64,
    /// Answers replaced by `Conflict`.
    pub conflict: u64,
    /// Completions returned later.
    pub delayed: u64,
}

/// An adapter that misbehaves.
#[derive(Debug)]
pub struct Faulty<L> {
    inner: L,
    odds: Odds,
    draws: Draws,
    issued: u64,
    /// What to make of the inner log's answers, by its ticket.
    expected: BTreeMap<Ticket, (Option<Ticket>, Mask)>,
    /// Completions and the polls until they are returned.
    held: Vec<(u16, Completion)>,
    late: Vec<Late>,
    injected: Injected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mask {
    Open,
    Unknown,
    Conflict,
}

#[derive(Debug)]
struct Late {
    polls: u16,
    partition: u32,
    at: Position,
    frame: Vec<u8>,
}

impl<L: EventLog> Faulty<L> {
    /// Wraps a log.
    pub fn new(inner: L, seed: u64, odds: Odds) -> Self {
        Self {
            inner,
            odds,
            draws: Draws(seed),
            issued: 0,
            expected: BTreeMap::new(),
            held: Vec::new(),
            late: Vec::new(),
            injected: Injected::default(),
        }
    }

    /// Changes the odds from now on.
    pub fn set_odds(&mut self, odds: Odds) {
        self.odds = odds;
    }

    /// Counts, so that a test can tell that it tested something.
    pub fn injected(&self) -> Injected {
        self.injected
    }

    /// The log within. Frames held back are forgotten.
    pub fn into_inner(self) -> L {
        self.inner
    }

    fn ticket(&mut self) -> Ticket {
        self.issued = self.issued.saturating_add(1);
        Ticket::numbered(self.issued)
    }

    fn answer_unknown(&mut self, ticket: Ticket) -> Ticket {
        self.held.push((0, Completion { ticket, done: Done::Unknown }));
        ticket
    }

    fn pass(&mut self, mask: Mask, call: impl FnOnce(&mut L) -> Ticket) -> Ticket {
        let outer = self.ticket();
        let inner = call(&mut self.inner);
        self.expected.insert(inner, (Some(outer), mask));
        outer
    }

    fn write(&mut self, call: impl FnOnce(&mut L) -> Ticket) -> Ticket {
        let drawn = self.draws.below(1_000);
        let Some(rest) = drawn.checked_sub(self.odds.write_lost) else {
            self.injected.lost += 1;
            let ticket = self.ticket();
            return self.answer_unknown(ticket);
        };
        let mask = if rest < self.odds.write_unknown { Mask::Unknown } else { Mask::Open };
        self.pass(mask, call)
    }

    fn send_late(&mut self) {
        for late in &mut self.late {
            late.polls = late.polls.saturating_sub(1);
        }
        for late in self.late.extract_if(.., |late| late.polls == 0) {
            let ticket = self.inner.append(late.partition, late.at, late.frame);
            self.expected.insert(ticket, (None, Mask::Open));
        }
    }

    /// The answer that is let out for one of the inner log; none for those nobody waits for.
    fn masked(&mut self, completion: Completion) -> Option<Completion> {
        let Some((outer, mask)) = self.expected.remove(&completion.ticket) else {
            return Some(completion);
        };
        let done = match (mask, completion.done) {
            // A refusal says for sure that nothing happened; hiding it would only make callers wait.
            (Mask::Open, done) | (_, done @ Done::Failed(_)) => done,
            (Mask::Unknown, _) => {
                self.injected.unknown += 1;
                Done::Unknown
            }
            (Mask::Conflict, _) => {
                self.injected.conflict += 1;
                Done::Conflict
            }
        };
        outer.map(|ticket| Completion { ticket, done })
    }
}

impl<L: EventLog> EventLog for Faulty<L> {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.inner.reader()
    }

    fn submit(&mut self, record: NewRecord) -> Ticket {
        self.write(|inner| inner.submit(record))
    }

    fn stage(&mut self, records: Vec<NewRecord>) -> Ticket {
        self.write(|inner| inner.stage(records))
    }

    fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket {
        let odds = self.odds;
        let drawn = u32::from(self.draws.below(1_000));
        let lost = u32::from(odds.lost);
        let late = lost + u32::from(odds.late);
        let unknown = late + u32::from(odds.unknown);
        if drawn < lost {
            self.injected.lost += 1;
            let ticket = self.ticket();
            self.answer_unknown(ticket)
        } else if drawn < late {
            self.injected.late += 1;
            let polls = 1 + self.draws.below(4);
            self.late.push(Late { polls, partition, at, frame });
            let ticket = self.ticket();
            self.answer_unknown(ticket)
        } else {
            let mask = if drawn < unknown {
                Mask::Unknown
            } else if drawn < unknown + u32::from(odds.conflict) {
                Mask::Conflict
            } else {
                Mask::Open
            };
            self.pass(mask, |inner| inner.append(partition, at, frame))
        }
    }

    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        self.write(|inner| inner.publish(partition, outcomes))
    }

    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        self.write(|inner| inner.remove(topic, partition, positions))
    }

    fn poll(&mut self, timeout: Duration) -> Vec<Completion> {
        self.send_late();
        let pending = !self.held.is_empty() || !self.late.is_empty();
        let timeout = if pending { Duration::ZERO } else { timeout };
        for (polls, _) in &mut self.held {
            *polls = polls.saturating_sub(1);
        }
        let mut done: Vec<Completion> =
            self.held.extract_if(.., |(polls, _)| *polls == 0).map(|(_, done)| done).collect();
        for completion in self.inner.poll(timeout) {
            let Some(completion) = self.masked(completion) else {
                continue;
            };
            let notice = completion.ticket == Ticket::NOTICE;
            if !notice && self.draws.below(1_000) < self.odds.delayed {
                self.injected.delayed += 1;
                self.held.push((1 + self.draws.below(4), completion));
            } else {
                done.push(completion);
            }
        }
        done
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.inner.flush()
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}
