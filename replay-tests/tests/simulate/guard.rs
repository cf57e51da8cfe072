//! The crash guard, above real state on disk: a record that ends the process whenever it is computed, and everything
//! around it. A death is an owner and its store dropped between the guard and the strike through it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::Tenant;
use domain::state::Key;
use engine::kv::rocks::{RocksKv, Settings};
use engine::kv::{Kv, Space};
use engine::owner::{Action, AnsweredBy, Context, Guard, Input, Limits, Owner, Reading, Stimulus, Tag};
use engine::store::{StateKey, Store};
use eventlog::memory::{Handle, Memory, Plan, WriteFate};
use eventlog::{EventLog, LogReader, NewRecord, Position, ReadLimit, Ticket, Topic};
use ledger::event_type;
use policy::ReasonCode;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use replay_tests::{audit, sample};

/// More than any life takes.
const TURNS: usize = 60;
/// The default of the engine's limit.
const DEATHS: u32 = 3;

/// Reason by offset of the request.
type Told = BTreeMap<u64, ReasonCode>;

/// One life of a process.
struct Life {
    kv: RocksKv,
    owner: Owner,
    log: Handle,
    now_us: i64,
    waiting: BTreeMap<Ticket, Tag>,
}

impl Life {
    fn begin(ctx: &Arc<Context>, log: &Memory, state: &Path, number: u64) -> Life {
        Life {
            kv: RocksKv::open(state, &Settings::default()).unwrap(),
            owner: Owner::new(ctx.clone(), sample::chain(0), ChaCha20Rng::seed_from_u64(number)),
            log: log.connect(),
            now_us: sample::START_US,
            waiting: BTreeMap::new(),
        }
    }

    /// Lives until it computes one of `deadly`, or until nothing is left to do. Returns whether it died.
    fn live(mut self, deadly: &[(Topic, u64)], told: &mut Told) -> bool {
        for _ in 0..TURNS {
            let mut inputs = vec![Input::Tick];
            for completion in self.log.poll(Duration::ZERO) {
                match self.waiting.remove(&completion.ticket) {
                    Some(tag) => inputs.push(Input::Completed { tag, done: completion.done }),
                    None if completion.ticket == Ticket::NOTICE => inputs.push(Input::Assigned),
                    None => {}
                }
            }
            while !inputs.is_empty() {
                let input = inputs.remove(0);
                if matches!(input, Input::Proceed) && self.dies(deadly) {
                    return true;
                }
                self.now_us += 1_000_000;
                let now = Reading { wall_us: self.now_us, trusted: true };
                for action in self.owner.step(&self.kv, Stimulus { now, input }) {
                    self.execute(action, &mut inputs, told);
                }
            }
        }
        false
    }

    /// Whether a deadly record is about to be decoded, as the guard says. One that is set aside is not.
    fn dies(&self, deadly: &[(Topic, u64)]) -> bool {
        let stored = self.kv.get(Space::Attempts, &0_u32.to_be_bytes()).unwrap().unwrap();
        let guard = Guard::decode(&stored);
        deadly.iter().any(|(topic, offset)| guard.computes(*topic, *offset)) && guard.deaths() < DEATHS
    }

    fn execute(&mut self, action: Action, inputs: &mut Vec<Input>, told: &mut Told) {
        match action {
            Action::Store(writes) => self.kv.write(writes).unwrap(),
            Action::Proceed => inputs.push(Input::Proceed),
            Action::Read { topic, partition, from } => {
                let reader = self.log.reader();
                inputs.push(Input::Read {
                    topic,
                    from,
                    records: reader.read(topic, partition, from, ReadLimit::default()).unwrap(),
                    start: reader.start(topic, partition).unwrap(),
                    tail: reader.tail(topic, partition).unwrap(),
                });
            }
            Action::Stage { tag, records } => {
                let ticket = self.log.stage(records);
                self.waiting.insert(ticket, tag);
            }
            Action::Append { tag, at, frame } => {
                let ticket = self.log.append(0, at, frame);
                self.waiting.insert(ticket, tag);
            }
            Action::Remove { topic, partition, positions, .. } => {
                self.log.remove(topic, partition, positions);
            }
            Action::Answer(answer) => {
                if let AnsweredBy::New(view) = answer.event {
                    told.insert(view.input.offset, view.reason);
                }
            }
            Action::Advanced { .. } | Action::Status(_) => {}
        }
    }
}

