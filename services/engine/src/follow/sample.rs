//! A ledger to be followed and read, made by the functions that make real ones: sealed, framed, stored in the memory
//! log, folded into state. Time and everything drawn are counted up, so two of them are the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::command::Identity;
use domain::event::{Answer, AnswerKind, RetentionClass};
use domain::ids::{Action, ActorId, Origin, RequestId, SubjectId, Tenant, Word};
use domain::request::{Actor, ActorKind, Amount, IdType, PersonRole, Principal, Request, RiskClass, Subject};
use domain::routing::{Routing, RoutingKey};
use eventlog::memory::{Fate, Memory, Plan};
use eventlog::{Done, LogReader, Position, Topic};
use ledger::layout::{Claim, InputStart, KeyCreated};
use ledger::seal::Dek;
use ledger::{FrameBuilder, Head, InputRange, LedgerId, NewEvent, event_type};
use policy::{Mode, Outcome, ReasonCode, Severity};

use crate::datadir::Deployment;
use crate::fold::{self, FoldedTo};
use crate::keys::{Keyring, KeyringRecord, Secrets};
use crate::kv::Kv;
use crate::kv::memory::MemoryKv;
use crate::owner;
use crate::record::{self, Material, Sealing, SectionKey, numbers};
use crate::store::{Store, head_place};
use crate::view::DecisionView;

/// What one request asks, and how it is answered.
#[derive(Clone)]
pub(crate) struct Ask {
    pub id: String,
    pub tenant: &'static str,
    pub actor: &'static str,
    pub kind: ActorKind,
    pub for_whom: Option<&'static str>,
    pub action: String,
    pub subjects: usize,
    pub answer: AnswerKind,
    pub outcome: Option<Outcome>,
    pub reason: ReasonCode,
    pub policies: Vec<String>,
    /// Whether the request can be read at all.
    pub readable: bool,
}

impl Ask {
    /// A permit for an agent.
    pub(crate) fn permit(id: impl Into<String>, tenant: &'static str, actor: &'static str, action: &str) -> Ask {
        Ask {
            id: id.into(),
            tenant,
            actor,
            kind: ActorKind::Agent,
            for_whom: None,
            action: action.to_owned(),
            subjects: 0,
            answer: AnswerKind::Decided,
            outcome: Some(Outcome::Permit),
            reason: ReasonCode::Permitted,
            policies: vec!["allow-reads".into()],
            readable: true,
        }
    }

    pub(crate) fn decided(mut self, outcome: Outcome, reason: ReasonCode) -> Ask {
        (self.outcome, self.reason) = (Some(outcome), reason);
        self
    }

    pub(crate) fn answered(mut self, answer: AnswerKind, reason: ReasonCode) -> Ask {
        (self.answer, self.outcome, self.reason) = (answer, None, reason);
        self.policies.clear();
        self
    }

    fn request(&self, at_us: i64) -> Request {
        let subject = |n: usize| Subject {
            id_type: IdType::Customer,
            id: SubjectId::new(format!("customer-{n}")).unwrap(),
            role: Word::new("recipient").unwrap(),
            fields: BTreeMap::from([(Word::new("name").unwrap(), "Ada".to_owned())]),
        };
        Request {
            tenant: Tenant::new(self.tenant).unwrap(),
            request_id: RequestId::new(self.id.clone()).unwrap(),
            actor: Actor {
                id: ActorId::new(self.actor).unwrap(),
                kind: self.kind,
                model: None,
                roles: BTreeSet::new(),
                on_behalf_of: self.for_whom.map(|id| Principal {
                    id: ActorId::new(id).unwrap(),
                    kind: ActorKind::Person,
                    delegation_depth: 1,
                }),
            },
            action: Action::new(self.action.clone()).unwrap(),
            tool: None,
            resource: None,
            intent: None,
            data_classes: BTreeSet::new(),
            practice: None,
            risk_class: RiskClass::Minimal,
            risk: None,
            confidence_percent: None,
            amount: Some(Amount { minor_units: 1_250, currency: *b"EUR" }),
            purpose: None,
            legal_basis: None,
            approval: None,
            context: BTreeMap::new(),
            subjects: (0..self.subjects).map(subject).collect(),
            occurred_at_us: at_us - 7,
        }
    }
}

