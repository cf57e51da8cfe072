//! What one decision costs by stage, on one thread: the functions that the running system calls, in its order, each
//! timed over whole frames. A stage that the system would call differently shows as a difference between this sum and
//! the CPU time that the run through HTTP prints.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::command::{Command, Identity, Placement, Proposal};
use domain::decide::{Decision, Terms, decide, reads};
use domain::event::{Answer, AnswerKind, Event};
use domain::ids::{Origin, Tenant};
use domain::request::{PersonRole, Request};
use domain::routing::{Routing, RoutingKey};
use domain::state::{Key, Record as StateOf};
use engine::fold::Fold;
use engine::follow::{self, Batch, Frame};
use engine::keys::{Secrets, queue};
use engine::kv::Kv;
use engine::kv::rocks::RocksKv;
use engine::owner;
use engine::record::{self, Material, Sealing, SectionKey};
use engine::runtime::clock::wall_us;
use engine::store::{StateKey, StateRecord, Store};
use engine::view::DecisionView;
use eventlog::{NewRecord, Position};
use ledger::seal::Dek;
use ledger::{ChainId, FrameBuilder, Head, InputRange, LedgerId};
use policy::{Bundle, BundleSource, Mode, PolicySet};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::bundles;
use crate::report::{Report, table};
use crate::traffic::{self, Templates};

const FRAME: u64 = 50;
const DEPTH_MAX: usize = 32;
const TARGET_US: f64 = 45.0;

/// Stages in their order; those before `STORED` are the compute that the target is for.
const STAGES: [&str; 15] = [
    "JSON parse",
    "Avro encode",
    "identity",
    "queue seal",
    "open and decode",
    "encode, identity, lookups",
    "read ahead",
    "evaluate",
    "seal",
    "hash and frame",
    "fold",
    "view",
    "answer as JSON",
    "store",
    "follow",
];
const STORED: usize = 13;

pub fn measure(arguments: &Arguments, report: &mut Report) {
    let frames = if arguments.quick { 200 } else { 2_000 };
    let bundles: [(&str, BundleSource); 2] =
        [("10 policies", bundles::ten()), ("enterprise-general", bundles::shipped("enterprise-general"))];
    let measured: Vec<(&str, [Duration; STAGES.len()])> = bundles
        .iter()
        .map(|(name, source)| {
            let bundle = Bundle::parse(source).unwrap_or_else(|faults| panic!("{faults:?}"));
            (*name, Pipeline::new(arguments, bundle.compile()).run(frames))
        })
        .collect();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / (frames * FRAME) as f64;
    let sum = |times: &[Duration]| each(times.iter().sum());
    let mut rows: Vec<Vec<String>> = STAGES
        .iter()
        .enumerate()
        .map(|(at, name)| {
            [(*name).to_owned()]
                .into_iter()
                .chain(measured.iter().map(|(_, times)| format!("{:.2}", each(times[at]))))
                .collect()
        })
        .collect();
    let total = |name: &str, part: std::ops::Range<usize>| {
        [name.to_owned()]
            .into_iter()
            .chain(measured.iter().map(|(_, times)| format!("{:.2}", sum(&times[part.clone()]))))
            .collect()
    };
    rows.insert(STORED, total(&format!("compute, target {TARGET_US} µs"), 0..STORED));
    rows.push(total("all", 0..STAGES.len()));
    let head: Vec<&str> = ["µs per decision"].into_iter().chain(measured.iter().map(|(name, _)| *name)).collect();
    table(&format!("One decision by stage, one thread, frames of {FRAME}"), &head, &rows);
    println!(
        "  limits: evaluation by Cedar, SHA3-256 without vector instructions, key derivation for each sealed section."
    );
    let figures = measured.iter().map(|(name, times)| {
        let stages: serde_json::Map<String, Value> = STAGES.iter().zip(times).map(|(stage, time)| ((*stage).to_owned(), json!(each(*time)))).collect();
        ((*name).to_owned(), json!({"stages_us": stages, "compute_us": sum(&times[..STORED]), "target_us": TARGET_US, "all_us": sum(times)}))
    });
    report.set("stages", Value::Object(figures.collect()));
}

/// Everything that the stages need, and the state that they leave.
struct Pipeline {
    policies: PolicySet,
    secrets: Secrets,
    reader: wire::RequestReader,
    kv: Arc<dyn Kv>,
    terms: Terms,
    head: Head,
    next_outcome_no: u64,
    next_offset: u64,
    followers: Vec<Arc<dyn follow::Follower>>,
    templates: Templates,
    times: [Duration; STAGES.len()],
    _directory: tempfile::TempDir,
}

