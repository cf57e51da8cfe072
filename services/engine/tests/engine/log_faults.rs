//! The engine above a log that fails as a test wants it to: what callers are told then, and what is kept for them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use engine::kv::{Kv, Space, Write};
use engine::settings::Settings;
use engine::system::{Answered, Over, Pending, Readiness, Start, SubmitError, Submitted, System};
use eventlog::embedded::Embedded;
use eventlog::{
    Completion, Done, Error, EventLog, Health, LogReader, NewRecord, Position, Removal, Ticket, Topic, Waker,
};
use tokio::runtime::Runtime;

use crate::system::{bundle, request};

/// What the log does from now on.
#[derive(Default)]
struct Script {
    /// Requests are not passed on and answered with this.
    requests: Option<Done>,
    /// Requests are not passed on, and not answered while this is set.
    hold_requests: bool,
    /// Frames are not passed on, and not answered while this is set.
    hold_frames: bool,
    flush_fails: bool,
    /// The writer is broken, as it is between a failed write and the reopening.
    is_broken: bool,
}

#[derive(Clone, Default)]
struct Told(Arc<(Mutex<Script>, AtomicU64)>);

impl Told {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.0.lock().unwrap()
    }

    fn flushes(&self) -> u64 {
        self.0.1.load(Ordering::SeqCst)
    }
}

struct Scripted {
    inner: Embedded,
    told: Told,
    held: Vec<(Ticket, Held)>,
    /// Tickets of the log below, by those that were handed out.
    passed: BTreeMap<Ticket, Ticket>,
    issued: u64,
}

enum Held {
    Request(NewRecord),
    Frame(u32, Position, Vec<u8>),
    Answered(Done),
}

fn broken() -> Error {
    Error::Unavailable { reason: "a test said so".into() }
}

impl Scripted {
    fn ticket(&mut self) -> Ticket {
        self.issued += 1;
        Ticket::numbered(self.issued)
    }

    fn pass(&mut self, outer: Ticket, inner: Ticket) -> Ticket {
        self.passed.insert(inner, outer);
        outer
    }
}

impl EventLog for Scripted {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.inner.reader()
    }

    fn submit(&mut self, record: NewRecord) -> Ticket {
        let outer = self.ticket();
        if record.topic == Topic::Requests {
            let (answer, hold) = {
                let script = self.told.script();
                (script.requests.clone(), script.hold_requests)
            };
            if hold {
                self.held.push((outer, Held::Request(record)));
                return outer;
            }
            if let Some(done) = answer {
                self.held.push((outer, Held::Answered(done)));
                return outer;
            }
        }
        let inner = self.inner.submit(record);
        self.pass(outer, inner)
    }

    fn stage(&mut self, records: Vec<NewRecord>) -> Ticket {
        let (outer, inner) = (self.ticket(), self.inner.stage(records));
        self.pass(outer, inner)
    }

    fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket {
        let outer = self.ticket();
        self.held.push((outer, Held::Frame(partition, at, frame)));
        outer
    }

    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        let (outer, inner) = (self.ticket(), self.inner.publish(partition, outcomes));
        self.pass(outer, inner)
    }

    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        let (outer, inner) = (self.ticket(), self.inner.remove(topic, partition, positions));
        self.pass(outer, inner)
    }

    fn poll(&mut self, timeout: Duration) -> Vec<Completion> {
        let (hold_requests, hold_frames, answer) = {
            let script = self.told.script();
            (script.hold_requests, script.hold_frames, script.requests.clone())
        };
        let mut done = Vec::new();
        for (ticket, held) in std::mem::take(&mut self.held) {
            match held {
                Held::Request(_) if hold_requests => self.held.push((ticket, held)),
                Held::Frame(..) if hold_frames => self.held.push((ticket, held)),
                Held::Answered(answer) => done.push(Completion { ticket, done: answer }),
                Held::Request(record) => match &answer {
                    Some(answer) => done.push(Completion { ticket, done: answer.clone() }),
                    None => {
                        let inner = self.inner.submit(record);
                        self.pass(ticket, inner);
                    }
                },
                Held::Frame(partition, at, frame) => {
                    let inner = self.inner.append(partition, at, frame);
                    self.pass(ticket, inner);
                }
            }
        }
        for completion in self.inner.poll(timeout) {
            let ticket = self.passed.remove(&completion.ticket).unwrap_or(completion.ticket);
            done.push(Completion { ticket, done: completion.done });
        }
        done
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.told.script().flush_fails {
            return Err(broken());
        }
        self.inner.flush()?;
        self.told.0.1.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn health(&self) -> Health {
        if self.told.script().is_broken {
            return Health::Broken { error: broken(), attempts: 0 };
        }
        self.inner.health()
    }
}

