//! The suite is a checker, so it is checked: logs with one planted violation each, and the check that must find it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use eventlog::{
    Completion, Done, Error, EventLog, Health, LogReader, NewRecord, Position, ReadLimit, Record, Removal, Ticket,
    Topic, Waker,
    memory::{Handle, LogState, Memory, Plan, WriteFate},
};

use crate::suite::Harness;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    /// `Committed` although another frame lies there.
    CommitsConflicts,
    /// `Committed` with the position after the right one.
    CommitsBeside,
    /// Frames are stored wherever the tail is, and committed there.
    IgnoresAt,
    /// Answered before it was written.
    AnswersEarly,
    /// A ticket completes twice.
    RepeatsCompletions,
    /// A ticket never completes.
    ForgetsCompletions,
    /// The second of what was staged is dropped.
    DropsStaged,
    /// Records lie elsewhere than answered.
    ShiftsPositions,
    /// Removals are acknowledged and not done.
    KeepsRemoved,
    /// Frames can be removed.
    RemovesFrames,
    /// Headers are dropped.
    DropsHeaders,
    /// The byte limit of a read is ignored.
    IgnoresLimits,
    /// A read returns nothing where the first record is too large.
    ReturnsNothing,
    /// Large records are taken.
    TakesAnySize,
    /// Writes to the wrong partition.
    MixesPartitions,
    /// Frames are readable, and acknowledged, before they are durable.
    SkipsSync,
    /// What was staged is not durable with the next frame.
    ForgetsStaged,
    /// A record is another once more have followed.
    RewritesRecords,
    /// `flush` does nothing.
    SkipsFlush,
    /// `poll` sleeps even if it must not.
    AlwaysWaits,
    /// The waker does nothing.
    SleepsOn,
    /// Nothing is ever assigned.
    AssignsNothing,
    /// One identity for everything.
    SharesIds,
}

/// The longest any check waits; short, since several bugs are found by waiting.
const PATIENCE: Duration = Duration::from_millis(300);

struct Planted {
    inner: Handle,
    bug: Bug,
    reader: Arc<dyn LogReader>,
    appends: Vec<(Ticket, Position)>,
    early: VecDeque<Completion>,
    skipped: Vec<Ticket>,
}

impl Planted {
    fn new(inner: Handle, bug: Bug) -> Self {
        let reader = Arc::new(PlantedReader { inner: inner.reader(), bug });
        Self { inner, bug, reader, appends: Vec::new(), early: VecDeque::new(), skipped: Vec::new() }
    }

    fn changed(&self, mut record: NewRecord) -> NewRecord {
        match self.bug {
            Bug::DropsHeaders => record.headers.clear(),
            Bug::MixesPartitions if record.topic != Topic::Requests => record.partition = 0,
            Bug::TakesAnySize => record.value.truncate(1_000),
            _ => {}
        }
        record
    }

    fn answer(&mut self, Completion { ticket, done }: Completion) -> Vec<Completion> {
        let asked = self.appends.iter().find(|(other, _)| *other == ticket).map(|(_, at)| *at);
        let done = match (self.bug, done, asked) {
            (Bug::CommitsConflicts, Done::Conflict, Some(at)) => Done::Committed(at),
            (Bug::CommitsBeside, Done::Committed(at), _) => Done::Committed(at.next()),
            (Bug::ShiftsPositions, Done::Submitted { partition, position }, _) => {
                Done::Submitted { partition, position: position.next() }
            }
            (Bug::AssignsNothing, Done::Assigned(_), _) => Done::Assigned(Vec::new()),
            (_, done, _) => done,
        };
        match self.bug {
            Bug::RepeatsCompletions => vec![Completion { ticket, done }; 2],
            Bug::ForgetsCompletions if matches!(done, Done::Removed) => Vec::new(),
            _ => vec![Completion { ticket, done }],
        }
    }
}

impl EventLog for Planted {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }
    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::clone(&self.reader)
    }
    fn submit(&mut self, record: NewRecord) -> Ticket {
        let record = self.changed(record);
        self.inner.submit(record)
    }
    fn stage(&mut self, mut records: Vec<NewRecord>) -> Ticket {
        if self.bug == Bug::DropsStaged {
            records.truncate(1);
        }
        let records = records.into_iter().map(|record| self.changed(record)).collect();
        self.inner.stage(records)
    }
    fn append(&mut self, partition: u32, at: Position, mut frame: Vec<u8>) -> Ticket {
        if self.bug == Bug::TakesAnySize {
            frame.truncate(1_000);
        }
        let partition = if self.bug == Bug::MixesPartitions { 0 } else { partition };
        let tail = self.reader.tail(Topic::Ledger, partition).unwrap_or(at);
        let at = if self.bug == Bug::IgnoresAt { tail } else { at };
        let ticket = self.inner.append(partition, at, frame);
        self.appends.push((ticket, at));
        if self.bug == Bug::AnswersEarly {
            self.early.push_back(Completion { ticket, done: Done::Committed(at) });
        }
        ticket
    }
    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        let outcomes = outcomes.into_iter().map(|record| self.changed(record)).collect();
        self.inner.publish(partition, outcomes)
    }
    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        match self.bug {
            Bug::KeepsRemoved => self.inner.remove(topic, partition, Removal::Exactly(Vec::new())),
            Bug::RemovesFrames if topic == Topic::Ledger => self.inner.remove(Topic::Keys, partition, positions),
            _ => self.inner.remove(topic, partition, positions),
        }
    }
    fn poll(&mut self, timeout: Duration) -> Vec<Completion> {
        if self.bug == Bug::AlwaysWaits && timeout.is_zero() {
            std::thread::sleep(PATIENCE / 500);
        }
        if let Some(early) = self.early.pop_front() {
            self.skipped.push(early.ticket);
            return vec![early];
        }
        let inner = self.inner.poll(timeout);
        let mut done = Vec::new();
        for completion in inner {
            if !self.skipped.contains(&completion.ticket) {
                done.extend(self.answer(completion));
            }
        }
        done
    }
    fn flush(&mut self) -> Result<(), Error> {
        if self.bug == Bug::SkipsFlush { Ok(()) } else { self.inner.flush() }
    }
    fn waker(&self) -> Waker {
        if self.bug == Bug::SleepsOn { Waker::new(|| {}) } else { self.inner.waker() }
    }
}

