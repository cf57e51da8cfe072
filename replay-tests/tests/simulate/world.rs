//! The simulated world: producers, two processes that compete, a log that misbehaves, and time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::decide::Terms;
use domain::ids::{Action, ActorId, RequestId, SubjectId, Tenant, Word};
use domain::request::{Actor, ActorKind, IdType, Request, RiskClass, Subject};
use domain::routing::{Routing, RoutingKey};
use engine::keys::Secrets;
use engine::kv::memory::MemoryKv;
use engine::owner::{Bundles, Context, Limits};
use eventlog::memory::{Chances, Memory, Plan, WriteFate};
use eventlog::{LogReader, NewRecord, ReadLimit, Topic};
use ledger::{ChainId, LedgerId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::check;
use crate::node::Node;

const PARTITIONS: u32 = 2;
const START_US: i64 = 1_790_000_000_000_000;

/// Bugs that the checker must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// An unknown answer is taken for a commit.
    CommitAssumed,
    /// A frame is sent before its keys are durable.
    KeysNotStaged,
    /// The local state of another ledger position is kept after a crash: the input position comes from there.
    StateFromAnotherRun,
}

impl Planted {
    pub const ALL: [Planted; 3] = [Planted::CommitAssumed, Planted::KeysNotStaged, Planted::StateFromAnotherRun];
}

#[derive(Default)]
pub struct Figures {
    pub requests: usize,
    pub frames: usize,
    pub strays: usize,
    pub crashes: usize,
    pub claims: usize,
}

/// What was sent, by identity of the request: how many different bodies.
pub type Sent = BTreeMap<(String, String), BTreeSet<Vec<u8>>>;

pub struct World {
    pub ctx: Arc<Context>,
    pub log: Memory,
    pub chains: Vec<ChainId>,
    rng: ChaCha20Rng,
    nodes: Vec<Node>,
    now_us: i64,
    pub sent: Sent,
    pub poison: usize,
    next_request: u32,
    pushed: BTreeMap<(Topic, u32), u64>,
    planted: Option<Planted>,
    figures: Figures,
}

impl World {
    /// Runs one seed.
    ///
    /// # Errors
    /// The first violation, in words.
    pub fn run(seed: u64, planted: Option<Planted>) -> Result<Figures, String> {
        let mut world = World::new(seed, planted);
        world.publish_bundle();
        for _ in 0..250 {
            world.event(seed);
        }
        world.log.set_plan(Plan::plain());
        world.calm();
        check::all(&world, &mut Figures::default())?;
        let mut figures = std::mem::take(&mut world.figures);
        check::all(&world, &mut figures)?;
        figures.requests = world.sent.values().map(BTreeSet::len).sum();
        Ok(figures)
    }

    fn new(seed: u64, planted: Option<Planted>) -> World {
        let log = Memory::new(PARTITIONS, Plan::seeded(seed, Chances::STORMY));
        let ctx = Arc::new(Context {
            secrets: Arc::new(Secrets::in_memory(seed)),
            requests: Arc::new(wire::RequestReader::with_builtin(wire::Limits::default()).unwrap()),
            terms: Terms::default(),
            routing: Routing::Actor,
            partitions: PARTITIONS,
            topic_id: Box::new(|_, _| [9; 16]),
            limits: Limits {
                batch_events_max: 6,
                backoff_first_us: 1_000,
                backoff_max_us: 50_000,
                ..Limits::default()
            },
            bundles: Bundles::default(),
        });
        let ledger_id = LedgerId([7; 16]);
        let chains = (0..PARTITIONS).map(|partition| ChainId { ledger_id, partition, chain_epoch: 0 }).collect();
        let mut world = World {
            ctx,
            log,
            chains,
            rng: ChaCha20Rng::seed_from_u64(seed),
            nodes: Vec::new(),
            now_us: START_US,
            sent: Sent::new(),
            poison: 0,
            next_request: 0,
            pushed: BTreeMap::new(),
            planted,
            figures: Figures::default(),
        };
        world.start(0, MemoryKv::default());
        world
    }

    fn start(&mut self, at: usize, kv: MemoryKv) {
        let seed = self.rng.random();
        let node = Node::start(&self.ctx, &self.chains, &self.log, kv, seed, self.planted);
        if at < self.nodes.len() { self.nodes[at] = node } else { self.nodes.push(node) }
    }

    fn publish_bundle(&mut self) {
        let bundle = policy::Bundle::parse(&check::bundle()).unwrap();
        let bundle_hash = bundle.hash().0;
        let text = bundle.encode();
        let mut records = Vec::new();
        let chunks = text.chunks(700).count() as u32;
        for (chunk_no, bytes) in (0u32..).zip(text.chunks(700)) {
            let record = wire::PolicyRecord::Publish {
                command_id: [1; 16],
                bundle_hash,
                chunk_no,
                chunks,
                bytes: bytes.into(),
                by: "sim".into(),
            };
            records.push(record.encode().unwrap());
        }
        records.push(
            wire::PolicyRecord::Activate { command_id: [2; 16], bundle_hash, by: "sim".into() }.encode().unwrap(),
        );
        for value in records {
            self.write(Topic::Policies, 0, value, Vec::new());
        }
        for partition in 0..PARTITIONS {
            let tenant = Tenant::new("default").unwrap();
            let record = wire::CommandRecord::CreateTenant { command_id: [3; 16], tenant, by: "sim".into() };
            self.write(Topic::Commands, partition, record.encode().unwrap(), Vec::new());
        }
        for _ in 0..60 {
            self.turn();
        }
    }