struct World {
    runtime: Runtime,
    system: System,
    told: Told,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let told = Told::default();
        let settings = Settings { inflight_max: 4, ..Settings::new(directory.path().join("data")) };
        let script = told.clone();
        let over: Over<'_> = Box::new(move |inner| {
            Box::new(Scripted { inner, told: script, held: Vec::new(), passed: BTreeMap::new(), issued: 0 })
        });
        let how = Start { over: Some(over), ..Start::default() };
        let (system, _) = System::start_as(settings, Some(&bundle()), &[], how).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        World { runtime, system, told, _directory: directory }
    }

    fn submit(&self, id: &str) -> Pending {
        match self.system.submit(&request(id, "agent-1", "read", false)).unwrap() {
            Submitted::Pending(pending) => pending,
            Submitted::Repeat(_) => panic!("{id} was answered before"),
        }
    }

    fn answer(&self, pending: Pending) -> Answered {
        self.runtime.block_on(pending.answer())
    }

    fn is_decided(&self, id: &str) -> bool {
        matches!(self.answer(self.submit(id)), Answered::Event(_))
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_the_log_does_not_take_is_told_to_everybody_who_waits() {
    let world = World::new();
    let refused = Done::Failed(broken());
    for (id, answer) in [("f-1", refused), ("u-1", Done::Unknown)] {
        world.told.script().hold_requests = true;
        let waiting = [world.submit(id), world.submit(id)];
        let confirmation = waiting[0].confirmation();
        {
            let mut script = world.told.script();
            script.requests = Some(answer.clone());
            script.hold_requests = false;
        }
        for pending in waiting {
            match (world.answer(pending), &answer) {
                (Answered::NotTaken { reason }, Done::Failed(_)) => {
                    assert!(reason.contains("a test said so"), "{reason}");
                }
                (Answered::Unknown, Done::Unknown) => {}
                (other, _) => panic!("{id}: {other:?}"),
            }
        }
        assert!(!world.runtime.block_on(confirmation.confirmed()), "{id} is not in the log");
        world.told.script().requests = None;
        assert!(world.is_decided(id), "a repeat of {id} submits again");
    }
    assert_eq!(world.system.drain(Duration::from_secs(5)), 0);
}

#[test]
fn nothing_is_confirmed_before_it_is_synced() {
    let world = World::new();
    let durable = |pending: &Pending| world.runtime.block_on(pending.confirmation().confirmed());
    world.told.script().hold_frames = true;
    let flushes = world.told.flushes();
    let first = world.submit("s-1");
    assert!(durable(&first), "in the log and synced");
    assert!(world.told.flushes() > flushes, "confirmed without a sync");
    // The log failed after it had taken the second: it may be gone.
    let second = world.submit("s-2");
    assert!(durable(&second));
    world.told.script().is_broken = true;
    until("the log thread notices", || !durable(&second));
    world.told.script().is_broken = false;
    assert!(!durable(&second), "what was taken before the failure is not confirmed after it");
    world.told.script().flush_fails = true;
    let third = world.submit("s-3");
    assert!(!durable(&third), "the sync failed");
    let raw = world.system.submit_raw(0, b"\0\0\0\0\x01poison");
    assert!(matches!(raw, Err(SubmitError::Unknown(_))), "{raw:?}");
    world.told.script().flush_fails = false;
    let flushes = world.told.flushes();
    world.system.submit_raw(0, b"\0\0\0\0\x01poison").unwrap();
    assert!(world.told.flushes() > flushes, "answered without a sync");
    drop((first, second, third));
    world.told.script().hold_frames = false;
    assert!(world.is_decided("s-4"));
}

#[test]
fn a_place_is_kept_until_the_log_is_done_with_the_record() {
    let world = World::new();
    world.told.script().hold_requests = true;
    // Nobody waits for any of them, and all of them wait in the queue.
    for n in 0..4 {
        drop(world.submit(&format!("p-{n}")));
    }
    let more = world.system.submit(&request("p-9", "agent-1", "read", false));
    assert!(matches!(more, Err(SubmitError::Busy { limit: 4 })), "queued beyond the limit");
    world.told.script().hold_requests = false;
    until("the places become free", || world.system.submit(&request("p-9", "agent-1", "read", false)).is_ok());
}

#[test]
fn nothing_is_taken_while_readiness_says_no() {
    let world = World::new();
    let Answered::Event(first) = world.answer(world.submit("r-1")) else { panic!("no answer") };
    world.system.reader().wait_for(&[(first.partition, first.seq)], Duration::from_secs(20)).unwrap();
    assert_eq!(world.system.readiness(), Readiness::Ready);
    // A read model that nobody can read any more: its follower fails with the next event.
    let rows = world.system.kv().scan(Space::Statistics, &[0], &[0xff; 64], 100_000, false).unwrap();
    let spoilt = rows.into_iter().map(|(key, _)| Write::Put(Space::Statistics, key, b"spoilt".to_vec()));
    world.system.kv().write(spoilt.collect()).unwrap();
    assert!(world.is_decided("r-2"), "nobody can know yet");
    until("readiness says no", || world.system.readiness() != Readiness::Ready);
    let Readiness::NotReady { reasons } = world.system.readiness() else { panic!("ready again") };
    let Err(SubmitError::NotReady(told)) = world.system.submit(&request("r-3", "agent-1", "read", false)) else {
        panic!("taken while not ready: {reasons:?}")
    };
    assert_eq!(told, reasons.join("; "));
    let raw = world.system.submit_raw(0, b"\0\0\0\0\x01poison");
    assert!(matches!(raw, Err(SubmitError::NotReady(_))), "{raw:?}");
}