struct PlantedReader {
    inner: Arc<dyn LogReader>,
    bug: Bug,
}

impl LogReader for PlantedReader {
    fn read(&self, topic: Topic, partition: u32, from: Position, limit: ReadLimit) -> Result<Vec<Record>, Error> {
        let limit = match self.bug {
            Bug::IgnoresLimits => ReadLimit { records: limit.records.max(1), bytes: usize::MAX },
            _ => limit,
        };
        let mut read = self.inner.read(topic, partition, from, limit)?;
        if self.bug == Bug::RewritesRecords && self.inner.tail(topic, partition)? > Position(20) {
            read.iter_mut().for_each(|record| record.value.reverse());
        }
        if self.bug == Bug::ReturnsNothing {
            read.retain(|record| record.size() <= limit.bytes);
        }
        Ok(read)
    }
    fn tail(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.inner.tail(topic, partition)
    }
    fn start(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.inner.start(topic, partition)
    }
    fn topic_id(&self, topic: Topic, partition: u32) -> [u8; 16] {
        if self.bug == Bug::SharesIds { [1; 16] } else { self.inner.topic_id(topic, partition) }
    }
    fn health(&self) -> Health {
        self.inner.health()
    }
}

/// What a crash leaves if nothing of one topic was durable.
fn without(log: &Memory, lost: Topic) -> Memory {
    let state = log.snapshot();
    let mut left = LogState::new(state.partitions());
    for topic in Topic::ALL.into_iter().filter(|topic| *topic != lost) {
        for partition in 0..state.partitions() {
            let all = ReadLimit { records: usize::MAX, bytes: usize::MAX };
            for Record { key, headers, value, .. } in state.read(topic, partition, Position::ZERO, all).unwrap() {
                left.write(vec![NewRecord { topic, partition, key, headers, value }], WriteFate::Plain).unwrap();
            }
        }
    }
    left.sync();
    Memory::from_state(left, Plan::plain())
}

/// Runs the suite on a log with the bug; the named check must be among those that fail.
fn check(bug: Bug, found_by: &str) {
    let name = format!("memory with {bug:?}");
    let wrap = |handle| -> Box<dyn EventLog> { Box::new(Planted::new(handle, bug)) };
    let crash = |log: &Memory| match bug {
        Bug::SkipsSync => without(log, Topic::Ledger),
        Bug::ForgetsStaged => without(log, Topic::Keys),
        _ => super::suite::crash(log),
    };
    let faultless = Harness::faultless(&name, &wrap);
    let report = Harness { patience: PATIENCE, crash: &crash, ..faultless }.run();
    let found = report.failed.iter().any(|(check, _)| *check == found_by);
    assert!(found, "{bug:?} should be found by {found_by}\n{report}");
}

#[test]
fn every_planted_violation_is_found() {
    check(Bug::CommitsConflicts, "no_position_is_committed_twice");
    check(Bug::CommitsConflicts, "only_the_tail_commits");
    check(Bug::CommitsBeside, "committed_lies_at_its_position");
    check(Bug::IgnoresAt, "only_the_tail_commits");
    check(Bug::AnswersEarly, "committed_survives_a_crash");
    check(Bug::RepeatsCompletions, "each_operation_completes_once");
    check(Bug::ForgetsCompletions, "each_operation_completes_once");
    check(Bug::DropsStaged, "positions_are_dense");
    check(Bug::ShiftsPositions, "a_completed_record_is_readable");
    check(Bug::KeepsRemoved, "removed_records_are_never_read");
    check(Bug::KeepsRemoved, "a_removed_key_stays_removed");
    check(Bug::RemovesFrames, "the_ledger_is_never_removed_from");
    check(Bug::DropsHeaders, "a_completed_record_is_readable");
    check(Bug::IgnoresLimits, "reads_keep_their_limits");
    check(Bug::ReturnsNothing, "reads_keep_their_limits");
    check(Bug::TakesAnySize, "what_is_refused_is_not_written");
    check(Bug::MixesPartitions, "partitions_are_apart");
    check(Bug::CommitsConflicts, "rivals_never_share_a_position");
    check(Bug::RewritesRecords, "a_readable_record_stays");
    check(Bug::SkipsSync, "committed_survives_a_crash");
    check(Bug::SkipsSync, "a_readable_frame_survives_a_crash");
    check(Bug::ForgetsStaged, "staged_is_durable_before_its_frame");
    check(Bug::SkipsFlush, "flushed_survives_a_crash");
    check(Bug::AlwaysWaits, "poll_of_zero_does_not_wait");
    check(Bug::SleepsOn, "a_waker_ends_the_wait");
    check(Bug::AssignsNothing, "every_partition_is_assigned");
    check(Bug::SharesIds, "topic_ids_differ_and_stay");
}
