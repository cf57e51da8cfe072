//! The simulated world: producers, two processes that compete, a log that misbehaves, and time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::routing::{Routing, RoutingKey};
use engine::keys::queue;
use engine::kv::memory::MemoryKv;
use engine::owner::{Context, Limits};
use eventlog::memory::{Chances, Memory, Plan, WriteFate};
use eventlog::{Error, LogReader, NewRecord, Position, ReadLimit, Topic};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use replay_tests::audit::Told;
use replay_tests::defect::{Defect, Flaw};
use replay_tests::sample;

use crate::check;
use crate::node::{Clock, Flaws, Node};

pub const PARTITIONS: u32 = 2;
/// Bytes of a bundle in one record: small, so that it comes in many.
const CHUNK_BYTES: usize = 700;
/// How far a clock may be set: half of the time a little, else by hours.
const STEPS_US: [i64; 2] = [5_000_000, 3 * 3_600_000_000];
/// Longest that the log is unavailable, in turns.
const OUTAGE_TURNS: u32 = 30;
/// Actors; a request's number names its actor, so that a known id comes from the one it is known of.
const ACTORS: u32 = 6;

#[derive(Default)]
pub struct Figures {
    pub requests: usize,
    pub frames: usize,
    pub strays: usize,
    pub crashes: usize,
    /// Times that a clock was set.
    pub steps: usize,
    /// Times that the log was unavailable for a while.
    pub outages: usize,
    pub claims: usize,
    /// Answers that callers were told.
    pub told: usize,
    /// Offsets consumed, and what became of them.
    pub consumed: u64,
    pub decisions: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Events made again with the same bytes.
    pub decided_again: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Figures) {
        self.requests += other.requests;
        self.frames += other.frames;
        self.strays += other.strays;
        self.crashes += other.crashes;
        self.steps += other.steps;
        self.outages += other.outages;
        self.claims += other.claims;
        self.told += other.told;
        self.consumed += other.consumed;
        self.decisions += other.decisions;
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        self.decided_again += other.decided_again;
    }
}

/// What was sent, by actor and id of the request: the different bodies.
pub type Sent = BTreeMap<(String, String), BTreeSet<Vec<u8>>>;

pub struct World {
    pub ctx: Arc<Context>,
    pub log: Memory,
    rng: ChaCha20Rng,
    nodes: Vec<Node>,
    /// What processes that are gone told their callers, and what was wrong with them.
    told: Vec<(u32, Told)>,
    complaints: Vec<String>,
    gone: Vec<Flaws>,
    competed: bool,
    now_us: i64,
    /// Turns until the log is available again.
    outage: u32,
    pub sent: Sent,
    pub poison: usize,
    next_request: u32,
    pushed: BTreeMap<(Topic, u32), u64>,
    pub defect: Option<Defect>,
    crashes: usize,
    steps: usize,
    outages: usize,
}

impl World {
    /// Runs one seed.
    ///
    /// # Errors
    /// The first violation, in words.
    pub fn run(seed: u64, defect: Option<Defect>) -> Result<Figures, String> {
        let mut world = World::new(seed, defect);
        world.begin();
        for _ in 0..250 {
            world.event(seed);
        }
        world.log.set_plan(Plan::plain());
        world.calm();
        let World { crashes, steps, outages, .. } = world;
        Ok(Figures { crashes, steps, outages, ..check::all(&world)? })
    }

    fn new(seed: u64, defect: Option<Defect>) -> World {
        let limits =
            Limits { batch_events_max: 6, backoff_first_us: 1_000, backoff_max_us: 50_000, ..Limits::default() };
        let mut world = World {
            ctx: sample::context(seed, PARTITIONS, limits),
            log: Memory::new(PARTITIONS, Plan::seeded(seed, Chances::STORMY)),
            rng: ChaCha20Rng::seed_from_u64(seed),
            nodes: Vec::new(),
            told: Vec::new(),
            complaints: Vec::new(),
            gone: Vec::new(),
            competed: false,
            now_us: sample::START_US,
            outage: 0,
            sent: Sent::new(),
            poison: 0,
            next_request: 0,
            pushed: BTreeMap::new(),
            defect,
            crashes: 0,
            steps: 0,
            outages: 0,
        };
        let node = world.node(MemoryKv::default(), world.unflawed());
        world.nodes.push(node);
        world
    }

    fn unflawed(&self) -> Flaws {
        (0..PARTITIONS).map(|partition| (partition, Flaw::new(self.defect))).collect()
    }

    fn node(&mut self, kv: MemoryKv, flaws: Flaws) -> Node {
        let seed = self.rng.random();
        Node::start(&self.ctx, &self.log, kv, seed, flaws)
    }

    /// Ends a process and starts it again, with its local state or without.
    fn restart(&mut self, at: usize, keeps_state: bool) {
        let node = &mut self.nodes[at];
        self.told.append(&mut node.told);
        self.complaints.append(&mut node.complaints);
        let clock = node.clock;
        let kv = if keeps_state { node.kv.clone() } else { MemoryKv::default() };
        let mut flaws = std::mem::take(&mut node.flaws);
        flaws.values_mut().for_each(|flaw| flaw.crash(keeps_state));
        self.nodes[at] = self.node(kv, flaws);
        // A process trusts the clock that it finds.
        self.nodes[at].clock = Clock { skew_us: clock.skew_us, ..Clock::RIGHT };
    }

    fn begin(&mut self) {
        for record in sample::beginning(PARTITIONS, CHUNK_BYTES) {
            self.write(record);
        }
        for _ in 0..60 {
            self.turn();
        }
    }