    fn write(&mut self, topic: Topic, partition: u32, value: Vec<u8>, key: Vec<u8>) {
        let record = NewRecord { topic, partition, key, headers: Vec::new(), value };
        self.log.with_state(|state| state.write(vec![record], WriteFate::Plain)).unwrap();
    }

    /// Pushes what was written since to all processes, as their log threads would; some pushes get lost.
    fn push(&mut self) {
        let reader = self.log.clone();
        for topic in [Topic::Policies, Topic::Commands, Topic::Requests] {
            for partition in 0..PARTITIONS {
                let from = self.pushed.get(&(topic, partition)).copied().unwrap_or(0);
                let records = reader.read(topic, partition, eventlog::Position(from), ReadLimit::default()).unwrap();
                let Some(last) = records.last() else { continue };
                self.pushed.insert((topic, partition), last.position.0 + 1);
                for node in &mut self.nodes {
                    if self.rng.random_ratio(1, 20) {
                        continue;
                    }
                    let owners = if topic == Topic::Policies { 0..PARTITIONS } else { partition..partition + 1 };
                    for owner in owners {
                        node.push(owner, topic, records.clone());
                    }
                }
            }
        }
    }

    fn turn(&mut self) {
        self.push();
        self.now_us += self.rng.random_range(1..3_000);
        for node in &mut self.nodes {
            node.turn(self.now_us);
        }
    }

    fn event(&mut self, seed: u64) {
        match self.rng.random_range(0..100) {
            0..45 => self.produce(),
            45..48 => {
                let partition = self.rng.random_range(0..PARTITIONS);
                self.poison += 1;
                self.write(Topic::Requests, partition, vec![0xff; 20], Vec::new());
            }
            48..50 => self.crash(),
            50..52 if self.nodes.len() == 1 && seed % 2 == 1 => self.start(1, MemoryKv::default()),
            52..53 => {
                let node = self.rng.random_range(0..self.nodes.len());
                self.nodes[node].revoke();
            }
            _ => self.turn(),
        }
    }

    fn crash(&mut self) {
        self.figures.crashes += 1;
        let at = self.rng.random_range(0..self.nodes.len());
        let kv = match self.rng.random_range(0..3) {
            0 => MemoryKv::default(),
            _ if self.planted == Some(Planted::StateFromAnotherRun) => check::scrambled(&self.nodes[at].kv),
            _ => self.nodes[at].kv.clone(),
        };
        self.start(at, kv);
    }

    /// A new request, a repeat, another body under a known id; now and then in the wrong partition.
    fn produce(&mut self) {
        let actor = format!("actor-{}", self.rng.random_range(0..6));
        let known = self.next_request > 0 && self.rng.random_ratio(1, 4);
        let number = if known { self.rng.random_range(0..self.next_request) } else { self.next_request };
        self.next_request = self.next_request.max(number + 1);
        // A number belongs to one actor, so that its id is known again in the same partition.
        let actor = if known {
            format!("actor-{}", number % 6)
        } else {
            format!("actor-{}", {
                let _ = actor;
                number % 6
            })
        };
        let variant = if self.rng.random_ratio(1, 8) { 1 } else { 0 };
        let request = request(&actor, number, variant);
        let framed = wire::frame_request(&request).unwrap();
        let key = RoutingKey::of(&request.tenant, &request.actor.id, Routing::Actor);
        let right = key.partition(PARTITIONS);
        let partition = if self.rng.random_ratio(1, 12) { self.rng.random_range(0..PARTITIONS) } else { right };
        self.sent.entry((actor, request.request_id.as_str().to_owned())).or_default().insert(framed.clone());
        self.write(Topic::Requests, partition, framed, key.record_key().to_vec());
    }

    /// The storm is over: everything that is on its way arrives or is lost, and the processes come to rest.
    fn calm(&mut self) {
        while self.log.with_state(|state| state.late()) > 0 {
            self.log.with_state(|state| state.settle(0));
        }
        self.nodes.truncate(1);
        let kv = self.nodes[0].kv.clone();
        self.start(0, kv);
        self.pushed.clear();
        for _ in 0..400 {
            self.turn();
            self.now_us += 20_000;
        }
    }

    pub fn last_state(&self) -> &MemoryKv {
        &self.nodes[0].kv
    }

    pub fn stopped(&self) -> &[String] {
        &self.nodes[0].stopped
    }
}

fn request(actor: &str, number: u32, variant: u32) -> Request {
    let subject = Subject {
        id_type: IdType::Email,
        id: SubjectId::new(format!("person{}@example.org", number % 5)).unwrap(),
        role: Word::new("recipient").unwrap(),
        fields: BTreeMap::from([(Word::new("name").unwrap(), format!("Person {number}"))]),
    };
    Request {
        tenant: Tenant::new("default").unwrap(),
        request_id: RequestId::new(format!("r-{number}")).unwrap(),
        actor: Actor {
            id: ActorId::new(actor).unwrap(),
            kind: if number % 3 == 0 { ActorKind::Person } else { ActorKind::Agent },
            model: None,
            roles: BTreeSet::new(),
            on_behalf_of: None,
        },
        action: Action::new(["read", "write", "pay"][(number % 3) as usize]).unwrap(),
        tool: None,
        resource: None,
        intent: Some(format!("variant {variant}")),
        data_classes: BTreeSet::new(),
        practice: None,
        risk_class: RiskClass::Minimal,
        risk: None,
        confidence_percent: None,
        amount: None,
        purpose: None,
        legal_basis: None,
        approval: None,
        context: BTreeMap::new(),
        subjects: if number % 2 == 0 { vec![subject] } else { Vec::new() },
        occurred_at_us: START_US,
    }
}