pub(crate) struct World {
    pub log: Memory,
    pub kv: Arc<MemoryKv>,
    pub secrets: Arc<Secrets>,
    pub deployment: Deployment,
    pub now_us: i64,
    /// Every answer as it was made at commit.
    pub views: Vec<DecisionView>,
    folded: Vec<FoldedTo>,
    offsets: Vec<u64>,
    surrogates: BTreeMap<(u32, [u8; 32]), [u8; 16]>,
    deks: BTreeMap<(u32, String, [u8; 16]), SectionKey>,
    drawn: u64,
}

const DEDUP_US: i64 = 7 * 24 * 3_600_000_000;

impl World {
    /// Claimed partitions without decisions.
    pub(crate) fn new(partitions: u32) -> World {
        let deployment =
            Deployment { ledger_id: LedgerId([7; 16]), partitions, routing: Routing::Actor, chain_epoch: 0 };
        let genesis = |chain| FoldedTo { head: Head::genesis(chain), recorded_at_us: 0, next_outcome_no: 0 };
        let mut world = World {
            log: Memory::new(partitions, Plan::default()),
            kv: Arc::new(MemoryKv::new()),
            secrets: Arc::new(Secrets::in_memory(1)),
            folded: super::chains(&deployment).into_iter().map(genesis).collect(),
            deployment,
            now_us: 1_700_000_000_000_000,
            views: Vec::new(),
            offsets: vec![0; usize::try_from(partitions).unwrap()],
            surrogates: BTreeMap::new(),
            deks: BTreeMap::new(),
            drawn: 0,
        };
        for partition in 0..partitions {
            world.claim(partition);
        }
        world
    }

    pub(crate) fn head(&self, partition: u32) -> &Head {
        &self.folded[usize::try_from(partition).unwrap()].head
    }

    pub(crate) fn last(&self, partition: u32) -> (u32, u64) {
        (partition, self.head(partition).next_seq - 1)
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        self.drawn += 1;
        let mut bytes = [0; N];
        for (at, byte) in self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().into_iter().enumerate() {
            bytes[at] = byte;
        }
        bytes
    }

    fn claim(&mut self, partition: u32) {
        let input = InputStart { topic: "requests".into(), partition, topic_id: [1; 16], start: 0 };
        let origin = ledger::layout::Origin { partitions: self.deployment.partitions, routing: 0, inputs: vec![input] };
        let claim = Claim { writer_id: self.draw(), origin: Some(origin) };
        let event = record::fixed(event_type::WRITER_CLAIMED, self.now_us, claim.encode().unwrap());
        let mut frame = FrameBuilder::new(self.head(partition), 1);
        frame.push(event).unwrap();
        self.store(partition, frame.finish(Vec::new()).unwrap().bytes);
    }

    /// Appends bytes to the log, whatever they are.
    pub(crate) fn append(&mut self, partition: u32, bytes: Vec<u8>) -> Position {
        let at = self.log.tail(Topic::Ledger, partition).unwrap();
        let now_us = self.now_us;
        let done = self.log.with_state(|state| {
            state.set_now_us(now_us);
            state.append(partition, at, bytes, Fate::Plain)
        });
        assert_eq!(done, Done::Committed(at));
        at
    }

    /// Appends a frame and folds it into state.
    fn store(&mut self, partition: u32, bytes: Vec<u8>) {
        let at = self.append(partition, bytes.clone());
        let index = usize::try_from(partition).unwrap();
        let accepted = ledger::accept(self.head(partition), &bytes).unwrap();
        let store = Store::new(&*self.kv, partition);
        let (fold, folded) = fold::accepted(&store, &accepted, self.folded[index].clone(), DEDUP_US).unwrap();
        let mut writes = fold.into_writes(&store, accepted.run.first_seq, at);
        writes.push(head_place(partition, &folded.head));
        self.kv.write(writes).unwrap();
        self.folded[index] = folded;
    }

    /// The partition of a request.
    pub(crate) fn right(&self, ask: &Ask) -> u32 {
        let (tenant, actor) = (Tenant::new(ask.tenant).unwrap(), ActorId::new(ask.actor).unwrap());
        RoutingKey::of(&tenant, &actor, Routing::Actor).partition(self.deployment.partitions)
    }

    /// Commits each request in its partition, one frame a partition, all at one time.
    pub(crate) fn commit(&mut self, asks: &[Ask]) {
        self.now_us += 1_000;
        for partition in 0..self.deployment.partitions {
            let here: Vec<Ask> = asks.iter().filter(|ask| self.right(ask) == partition).cloned().collect();
            if !here.is_empty() {
                self.commit_now(partition, &here, 0);
            }
        }
    }

    /// Commits one frame, with so many repeats consumed along with it.
    pub(crate) fn commit_in(&mut self, partition: u32, asks: &[Ask], repeats: u64) {
        self.now_us += 1_000;
        self.commit_now(partition, asks, repeats);
    }