    fn write(&mut self, record: NewRecord) {
        self.log.with_state(|state| state.write(vec![record], WriteFate::Plain)).unwrap();
    }

    /// Pushes what was written since to all processes, as their log threads would; some pushes get lost.
    fn push(&mut self) {
        let reader = self.log.clone();
        for topic in [Topic::Policies, Topic::Commands, Topic::Requests] {
            for partition in 0..PARTITIONS {
                let from = self.pushed.get(&(topic, partition)).copied().unwrap_or(0);
                let records = reader.read(topic, partition, Position(from), ReadLimit::default()).unwrap();
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
        self.outage = self.outage.saturating_sub(1);
        if self.outage == 0 {
            self.log.set_broken(None);
            self.push();
        }
        self.now_us += self.rng.random_range(1..3_000);
        for node in &mut self.nodes {
            node.turn(self.now_us);
        }
    }

    fn event(&mut self, seed: u64) {
        match self.rng.random_range(0..100) {
            0..45 => self.produce(),
            45..48 => self.poison(),
            48..50 => {
                self.crashes += 1;
                let at = self.rng.random_range(0..self.nodes.len());
                let keeps_state = self.rng.random_ratio(2, 3);
                self.restart(at, keeps_state);
            }
            50..52 if !self.competed && seed % 2 == 1 => {
                self.competed = true;
                let node = self.node(MemoryKv::default(), self.unflawed());
                self.nodes.push(node);
            }
            52..53 => {
                let node = self.rng.random_range(0..self.nodes.len());
                self.nodes[node].revoke();
            }
            53..56 => {
                let at = self.rng.random_range(0..self.nodes.len());
                let step_us = STEPS_US[self.rng.random_range(0..STEPS_US.len())];
                let skew_us = self.rng.random_range(-step_us..step_us);
                let trusted = self.rng.random_ratio(2, 3);
                let stumbles = self.rng.random_ratio(1, 6);
                self.nodes[at].clock = Clock { skew_us, trusted, stumbles };
                self.steps += 1;
            }
            56..57 => {
                self.log.set_broken(Some(Error::Unavailable { reason: "an outage".into() }));
                self.outage = self.rng.random_range(1..OUTAGE_TURNS);
                self.outages += 1;
            }
            _ => self.turn(),
        }
    }

    /// What no version can read: no request at all, or one whose seal does not open.
    fn poison(&mut self) {
        let partition = self.rng.random_range(0..PARTITIONS);
        self.poison += 1;
        let mut record = NewRecord::new(Topic::Requests, partition, Vec::new(), vec![1; 60]);
        if self.rng.random_ratio(1, 2) {
            record.headers = vec![(queue::SEALED_HEADER.to_owned(), queue::SEALED_HEADER_VALUE.to_vec())];
        }
        self.write(record);
    }

    /// A new request, a repeat, another body under a known id; now and then in the wrong partition.
    fn produce(&mut self) {
        let known = self.next_request > 0 && self.rng.random_ratio(1, 4);
        let number = if known { self.rng.random_range(0..self.next_request) } else { self.next_request };
        self.next_request = self.next_request.max(number + 1);
        let actor = format!("actor-{}", number % ACTORS);
        let variant = u32::from(self.rng.random_ratio(1, 8));
        let request = sample::request(&actor, number, variant);
        let framed = wire::frame_request(&request).unwrap();
        let key = RoutingKey::of(&request.tenant, &request.actor.id, Routing::Actor);
        let right = key.partition(PARTITIONS);
        let partition = if self.rng.random_ratio(1, 12) { self.rng.random_range(0..PARTITIONS) } else { right };
        self.sent.entry((actor, request.request_id.as_str().to_owned())).or_default().insert(framed.clone());
        self.write(NewRecord::new(Topic::Requests, partition, key.record_key(), framed));
    }

    /// The storm is over: everything that is on its way arrives, and one process comes to rest. Its clock stays where
    /// it was set to last.
    fn calm(&mut self) {
        self.outage = 0;
        self.log.set_broken(None);
        while self.log.with_state(|state| state.late()) > 0 {
            self.log.with_state(|state| state.settle(0));
        }
        while self.nodes.len() > 1 {
            let at = self.nodes.len() - 1;
            self.restart(at, false);
            let gone = self.nodes.remove(at);
            // What its callers were told still counts; see `flaws`.
            self.gone.push(gone.flaws);
        }
        self.restart(0, true);
        self.pushed.clear();
        for _ in 0..400 {
            self.turn();
            self.now_us += 20_000;
        }
        // Repeats at the end of an input are covered by an event of their own once they have waited for long.
        self.now_us += self.ctx.limits.input_advance_us;
        for _ in 0..20 {
            self.turn();
            self.now_us += 20_000;
        }
    }

    pub fn last_state(&self) -> &MemoryKv {
        &self.nodes[0].kv
    }

    /// What callers were told, by partition.
    pub fn told(&self) -> impl Iterator<Item = &(u32, Told)> {
        self.told.iter().chain(self.nodes.iter().flat_map(|node| &node.told))
    }

    /// What was wrong with processes.
    pub fn complaints(&self) -> impl Iterator<Item = &String> {
        self.complaints.iter().chain(self.nodes.iter().flat_map(|node| &node.complaints))
    }

    /// Flaws in a partition, of every process.
    pub fn flaws(&self, partition: u32) -> impl Iterator<Item = &Flaw> {
        self.nodes.iter().map(|node| &node.flaws).chain(&self.gone).filter_map(move |flaws| flaws.get(&partition))
    }
}
