//! The judge: what must hold of one partition, seen from its log alone. No owner and none of its state is used here.
//!
//! Three readers take the same records: `ledger::accept` with the engine's fold, the verifier that auditors use, and
//! the replay that decides everything again. What they disagree about is a violation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::command::Identity;
use engine::datadir::Deployment;
use engine::fold::{self, FoldedTo};
use engine::keys::{Claim, Keyring, KeyringRecord, ORGANISATION};
use engine::kv::Kv;
use engine::kv::memory::MemoryKv;
use engine::owner::{Answer, AnsweredBy, Context};
use engine::reader::Reader as Shows;
use engine::record::Clear;
use engine::replay;
use engine::store::{StateKey, Store};
use engine::view::DecisionView;
use eventlog::{LogReader, Position, ReadLimit, Record, Topic};
use ledger::verify::log::{LogVerifier, Seen};
use ledger::{Accepted, ChainId, Hash, Head, Stray, accept, event_type};

/// Everything there is.
pub const WHOLE: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };

/// An event that answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its place.
    pub seq: u64,
    /// Its hash.
    pub event_hash: Hash,
    /// Its type.
    pub event_type: u16,
    /// The request's identity; zeros for what could not be read.
    pub request_key: [u8; 32],
    /// Its body.
    pub request_mac: [u8; 32],
    /// Where the request lay.
    pub offset: u64,
}

/// What the runs say became of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// Offsets consumed that held a request.
    pub requests: u64,
    /// Decided.
    pub decisions: u64,
    /// Answered by an event that is no decision.
    pub rejected: u64,
}

impl Consumed {
    /// Recognised, and answered by an earlier event.
    pub fn duplicates(&self) -> u64 {
        self.requests - self.decisions - self.rejected
    }
}

/// What a log holds.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Accepted frames.
    pub frames: usize,
    /// Claims among them.
    pub claims: usize,
    /// Records that are no part of the ledger.
    pub strays: usize,
    /// Events that answer requests, in order.
    pub answers: Vec<Answered>,
    /// Accounting of the requests.
    pub consumed: Consumed,
    /// Up to which offset the ledger covers the requests.
    pub covered: u64,
    /// Head after so many records of the log, from genesis on.
    pub heads: Vec<Hash>,
    /// Digest of the fold at each head.
    pub folds: BTreeMap<Hash, [u8; 32]>,
    /// Each answer as it is to be shown, by seq, from the log and its keyring alone.
    views: BTreeMap<u64, DecisionView>,
    /// Tenant, surrogate, class and period of each data key.
    sections: BTreeSet<(String, [u8; 16], u8, u32)>,
    /// Data keys and surrogates that the ledger names, each with the seq of the first event that does.
    deks: BTreeMap<[u8; 16], u64>,
    surrogates: BTreeMap<[u8; 16], u64>,
}

impl Account {
    /// The event that answers requests at a place in the ledger.
    pub fn at(&self, seq: u64) -> Option<&Answered> {
        self.answers.iter().find(|answer| answer.seq == seq)
    }

    /// The event by which an identity was answered; conflicts come on top, and a forwarded request is answered elsewhere.
    pub fn answer(&self, request_key: &[u8; 32]) -> Option<&Answered> {
        self.answers.iter().find(|answer| {
            answer.request_key == *request_key
                && !matches!(answer.event_type, event_type::CONFLICTED | event_type::REROUTED)
        })
    }
}

/// Audits one partition.
///
/// # Errors
/// The first violation, in words, with the invariant's name.
pub fn partition(ctx: &Context, log: Arc<dyn LogReader>, chain: ChainId) -> Result<Account, String> {
    let Reader { mut account, kv, .. } = read(ctx, &*log, chain)?;
    answered_once(&account)?;
    let keys = log.read(Topic::Keys, chain.partition, Position::ZERO, WHOLE).map_err(|error| error.to_string())?;
    keys_are_there(&account, &keys)?;
    let tail = log.tail(Topic::Keys, chain.partition).map_err(|error| error.to_string())?;
    let absorbed = Keyring::new(&kv, &ctx.secrets, chain.partition).absorb(&keys, tail);
    kv.write(absorbed.map_err(|error| error.to_string())?.0).unwrap();
    let shows = shows(ctx, kv, log, chain);
    for Answered { seq, .. } in &account.answers {
        match shows.at(chain.partition, *seq) {
            Ok(Some(view)) if view.readable => account.views.insert(*seq, view),
            Ok(_) => return Err(format!("K6: seq {seq} cannot be read with the keys that are there")),
            Err(error) => return Err(format!("K6: seq {seq} cannot be read: {error}")),
        };
    }
    Ok(account)
}

