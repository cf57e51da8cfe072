//! Building one frame: take records, decide each on the state as it is after the one before, seal, and close.
//!
//! Invariant: the head of the frame is fixed before anything is drawn or staged for it. Nothing here is visible outside
//! until the log has committed the frame: the draft's fold, keys and answers are dropped with it.

use std::collections::VecDeque;

use domain::command::Command;
use domain::decide::{Decision, decide, reads};
use domain::event::{Answer as Answered, AnswerKind, Event, RetentionClass};
use domain::ids::{Micros, Origin};
use domain::state::Key;
use eventlog::{NewRecord, Position, Record, Topic};
use ledger::layout::KeyCreated;
use ledger::{Coordinate, FRAME_BYTES_MAX, Frame, FrameBuilder, InputRange, event_type};
use policy::{PolicySet, ReasonCode};

use super::draw::Drawn;
use super::intake::Counts;
use super::understand::{HEADER_FORWARDED, People, Understood};
use super::{Action, Answer, AnsweredBy, Error, Owner, Phase, Reading, Tag};
use crate::fold::Fold;
use crate::keys::{KeyringRecord, queue};
use crate::kv::Kv;
use crate::record::{self, Clear, SectionKey};
use crate::store::{StateKey, Store};
use crate::view::DecisionView;

/// Room that is kept free in a frame before another record is taken: more than the largest event with the keys that it
/// may need, so that no drawn value has to be given back.
const EVENT_BYTES_RESERVE: usize = 300 * 1024;

/// What a frame in flight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Claim,
    Work,
}

/// A finished frame on its way, with all that follows once it is committed.
#[derive(Clone)]
pub(super) struct Batch {
    pub(super) tag: Tag,
    pub(super) purpose: Purpose,
    pub(super) at: Position,
    pub(super) source: Vec<(Topic, Record)>,
    pub(super) frame: Frame,
    pub(super) first_seq: u64,
    pub(super) ranges: Vec<InputRange>,
    pub(super) fold: Fold,
    /// Keyring records with their index among the staged records.
    pub(super) keyring: Vec<(usize, KeyringRecord)>,
    /// Where the records were staged, once known.
    pub(super) staged_at: Vec<Position>,
    pub(super) drawn: Drawn,
    pub(super) answers: Vec<Answer>,
    pub(super) policies: Option<PolicySet>,
    pub(super) recorded_at_us: Micros,
    pub(super) next_outcome_no: u64,
}

/// A record out of the queue, understood.
struct Taken {
    topic: Topic,
    record: Record,
    understood: Understood,
}

/// A frame being built.
pub(super) struct Draft {
    builder: FrameBuilder,
    pub(super) fold: Fold,
    pub(super) staged: Vec<NewRecord>,
    pub(super) keyring: Vec<(usize, KeyringRecord)>,
    pub(super) drawn: Drawn,
    answers: Vec<Answer>,
    source: Vec<(Topic, Record)>,
    counts: Vec<(Topic, u64, Counts)>,
    policies: Option<PolicySet>,
    recorded_at_us: Micros,
    next_outcome_no: u64,
}

impl Draft {
    /// Pushes the event that makes a key count.
    pub(super) fn key_created(
        &mut self,
        store: &Store<'_>,
        tenant: &str,
        surrogate: [u8; 16],
        class: u8,
        key: &SectionKey,
    ) -> Result<(), Error> {
        let created = KeyCreated {
            tenant: tenant.to_owned(),
            surrogate,
            dek_id: key.dek_id,
            class,
            period: key.period,
            dek_commit: key.dek.commit(),
        };
        let event = record::fixed(event_type::KEY_CREATED, self.recorded_at_us, created.encode()?);
        let at = self.builder.push(event)?;
        self.fold.event(store, at.seq, &Clear::KeyCreated(created))
    }

    fn push(&mut self, store: &Store<'_>, event: ledger::NewEvent, clear: &Clear) -> Result<Coordinate, Error> {
        let at = self.builder.push(event)?;
        self.fold.event(store, at.seq, clear)?;
        Ok(at)
    }

