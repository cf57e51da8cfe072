//! Replay: decide the whole ledger again, in its own order, and require the same bytes.
//!
//! What is made again: every event that answers a request and whose sealed sections can still be opened, every event
//! that follows from a policy or a command, and then the frame around them, byte for byte. What a replay takes as
//! recorded input: claims, schemas, keys, losses, quarantines, refused commands. What can no longer be read is counted
//! by reason. State is folded afresh into a store of its own, so a replay needs the log and the keys and nothing else.

use std::collections::BTreeMap;

use domain::command::{Command, Placement, Proposal, Refusal};
use domain::decide::{Decision, decide, reads};
use domain::event::{Answer, Event};
use domain::evolve::Fact;
use domain::ids::Origin;
use domain::routing::RoutingKey;
use eventlog::{LogReader, Position, ReadLimit, Record, Topic};
use ledger::{Accepted, ChainId, FrameBuilder, Head, NewEvent, Section, StoredEvent, Stray, accept};
use policy::{EVALUATOR_VERSION, PolicySet, ReasonCode};

use crate::dead_letter;
use crate::fold::{Fold, FoldedTo};
use crate::follow;
use crate::keys::{Keyring, queue};
use crate::kv::Kv;
use crate::owner::{Context, Error, identify};
use crate::record::{self, Clear, KeyState, Keys, Read, Resealing};
use crate::store::{StateKey, StateRecord, Store, SurrogateState};

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Events read.
    pub events: u64,
    /// Events made again with the same bytes.
    pub reproduced: u64,
    /// Events taken as recorded input.
    pub recorded_inputs: u64,
    /// Frames made again whole with the same bytes.
    pub frames: u64,
    /// Records of the log that are no part of the ledger, and harmless.
    pub strays: u64,
    /// Events that cannot be made again, by reason.
    pub not_replayable: BTreeMap<&'static str, u64>,
    /// Events of another version of the evaluator that came out differently.
    pub evaluator_changed: u64,
    /// The first event that came out differently.
    pub first_difference: Option<Difference>,
}

impl ReplayReport {
    /// Whether every event that can be made again came out the same.
    pub fn is_same(&self) -> bool {
        self.first_difference.is_none() && self.evaluator_changed == 0
    }

    /// Adds another partition's figures.
    pub fn add(&mut self, other: ReplayReport) {
        self.events += other.events;
        self.reproduced += other.reproduced;
        self.recorded_inputs += other.recorded_inputs;
        self.frames += other.frames;
        self.strays += other.strays;
        self.evaluator_changed += other.evaluator_changed;
        for (reason, count) in other.not_replayable {
            *self.not_replayable.entry(reason).or_default() += count;
        }
        if self.first_difference.is_none() {
            self.first_difference = other.first_difference;
        }
    }
}

/// An event that came out differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Partition.
    pub partition: u32,
    /// Place in the ledger.
    pub seq: u64,
    /// What differs; names of parts, no values.
    pub what: String,
}

