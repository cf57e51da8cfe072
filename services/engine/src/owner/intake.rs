//! What waits to be decided: a bounded queue per input, and how far each input is consumed and covered.
//!
//! Three positions of an input: `covered`, named by the ledger; `consumed`, decided (a repeat is consumed without being
//! covered, until the next run's range covers it); `next`, expected to be queued. A push that does not start at `next`
//! or does not fit is dropped, and the input is read again from there: the log keeps it, so memory need not.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use domain::ids::Micros;
use eventlog::{Position, Record, Topic};
use ledger::InputRange;

use super::guard::{Guard, Span, Suspects};
use super::{Action, Limits};
use crate::kv::{Space, Write};

/// The inputs of a partition, in the order in which a batch takes from them: policies and commands come first, so that
/// what an operator changed is in force for the requests behind it.
pub(super) const TOPICS: [Topic; 3] = [Topic::Policies, Topic::Commands, Topic::Requests];

/// An input does not hold offsets that this owner has yet to decide: they are lost, or another writer has decided and
/// removed them, which the ledger says.
#[derive(Debug, thiserror::Error)]
#[error(
    "input {topic} lost offsets {from} to {to} before they were decided; restore the data directory from a backup, \
     these requests cannot be recovered otherwise"
)]
pub(super) struct Lost {
    topic: &'static str,
    from: u64,
    to: u64,
    /// Whether it was so already before the last read of the ledger.
    pub(super) confirmed: bool,
}

/// How far a batch got in one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) non_request: u64,
    pub(super) decisions: u64,
    pub(super) rejected: u64,
}

#[derive(Clone, Hash)]
struct InputQueue {
    topic: Topic,
    partition: u32,
    covered: u64,
    consumed: u64,
    /// Repeats consumed since `covered`.
    uncovered: Counts,
    uncovered_since: Option<Micros>,
    next: u64,
    queue: VecDeque<Record>,
    bytes: usize,
    behind: bool,
    reading: bool,
    /// What comes next was missing at the last read, and the ledger was read again since.
    doubted: bool,
}

#[derive(Clone)]
pub(super) struct Intake {
    partition: u32,
    inputs: Vec<InputQueue>,
    suspects: Suspects,
    /// Whether the guard of the life before was read. Later it is our own, and says nothing of a death.
    knows_deaths: bool,
    checked_us: Micros,
}

impl Intake {
    pub(super) fn new(partition: u32) -> Intake {
        let input = |topic: Topic| InputQueue {
            topic,
            partition: if topic == Topic::Policies { 0 } else { partition },
            covered: 0,
            consumed: 0,
            uncovered: Counts::default(),
            uncovered_since: None,
            next: 0,
            queue: VecDeque::new(),
            bytes: 0,
            behind: true,
            reading: false,
            doubted: false,
        };
        Intake {
            partition,
            inputs: TOPICS.map(input).into(),
            suspects: Suspects::default(),
            knows_deaths: false,
            checked_us: 0,
        }
    }

