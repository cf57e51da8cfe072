//! One page of events: a merge of ordered walks, newest first.
//!
//! All partitions and orders are merged by (recorded time, partition, seq), and a cursor is a place in that order: what
//! lies below it stays there whatever is appended, so each event that was there at the first page comes exactly once.
//! Times of a partition never decrease, so what is appended comes above or, in a partition that lags, below a cursor,
//! where a later page finds it. Bounded by rows looked at, not by events found: a page may be short, or empty, and
//! still name a next one.

use std::collections::{BTreeSet, VecDeque};

use domain::ids::Tenant;
use domain::request::IdType;

use super::frames::{Frames, view};
use super::{Error, Filter, Inner};
use crate::follow::{self, Choice, Entry, Marks, Stream, streams};
use crate::keys::Keyring;
use crate::owner;
use crate::view::DecisionView;

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub items: Vec<DecisionView>,
    /// The cursor of the next page; none when this was the last.
    pub next: Option<String>,
    /// The last event of each partition that the page reflects.
    pub positions: Vec<(u32, u64)>,
}

pub(super) fn read(reader: &Inner, filter: &Filter, cursor: Option<&str>, limit: usize) -> Result<Page, Error> {
    let below = cursor.map(parse).transpose()?;
    let limit = limit.clamp(1, reader.settings.page_max);
    // Taken first: rows that come while the page is read are more than it promises, never fewer.
    let positions = positions(reader)?;
    let tenants = tenants(reader, filter)?;
    let mut frames = Frames::new(reader);
    let mut walks = Vec::new();
    let mut actors_of = Vec::new();
    for partition in 0..reader.deployment.partitions {
        let actors = actors(reader, filter, tenants.as_deref(), partition)?;
        let choice = Choice {
            actors: actors.as_deref(),
            tenants: tenants.as_deref(),
            action: filter.action.as_ref().map(|action| action.as_str()),
            outcome: filter.outcome_number(),
        };
        for stream in streams(partition, &choice) {
            walks.push(Walk::new(stream, filter, below.as_ref()));
        }
        actors_of.push(actors);
    }
    let chunk = (limit.saturating_mul(2) / walks.len().max(1)).clamp(8, 512);
    let mut items = Vec::new();
    let (mut rows, mut last) = (0_usize, None);
    while let Some((entry, marks)) = next_of(reader, &mut walks, chunk)? {
        if items.len() == limit || rows >= reader.settings.page_rows_max {
            return Ok(Page { items, next: last.as_ref().map(print), positions });
        }
        rows = rows.saturating_add(1);
        last = Some(entry);
        let at = usize::try_from(entry.partition).unwrap_or(usize::MAX);
        let actors = actors_of.get(at).and_then(Option::as_deref);
        if filter.may_want(&marks, actors) {
            let wanted = frames.event(entry.partition, entry.seq, |event| {
                if filter.wants(event, actors)? { view(reader, event) } else { Ok(None) }
            })?;
            items.extend(wanted.ok_or(Error::Lost { partition: entry.partition, seq: entry.seq })?);
        }
    }
    Ok(Page { items, next: None, positions })
}

fn positions(reader: &Inner) -> Result<Vec<(u32, u64)>, Error> {
    let mut positions = Vec::new();
    for partition in 0..reader.deployment.partitions {
        let cursor = follow::load_cursor(&*reader.kv, partition, "decisions")?;
        positions.extend(cursor.and_then(|cursor| Some((partition, cursor.last_seq()?))));
    }
    Ok(positions)
}

/// The tenants that come into question; none when they are too many to go through.
fn tenants(reader: &Inner, filter: &Filter) -> Result<Option<Vec<String>>, Error> {
    if let Some(tenant) = &filter.tenant {
        return Ok(Some(vec![tenant.as_str().to_owned()]));
    }
    let max = reader.settings.page_tenants_max;
    let mut all = BTreeSet::new();
    for partition in 0..reader.deployment.partitions {
        all.extend(follow::tenants(&*reader.kv, partition, max.saturating_add(1))?);
        if all.len() > max {
            return Ok(None);
        }
    }
    // Everything of everybody is one walk by time, which is cheaper than one for each tenant.
    let narrow = filter.actor.is_some() || filter.action.is_some() || filter.outcome.is_some();
    Ok(narrow.then(|| all.into_iter().collect()))
}