/// Ten requests, a command that makes a tenant and one more, and a bundle that is put in force once more; frames hold
/// eight events.
fn check(name: &str, deadly: &[(Topic, u64)], deaths: u32) {
    let ctx = sample::context(1, 1, Limits { batch_events_max: 8, ..Limits::default() });
    let log = Memory::new(1, Plan::plain());
    let directory = tempfile::tempdir().unwrap();
    let mut told = Told::new();
    let mut lives = 0;
    let mut life = |told: &mut Told| {
        lives += 1;
        Life::begin(&ctx, &log, directory.path(), lives).live(deadly, told)
    };
    let beginning = sample::beginning(1, usize::MAX);
    let again = beginning.iter().rfind(|record| record.topic == Topic::Policies).unwrap().clone();
    beginning.into_iter().for_each(|record| write(&log, record));
    assert!(!life(&mut told), "{name}: the beginning");
    for number in 0..10 {
        let framed = wire::frame_request(&sample::request("actor", number, 0)).unwrap();
        write(&log, NewRecord::new(Topic::Requests, 0, Vec::new(), framed));
    }
    let tenants = ["one", "two"].map(|name| Tenant::new(name).unwrap());
    for (tenant, id) in tenants.iter().zip(11..) {
        let record =
            wire::CommandRecord::CreateTenant { command_id: [id; 16], tenant: tenant.clone(), by: "sim".into() };
        write(&log, NewRecord::new(Topic::Commands, 0, Vec::new(), record.encode().unwrap()));
    }
    write(&log, again);
    let mut died = 0;
    while life(&mut told) {
        died += 1;
        assert!(died <= deaths, "{name}: it died more often than {deaths} times");
    }
    assert_eq!(died, deaths, "{name}");

    let account = audit::partition(&ctx, Arc::new(log.clone()), sample::chain(0)).unwrap();
    assert_eq!(account.answers.len(), 10, "{name}");
    for (offset, answer) in (0..).zip(&account.answers) {
        let is_deadly = deadly.contains(&(Topic::Requests, offset));
        let expected = if is_deadly { event_type::REJECTED } else { event_type::DECIDED };
        assert_eq!((answer.offset, answer.event_type), (offset, expected), "{name}");
        assert_eq!(told[&offset] == ReasonCode::Quarantined, is_deadly, "{name}: request {offset}");
    }
    let letters: Vec<u64> = log
        .read(Topic::DeadLetters, 0, Position::ZERO, audit::WHOLE)
        .unwrap()
        .iter()
        .map(|record| engine::dead_letter::open(&ctx.secrets, 0, &record.value).unwrap())
        .inspect(|letter| assert_eq!(letter.reason_code, "quarantined", "{name}"))
        .map(|letter| letter.offset)
        .collect();
    let of_requests: Vec<u64> =
        deadly.iter().filter(|(topic, _)| *topic == Topic::Requests).map(|(_, offset)| *offset).collect();
    assert_eq!(letters, of_requests, "{name}: dead letters");
    let kv = RocksKv::open(directory.path(), &Settings::default()).unwrap();
    for (tenant, offset) in tenants.into_iter().zip(1..) {
        let made = Store::new(&kv, 0).get(&StateKey::Domain(Key::Tenant(tenant))).unwrap().is_some();
        assert_eq!(made, !deadly.contains(&(Topic::Commands, offset)), "{name}: command {offset}");
    }
    assert_eq!(kv.get(Space::Attempts, &0_u32.to_be_bytes()).unwrap(), None, "{name}: nothing is suspected any more");
    println!("crash guard: {name}: {died} deaths, then set aside; every other record was decided");
}

fn write(log: &Memory, record: NewRecord) {
    log.with_state(|state| state.write(vec![record], WriteFate::Plain)).unwrap();
}

#[test]
fn a_record_is_set_aside_at_the_third_death_wherever_it_lies() {
    use Topic::{Commands, Policies, Requests};
    check("none", &[], 0);
    check("the first of a batch", &[(Requests, 0)], 3);
    check("in the middle of a batch", &[(Requests, 3)], 3);
    check("the last of the last batch", &[(Requests, 9)], 3);
    // The first death is that of both.
    check("two of one batch", &[(Requests, 1), (Requests, 4)], 5);
    check("a command before requests", &[(Commands, 1)], 3);
    check("the second command and a request behind it", &[(Commands, 2), (Requests, 2)], 5);
    check("a policy, which is a batch of its own", &[(Policies, 2)], 3);
}