    /// Every input: topic and partition of it.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (Topic, u32)> + '_ {
        self.inputs.iter().map(|input| (input.topic, input.partition))
    }

    fn input(&mut self, topic: Topic) -> Option<&mut InputQueue> {
        self.inputs.iter_mut().find(|input| input.topic == topic)
    }

    /// Starts over from what the ledger covers.
    pub(super) fn resume(&mut self, topic: Topic, covered: u64) {
        if let Some(input) = self.input(topic) {
            input.resume(covered);
        }
    }

    /// What the crash guard of an earlier process says; see [`guard`](super::guard).
    pub(super) fn crashed(&mut self, guard: Option<&[u8]>) {
        if !self.knows_deaths {
            self.knows_deaths = true;
            self.suspects = guard.map_or_else(Suspects::default, |bytes| Suspects::after(Guard::decode(bytes)));
        }
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        let Intake { suspects, knows_deaths, .. } = *self;
        *self = Intake { suspects, knows_deaths, ..Intake::new(self.partition) };
    }

    pub(super) fn push(&mut self, topic: Topic, records: Vec<Record>, limits: &Limits) {
        if let Some(input) = self.input(topic) {
            input.push(records, limits);
        }
    }

    /// Takes the answer to a read.
    pub(super) fn read(
        &mut self,
        topic: Topic,
        from: Position,
        records: Vec<Record>,
        start: Position,
        tail: Position,
        limits: &Limits,
    ) -> Result<(), Lost> {
        let Some(input) = self.input(topic) else { return Ok(()) };
        input.reading = false;
        if from.0 != input.next {
            return Ok(());
        }
        if start.0 > input.next || tail.0 < input.covered {
            input.behind = true;
            return Err(Lost {
                topic: topic.as_str(),
                from: input.next.min(tail.0),
                to: start.0.max(input.covered),
                confirmed: input.doubted,
            });
        }
        input.doubted = false;
        input.behind = false;
        input.push(records, limits);
        input.behind = input.behind || input.next < tail.0;
        Ok(())
    }

    /// A read failed; what it was for is asked for again when the owner runs again.
    pub(super) fn unread(&mut self, topic: Topic) {
        if let Some(input) = self.input(topic) {
            input.reading = false;
            input.behind = true;
        }
    }

    /// The ledger is read again for what is missing here.
    pub(super) fn doubt(&mut self, topic: Topic) {
        if let Some(input) = self.input(topic) {
            input.doubted = true;
        }
    }

    /// Reads idle inputs again now and then. A push is a hint: a write that was answered `Unknown` may be there without
    /// one.
    pub(super) fn recheck(&mut self, now_us: Micros, limits: &Limits) {
        // Either way: a clock that was set back must not hold this up until it has caught up.
        if now_us.abs_diff(self.checked_us) < limits.recheck_us.unsigned_abs() {
            return;
        }
        self.checked_us = now_us;
        for input in &mut self.inputs {
            input.behind |= input.queue.is_empty();
        }
    }

    /// Asks for what lags behind and has room.
    pub(super) fn read_more(&mut self, limits: &Limits, out: &mut Vec<Action>) {
        for input in &mut self.inputs {
            if input.behind
                && !input.reading
                && input.queue.len() < limits.queue_records_max / 2
                && input.bytes < limits.queue_bytes_max / 2
            {
                input.reading = true;
                out.push(Action::Read { topic: input.topic, partition: input.partition, from: Position(input.next) });
            }
        }
    }

    /// Whether there is something to put into a frame.
    pub(super) fn is_due(&self, now_us: Micros, limits: &Limits) -> bool {
        self.inputs.iter().any(|input| !input.queue.is_empty()) || self.must_advance(now_us, limits)
    }

    /// Whether consumed offsets have been without an event for too long.
    pub(super) fn must_advance(&self, now_us: Micros, limits: &Limits) -> bool {
        self.inputs.iter().any(|input| {
            input.uncovered_since.is_some_and(|since| now_us.abs_diff(since) >= limits.input_advance_us.unsigned_abs())
        })
    }

    /// How many records may be computed at once: one, while there are some on which an earlier process died.
    fn records_max(&self, limits: &Limits) -> usize {
        let suspected = |input: &InputQueue| self.suspects.lie_ahead(input.topic, input.consumed);
        if self.inputs.iter().any(suspected) { 1 } else { limits.batch_events_max }
    }

    /// What [`Intake::take`] would take: of each input so many records from the front of its queue.
    fn batch(&self, limits: &Limits) -> impl Iterator<Item = (&InputQueue, usize)> {
        let mut left = self.records_max(limits);
        self.inputs.iter().map(move |input| {
            let count = input.queue.len().min(left);
            left = left.saturating_sub(count);
            // A bundle that is put in force is compiled from the state, so the frame with its text is folded first.
            if input.topic == Topic::Policies && count > 0 {
                left = 0;
                return (input, 1);
            }
            (input, count)
        })
    }

    /// The crash guard of the batch that is about to be computed, stored before.
    pub(super) fn guard(&mut self, limits: &Limits) -> Write {
        for input in &self.inputs {
            self.suspects.clear_before(input.topic, input.consumed);
        }
        let computing: Vec<(Topic, Span)> = self
            .batch(limits)
            .filter_map(|(input, count)| {
                let (first, last) = (input.queue.front()?, input.queue.get(count.checked_sub(1)?)?);
                Some((input.topic, Span { from: first.position.0, to: last.position.next().0 }))
            })
            .collect();
        self.store_guard(&Guard::new(&computing, self.suspects))
    }

    /// Strikes the guard out: the process lived through computing these. What else has to be computed one by one stays.
    pub(super) fn unguard(&mut self, lived: &[(Topic, Record)]) -> Write {
        for (topic, record) in lived {
            self.suspects.clear_before(*topic, record.position.next().0);
        }
        if self.suspects.is_empty() {
            Write::Delete(Space::Attempts, self.partition.to_be_bytes().to_vec())
        } else {
            self.store_guard(&Guard::new(&[], self.suspects))
        }
    }

    fn store_guard(&self, guard: &Guard) -> Write {
        Write::Put(Space::Attempts, self.partition.to_be_bytes().to_vec(), guard.encode())
    }

    /// The records of one batch, in the order of [`TOPICS`], each with how often processes died on it.
    pub(super) fn take(&mut self, limits: &Limits) -> Vec<(Topic, Record, u32)> {
        let counts: Vec<usize> = self.batch(limits).map(|(_, count)| count).collect();
        let mut taken = Vec::with_capacity(counts.iter().sum());
        for (input, count) in self.inputs.iter_mut().zip(counts) {
            for record in input.queue.drain(..count) {
                input.bytes = input.bytes.saturating_sub(size(&record));
                let deaths = self.suspects.blamed(input.topic, record.position.0);
                taken.push((input.topic, record, deaths));
            }
        }
        taken
    }

    /// Puts records back in front, in the order in which they were taken.
    pub(super) fn put_back(&mut self, records: Vec<(Topic, Record)>) {
        for (topic, record) in records.into_iter().rev() {
            if let Some(input) = self.input(topic) {
                input.bytes = input.bytes.saturating_add(size(&record));
                input.queue.push_front(record);
            }
        }
    }

    /// The ranges of a frame: what was consumed without an event before, and what this batch consumed.
    pub(super) fn ranges(&self, batch: &[(Topic, u64, Counts)]) -> Vec<InputRange> {
        let mut ranges: Vec<InputRange> = Vec::new();
        for input in &self.inputs {
            let (to, counts) = batch
                .iter()
                .find(|(topic, _, _)| *topic == input.topic)
                .map_or((input.consumed, Counts::default()), |(_, to, counts)| (*to, *counts));
            if to > input.covered {
                ranges.push(InputRange {
                    topic: input.topic.as_str().to_owned(),
                    partition: input.partition,
                    from_offset: input.covered,
                    to_offset: to,
                    requests: input.uncovered.requests.saturating_add(counts.requests),
                    decisions: counts.decisions,
                    rejected: counts.rejected,
                    non_request: input.uncovered.non_request.saturating_add(counts.non_request),
                });
            }
        }
        ranges.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        ranges
    }

    /// A batch of repeats alone was consumed, and nothing was written.
    pub(super) fn consumed(&mut self, batch: &[(Topic, u64, Counts)], now_us: Micros) {
        for (topic, to, counts) in batch {
            if let Some(input) = self.input(*topic) {
                input.consumed = *to;
                input.uncovered.requests = input.uncovered.requests.saturating_add(counts.requests);
                input.uncovered.non_request = input.uncovered.non_request.saturating_add(counts.non_request);
                input.uncovered_since.get_or_insert(now_us);
            }
        }
    }

    /// A frame that covers these ranges is in the ledger. Returns whether requests were covered.
    pub(super) fn covered(&mut self, ranges: &[InputRange]) -> bool {
        let mut requests = false;
        for range in ranges {
            for input in &mut self.inputs {
                if input.topic.as_str() == range.topic && input.partition == range.partition {
                    requests |= input.topic == Topic::Requests;
                    input.cover(range.to_offset);
                }
            }
        }
        requests
    }

    /// Up to where the ledger covers an input.
    pub(super) fn covered_to(&self, topic: Topic) -> u64 {
        self.inputs.iter().find(|input| input.topic == topic).map_or(0, |input| input.covered)
    }
}