/// Why a replay could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log.
    #[error("log: {0}")]
    Log(#[from] eventlog::Error),
    /// State, keys or sealing.
    #[error(transparent)]
    Engine(#[from] Error),
    /// A read model.
    #[error("read models: {0}")]
    Follow(#[from] follow::Error),
    /// What was made could not be put in the place of state and read models.
    #[error("{0}")]
    Replace(String),
    /// A frame does not belong to the ledger.
    #[error("partition {partition}, position {position}: {refused}; verify the ledger first")]
    Refused {
        /// Partition.
        partition: u32,
        /// Place in the log.
        position: Position,
        /// Why.
        refused: ledger::Refused,
    },
}

impl<E: Into<Error>> From<E> for ReplayError
where
    E: NotLog,
{
    fn from(error: E) -> Self {
        ReplayError::Engine(error.into())
    }
}

/// Errors that are no error of the log; keeps the conversion above from overlapping with that of the log's.
trait NotLog {}
impl NotLog for crate::store::Error {}
impl NotLog for crate::kv::Error {}
impl NotLog for crate::record::Error {}
impl NotLog for crate::keys::Error {}
impl NotLog for ledger::Error {}
impl NotLog for domain::state::NotFetched {}

/// What became of one event.
enum Outcome {
    Same(NewEvent),
    Recorded,
    Cannot(&'static str),
    Differs(String),
}

/// Replays one partition. `kv` is an empty store that this replay may fill; `progress` hears positions done.
///
/// # Errors
/// [`ReplayError`]; a difference is not an error but a finding.
pub fn replay(
    ctx: &Context,
    chain: ChainId,
    log: &dyn LogReader,
    kv: &dyn Kv,
    progress: &mut dyn FnMut(u64),
) -> Result<ReplayReport, ReplayError> {
    let partition = chain.partition;
    let mut replayed = Replay {
        ctx,
        chain,
        kv,
        letters: letters(ctx, log, partition)?,
        policies: None,
        report: ReplayReport::default(),
    };
    absorb_keys(ctx, log, kv, partition)?;
    let tail = log.tail(Topic::Ledger, partition)?;
    let mut so_far = FoldedTo { head: Head::genesis(chain), recorded_at_us: 0, next_outcome_no: 0 };
    let mut position = Position::ZERO;
    while position < tail {
        let records = log.read(Topic::Ledger, partition, position, ReadLimit::default())?;
        if records.is_empty() {
            break;
        }
        for record in records {
            position = record.position.next();
            match accept(&so_far.head, &record.value) {
                Ok(frame) => so_far = replayed.frame(&frame, &record.value, record.position, so_far)?,
                Err(refused) => replayed.stray(record.position, refused)?,
            }
            progress(position.0);
        }
    }
    Ok(replayed.report)
}

struct Replay<'a> {
    ctx: &'a Context,
    chain: ChainId,
    kv: &'a dyn Kv,
    /// Dead letters by the offset of the request that they hold.
    letters: BTreeMap<u64, wire::DeadLetter>,
    policies: Option<PolicySet>,
    report: ReplayReport,
}

impl Replay<'_> {
    fn frame(
        &mut self,
        frame: &Accepted<'_>,
        bytes: &[u8],
        position: Position,
        mut so_far: FoldedTo,
    ) -> Result<FoldedTo, ReplayError> {
        let store = Store::new(self.kv, self.chain.partition);
        let mut fold = Fold::default();
        let mut again = Some(FrameBuilder::new(&so_far.head, frame.head.writer_epoch));
        for event in &frame.events {
            let clear = record::clear(event)?;
            self.report.events += 1;
            let outcome = self.event(&store, &fold, event, &clear, so_far.next_outcome_no)?;
            let made = self.count(event, outcome);
            again = match (again, made) {
                (Some(mut builder), Some(made)) => builder.push(made).is_ok().then_some(builder),
                _ => None,
            };
            fold.event(&store, event.body.seq, &clear)?;
            so_far.recorded_at_us = event.body.recorded_at_us;
            if let Clear::Domain { next_outcome_no: Some(next), .. } = &clear {
                so_far.next_outcome_no = *next;
            }
            if let Clear::Domain { recorded, .. } = &clear
                && let Fact::PolicyActivated { bundle_hash, .. } = &recorded.fact
            {
                self.policies = self.ctx.bundles.get(self.kv, self.chain.partition, bundle_hash)?.ok();
            }
        }
        if let Some(builder) = again {
            let made = builder.finish(frame.run.inputs.clone())?;
            if made.bytes == bytes {
                self.report.frames += 1;
            } else {
                self.differs(frame.run.first_seq, "the frame around the same events".to_owned());
            }
        }
        fold.close(
            &store,
            &frame.run.inputs,
            &frame.head,
            so_far.recorded_at_us,
            so_far.next_outcome_no,
            self.ctx.terms.remembered_us(),
        )?;
        let mut writes = fold.into_writes(&store, frame.run.first_seq, position);
        writes.push(crate::store::head_place(self.chain.partition, &frame.head));
        self.kv.write(writes)?;
        so_far.head = frame.head.clone();
        Ok(so_far)
    }

    /// A frame that does not extend the head: passed over when it is harmless, as every reader does.
    fn stray(&mut self, position: Position, refused: ledger::Refused) -> Result<(), ReplayError> {
        let partition = self.chain.partition;
        let known = |hash: &ledger::Hash| {
            *hash == self.chain.genesis() || crate::store::was_head(self.kv, partition, hash).unwrap_or(false)
        };
        match refused.classify(known) {
            Stray::Harmless | Stray::Garbage => {
                self.report.strays += 1;
                Ok(())
            }
            Stray::Forked | Stray::Undecodable => Err(ReplayError::Refused { partition, position, refused }),
        }
    }

    fn count(&mut self, event: &StoredEvent<'_>, outcome: Outcome) -> Option<NewEvent> {
        match outcome {
            Outcome::Same(made) => {
                self.report.reproduced += 1;
                Some(made)
            }
            Outcome::Recorded => {
                self.report.recorded_inputs += 1;
                copy(event)
            }
            Outcome::Cannot(reason) => {
                *self.report.not_replayable.entry(reason).or_default() += 1;
                copy(event)
            }
            Outcome::Differs(what) => {
                let evaluator = record::facts(event).map_or(EVALUATOR_VERSION, |facts| facts.engine_version);
                if evaluator == EVALUATOR_VERSION {
                    self.differs(event.body.seq, what);
                } else {
                    self.report.evaluator_changed += 1;
                }
                None
            }
        }
    }

    fn differs(&mut self, seq: u64, what: String) {
        if self.report.first_difference.is_none() {
            self.report.first_difference = Some(Difference { partition: self.chain.partition, seq, what });
        }
    }

    fn event(
        &self,
        store: &Store<'_>,
        fold: &Fold,
        event: &StoredEvent<'_>,
        clear: &Clear,
        outcome_no: u64,
    ) -> Result<Outcome, ReplayError> {
        let Clear::Domain { recorded, .. } = clear else { return Ok(Outcome::Recorded) };
        match &recorded.fact {
            Fact::Answer { .. } => self.answer(store, fold, event, outcome_no),
            Fact::CommandRefused { .. } => Ok(Outcome::Recorded),
            fact => self.command(store, fold, event, fact),
        }
    }

    fn decide(
        &self,
        store: &Store<'_>,
        fold: &Fold,
        command: &Command,
        event: &StoredEvent<'_>,
    ) -> Result<Decision, ReplayError> {
        let state = fold.fetch(store, reads(command))?;
        Ok(decide(&self.ctx.terms, &state, self.policies.as_ref(), command, event.body.recorded_at_us)?)
    }

    /// Events that follow from a policy or a command: the command is made from what the event says.
    fn command(
        &self,
        store: &Store<'_>,
        fold: &Fold,
        event: &StoredEvent<'_>,
        fact: &Fact,
    ) -> Result<Outcome, ReplayError> {
        let command = match fact.clone() {
            Fact::PolicyPublished { bundle_hash, chunk_no, chunks, bytes } => {
                Command::PublishPolicy { bundle_hash, chunk_no, chunks, bytes }
            }
            Fact::PolicyActivated { command_id, bundle_hash, .. } => {
                let mode = self.ctx.bundles.get(self.kv, self.chain.partition, &bundle_hash)?.map(|set| set.mode());
                Command::ActivatePolicy { command_id, bundle_hash, mode }
            }
            Fact::TenantCreated { command_id, tenant } => Command::CreateTenant { command_id, tenant },
            Fact::DeadLetterMarked { command_id, position, mark } => {
                Command::MarkDeadLetter { command_id, position, mark }
            }
            Fact::CommandRefused { .. } | Fact::Answer { .. } => return Ok(Outcome::Recorded),
        };
        match self.decide(store, fold, &command, event)? {
            Decision::Repeat { .. } => Ok(Outcome::Differs("it would have been recognised as a repeat".into())),
            Decision::Record(made) => {
                let origin = Origin { topic: Topic::Commands.as_str(), partition: self.chain.partition, offset: 0 };
                match record::plain(&made, &origin, event.body.seq, event.body.recorded_at_us) {
                    Ok((made, _)) => Ok(compare(made, event)),
                    Err(error) => Ok(Outcome::Differs(error.to_string())),
                }
            }
        }
    }

    fn answer(
        &self,
        store: &Store<'_>,
        fold: &Fold,
        event: &StoredEvent<'_>,
        outcome_no: u64,
    ) -> Result<Outcome, ReplayError> {
        let keys = FoldedKeys { store, fold, keyring: Keyring::new(self.kv, &self.ctx.secrets, self.chain.partition) };
        let opened = record::open(event, &keys)?;
        let mut drawn = match record::material(event, &keys)? {
            Read::Value(drawn) => drawn,
            unreadable => return Ok(Outcome::Cannot(reason(&unreadable))),
        };
        // The outcome's number follows from the chain and not from the record.
        drawn.outcome_no = outcome_no;
        let origin = Origin {
            topic: Topic::Requests.as_str(),
            partition: opened.facts.input_partition,
            offset: opened.facts.input_offset,
        };
        let command = match &opened.request {
            Some(request) => self.proposal(store, fold, request.clone(), opened.outcome.reason_code)?,
            None if opened.persons.iter().any(|(_, part)| part.value().is_none()) => {
                return Ok(Outcome::Cannot("erased"));
            }
            None => match self.refusal(&opened) {
                Ok(command) => command,
                Err(why) => return Ok(Outcome::Cannot(why)),
            },
        };
        match self.decide(store, fold, &command, event)? {
            Decision::Record(Event::Answer(answer)) => self.seal_again(&answer, &origin, event, &drawn),
            Decision::Record(_) => Ok(Outcome::Differs("another kind of event".into())),
            Decision::Repeat { .. } => Ok(Outcome::Differs("it would have been recognised as a repeat".into())),
        }
    }

    fn seal_again(
        &self,
        answer: &Answer,
        origin: &Origin,
        event: &StoredEvent<'_>,
        drawn: &Resealing,
    ) -> Result<Outcome, ReplayError> {
        match record::reseal(answer, origin, event, drawn) {
            Ok((made, _)) => Ok(compare(made, event)),
            // Another answer has other sections: that is the difference.
            Err(error) => Ok(Outcome::Differs(error.to_string())),
        }
    }

    fn proposal(
        &self,
        store: &Store<'_>,
        fold: &Fold,
        request: domain::request::Request,
        recorded: u16,
    ) -> Result<Command, ReplayError> {
        let bytes = wire::encode_request(&request).map_err(Error::from)?;
        let index = self.ctx.secrets.index_key(&request.tenant);
        let routing_key = RoutingKey::of(&request.tenant, &request.actor.id, self.ctx.routing);
        let identity = identify(&index, &routing_key, &request, &bytes)?;
        let partition = routing_key.partition(self.ctx.partitions);
        let placement = match partition == self.chain.partition {
            true => Placement::Right,
            // Whether it had been forwarded before is the log's word, which the record keeps.
            false if recorded == ReasonCode::Misrouted.number() => Placement::ElsewhereAgain,
            false => Placement::Elsewhere { partition },
        };
        let subject_erasing = self.is_erasing(store, fold, &index, &request)?;
        Ok(Command::Decide(Box::new(Proposal { request, identity, placement, subject_erasing })))
    }

    fn is_erasing(
        &self,
        store: &Store<'_>,
        fold: &Fold,
        index: &ledger::identity::IndexKey,
        request: &domain::request::Request,
    ) -> Result<bool, ReplayError> {
        let keyring = Keyring::new(self.kv, &self.ctx.secrets, self.chain.partition);
        for lookup in crate::owner::lookups(index, request)? {
            for surrogate in keyring.surrogates(&lookup)? {
                if let Some(StateRecord::Surrogate(SurrogateState::Erasing { .. })) =
                    fold.get(store, &StateKey::Surrogate(surrogate))?
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// What could not be read is read again from its dead letter, and must still not be readable.
    fn refusal(&self, opened: &record::Opened) -> Result<Command, &'static str> {
        const GONE: &str = "dead_letter_gone";
        let reason = ReasonCode::from_number(opened.outcome.reason_code).ok_or(GONE)?;
        let shared = opened.shared.value().ok_or(GONE)?;
        if reason == ReasonCode::Undecodable {
            let letter = self.letters.get(&opened.facts.input_offset).ok_or(GONE)?;
            let value = letter.value.as_deref().ok_or(GONE)?;
            let detail = match (self.unopened(letter, value), self.ctx.requests.read(value)) {
                (Some(Err(why)), _) => queue::detail(&why),
                // It did not open with the key that the process had then: a fact about that process.
                (Some(Ok(())), _) => return Err("queue_key_changed"),
                (None, Ok(_)) => "it can be read now".to_owned(),
                (None, Err(why)) => why.to_string(),
            };
            return Ok(Command::Refuse(Refusal { reason, detail }));
        }
        // Quarantine and size are facts about that run of the process and that record: recorded inputs.
        Ok(Command::Refuse(Refusal { reason, detail: shared.detail.clone() }))
    }

    /// Of a letter whose value is a request that is still sealed: whether it opens now.
    fn unopened(&self, letter: &wire::DeadLetter, value: &[u8]) -> Option<Result<(), crate::keys::Error>> {
        let headers: Vec<_> =
            letter.headers.iter().map(|(name, value)| (name.clone(), value.clone().unwrap_or_default())).collect();
        if !headers.iter().any(|(name, _)| name == queue::SEALED_HEADER) {
            return None;
        }
        let record = Record {
            position: Position(letter.offset),
            key: Vec::new(),
            headers,
            value: value.to_vec(),
            appended_at_us: 0,
        };
        Some(queue::open_request(&self.ctx.secrets, self.chain.partition, &record).map(|_| ()))
    }
}

/// Which keys count, after the events folded so far.
struct FoldedKeys<'a> {
    store: &'a Store<'a>,
    fold: &'a Fold,
    keyring: Keyring<'a>,
}

impl Keys for FoldedKeys<'_> {
    fn dek(&self, _partition: u32, dek_id: &[u8; 16]) -> Result<KeyState, crate::keys::Error> {
        let standing = crate::fold::standing(dek_id, |key| self.fold.get(self.store, key).ok().flatten());
        self.keyring.state(dek_id, standing)
    }
}

fn reason<T>(read: &Read<T>) -> &'static str {
    match read {
        Read::Value(_) => "readable",
        Read::Erased => "erased",
        Read::Restricted => "restricted",
        Read::Pruned => "pruned",
        Read::KeyMissing => "key_missing",
        Read::Corrupt => "corrupt",
    }
}

