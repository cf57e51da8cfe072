//! Read model: events that answer requests, by recorded time, by who acts, by action and by outcome.
//!
//! One row for each order, and in each row marks of everything that can be filtered by, so that any combination of
//! filters is one walk over the narrowest order, without looking at the ledger for what is not wanted. Marks are short
//! hashes: a few rows too many pass, none too few, and the reader compares the event itself.
//!
//! Frozen: [`Space::Decisions`], keys `u32 partition ‖ u8 order ‖ term ‖ u64 time ‖ u64 seq`; orders: 1 by time alone
//! (no term), 2 by tenant and action, 3 by tenant and outcome (8 bytes of a hash). [`Space::Actors`], keys
//! `u32 partition ‖ 16 surrogate ‖ u64 time ‖ u64 seq`. Values: [`Marks`], 15 bytes. Times have their sign bit turned, so
//! that they order as bytes. Further in [`Space::Decisions`]: `u32 partition ‖ 0 ‖ tenant` for each tenant seen, and
//! `u32 partition ‖ 4 ‖ first 8 bytes of the event id` → `u64 seq`; the whole id follows from the seq and is compared.

use std::collections::BTreeMap;

use sha3::{Digest, Sha3_256};

use ledger::EventId;
use ledger::layout::{Facts, Outcome};

use super::{Batch, Error, Follower, Frame};
use crate::kv::{Kv, Space, after_prefix};
use crate::record::numbers;
use crate::store::codec::{Reader, Writer};

/// Follows events that answer requests.
#[derive(Clone, Copy, Debug)]
pub struct Decisions;

pub(crate) const NAME: &str = "decisions";

const TENANTS: u8 = 0;
const BY_TIME: u8 = 1;
const BY_ACTION: u8 = 2;
const BY_OUTCOME: u8 = 3;
const BY_ID: u8 = 4;

/// What a row says about its event: enough to drop nearly all that a filter does not want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Event type, 1 to 5.
    pub event_type: u8,
    /// Outcome, 0 to 3, as in section 2.
    pub outcome: u8,
    /// Reason code, as in section 2.
    pub reason_code: u16,
    /// Of the tenant's name.
    pub tenant: [u8; 4],
    /// Of the action.
    pub action: [u8; 4],
    /// Of the acting surrogate: its first bytes; zeros when there is none.
    pub actor: [u8; 4],
}

/// Hashes of a frame's names: a frame has many events and few tenants and actions.
#[derive(Default)]
struct Hashes<'a> {
    names: BTreeMap<&'a str, [u8; 4]>,
    terms: BTreeMap<(u8, &'a str, &'a [u8]), [u8; 8]>,
}

impl<'a> Hashes<'a> {
    fn short(&mut self, name: &'a str) -> [u8; 4] {
        *self.names.entry(name).or_insert_with(|| short(name))
    }

    fn term(&mut self, order: u8, tenant: &'a str, value: &'a [u8]) -> [u8; 8] {
        *self.terms.entry((order, tenant, value)).or_insert_with(|| term(order, tenant, value))
    }
}

impl Marks {
    fn of<'a>(event_type: u16, facts: &'a Facts, outcome: &Outcome, hashes: &mut Hashes<'a>) -> Marks {
        Marks {
            event_type: u8::try_from(event_type).unwrap_or(0),
            outcome: outcome.outcome,
            reason_code: outcome.reason_code,
            tenant: hashes.short(&facts.tenant),
            action: hashes.short(&facts.action),
            actor: acting(facts).map_or([0; 4], |surrogate| mark_of(&surrogate)),
        }
    }

    fn encode(&self) -> Vec<u8> {
        Writer::with_capacity(15)
            .u8((self.event_type << 4) | (self.outcome & 0x0f))
            .bytes(&self.reason_code.to_be_bytes())
            .bytes(&self.tenant)
            .bytes(&self.action)
            .bytes(&self.actor)
            .done()
    }

    fn decode(bytes: &[u8]) -> Option<Marks> {
        let mut reader = Reader::new(bytes);
        let packed = reader.u8()?;
        let marks = Marks {
            event_type: packed >> 4,
            outcome: packed & 0x0f,
            reason_code: u16::from_be_bytes(reader.array()?),
            tenant: reader.array()?,
            action: reader.array()?,
            actor: reader.array()?,
        };
        reader.end(marks)
    }
}