    fn commit_now(&mut self, partition: u32, asks: &[Ask], repeats: u64) {
        let (bytes, views) = self.frame(partition, asks, repeats);
        self.store(partition, bytes);
        self.views.extend(views);
    }

    /// Builds a frame on the present head.
    pub(crate) fn frame(&mut self, partition: u32, asks: &[Ask], repeats: u64) -> (Vec<u8>, Vec<DecisionView>) {
        let index = usize::try_from(partition).unwrap();
        let mut builder = FrameBuilder::new(self.head(partition), 1);
        let (mut views, mut outcome_no) = (Vec::new(), self.folded[index].next_outcome_no);
        let from = self.offsets[index];
        for (n, ask) in asks.iter().enumerate() {
            let offset = from + u64::try_from(n).unwrap();
            let origin = Origin { topic: "requests", partition, offset };
            let (answer, material, keys) = self.answer(partition, ask);
            for key in keys {
                builder.push(key).unwrap();
            }
            let mut salts = 0_u8;
            let request_bytes =
                answer.request.as_ref().map_or(vec![1], |request| wire::encode_request(request).unwrap());
            let sealing = Sealing {
                answer: &answer,
                origin: &origin,
                request_bytes: &request_bytes,
                chain: self.head(partition).chain,
                seq: builder.next_seq(),
                recorded_at_us: self.now_us,
                outcome_no,
                material: &material,
                salts: &mut || {
                    salts += 1;
                    [salts; 32]
                },
            };
            let (event, _) = record::seal_answer(sealing).unwrap();
            let at = builder.push(event).unwrap();
            views.push(DecisionView::from_answer(&answer, &origin, partition, &at, self.now_us, outcome_no));
            outcome_no += u64::from(numbers::takes_outcome_no(answer.kind));
        }
        let count = u64::try_from(asks.len()).unwrap();
        let decisions = asks.iter().filter(|ask| ask.answer == AnswerKind::Decided).count();
        let decisions = u64::try_from(decisions).unwrap();
        self.offsets[index] = from + count + repeats;
        let range = InputRange {
            topic: "requests".into(),
            partition,
            from_offset: from,
            to_offset: from + count + repeats,
            requests: count + repeats,
            decisions,
            rejected: count - decisions,
            non_request: 0,
        };
        (builder.finish(vec![range]).unwrap().bytes, views)
    }

    fn answer(&mut self, partition: u32, ask: &Ask) -> (Answer, Material, Vec<NewEvent>) {
        let request = ask.readable.then(|| ask.request(self.now_us));
        let mut made = Vec::new();
        let tenant = if ask.readable { ask.tenant } else { "" };
        let organisation = self.dek(partition, tenant, [0; 16], &mut made);
        let nonce = self.draw();
        let mut material = Material {
            nonce,
            actor: [0; 16],
            on_behalf_of: None,
            subjects: Vec::new(),
            organisation,
            persons: BTreeMap::new(),
        };
        if let Some(request) = &request {
            let index = self.secrets.index_key(&request.tenant);
            let lookup = |id_type, id: &str| owner::lookup(&index, id_type, id).unwrap();
            material.actor = self.surrogate(partition, lookup(IdType::Actor, request.actor.id.as_str()));
            if let Some(principal) = &request.actor.on_behalf_of {
                material.on_behalf_of = Some(self.surrogate(partition, lookup(IdType::Actor, principal.id.as_str())));
            }
            for subject in &request.subjects {
                material.subjects.push(self.surrogate(partition, lookup(subject.id_type, subject.id.as_str())));
            }
            for part in request.split().1 {
                let surrogate = match part.role {
                    PersonRole::Actor => material.actor,
                    PersonRole::OnBehalfOf => material.on_behalf_of.unwrap(),
                    PersonRole::Subject(at) => material.subjects[usize::from(at)],
                };
                material.persons.insert(part.role, self.dek(partition, tenant, surrogate, &mut made));
            }
        }
        (self.answer_to(ask, request.as_ref()), material, made)
    }

    fn answer_to(&self, ask: &Ask, request: Option<&Request>) -> Answer {
        Answer {
            kind: ask.answer,
            identity: request.map_or(Identity::UNKNOWN, |request| self.identity(request)),
            request: request.cloned(),
            outcome: ask.outcome,
            reason: ask.reason,
            policies: ask.policies.clone(),
            obligations: vec!["log_access".into()],
            severity: (ask.outcome == Some(Outcome::Escalate)).then_some(Severity::High),
            explanation: ask.reason.meaning().to_owned(),
            detail: if ask.outcome.is_none() { "amount".into() } else { String::new() },
            bundle_hash: [5; 32],
            mode: Mode::Paranoid,
            retention_class: RetentionClass::Ordinary,
            risk_score: Some(12),
        }
    }