/// What a log holds, whether or not each request was answered once: where ids are forgotten they may be answered again.
///
/// # Errors
/// As [`partition`], of what one reader alone can tell.
pub fn unjudged(ctx: &Context, log: &dyn LogReader, chain: ChainId) -> Result<Account, String> {
    Ok(read(ctx, log, chain)?.account)
}

fn read<'a>(ctx: &'a Context, log: &dyn LogReader, chain: ChainId) -> Result<Reader<'a>, String> {
    let mut reader = Reader::new(ctx, chain);
    let frames = log.read(Topic::Ledger, chain.partition, Position::ZERO, WHOLE);
    for record in frames.map_err(|error| error.to_string())? {
        reader.record(&record)?;
    }
    Ok(reader)
}

/// What shows events to callers.
fn shows(ctx: &Context, kv: MemoryKv, log: Arc<dyn LogReader>, chain: ChainId) -> Shows {
    let deployment = Deployment {
        ledger_id: chain.ledger_id,
        partitions: ctx.partitions,
        routing: ctx.routing,
        chain_epoch: chain.chain_epoch,
    };
    Shows::new(Arc::new(kv), log, ctx.secrets.clone(), &deployment)
}

/// What a caller is told: that its request is answered, and the event as the process that tells it shows it then.
#[derive(Clone, Debug)]
pub struct Told {
    identity: Identity,
    seq: u64,
    view: Result<Option<Box<DecisionView>>, String>,
}

impl Told {
    /// By a process with this local state.
    pub fn by(ctx: &Context, kv: &MemoryKv, log: Arc<dyn LogReader>, chain: ChainId, answer: &Answer) -> Told {
        let (seq, view) = match &answer.event {
            AnsweredBy::New(view) => (view.seq, Ok(Some(view.clone()))),
            AnsweredBy::Earlier { seq } => {
                let shown = shows(ctx, kv.clone(), log, chain).at(chain.partition, *seq);
                (*seq, shown.map(|view| view.map(Box::new)).map_err(|error| error.to_string()))
            }
        };
        Told { identity: answer.identity, seq, view }
    }
}

/// Decides everything again, from the log and the keys alone.
///
/// # Errors
/// The first event that comes out differently, or cannot be made again.
pub fn replayed(ctx: &Context, log: &dyn LogReader, chain: ChainId) -> Result<u64, String> {
    let report =
        replay::replay(ctx, chain, log, &MemoryKv::default(), &mut |_| {}).map_err(|error| format!("I4: {error}"))?;
    if let Some(difference) = report.first_difference {
        return Err(format!("I4: {difference:?}"));
    }
    if let Some((reason, count)) = report.not_replayable.iter().next() {
        return Err(format!("K6: {count} events cannot be made again: {reason}"));
    }
    Ok(report.reproduced)
}

/// One pass over the records.
struct Reader<'a> {
    ctx: &'a Context,
    kv: MemoryKv,
    partition: u32,
    verifier: LogVerifier,
    so_far: FoldedTo,
    account: Account,
}