    fn count(&mut self, topic: Topic, offset: u64, counted: impl FnOnce(&mut Counts)) {
        if !self.counts.iter().any(|(known, _, _)| *known == topic) {
            self.counts.push((topic, 0, Counts::default()));
        }
        for (known, to, counts) in &mut self.counts {
            if *known == topic {
                *to = offset.saturating_add(1);
                if topic == Topic::Requests {
                    counts.requests = counts.requests.saturating_add(1);
                } else {
                    counts.non_request = counts.non_request.saturating_add(1);
                }
                counted(counts);
                return;
            }
        }
    }
}

impl Owner {
    fn draft(&self, now: Reading) -> Draft {
        Draft {
            builder: FrameBuilder::new(&self.head, self.head.writer_epoch),
            fold: Fold::default(),
            staged: Vec::new(),
            keyring: Vec::new(),
            drawn: Drawn::new(usize::MAX),
            answers: Vec::new(),
            source: Vec::new(),
            counts: Vec::new(),
            policies: self.policies.clone(),
            recorded_at_us: self.recorded_at_us.max(now.wall_us),
            next_outcome_no: self.next_outcome_no,
        }
    }

    /// Computes a batch; the crash guard is stored by now.
    pub(super) fn compute(&mut self, kv: &dyn Kv, now: Reading, out: &mut Vec<Action>) -> Result<(), Error> {
        if !matches!(self.phase, Phase::Guarded) {
            return Ok(());
        }
        if !now.trusted {
            // Found out between the guard and now: nothing is recorded at a time that may be wrong.
            out.push(Action::Store(vec![self.intake.unguard(&[])]));
            self.phase = Phase::Running;
            return Ok(());
        }
        let mut draft = self.draft(now);
        let mut taken = self.take(kv, &draft)?;
        let ahead = taken.iter().flat_map(|one| self.ahead(&one.understood)).collect::<Vec<_>>();
        draft.fold.read_ahead(&Store::new(kv, self.partition), ahead)?;
        while draft.builder.len() < self.ctx.limits.batch_events_max
            && draft.builder.size().saturating_add(EVENT_BYTES_RESERVE) < FRAME_BYTES_MAX
            && let Some(Taken { topic, record, understood }) = taken.pop_front()
        {
            self.add(kv, &mut draft, topic, &record, understood)?;
            draft.source.push((topic, record));
        }
        // What the frame has no room for is the next one's.
        self.intake.put_back(taken.into_iter().map(|one| (one.topic, one.record)).collect());
        out.push(Action::Store(vec![self.intake.unguard(&draft.source)]));
        self.finish(kv, now, draft, out)
    }

    /// Takes what one frame may hold, and understands it.
    fn take(&mut self, kv: &dyn Kv, draft: &Draft) -> Result<VecDeque<Taken>, Error> {
        let mut taken = VecDeque::new();
        for (topic, record, deaths) in self.intake.take(&self.ctx.limits) {
            let understood = self.understand(kv, topic, &record, deaths, draft.recorded_at_us)?;
            taken.push_back(Taken { topic, record, understood });
        }
        Ok(taken)
    }

    /// The state that a decision and its fold will read.
    fn ahead<'a>(&'a self, understood: &'a Understood) -> impl Iterator<Item = StateKey> + 'a {
        let surrogates =
            understood.people.lookups().filter_map(|lookup| self.drawn.surrogate(lookup)).map(StateKey::Surrogate);
        let totals = std::iter::once(StateKey::Domain(Key::Totals));
        reads(&understood.command).into_iter().map(StateKey::Domain).chain(surrogates).chain(totals)
    }