/// The mark of a name.
pub(crate) fn short(name: &str) -> [u8; 4] {
    first(&[name.as_bytes()])
}

/// The mark of a surrogate, which is random already.
pub(crate) fn mark_of(surrogate: &[u8; 16]) -> [u8; 4] {
    let [a, b, c, d, ..] = *surrogate;
    [a, b, c, d]
}

fn term(order: u8, tenant: &str, value: &[u8]) -> [u8; 8] {
    // No name of a tenant holds a zero byte.
    first(&[&[order], tenant.as_bytes(), &[0], value])
}

fn first<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hash = Sha3_256::new();
    for part in parts {
        hash.update(part);
    }
    let mut short = [0; N];
    for (to, from) in short.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    short
}

/// The surrogate of who acts.
pub(crate) fn acting(facts: &Facts) -> Option<[u8; 16]> {
    facts.surrogates.iter().find(|(role, _)| *role == numbers::ROLE_ACTOR).map(|(_, surrogate)| *surrogate)
}

impl Follower for Decisions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Decisions, Space::Actors]
    }

    fn follow(&self, frame: &Frame<'_>, batch: &mut Batch<'_>) -> Result<(), Error> {
        let mut hashes = Hashes::default();
        for answer in &frame.answers {
            let (body, facts, outcome) = (&answer.event.body, &answer.facts, &answer.outcome);
            let marks = Marks::of(body.event_type, facts, outcome, &mut hashes).encode();
            let tenant = facts.tenant.as_str();
            let at = Entry { recorded_at_us: body.recorded_at_us, partition: frame.partition, seq: body.seq };
            let mut rows = vec![
                Stream::by_time(frame.partition),
                Stream::by(frame.partition, BY_ACTION, &hashes.term(BY_ACTION, tenant, facts.action.as_bytes())),
                Stream::by(
                    frame.partition,
                    BY_OUTCOME,
                    &hashes.term(BY_OUTCOME, tenant, std::slice::from_ref(&outcome.outcome)),
                ),
            ];
            rows.extend(acting(facts).map(|actor| Stream::by_actor(frame.partition, &actor)));
            for stream in rows {
                batch.put(stream.space, stream.key(&at), marks.clone());
            }
            batch.put(Space::Decisions, tenant_key(frame.partition, tenant), Vec::new());
            let id = id_key(frame.partition, &body.event_id);
            batch.put(Space::Decisions, id, body.seq.to_be_bytes().to_vec());
        }
        Ok(())
    }
}

fn tenant_key(partition: u32, tenant: &str) -> Vec<u8> {
    Writer::with_capacity(5 + tenant.len()).u32(partition).u8(TENANTS).bytes(tenant.as_bytes()).done()
}

/// At most `limit` tenants that events of `partition` name.
///
/// # Errors
/// [`Error::Kv`], or [`Error::Model`].
pub(crate) fn tenants(kv: &dyn Kv, partition: u32, limit: usize) -> Result<Vec<String>, Error> {
    let from = tenant_key(partition, "");
    let rows = kv.scan(Space::Decisions, &from, &after_prefix(&from), limit, false)?;
    let names = rows.iter().map(|(key, _)| {
        let name = key.get(from.len()..).and_then(|name| std::str::from_utf8(name).ok());
        name.map(str::to_owned).ok_or(Error::Model { name: NAME, partition })
    });
    names.collect()
}

fn id_key(partition: u32, id: &EventId) -> Vec<u8> {
    let (short, _) = id.0.split_at(8);
    Writer::with_capacity(13).u32(partition).u8(BY_ID).bytes(short).done()
}