/// For exploration. When idle inputs were looked at last only says when they are looked at next.
impl Hash for Intake {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inputs, self.suspects).hash(state);
    }
}

impl InputQueue {
    fn resume(&mut self, covered: u64) {
        self.covered = covered;
        self.consumed = covered;
        self.next = covered;
        self.uncovered = Counts::default();
        self.uncovered_since = None;
        self.queue.clear();
        self.bytes = 0;
        self.behind = true;
        self.reading = false;
        self.doubted = false;
    }

    fn push(&mut self, records: Vec<Record>, limits: &Limits) {
        for record in records {
            if record.position.0 < self.next {
                continue;
            }
            let full = self.queue.len() >= limits.queue_records_max || self.bytes >= limits.queue_bytes_max;
            if self.behind || full || record.position.0 > self.next {
                self.behind = true;
                return;
            }
            self.next = record.position.0.saturating_add(1);
            self.bytes = self.bytes.saturating_add(size(&record));
            self.queue.push_back(record);
        }
    }

    fn cover(&mut self, to: u64) {
        self.covered = to;
        // A frame that was forgotten and comes late may cover less than was consumed since.
        let left = self.consumed.saturating_sub(to);
        self.uncovered = match self.topic {
            Topic::Requests => Counts { requests: left, ..Counts::default() },
            _ => Counts { non_request: left, ..Counts::default() },
        };
        self.uncovered_since = self.uncovered_since.filter(|_| left > 0);
        while self.queue.front().is_some_and(|record| record.position.0 < to) {
            if let Some(record) = self.queue.pop_front() {
                self.bytes = self.bytes.saturating_sub(size(&record));
            }
        }
        self.consumed = self.consumed.max(to);
        if self.next < to {
            self.next = to;
            self.behind = true;
            self.doubted = false;
        }
    }
}

fn size(record: &Record) -> usize {
    record.key.len().saturating_add(record.value.len()).saturating_add(64)
}