impl<'a> Reader<'a> {
    fn new(ctx: &'a Context, chain: ChainId) -> Reader<'a> {
        let kv = MemoryKv::default();
        let genesis = chain.genesis();
        let digest = Store::new(&kv, chain.partition).digest().unwrap();
        Reader {
            ctx,
            kv,
            partition: chain.partition,
            verifier: LogVerifier::new(chain.ledger_id, chain.chain_epoch, Vec::new()),
            so_far: FoldedTo { head: Head::genesis(chain), recorded_at_us: 0, next_outcome_no: 0 },
            account: Account { heads: vec![genesis], folds: BTreeMap::from([(genesis, digest)]), ..Account::default() },
        }
    }

    fn record(&mut self, record: &Record) -> Result<(), String> {
        let seen = self.verifier.frame(self.partition, &record.value).map_err(|fault| format!("I2, I8: {fault}"))?;
        match accept(&self.so_far.head, &record.value) {
            Ok(frame) => {
                if seen != Seen::Accepted {
                    return Err(format!(
                        "I2: position {} belongs to the ledger for one reader and not for another",
                        record.position
                    ));
                }
                self.frame(&frame, record.position)?;
            }
            Err(refused) => {
                self.account.strays += 1;
                match refused.classify(|head| self.account.folds.contains_key(head)) {
                    Stray::Harmless | Stray::Garbage => {}
                    other => return Err(format!("I2: a stray that is not harmless: {other:?}: {refused}")),
                }
            }
        }
        self.account.heads.push(self.so_far.head.run_head);
        Ok(())
    }

    fn frame(&mut self, frame: &Accepted<'_>, at: Position) -> Result<(), String> {
        let account = &mut self.account;
        account.frames += 1;
        for event in &frame.events {
            account.claims += usize::from(event.body.event_type == event_type::WRITER_CLAIMED);
            let seq = event.body.seq;
            match engine::record::clear(event).map_err(|error| error.to_string())? {
                Clear::KeyCreated(created) => {
                    account.deks.entry(created.dek_id).or_insert(seq);
                    let section = (created.tenant, created.surrogate, created.class, created.period);
                    if !account.sections.insert(section) {
                        return Err(format!("K6: seq {seq} creates a second key for what has one"));
                    }
                }
                Clear::Domain { surrogates, .. } => {
                    for (_, surrogate) in surrogates.into_iter().filter(|(_, surrogate)| *surrogate != ORGANISATION) {
                        account.surrogates.entry(surrogate).or_insert(seq);
                    }
                }
                _ => {}
            }
            if event_type::answers_request(event.body.event_type) {
                let facts = engine::record::facts(event).map_err(|error| error.to_string())?;
                account.answers.push(Answered {
                    seq,
                    event_hash: event.event_hash,
                    event_type: event.body.event_type,
                    request_key: facts.request_key,
                    request_mac: facts.request_mac,
                    offset: facts.input_offset,
                });
            }
        }
        for range in frame.run.inputs.iter().filter(|range| range.topic == Topic::Requests.as_str()) {
            account.consumed.requests += range.requests;
            account.consumed.decisions += range.decisions;
            account.consumed.rejected += range.rejected;
            account.covered = range.to_offset;
        }
        let store = Store::new(&self.kv, self.partition);
        let remembered_us = self.ctx.terms.remembered_us();
        let (fold, next) = fold::accepted(&store, frame, self.so_far.clone(), remembered_us)
            .map_err(|error| format!("I3: {error}"))?;
        self.kv.write(fold.into_writes(&store, frame.run.first_seq, at)).unwrap();
        account.folds.insert(next.head.run_head, store.digest().unwrap());
        self.so_far = next;
        Ok(())
    }
}

/// I1, and that the two ways of counting agree.
fn answered_once(account: &Account) -> Result<(), String> {
    let mut answered = BTreeSet::new();
    let mut conflicts = BTreeSet::new();
    let mut forwarded = BTreeSet::new();
    for answer in &account.answers {
        let seq = answer.seq;
        let first = match answer.event_type {
            event_type::CONFLICTED => conflicts.insert((answer.request_key, answer.request_mac)),
            event_type::REROUTED => forwarded.insert(answer.offset),
            _ => answer.request_key == [0; 32] || answered.insert(answer.request_key),
        };
        if !first {
            return Err(format!("I1: seq {seq} answers again what was answered before"));
        }
    }
    let consumed = account.consumed;
    let decided = account.answers.iter().filter(|answer| answer.event_type == event_type::DECIDED).count() as u64;
    let rejected = account.answers.len() as u64 - decided;
    if (decided, rejected) != (consumed.decisions, consumed.rejected) || consumed.requests < decided + rejected {
        return Err(format!("I8: {decided} decisions and {rejected} refusals, but the runs say {consumed:?}"));
    }
    Ok(())
}

/// What the ledger names is in the keyring: it was durable before its frame, and nobody swept it. A person whom the
/// ledger names has one surrogate.
fn keys_are_there(account: &Account, keys: &[Record]) -> Result<(), String> {
    let mut deks = BTreeSet::new();
    let mut rows = BTreeSet::new();
    let mut persons: BTreeMap<[u8; 32], [u8; 16]> = BTreeMap::new();
    for record in keys {
        match KeyringRecord::decode(&record.value).map_err(|error| error.to_string())? {
            KeyringRecord::Wrapped { dek_id, .. } => {
                deks.insert(dek_id);
            }
            KeyringRecord::Directory { lookup, surrogate } => {
                rows.insert(surrogate);
                if let Some(seq) = account.surrogates.get(&surrogate)
                    && *persons.entry(lookup).or_insert(surrogate) != surrogate
                {
                    return Err(format!("K6: seq {seq} names a person by a second surrogate"));
                }
            }
        };
    }
    if let Some((_, seq)) = account.deks.iter().find(|(dek_id, _)| !deks.contains(*dek_id)) {
        return Err(format!("K6: the data key that seq {seq} created is not in the keyring"));
    }
    if let Some((_, seq)) = account.surrogates.iter().find(|(surrogate, _)| !rows.contains(*surrogate)) {
        return Err(format!("K6: a surrogate that seq {seq} names is not in the keyring"));
    }
    Ok(())
}

/// What a caller was told is in the ledger, and was shown to it as to anybody who asks later.
///
/// # Errors
/// I9 or I1, with the place.
pub fn told(account: &Account, told: &Told) -> Result<(), String> {
    let seq = told.seq;
    let stands =
        account.at(seq).ok_or_else(|| format!("I9: seq {seq} was acknowledged, and no answer stands there"))?;
    if stands.request_key != told.identity.key || stands.request_mac != told.identity.mac {
        return Err(format!("I9: seq {seq} was acknowledged, and another event stands there"));
    }
    match &told.view {
        Ok(Some(view)) if account.views.get(&seq) == Some(view) => Ok(()),
        Ok(Some(view)) if view.event_hash != stands.event_hash => {
            Err(format!("I9: seq {seq} was acknowledged, and another event stands there"))
        }
        Ok(Some(view)) => Err(format!(
            "I1: seq {seq} was shown to its caller as it is not shown later{}",
            if view.readable { "" } else { ": it could not be read" }
        )),
        Ok(None) => Err(format!("I9: seq {seq} was acknowledged, and could not be shown")),
        Err(error) => Err(format!("I9: seq {seq} was acknowledged, and could not be shown: {error}")),
    }
}

/// Every record of the keyring that does not count, and that this process has read, is one that its next sweep finds.
///
/// # Errors
/// The place of one that no sweep would ever find.
pub fn sweepable(ctx: &Context, log: &dyn LogReader, kv: &MemoryKv, chain: ChainId) -> Result<(), String> {
    let store = Store::new(kv, chain.partition);
    let counts = |claim: &Claim| -> Result<bool, engine::keys::Error> {
        let key = match claim {
            Claim::Dek(dek_id) => StateKey::DekCounted(*dek_id),
            Claim::Surrogate(surrogate) => StateKey::Surrogate(*surrogate),
        };
        Ok(store.get(&key).unwrap().is_some())
    };
    let keyring = Keyring::new(kv, &ctx.secrets, chain.partition);
    let cursor = keyring.cursor().unwrap();
    let found = keyring.orphans(cursor, usize::MAX, counts).unwrap().positions;
    let records = log.read(Topic::Keys, chain.partition, Position::ZERO, WHOLE).map_err(|error| error.to_string())?;
    for Record { position, value, .. } in records.into_iter().filter(|record| record.position < cursor) {
        let claim = match KeyringRecord::decode(&value).map_err(|error| error.to_string())? {
            KeyringRecord::Wrapped { dek_id, .. } => Claim::Dek(dek_id),
            KeyringRecord::Directory { surrogate, .. } => Claim::Surrogate(surrogate),
        };
        if !counts(&claim).unwrap() && !found.contains(&position) {
            return Err(format!("K6: the keyring record at {position} counts for nothing, and no sweep will find it"));
        }
    }
    Ok(())
}

/// Local state is the fold of the ledger up to the head that it names, at the position that it names.
///
/// # Errors
/// I3, with what differs.
pub fn state(account: &Account, kv: &dyn Kv, chain: ChainId) -> Result<(), String> {
    let store = Store::new(kv, chain.partition);
    let (folded, position) = FoldedTo::load(&store, chain).map_err(|error| format!("I3: {error}"))?;
    let head = folded.head.run_head;
    let fold = account.folds.get(&head).ok_or("I3: the state names a head that the ledger never had")?;
    if usize::try_from(position.0).ok().and_then(|at| account.heads.get(at)) != Some(&head) {
        return Err(format!("I3: the state's head is not that of the ledger at position {position}"));
    }
    if store.digest().map_err(|error| format!("I3: {error}"))? != *fold {
        return Err("I3: the state is not the fold of the ledger".into());
    }
    Ok(())
}
