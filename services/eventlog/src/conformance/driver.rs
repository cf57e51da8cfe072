//! A writer as it should be: waits for its answers, reads on after anything but a success, and tries again.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Finding;
use crate::{Completion, Done, EventLog, LogReader, NewRecord, Position, ReadLimit, Record, Ticket, Topic};

/// With faults a write fails now and then; this many failures in a row are no chance.
const ATTEMPTS_MAX: usize = 200;

pub(super) struct Driver {
    pub(super) log: Box<dyn EventLog>,
    pub(super) reader: Arc<dyn LogReader>,
    pub(super) patience: Duration,
    pub(super) assigned: Vec<u32>,
    answers: BTreeMap<Ticket, Done>,
    /// Tickets that completed more than once.
    pub(super) repeated: Vec<Ticket>,
    completed: Vec<Ticket>,
}

impl Driver {
    pub(super) fn new(log: Box<dyn EventLog>, patience: Duration) -> Self {
        let reader = log.reader();
        Self {
            log,
            reader,
            patience,
            assigned: Vec::new(),
            answers: BTreeMap::new(),
            repeated: Vec::new(),
            completed: Vec::new(),
        }
    }

    /// One poll; its completions are kept for `wait`.
    pub(super) fn poll(&mut self) {
        for Completion { ticket, done } in self.log.poll(Duration::from_millis(1)) {
            match done {
                Done::Assigned(partitions) => self.assigned.extend(partitions),
                Done::Revoked(gone) | Done::Lost(gone) => {
                    self.assigned.retain(|partition| !gone.contains(partition));
                }
                done => {
                    if self.completed.contains(&ticket) {
                        self.repeated.push(ticket);
                    }
                    self.completed.push(ticket);
                    self.answers.insert(ticket, done);
                }
            }
        }
    }

    pub(super) fn wait(&mut self, ticket: Ticket) -> Result<Done, Finding> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(done) = self.answers.remove(&ticket) {
                return Ok(done);
            }
            if Instant::now() >= deadline {
                return Err(format!("{ticket:?} did not complete within {:?}", self.patience));
            }
            self.poll();
        }
    }

    /// Polls until `reached`, or not.
    pub(super) fn poll_until(&mut self, mut reached: impl FnMut(&Self) -> bool) -> bool {
        let deadline = Instant::now() + self.patience;
        while !reached(self) && Instant::now() < deadline {
            self.poll();
        }
        reached(self)
    }

    pub(super) fn append(&mut self, partition: u32, at: Position, frame: &[u8]) -> Result<Done, Finding> {
        let ticket = self.log.append(partition, at, frame.to_vec());
        self.wait(ticket)
    }

    /// Appends at the tail until it is committed.
    pub(super) fn commit(&mut self, partition: u32, frame: &[u8]) -> Result<Position, Finding> {
        for _ in 0..ATTEMPTS_MAX {
            let at = self.tail(Topic::Ledger, partition)?;
            if let Done::Committed(position) = self.append(partition, at, frame)? {
                return Ok(position);
            }
        }
        Err(format!("no frame committed in {ATTEMPTS_MAX} attempts"))
    }

    /// Submits, stages or publishes, by its topic, until it is stored.
    pub(super) fn store(&mut self, record: &NewRecord) -> Result<Position, Finding> {
        for _ in 0..ATTEMPTS_MAX {
            let ticket = self.write(record.clone());
            match self.wait(ticket)? {
                Done::Submitted { position, .. } => return Ok(position),
                Done::Staged { positions } | Done::Published { positions } => {
                    let one = <[Position; 1]>::try_from(positions);
                    return one
                        .map(|[position]| position)
                        .map_err(|positions| format!("one record was answered with {} positions", positions.len()));
                }
                Done::Unknown => {}
                Done::Failed(error) if error.is_transient() => {}
                other => {
                    return Err(format!("a write to {} was answered {other:?}", record.topic));
                }
            }
        }
        Err(format!("no record stored in {ATTEMPTS_MAX} attempts"))
    }

    pub(super) fn write(&mut self, record: NewRecord) -> Ticket {
        match record.topic {
            Topic::Outcomes => self.log.publish(record.partition, vec![record]),
            topic if topic.is_submitted() => self.log.submit(record),
            _ => self.log.stage(vec![record]),
        }
    }

    /// Removes until it is done.
    pub(super) fn remove(&mut self, topic: Topic, partition: u32, positions: &crate::Removal) -> Result<(), Finding> {
        for _ in 0..ATTEMPTS_MAX {
            let ticket = self.log.remove(topic, partition, positions.clone());
            match self.wait(ticket)? {
                Done::Removed => return Ok(()),
                Done::Unknown => {}
                Done::Failed(error) if error.is_transient() => {}
                other => return Err(format!("a removal from {topic} was answered {other:?}")),
            }
        }
        Err(format!("nothing removed in {ATTEMPTS_MAX} attempts"))
    }

    pub(super) fn tail(&self, topic: Topic, partition: u32) -> Result<Position, Finding> {
        self.reader.tail(topic, partition).map_err(|error| error.to_string())
    }

    /// Everything from a position on, in as many reads as it takes.
    pub(super) fn read_all(&self, topic: Topic, partition: u32, from: Position) -> Result<Vec<Record>, Finding> {
        let limit = ReadLimit { records: 7, bytes: 1 << 20 };
        let mut all: Vec<Record> = Vec::new();
        let mut from = from;
        loop {
            let read = self.reader.read(topic, partition, from, limit);
            let read = read.map_err(|error| error.to_string())?;
            let Some(last) = read.last() else {
                return Ok(all);
            };
            from = last.position.next();
            all.extend(read);
        }
    }

    /// The record at a position.
    pub(super) fn at(&self, topic: Topic, partition: u32, at: Position) -> Result<Record, Finding> {
        let read = self.reader.read(topic, partition, at, ReadLimit { records: 1, bytes: 1 });
        let found = read.map_err(|error| error.to_string())?.into_iter().next();
        found
            .filter(|record| record.position == at)
            .ok_or_else(|| format!("{topic} partition {partition} has no record at {at}"))
    }

    /// Requires what was written at a position.
    pub(super) fn require(&self, record: &NewRecord, at: Position) -> Result<(), Finding> {
        let found = self.at(record.topic, record.partition, at)?;
        let expected = record.clone().at(at, found.appended_at_us);
        require(found == expected, || format!("{} partition {} has {found:?} at {at}", record.topic, record.partition))
    }
}

pub(super) fn require(holds: bool, finding: impl FnOnce() -> Finding) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(finding()) }
}

/// A frame that can be told from every other.
pub(super) fn frame(writer: &str, number: usize) -> Vec<u8> {
    let mut frame = format!("frame {number} of {writer} ").into_bytes();
    frame.resize(frame.len() + number % 300, b'.');
    frame
}

/// A record with everything in it.
pub(super) fn record(topic: Topic, partition: u32, number: usize) -> NewRecord {
    let key = format!("key {number}");
    let mut record = NewRecord::new(topic, partition, key, format!("{topic} record {number}"));
    record.headers.push(("mark".to_owned(), vec![0, 255, 10]));
    record.headers.push((String::new(), Vec::new()));
    record.value.extend_from_slice(&[0, 0xFF, 0x0A]);
    record
}