/// The seq of the event in `partition` whose id begins as this one does.
///
/// # Errors
/// [`Error::Kv`], or [`Error::Model`].
pub(crate) fn find_id(kv: &dyn Kv, partition: u32, id: &EventId) -> Result<Option<u64>, Error> {
    let found = kv.get(Space::Decisions, &id_key(partition, id))?;
    found
        .map(|bytes| {
            let mut reader = Reader::new(&bytes);
            let seq = reader.u64();
            seq.and_then(|seq| reader.end(seq)).ok_or(Error::Model { name: NAME, partition })
        })
        .transpose()
}

/// Where an event stands in the order of all answers: by time, then partition, then seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Recorded time, microseconds since 1970-01-01 UTC.
    pub recorded_at_us: i64,
    /// Partition.
    pub partition: u32,
    /// Place in it.
    pub seq: u64,
}

/// One order of one partition: a run of keys in the order of time and seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    partition: u32,
    space: Space,
    prefix: Vec<u8>,
}

impl Stream {
    /// Its partition.
    pub(crate) fn partition(&self) -> u32 {
        self.partition
    }

    /// The space that its keys are in.
    pub(crate) fn space(&self) -> Space {
        self.space
    }

    fn by(partition: u32, order: u8, term: &[u8]) -> Stream {
        let prefix = Writer::with_capacity(29).u32(partition).u8(order).bytes(term).done();
        Stream { partition, space: Space::Decisions, prefix }
    }

    fn by_time(partition: u32) -> Stream {
        Stream::by(partition, BY_TIME, &[])
    }

    fn by_action(partition: u32, tenant: &str, action: &str) -> Stream {
        let term = term(BY_ACTION, tenant, action.as_bytes());
        Stream::by(partition, BY_ACTION, &term)
    }

    fn by_outcome(partition: u32, tenant: &str, outcome: u8) -> Stream {
        Stream::by(partition, BY_OUTCOME, &term(BY_OUTCOME, tenant, &[outcome]))
    }

    fn by_actor(partition: u32, surrogate: &[u8; 16]) -> Stream {
        let prefix = Writer::with_capacity(36).u32(partition).bytes(surrogate).done();
        Stream { partition, space: Space::Actors, prefix }
    }

    /// The key of an event of this partition.
    pub(crate) fn key(&self, at: &Entry) -> Vec<u8> {
        Writer::with_capacity(self.prefix.len() + 16)
            .bytes(&self.prefix)
            .ordered_i64(at.recorded_at_us)
            .u64(at.seq)
            .done()
    }

    /// Reads a row.
    pub(crate) fn read(&self, key: &[u8], value: &[u8]) -> Option<(Entry, Marks)> {
        let mut reader = Reader::new(key.strip_prefix(self.prefix.as_slice())?);
        let entry = Entry { recorded_at_us: reader.ordered_i64()?, partition: self.partition, seq: reader.u64()? };
        reader.end((entry, Marks::decode(value)?))
    }
}

/// What decides which order to walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice<'a> {
    /// Surrogates of the actor in this partition, when one is asked for.
    pub actors: Option<&'a [[u8; 16]]>,
    /// Tenants that come into question; none when that may be too many.
    pub tenants: Option<&'a [String]>,
    /// The action asked for.
    pub action: Option<&'a str>,
    /// The outcome asked for, as in section 2.
    pub outcome: Option<u8>,
}

/// The orders of a partition that together hold everything that is asked for, each event in one of them.
pub fn streams(partition: u32, choice: &Choice<'_>) -> Vec<Stream> {
    if let Some(actors) = choice.actors {
        let by_actor = |actor| Stream::by_actor(partition, actor);
        return actors.iter().map(by_actor).collect();
    }
    let Some(tenants) = choice.tenants else {
        return vec![Stream::by_time(partition)];
    };
    let each = tenants.iter();
    match (choice.action, choice.outcome) {
        (Some(action), _) => each.map(|tenant| Stream::by_action(partition, tenant, action)).collect(),
        (None, Some(outcome)) => each.map(|tenant| Stream::by_outcome(partition, tenant, outcome)).collect(),
        (None, None) => {
            each.flat_map(|tenant| (0..=3).map(move |outcome| Stream::by_outcome(partition, tenant, outcome))).collect()
        }
    }
}