/// Same type, time, schema and sections: with the same place and links that is the same bytes.
fn compare(made: NewEvent, event: &StoredEvent<'_>) -> Outcome {
    let body = &event.body;
    if made.event_type != body.event_type {
        return Outcome::Differs(format!("type {} instead of {}", made.event_type, body.event_type));
    }
    if made.recorded_at_us != body.recorded_at_us || made.schema_hash != body.schema_hash {
        return Outcome::Differs("time or schema".into());
    }
    if made.sections.len() != body.sections.len() {
        return Outcome::Differs(format!("{} sections instead of {}", made.sections.len(), body.sections.len()));
    }
    for (section, entry) in made.sections.iter().zip(&body.sections) {
        let same = section.tag == entry.tag
            && section.kind == entry.kind
            && event.section(entry.tag) == Some(section.bytes.as_slice());
        if !same {
            return Outcome::Differs(format!("section {}", entry.tag));
        }
    }
    Outcome::Same(made)
}

/// The event as it stands, when all its sections are there.
fn copy(event: &StoredEvent<'_>) -> Option<NewEvent> {
    let sections: Option<Vec<Section>> = event
        .body
        .sections
        .iter()
        .map(|entry| {
            event.section(entry.tag).map(|bytes| Section { tag: entry.tag, kind: entry.kind, bytes: bytes.to_vec() })
        })
        .collect();
    Some(NewEvent {
        event_type: event.body.event_type,
        recorded_at_us: event.body.recorded_at_us,
        schema_hash: event.body.schema_hash,
        sections: sections?,
    })
}

