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

use super::{Action, Limits};
use crate::kv::{Space, Write};

/// The inputs of a partition, in the order in which a batch takes from them: policies and commands come first, so that
/// what an operator changed is in force for the requests behind it.
const TOPICS: [Topic; 3] = [Topic::Policies, Topic::Commands, Topic::Requests];

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

/// A crash of this process while it computed these offsets of the requests topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Crashed {
    from: u64,
    to: u64,
    count: u32,
}

#[derive(Clone)]
pub(super) struct Intake {
    partition: u32,
    inputs: Vec<InputQueue>,
    crashed: Option<Crashed>,
    guarded: Crashed,
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
            crashed: None,
            guarded: Crashed::default(),
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

    /// What a crash guard of an earlier process says; see [`Intake::guard`].
    pub(super) fn crashed(&mut self, guard: Option<&[u8]>) {
        let number =
            |at: usize, bytes: &[u8]| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
        self.crashed = guard.and_then(|bytes| {
            let count = number(16, bytes).and_then(|count| u32::try_from(count).ok())?;
            Some(Crashed { from: number(0, bytes)?, to: number(8, bytes)?, count })
        });
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

    /// The ledger is read again for what is missing here.
    pub(super) fn doubt(&mut self, topic: Topic) {
        if let Some(input) = self.input(topic) {
            input.doubted = true;
        }
    }

    /// Reads idle inputs again now and then. A push is a hint: a write that was answered `Unknown` may be there without
    /// one.
    pub(super) fn recheck(&mut self, now_us: Micros, limits: &Limits) {
        if now_us.saturating_sub(self.checked_us) < limits.recheck_us {
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
            input.uncovered_since.is_some_and(|since| now_us.saturating_sub(since) >= limits.input_advance_us)
        })
    }

    /// How many requests may be computed at once: one, where an earlier process died.
    fn requests_max(&self, limits: &Limits) -> usize {
        let next = self.inputs.iter().find(|input| input.topic == Topic::Requests).map_or(0, |input| input.consumed);
        match self.crashed {
            Some(crashed) if next < crashed.to => 1,
            _ => limits.batch_events_max,
        }
    }

    /// The crash guard of the batch that is about to be computed: `from ‖ to ‖ crashes so far`, each u64, big-endian.
    /// It is stored before and removed after; found at start, it says where the process died.
    pub(super) fn guard(&mut self, limits: &Limits) -> Write {
        let max = self.requests_max(limits);
        let (from, waiting) = self
            .inputs
            .iter()
            .find(|input| input.topic == Topic::Requests)
            .map_or((0, 0), |input| (input.consumed, input.queue.len()));
        let count = match self.crashed {
            Some(crashed) if crashed.from == from && waiting > 0 => crashed.count.saturating_add(1),
            _ => 0,
        };
        let to = from.saturating_add(u64::try_from(waiting.min(max)).unwrap_or(u64::MAX));
        self.guarded = Crashed { from, to, count };
        let value = [from.to_be_bytes(), to.to_be_bytes(), u64::from(count).to_be_bytes()].concat();
        Write::Put(Space::Attempts, self.partition.to_be_bytes().to_vec(), value)
    }

    /// Removes the guard.
    pub(super) fn unguard(&mut self) -> Write {
        Write::Delete(Space::Attempts, self.partition.to_be_bytes().to_vec())
    }

    /// The next record and how often this process died on it, in the order of [`TOPICS`].
    pub(super) fn take(&mut self, taken_requests: usize, limits: &Limits) -> Option<(Topic, Record, u32)> {
        let max = self.requests_max(limits);
        let Crashed { from, count, .. } = self.guarded;
        for input in &mut self.inputs {
            if input.topic == Topic::Requests && taken_requests >= max {
                continue;
            }
            if let Some(record) = input.queue.pop_front() {
                input.bytes = input.bytes.saturating_sub(size(&record));
                let crashes = if input.topic == Topic::Requests && record.position.0 == from { count } else { 0 };
                return Some((input.topic, record, crashes));
            }
        }
        None
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

/// For exploration. The guard is set anew before each use, and when idle inputs were looked at last only says when they
/// are looked at next.
impl Hash for Intake {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inputs, self.crashed).hash(state);
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