    pub(crate) fn identity(&self, request: &Request) -> Identity {
        let routing_key = RoutingKey::of(&request.tenant, &request.actor.id, Routing::Actor);
        let index = self.secrets.index_key(&request.tenant);
        owner::identify(&index, &routing_key, request, &wire::encode_request(request).unwrap()).unwrap()
    }

    /// The request of an ask that was committed at this time.
    pub(crate) fn request_at(&self, ask: &Ask, recorded_at_us: i64) -> Request {
        ask.request(recorded_at_us)
    }

    fn surrogate(&mut self, partition: u32, lookup: [u8; 32]) -> [u8; 16] {
        if let Some(known) = self.surrogates.get(&(partition, lookup)) {
            return *known;
        }
        let surrogate = self.draw();
        self.keep(partition, &KeyringRecord::Directory { lookup, surrogate });
        self.surrogates.insert((partition, lookup), surrogate);
        surrogate
    }

    fn dek(&mut self, partition: u32, tenant: &str, surrogate: [u8; 16], made: &mut Vec<NewEvent>) -> SectionKey {
        let name = (partition, tenant.to_owned(), surrogate);
        if let Some(known) = self.deks.get(&name) {
            return known.clone();
        }
        let (dek_id, dek, class) = (self.draw(), Dek(self.draw()), RetentionClass::Ordinary as u8);
        let period = self.secrets.period();
        let nonce = self.draw();
        let wrapped = self.secrets.wrap(period, tenant, &dek_id, &dek, nonce).unwrap();
        self.keep(
            partition,
            &KeyringRecord::Wrapped { dek_id, tenant: tenant.to_owned(), surrogate, class, period, wrapped },
        );
        let created =
            KeyCreated { tenant: tenant.to_owned(), surrogate, dek_id, class, period, dek_commit: dek.commit() };
        made.push(record::fixed(event_type::KEY_CREATED, self.now_us, created.encode().unwrap()));
        let key = SectionKey { dek_id, period, dek };
        self.deks.insert(name, key.clone());
        key
    }

    fn keep(&mut self, partition: u32, record: &KeyringRecord) {
        let position = Position(self.drawn);
        let writes = Keyring::new(&*self.kv, &self.secrets, partition).index(record, position).unwrap();
        self.kv.write(writes).unwrap();
    }

    /// The surrogates that were given out, with their partitions.
    pub(crate) fn surrogates(&self) -> Vec<(u32, [u8; 16])> {
        self.surrogates.iter().map(|((partition, _), surrogate)| (*partition, *surrogate)).collect()
    }

    /// A mixed ledger: `frames` rounds of requests of two tenants, several actors, every kind of answer.
    pub(crate) fn mixed(partitions: u32, frames: usize) -> World {
        let mut world = World::new(partitions);
        for round in 0..frames {
            world.round(round);
        }
        world
    }

    /// One round of [`World::mixed`].
    pub(crate) fn round(&mut self, round: usize) {
        let actors = ["agent-1", "agent-2", "agent-3", "clerk-7"];
        let actions = ["send_email", "read_file", "pay", "delete_file", "invite"];
        let asks: Vec<Ask> = (0..=round % 4)
            .map(|n| {
                let pick = round * 7 + n * 3;
                let tenant = if pick.is_multiple_of(5) { "acme" } else { "default" };
                let mut ask = Ask::permit(format!("r-{round}-{n}"), tenant, actors[pick % 4], actions[pick % 5]);
                if ask.actor.starts_with("clerk") {
                    ask.kind = ActorKind::Person;
                }
                match pick % 11 {
                    0..=4 => ask,
                    5 | 6 => ask.decided(Outcome::Deny, ReasonCode::Forbidden),
                    7 => ask.decided(Outcome::Escalate, ReasonCode::OversightRequired),
                    8 => ask.answered(AnswerKind::Rejected, ReasonCode::Invalid),
                    9 => ask.answered(AnswerKind::Conflicted, ReasonCode::Conflict),
                    _ => ask.answered(AnswerKind::Rerouted { partition: 0 }, ReasonCode::Rerouted),
                }
            })
            .collect();
        self.commit(&asks);
    }
}