fn letters(ctx: &Context, log: &dyn LogReader, partition: u32) -> Result<BTreeMap<u64, wire::DeadLetter>, ReplayError> {
    let mut letters = BTreeMap::new();
    let tail = log.tail(Topic::DeadLetters, partition)?;
    let mut position = log.start(Topic::DeadLetters, partition)?;
    while position < tail {
        let records = log.read(Topic::DeadLetters, partition, position, ReadLimit::default())?;
        let Some(last) = records.last() else { break };
        position = last.position.next();
        for record in &records {
            // A letter that cannot be opened any more belongs to a key period that was forgotten.
            if let Ok(letter) = dead_letter::open(&ctx.secrets, partition, &record.value) {
                letters.insert(letter.offset, letter);
            }
        }
    }
    Ok(letters)
}

/// Fills the keyring index of a fresh store from the topic.
///
/// # Errors
/// The log or the store.
pub fn absorb_keys(ctx: &Context, log: &dyn LogReader, kv: &dyn Kv, partition: u32) -> Result<(), ReplayError> {
    let tail = log.tail(Topic::Keys, partition)?;
    loop {
        let keyring = Keyring::new(kv, &ctx.secrets, partition);
        let from = keyring.cursor()?;
        if from >= tail {
            return Ok(());
        }
        let records = log.read(Topic::Keys, partition, from, ReadLimit::default())?;
        let (writes, _) = keyring.absorb(&records, tail)?;
        kv.write(writes)?;
    }
}
