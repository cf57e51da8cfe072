//! One writer of the log in memory: queues, and on `poll` executes in the order that every adapter keeps.

use std::{sync::Arc, time::Duration};

use super::{Memory, Shared, WriteFate};
use crate::{
    Completion, Done, Error, EventLog, LogReader, NewRecord, Position, Removal, Ticket, Topic, Waker,
    queue::{Kind, Queue, Round},
    signal::Signal,
};

/// No limit of its own: a test that needs one sets it at its edge.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// A connection to a [`Memory`] log.
#[derive(Debug)]
pub struct Handle {
    log: Memory,
    queue: Queue,
    notices: Vec<Done>,
    signal: Signal,
}

impl Handle {
    pub(super) fn new(log: Memory, assigned: Vec<u32>) -> Self {
        let partitions = log.lock().state.partitions();
        Self {
            log,
            queue: Queue::new(partitions, RECORD_BYTES_MAX),
            notices: vec![Done::Assigned(assigned)],
            signal: Signal::default(),
        }
    }

    /// The next `poll` returns this notice: an assignment, a revocation, a loss.
    pub fn notify(&mut self, notice: Done) {
        self.notices.push(notice);
    }

    /// The log it is connected to.
    pub fn log(&self) -> &Memory {
        &self.log
    }
}

impl EventLog for Handle {
    fn partitions(&self) -> u32 {
        self.log.lock().state.partitions()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(self.log.clone())
    }

    fn submit(&mut self, record: NewRecord) -> Ticket {
        self.queue.write(Kind::Submit, vec![record])
    }

    fn stage(&mut self, records: Vec<NewRecord>) -> Ticket {
        self.queue.write(Kind::Stage, records)
    }

    fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket {
        self.queue.append(partition, at, frame)
    }

    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        self.queue.publish(partition, outcomes)
    }

    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        self.queue.remove(topic, partition, positions)
    }

    fn poll(&mut self, timeout: Duration) -> Vec<Completion> {
        let notices = self.notices.drain(..);
        let mut done: Vec<Completion> = notices.map(|done| Completion { ticket: Ticket::NOTICE, done }).collect();
        if self.queue.is_empty() && done.is_empty() {
            self.signal.wait(timeout);
        }
        let mut shared = self.log.lock();
        shared.settle();
        done.extend(shared.execute(self.queue.take()));
        done
    }

    fn flush(&mut self) -> Result<(), Error> {
        let mut shared = self.log.lock();
        if let Some(error) = &shared.broken {
            return Err(Error::Unavailable { reason: error.to_string() });
        }
        shared.state.sync();
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.signal.waker()
    }
}

impl Shared {
    fn settle(&mut self) {
        let mut nth = 0;
        while nth < self.state.late() {
            if self.plan.settles() {
                self.state.settle(nth);
            } else {
                nth += 1;
            }
        }
    }

    fn execute(&mut self, round: Round) -> Vec<Completion> {
        let Round { refused: mut done, writes, removes, appends } = round;
        if let Some(error) = &self.broken {
            let failed = Done::Failed(Error::Unavailable { reason: error.to_string() });
            let writes = writes.iter().map(|write| write.ticket);
            for ticket in writes.chain(removes.iter().map(|remove| remove.ticket)) {
                done.push(Completion { ticket, done: failed.clone() });
            }
            let appends = appends.iter().map(|append| append.ticket);
            done.extend(appends.map(|ticket| Completion { ticket, done: Done::Unknown }));
            return done;
        }
        for mut write in writes {
            let fate = self.plan.write();
            // The records' routing is all that the answer needs of them.
            let records = std::mem::take(&mut write.records);
            let partition = records.first().map_or(0, |record| record.partition);
            let answer = match self.state.write(records, fate) {
                Ok(Some(positions)) => write.kind.answer(partition, positions),
                Ok(None) => Done::Unknown,
                Err(error) => Done::Failed(error),
            };
            done.push(Completion { ticket: write.ticket, done: answer });
        }
        for remove in removes {
            let fate = self.plan.removal();
            let answer = match fate {
                WriteFate::Lost => Done::Unknown,
                WriteFate::Refused => Done::Failed(Error::Unavailable { reason: "so it was planned".into() }),
                WriteFate::Plain | WriteFate::Unknown => {
                    match self.state.remove(remove.topic, remove.partition, &remove.positions) {
                        Ok(()) if fate == WriteFate::Plain => Done::Removed,
                        Ok(()) => Done::Unknown,
                        Err(error) => Done::Failed(error),
                    }
                }
            };
            done.push(Completion { ticket: remove.ticket, done: answer });
        }
        for append in appends {
            let fate = self.plan.frame();
            let answer = self.state.append(append.partition, append.at, append.frame, fate);
            done.push(Completion { ticket: append.ticket, done: answer });
        }
        done
    }
}
