//! The same owners with their threads, over a log that fails: what the runtime does with it is not simulated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::command::Identity;
use engine::kv::memory::MemoryKv;
use engine::owner::{Limits, Owner, Status};
use engine::runtime::clock::Clock;
use engine::runtime::submission::{Places, Receipt, Submission};
use engine::runtime::{Parts, Runtime};
use eventlog::memory::{Handle, Memory, Plan};
use eventlog::{
    Completion, Error, EventLog, Health, LogReader, NewRecord, Position, ReadLimit, Record, Removal, Ticket, Topic,
    Waker,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use replay_tests::{audit, sample};

const DEADLINE: Duration = Duration::from_secs(20);
const OUTAGE: Duration = Duration::from_millis(300);

/// A log that goes down as it is to stage something, and comes back by itself; and one partition that cannot be read
/// for as long as it is told so.
struct Failing {
    inner: Handle,
    log: Memory,
    /// How often it has yet to stage something before it goes down.
    stages: u32,
    down: Option<Instant>,
    unreadable: Arc<Unreadable>,
}

struct Unreadable {
    log: Memory,
    partition: u32,
    is: AtomicBool,
}

impl LogReader for Unreadable {
    fn read(&self, topic: Topic, partition: u32, from: Position, limit: ReadLimit) -> Result<Vec<Record>, Error> {
        if partition == self.partition && self.is.load(Ordering::Relaxed) {
            return Err(Error::Unavailable { reason: "so the test wants it".into() });
        }
        self.log.read(topic, partition, from, limit)
    }

    fn tail(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.log.tail(topic, partition)
    }

    fn start(&self, topic: Topic, partition: u32) -> Result<Position, Error> {
        self.log.start(topic, partition)
    }

    fn topic_id(&self, topic: Topic, partition: u32) -> [u8; 16] {
        self.log.topic_id(topic, partition)
    }

    fn health(&self) -> Health {
        self.log.health()
    }
}

impl EventLog for Failing {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.unreadable.clone()
    }

    fn submit(&mut self, record: NewRecord) -> Ticket {
        self.inner.submit(record)
    }

    fn stage(&mut self, records: Vec<NewRecord>) -> Ticket {
        self.stages = self.stages.saturating_sub(1);
        if self.stages == 0 && self.down.is_none() {
            self.down = Some(Instant::now());
            self.log.set_broken(Some(Error::NoSpace { path: "log".into(), detail: "so the test wants it".into() }));
        }
        self.inner.stage(records)
    }

    fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket {
        self.inner.append(partition, at, frame)
    }

    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        self.inner.publish(partition, outcomes)
    }

    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        self.inner.remove(topic, partition, positions)
    }

    fn poll(&mut self, timeout: Duration) -> Vec<Completion> {
        if self.down.is_some_and(|since| since.elapsed() > OUTAGE) {
            self.log.set_broken(None);
        }
        self.inner.poll(timeout)
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

/// Two partitions on one thread; the second cannot be read until that is taken back.
fn start(stages: u32, unreadable: bool) -> (Runtime, Memory, Arc<Unreadable>) {
    let ctx = sample::context(1, 2, Limits::default());
    let log = Memory::new(2, Plan::plain());
    let reader = Arc::new(Unreadable { log: log.clone(), partition: 1, is: AtomicBool::new(unreadable) });
    let owner =
        |partition| Owner::new(ctx.clone(), sample::chain(partition), ChaCha20Rng::seed_from_u64(partition.into()));
    let runtime = Runtime::start(Parts {
        log: Box::new(Failing {
            inner: log.connect(),
            log: log.clone(),
            stages,
            down: None,
            unreadable: reader.clone(),
        }),
        kv: Arc::new(MemoryKv::default()),
        owners: (0..2).map(owner).collect(),
        clock: Clock::start(30_000_000),
        workers: 1,
        advanced: Arc::new(|_| {}),
    });
    (runtime.unwrap(), log, reader)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn a_log_that_goes_down_while_owners_compute_stops_none_of_them() {
    let (mut runtime, log, _) = start(1, false);
    until("all run", || runtime.statuses.all_running());
    let ctx = sample::context(1, 2, Limits::default());
    let framed = |number| wire::frame_request(&sample::request("actor", number, 0)).unwrap();
    // All name new persons, so each frame has something to stage.
    let requests = (0..20).map(|number| NewRecord::new(Topic::Requests, number % 2, Vec::new(), framed(number)));
    let (places, nobody) = (Places::new(100), Identity { key: [0; 32], mac: [0; 32] });
    let submission =
        |record| Submission { record, receipt: Receipt::new(nobody, places.take().expect("there are enough")) };
    let records = sample::beginning(2, usize::MAX).into_iter().chain(requests);
    runtime.submit(records.map(submission).collect()).unwrap();
    until("the log went down", || matches!(log.health(), Health::Broken { .. }));
    until("somebody noticed", || !runtime.statuses.all_running());
    until("the log is back, and everything decided", || {
        (0..2).all(|partition| {
            let account = audit::unjudged(&ctx, &log, sample::chain(partition));
            let tail = log.tail(Topic::Requests, partition);
            account.is_ok_and(|account| account.covered >= 10 && tail == Ok(Position(account.covered)))
        })
    });
    until("all run", || runtime.statuses.all_running());
    assert!(runtime.statuses.all().iter().all(|(_, status)| *status == Status::Running));
    runtime.stop();
    for partition in 0..2 {
        audit::partition(&ctx, Arc::new(log.clone()), sample::chain(partition)).unwrap();
    }
}

#[test]
fn a_partition_that_waits_is_not_held_up_by_one_that_is_busy() {
    let (mut runtime, _, unreadable) = start(u32::MAX, true);
    until("the first partition runs", || runtime.statuses.not_running().len() == 1);
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let record = NewRecord::new(Topic::Commands, 0, Vec::new(), b"no command".to_vec());
                while !over.load(Ordering::Relaxed) {
                    runtime.submit_and_wait(record.clone(), None).unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        until("the thread is busy", || sent.load(Ordering::Relaxed) > 100);
        unreadable.is.store(false, Ordering::Relaxed);
        let begun = Instant::now();
        while !runtime.statuses.all_running() && begun.elapsed() < DEADLINE {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        over.store(true, Ordering::Relaxed);
    });
    let running = runtime.statuses.not_running();
    assert!(running.is_empty(), "after {} records for its neighbour: {running:?}", sent.into_inner());
    runtime.stop();
}