/// One request on its way.
struct Item {
    request: Request,
    bytes: Vec<u8>,
    identity: Identity,
    sealed: NewRecord,
    offset: u64,
}

impl Pipeline {
    fn new(arguments: &Arguments, policies: PolicySet) -> Pipeline {
        let directory = arguments.directory();
        let kv = RocksKv::open(&directory.path().join("state"), &engine::kv::rocks::Settings::default())
            .expect("the store opens");
        let chain = ChainId { ledger_id: LedgerId([1; 16]), partition: 0, chain_epoch: 0 };
        let tenant = Tenant::new("default").expect("a name");
        let known = [
            (StateKey::Domain(Key::Tenant(tenant)), StateRecord::Domain(StateOf::Tenant { seq: 0 })),
            (
                StateKey::Domain(Key::ActivePolicy),
                StateRecord::Domain(StateOf::ActivePolicy {
                    bundle_hash: policies.hash().0,
                    mode: Mode::Strict,
                    seq: 0,
                }),
            ),
        ];
        kv.write(Store::new(&kv, 0).changes(known.iter().map(|(key, record)| (key, Some(record)))))
            .expect("the store writes");
        Pipeline {
            policies,
            secrets: Secrets::in_memory(1),
            reader: wire::RequestReader::with_builtin(wire::Limits::default()).expect("schemas are built in"),
            kv: Arc::new(kv),
            terms: Terms::default(),
            // As after a claim.
            head: Head { writer_epoch: 1, next_seq: 1, ..Head::genesis(chain) },
            next_outcome_no: 0,
            next_offset: 0,
            followers: follow::all(&follow::Settings::default()),
            templates: Templates::new(),
            times: [Duration::ZERO; STAGES.len()],
            _directory: directory,
        }
    }

    /// Runs frames; the first fifth more fill caches and the store and are not counted.
    fn run(mut self, frames: u64) -> [Duration; STAGES.len()] {
        for _ in 0..frames / 5 {
            self.frame();
        }
        self.times = [Duration::ZERO; STAGES.len()];
        for _ in 0..frames {
            self.frame();
        }
        self.times
    }

    fn timed<T>(&mut self, stage: usize, work: impl FnOnce(&mut Pipeline) -> T) -> T {
        let since = Instant::now();
        let value = work(self);
        self.times[stage] += since.elapsed();
        value
    }

    fn frame(&mut self) {
        let items = self.edge();
        let answers = self.decided(items);
        let now_us = wall_us();
        let mut fold = answers.fold;
        let first_seq = self.head.next_seq;
        let mut views = Vec::new();
        let mut builder = FrameBuilder::new(&self.head, self.head.writer_epoch);
        let kv = self.kv.clone();
        let store = Store::new(&*kv, 0);
        for (item, answer) in answers.all {
            let origin = Origin { topic: "requests", partition: 0, offset: item.offset };
            let outcome_no = self.next_outcome_no;
            self.next_outcome_no += 1;
            let (seq, chain) = (builder.next_seq(), self.head.chain);
            let (event, clear) = self.timed(8, |_| {
                let material = material(&item.request);
                let mut salt = || [seq as u8; 32];
                let sealing = Sealing {
                    answer: &answer,
                    origin: &origin,
                    request_bytes: &item.bytes,
                    chain,
                    seq,
                    recorded_at_us: now_us,
                    outcome_no,
                    material: &material,
                    salts: &mut salt,
                };
                record::seal_answer(sealing).expect("it can be sealed")
            });
            let at = self.timed(9, |_| builder.push(event).expect("it fits"));
            self.timed(10, |_| fold.event(&store, seq, &clear).expect("it folds"));
            views.push(self.timed(11, |_| DecisionView::from_answer(&answer, &origin, 0, &at, now_us, outcome_no)));
        }
        let range = InputRange {
            topic: "requests".to_owned(),
            partition: 0,
            from_offset: self.next_offset - FRAME,
            to_offset: self.next_offset,
            requests: FRAME,
            decisions: FRAME,
            rejected: 0,
            non_request: 0,
        };
        let frame = self.timed(9, |_| builder.finish(vec![range.clone()]).expect("it closes"));
        let outcome_no = self.next_outcome_no;
        let remembered = self.terms.remembered_us();
        self.timed(10, |_| {
            fold.close(&store, &[range], &frame.head, now_us, outcome_no, remembered).expect("it closes")
        });
        self.timed(12, |_| {
            for view in &views {
                serde_json::to_vec(&lexecon::http::answer::DecisionBody::of(view)).expect("it can be written");
            }
        });
        self.timed(13, |_| {
            kv.write(fold.into_writes(&store, first_seq, Position(first_seq))).expect("the store writes")
        });
        self.follow(&frame.bytes, first_seq);
        self.head = frame.head;
    }