    fn add(
        &mut self,
        kv: &dyn Kv,
        draft: &mut Draft,
        topic: Topic,
        record: &Record,
        understood: Understood,
    ) -> Result<(), Error> {
        let store = Store::new(kv, self.partition);
        let state = draft.fold.fetch(&store, reads(&understood.command))?;
        let decision =
            decide(&self.ctx.terms, &state, draft.policies.as_ref(), &understood.command, draft.recorded_at_us)?;
        let offset = record.position.0;
        match decision {
            Decision::Repeat { seq } => {
                if let Command::Decide(proposal) = &understood.command {
                    draft.answers.push(Answer { identity: proposal.identity, event: AnsweredBy::Earlier { seq } });
                }
                draft.count(topic, offset, |_| {});
            }
            Decision::Record(Event::Answer(answer)) => {
                let decided = answer.kind == AnswerKind::Decided;
                let origin = Origin { topic: topic.as_str(), partition: self.partition, offset };
                self.answer(kv, draft, *answer, &origin, understood)?;
                draft.count(topic, offset, |counts| {
                    let counter = if decided { &mut counts.decisions } else { &mut counts.rejected };
                    *counter = counter.saturating_add(1);
                });
            }
            Decision::Record(event) => {
                let origin = Origin {
                    topic: topic.as_str(),
                    partition: if topic == Topic::Policies { 0 } else { self.partition },
                    offset,
                };
                let (sealed, clear) = record::plain(&event, &origin, draft.builder.next_seq(), draft.recorded_at_us)?;
                draft.push(&store, sealed, &clear)?;
                if let Event::PolicyActivated { bundle_hash, .. } = &event {
                    draft.policies = self.ctx.bundles.get(kv, self.partition, bundle_hash)?.ok();
                }
                draft.count(topic, offset, |_| {});
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        kv: &dyn Kv,
        draft: &mut Draft,
        mut answer: Answered,
        origin: &Origin,
        understood: Understood,
    ) -> Result<(), Error> {
        let store = Store::new(kv, self.partition);
        let Understood { bytes, dead_letter, people, framed, .. } = understood;
        let material = self.material(kv, draft, &answer, &people)?;
        let outcome_no = draft.next_outcome_no;
        let (mut sealed, mut clear) = self.seal(draft, &answer, origin, &bytes, &material, outcome_no)?;
        if !draft.builder.fits(&sealed, &self.intake.ranges(&draft.counts)) {
            answer = too_large(answer);
            let people = People::default();
            let material = self.material(kv, draft, &answer, &people)?;
            (sealed, clear) = self.seal(draft, &answer, origin, &bytes, &material, outcome_no)?;
        }
        let at = draft.push(&store, sealed, &clear)?;
        if let AnswerKind::Rerouted { partition } = answer.kind {
            draft.staged.push(self.forward(partition, &framed, &answer)?);
        } else {
            draft.next_outcome_no = outcome_no.saturating_add(1);
        }
        draft.staged.extend(dead_letter);
        let view = DecisionView::from_answer(&answer, origin, self.partition, &at, draft.recorded_at_us, outcome_no);
        draft.answers.push(Answer { identity: answer.identity, event: AnsweredBy::New(Box::new(view)) });
        Ok(())
    }

    fn seal(
        &mut self,
        draft: &Draft,
        answer: &Answered,
        origin: &Origin,
        bytes: &[u8],
        material: &record::Material,
        outcome_no: u64,
    ) -> Result<(ledger::NewEvent, Clear), Error> {
        let mut salts = || self.random();
        Ok(record::seal_answer(record::Sealing {
            answer,
            origin,
            request_bytes: bytes,
            chain: draft.builder_chain(),
            seq: draft.builder.next_seq(),
            recorded_at_us: draft.recorded_at_us,
            outcome_no,
            material,
            salts: &mut salts,
        })?)
    }

    /// The same request, for the partition where it belongs.
    fn forward(&mut self, partition: u32, framed: &[u8], answer: &Answered) -> Result<NewRecord, Error> {
        let key = answer.request.as_ref().map(|request| {
            domain::routing::RoutingKey::of(&request.tenant, &request.actor.id, self.ctx.routing).record_key().to_vec()
        });
        let nonce = self.random();
        let mut record = queue::seal_request(&self.ctx.secrets, partition, framed, nonce)?;
        record.key = key.unwrap_or_default();
        record.headers.push((HEADER_FORWARDED.to_owned(), self.partition.to_be_bytes().to_vec()));
        Ok(record)
    }

    /// Sends a draft on its way: staged records first, if there are any.
    fn finish(&mut self, kv: &dyn Kv, now: Reading, mut draft: Draft, out: &mut Vec<Action>) -> Result<(), Error> {
        if draft.builder.is_empty() {
            self.intake.consumed(&draft.counts, now.wall_us);
            if !self.intake.must_advance(now.wall_us, &self.ctx.limits) {
                self.phase = Phase::Running;
                out.extend(draft.answers.into_iter().map(Action::Answer));
                return Ok(());
            }
            draft.counts.clear();
            // They stay consumed if this frame is forgotten: put back, they would be counted twice.
            draft.source.clear();
            let event = record::fixed(
                event_type::INPUT_ADVANCED,
                draft.recorded_at_us,
                ledger::layout::InputAdvanced.encode()?,
            );
            draft.builder.push(event)?;
        }
        let staged = std::mem::take(&mut draft.staged);
        let batch = self.seal_frame(kv, draft, Purpose::Work)?;
        self.send(batch, staged, out);
        Ok(())
    }

    /// Closes the frame.
    fn seal_frame(&mut self, kv: &dyn Kv, draft: Draft, purpose: Purpose) -> Result<Batch, Error> {
        let store = Store::new(kv, self.partition);
        let ranges = if purpose == Purpose::Claim { Vec::new() } else { self.intake.ranges(&draft.counts) };
        let first_seq = self.head.next_seq;
        let frame = draft.builder.finish(ranges.clone())?;
        let mut fold = draft.fold;
        let remembered = self.ctx.terms.remembered_us();
        fold.close(&store, &ranges, &frame.head, draft.recorded_at_us, draft.next_outcome_no, remembered)?;
        Ok(Batch {
            tag: self.tag(),
            purpose,
            at: self.position,
            source: draft.source,
            frame,
            first_seq,
            ranges,
            fold,
            keyring: draft.keyring,
            staged_at: Vec::new(),
            drawn: draft.drawn,
            answers: draft.answers,
            policies: draft.policies,
            recorded_at_us: draft.recorded_at_us,
            next_outcome_no: draft.next_outcome_no,
        })
    }

    fn send(&mut self, batch: Batch, staged: Vec<NewRecord>, out: &mut Vec<Action>) {
        if staged.is_empty() {
            self.append(batch, out);
        } else {
            out.push(Action::Stage { tag: batch.tag, records: staged });
            self.phase = Phase::Staging(Box::new(batch));
        }
    }

    pub(super) fn append(&mut self, mut batch: Batch, out: &mut Vec<Action>) {
        let frame = std::mem::take(&mut batch.frame.bytes);
        out.push(Action::Append { tag: batch.tag, at: batch.at, frame });
        self.phase = Phase::Appending(Box::new(batch));
    }

    /// Builds and sends the claim that makes this owner the writer.
    pub(super) fn claim(&mut self, kv: &dyn Kv, now: Reading, out: &mut Vec<Action>) -> Result<(), Error> {
        let store = Store::new(kv, self.partition);
        let epoch = self.head.writer_epoch.saturating_add(1);
        let mut draft = self.draft(now);
        draft.builder = FrameBuilder::new(&self.head, epoch);
        let claim = self.claim_layout();
        draft.push(
            &store,
            record::fixed(event_type::WRITER_CLAIMED, draft.recorded_at_us, claim.encode()?),
            &Clear::Claim(claim),
        )?;
        let added = record::decision_schema();
        if draft.fold.get(&store, &StateKey::Schema(added.schema_hash))?.is_none() {
            let event = record::fixed(event_type::SCHEMA_ADDED, draft.recorded_at_us, added.encode()?);
            draft.push(&store, event, &Clear::SchemaAdded(added))?;
        }
        let batch = self.seal_frame(kv, draft, Purpose::Claim)?;
        self.append(batch, out);
        Ok(())
    }
}

impl Draft {
    fn builder_chain(&self) -> ledger::ChainId {
        self.builder.chain()
    }
}

/// What is left of an answer whose event would not fit a frame of its own.
fn too_large(answer: Answered) -> Answered {
    Answered {
        kind: AnswerKind::Rejected,
        outcome: None,
        reason: ReasonCode::TooLarge,
        policies: Vec::new(),
        obligations: Vec::new(),
        severity: None,
        explanation: ReasonCode::TooLarge.meaning().to_owned(),
        detail: "the event would not fit a frame; name fewer subjects or send less context".to_owned(),
        retention_class: RetentionClass::Ordinary,
        risk_score: None,
        request: None,
        ..answer
    }
}