/// The surrogates that the actor asked for may have in a partition; none when none is asked for.
fn actors(
    reader: &Inner,
    filter: &Filter,
    tenants: Option<&[String]>,
    partition: u32,
) -> Result<Option<Vec<[u8; 16]>>, Error> {
    let Some(actor) = &filter.actor else {
        return Ok(None);
    };
    let tenants = tenants.ok_or(Error::TenantNeeded { limit: reader.settings.page_tenants_max })?;
    let keyring = Keyring::new(&*reader.kv, &reader.secrets, partition);
    let mut surrogates = BTreeSet::new();
    for tenant in tenants {
        // Input that could not be read names no tenant and no actor.
        let Ok(tenant) = Tenant::new(tenant.clone()) else {
            continue;
        };
        let index = reader.secrets.index_key(&tenant);
        let lookup =
            owner::lookup(&index, IdType::Actor, actor.as_str()).map_err(|error| Error::Lookup(error.to_string()))?;
        surrogates.extend(keyring.surrogates(&lookup).map_err(crate::record::Error::from)?);
    }
    Ok(Some(surrogates.into_iter().collect()))
}

/// The newest entry of all walks, taken from its walk.
fn next_of(reader: &Inner, walks: &mut [Walk], chunk: usize) -> Result<Option<(Entry, Marks)>, Error> {
    let mut newest: Option<(Entry, &mut Walk)> = None;
    for walk in walks {
        let Some(entry) = walk.peek(reader, chunk)? else {
            continue;
        };
        if newest.as_ref().is_none_or(|(best, _)| entry > *best) {
            newest = Some((entry, walk));
        }
    }
    Ok(newest.and_then(|(_, walk)| walk.ahead.pop_front()))
}

/// A walk down one order.
struct Walk {
    stream: Stream,
    from: Vec<u8>,
    to: Vec<u8>,
    ahead: VecDeque<(Entry, Marks)>,
    done: bool,
}

impl Walk {
    fn new(stream: Stream, filter: &Filter, below: Option<&Entry>) -> Walk {
        let key = |recorded_at_us, seq| stream.key(&Entry { recorded_at_us, partition: stream.partition(), seq });
        let after = |mut key: Vec<u8>| {
            key.push(0);
            key
        };
        let from = key(filter.from_us.unwrap_or(i64::MIN), 0);
        let mut to = match filter.to_us {
            Some(to_us) => key(to_us, 0),
            None => after(key(i64::MAX, u64::MAX)),
        };
        if let Some(Entry { recorded_at_us, partition, seq }) = below {
            let bound = match stream.partition().cmp(partition) {
                std::cmp::Ordering::Less => after(key(*recorded_at_us, u64::MAX)),
                std::cmp::Ordering::Equal => key(*recorded_at_us, *seq),
                std::cmp::Ordering::Greater => key(*recorded_at_us, 0),
            };
            to = to.min(bound);
        }
        Walk { stream, from, to, ahead: VecDeque::new(), done: false }
    }

    fn peek(&mut self, reader: &Inner, chunk: usize) -> Result<Option<Entry>, Error> {
        if self.ahead.is_empty() && !self.done {
            let rows = reader.kv.scan(self.stream.space(), &self.from, &self.to, chunk, true)?;
            self.done = rows.len() < chunk;
            if let Some((lowest, _)) = rows.last() {
                self.to.clone_from(lowest);
            }
            for (key, value) in rows {
                let row = self
                    .stream
                    .read(&key, &value)
                    .ok_or(follow::Error::Model { name: "decisions", partition: self.stream.partition() })?;
                self.ahead.push_back(row);
            }
        }
        Ok(self.ahead.front().map(|(entry, _)| *entry))
    }
}

fn print(entry: &Entry) -> String {
    format!("{}.{}.{}", entry.recorded_at_us, entry.partition, entry.seq)
}

fn parse(text: &str) -> Result<Entry, Error> {
    let read = || {
        let (time, rest) = text.split_once('.')?;
        let (partition, seq) = rest.split_once('.')?;
        Some(Entry { recorded_at_us: time.parse().ok()?, partition: partition.parse().ok()?, seq: seq.parse().ok()? })
    };
    // Only what was printed by us: `parse` also takes a plus sign and leading zeros.
    read().filter(|entry| print(entry) == text).ok_or(Error::BadCursor)
}