    /// What the interface does before it hands requests over.
    fn edge(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        let now = traffic::now();
        for _ in 0..FRAME {
            let mut body = Vec::new();
            self.templates.push(0, self.next_offset, &now, &mut body);
            let request = self.timed(0, |_| lexecon::http::json::request(&body, DEPTH_MAX, wall_us()));
            let Ok(request) = request else { panic!("generated requests are valid") };
            let bytes = self.timed(1, |_| wire::encode_request(&request).expect("it encodes"));
            let identity = self.timed(2, |all| identify(&all.secrets, &request, &bytes));
            let sealed = self.timed(3, |all| {
                let framed = wire::framing::join(wire::NEWEST, &bytes);
                queue::seal_request(&all.secrets, 0, &framed, [identity.key[0]; 24]).expect("it can be sealed")
            });
            items.push(Item { request, bytes, identity, sealed, offset: self.next_offset });
            self.next_offset += 1;
        }
        items
    }

    /// What the owner does up to its decisions.
    fn decided(&mut self, items: Vec<Item>) -> Decided {
        let kv = self.kv.clone();
        let store = Store::new(&*kv, 0);
        let mut fold = Fold::default();
        let mut commands = Vec::new();
        for item in &items {
            let record = item.sealed.clone().at(Position(item.offset), 0);
            let request = self.timed(4, |all| {
                let raw = queue::open_request(&all.secrets, 0, &record).expect("it opens");
                all.reader.read(&raw).expect("it decodes")
            });
            self.timed(5, |all| {
                let bytes = wire::encode_request(&request).expect("it encodes");
                assert_eq!(identify(&all.secrets, &request, &bytes), item.identity);
                owner::lookups(&all.secrets.index_key(&request.tenant), &request).expect("names are short enough")
            });
            let proposal =
                Proposal { placement: Placement::Right, subject_erasing: false, identity: item.identity, request };
            commands.push(Command::Decide(Box::new(proposal)));
        }
        self.timed(6, |_| {
            let totals = std::iter::once(StateKey::Domain(Key::Totals));
            let ahead = commands.iter().flat_map(reads).map(StateKey::Domain).chain(totals);
            fold.read_ahead(&store, ahead).expect("the store reads");
        });
        let mut all = Vec::new();
        for (item, command) in items.into_iter().zip(commands) {
            let state = self.timed(6, |_| fold.fetch(&store, reads(&command)).expect("the store reads"));
            let decision = self.timed(7, |all| {
                decide(&all.terms, &state, Some(&all.policies), &command, wall_us()).expect("all is fetched")
            });
            let Decision::Record(Event::Answer(answer)) = decision else { panic!("a new request gets an answer") };
            assert_eq!(answer.kind, AnswerKind::Decided, "{}", answer.detail);
            all.push((item, *answer));
        }
        Decided { fold, all }
    }

    /// What the followers do, a frame at a time.
    fn follow(&mut self, bytes: &[u8], first_seq: u64) {
        let head = self.head.clone();
        self.timed(14, |all| {
            let accepted = ledger::accept(&head, bytes).expect("it extends the head");
            let frame = Frame::new(0, Position(first_seq), &accepted).expect("it can be read");
            let mut batch = Batch::new(&*all.kv);
            for follower in &all.followers {
                follower.follow(&frame, &mut batch).expect("it follows");
            }
            all.kv.write(batch.into_writes()).expect("the store writes");
        });
    }
}

struct Decided {
    fold: Fold,
    all: Vec<(Item, Answer)>,
}

fn identify(secrets: &Secrets, request: &Request, bytes: &[u8]) -> Identity {
    let routing_key = RoutingKey::of(&request.tenant, &request.actor.id, Routing::Actor);
    owner::identify(&secrets.index_key(&request.tenant), &routing_key, request, bytes).expect("names are short enough")
}

/// Keys as they come out of the owner's memory: drawing them anew is rare.
fn material(request: &Request) -> Material {
    let key = |id: u8| SectionKey { dek_id: [id; 16], period: 1, dek: Dek([id; 32]) };
    let (_, parts) = request.split();
    let persons: BTreeMap<PersonRole, SectionKey> = parts.iter().map(|part| (part.role, key(2))).collect();
    Material {
        nonce: [3; 32],
        actor: [4; 16],
        on_behalf_of: request.actor.on_behalf_of.as_ref().map(|_| [5; 16]),
        subjects: vec![[6; 16]; request.subjects.len()],
        organisation: key(1),
        persons,
    }
}
