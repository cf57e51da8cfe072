//! Reading the counts, over partitions.

use std::collections::BTreeMap;

use ledger::layout;
use policy::{Outcome, ReasonCode};

use super::top::{Cell, SUM, Sum};
use super::{ACTION, HOUR, HOUR_US, KIND, OUTCOME, POLICY, REASON, TENANT, broken, count_of, key, range};
use crate::follow::Error;
use crate::kv::memory::MemoryKv;
use crate::kv::{Kv, Space, Write, visit};
use crate::record::numbers;
use crate::store::Range;
use crate::store::codec::Reader;
use crate::view::Kind;

/// Counts of names, most frequent first, and of all others together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Name and count; never too much.
    pub names: Vec<(String, u64)>,
    /// Everything that is not in `names`.
    pub other: u64,
}

/// What was answered within one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Its beginning, microseconds since 1970-01-01 UTC.
    pub from_us: i64,
    /// Permits.
    pub permitted: u64,
    /// Denials.
    pub denied: u64,
    /// Escalations.
    pub escalated: u64,
    /// Answers without evaluation.
    pub not_evaluated: u64,
}

/// Counts over partitions since their first events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Answers by kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Decisions by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Answers by reason; numbers that this version does not know as `reason-N`.
    pub reasons: BTreeMap<String, u64>,
    /// How often each policy determined a decision.
    pub policies: Counted,
    /// Answers by action.
    pub actions: Counted,
    /// Answers by tenant.
    pub tenants: Counted,
    /// Answers by hour, oldest first.
    pub hours: Vec<Hour>,
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, more: u64) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(more);
}

impl Totals {
    /// Sums the counts of partitions `0..partitions`; of names at most `names_max` are told apart.
    pub(crate) fn read(kv: &dyn Kv, partitions: u32, names_max: usize) -> Result<Totals, Error> {
        let kv = &at_one_moment(kv, partitions)?;
        let mut totals = Totals {
            policies: names(kv, partitions, POLICY, names_max)?,
            actions: names(kv, partitions, ACTION, names_max)?,
            tenants: names(kv, partitions, TENANT, names_max)?,
            ..Totals::default()
        };
        let mut hours: BTreeMap<u32, Hour> = BTreeMap::new();
        for partition in 0..partitions {
            each(kv, partition, KIND, |rest, count| {
                let [event_type] = rest else { return None };
                add(&mut totals.kinds, Kind::from_event_type((*event_type).into())?, count);
                Some(())
            })?;
            each(kv, partition, OUTCOME, |rest, count| {
                let [outcome] = rest else { return None };
                add(&mut totals.outcomes, numbers::to_outcome(*outcome)??, count);
                Some(())
            })?;
            each(kv, partition, REASON, |rest, count| {
                let number = u16::from_be_bytes(rest.try_into().ok()?);
                let name = ReasonCode::from_number(number)
                    .map_or_else(|| format!("reason-{number}"), |reason| reason.as_str().to_owned());
                add(&mut totals.reasons, name, count);
                Some(())
            })?;
            each(kv, partition, HOUR, |rest, count| hour(&mut hours, rest, count))?;
        }
        totals.hours = hours.into_values().collect();
        Ok(totals)
    }

    /// Answers of every kind.
    pub fn answers(&self) -> u64 {
        self.kinds.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// The rows of every partition, those of each as they were at one moment: one scan sees one state of the store, while
/// several could count a decision's outcome and not its action.
fn at_one_moment(kv: &dyn Kv, partitions: u32) -> Result<MemoryKv, Error> {
    let copy = MemoryKv::default();
    for partition in 0..partitions {
        let Range { space, from, to } = Range::partition(Space::Statistics, partition);
        let rows = kv.scan(space, &from, &to, usize::MAX, false)?;
        copy.write(rows.into_iter().map(|(key, value)| Write::Put(space, key, value)).collect())?;
    }
    Ok(copy)
}

fn hour(hours: &mut BTreeMap<u32, Hour>, rest: &[u8], count: u64) -> Option<()> {
    let mut reader = Reader::new(rest);
    let (number, outcome) = (reader.u32()?, reader.u8()?);
    reader.end(())?;
    let hour =
        hours.entry(number).or_insert(Hour { from_us: i64::from(number).saturating_mul(HOUR_US), ..Hour::default() });
    let counter = match outcome {
        layout::OUTCOME_PERMIT => &mut hour.permitted,
        layout::OUTCOME_DENY => &mut hour.denied,
        layout::OUTCOME_ESCALATE => &mut hour.escalated,
        layout::OUTCOME_NONE => &mut hour.not_evaluated,
        _ => return None,
    };
    *counter = counter.saturating_add(count);
    Some(())
}

fn each(
    kv: &dyn Kv,
    partition: u32,
    dimension: u8,
    mut take: impl FnMut(&[u8], u64) -> Option<()>,
) -> Result<(), Error> {
    let (from, to, cut) = range(partition, dimension);
    visit(kv, Space::Statistics, &from, &to, |key, value| {
        let taken = count_of(value).and_then(|count| take(key.get(cut..)?, count));
        taken.ok_or_else(|| broken(partition))
    })
}

fn names(kv: &dyn Kv, partitions: u32, dimension: u8, names_max: usize) -> Result<Counted, Error> {
    let (mut counts, mut total) = (BTreeMap::<String, u64>::new(), 0_u64);
    for partition in 0..partitions {
        if let Some(bytes) = kv.get(Space::Statistics, &key(partition, dimension + SUM, &[]))? {
            let sum = Sum::decode(&bytes).ok_or_else(|| broken(partition))?;
            total = total.saturating_add(sum.total);
        }
        let (from, to, cut) = range(partition, dimension);
        visit(kv, Space::Statistics, &from, &to, |key, value| {
            let name = key.get(cut..).and_then(|name| std::str::from_utf8(name).ok());
            match (name, Cell::decode(value)) {
                (Some(name), Some(cell)) => {
                    add(&mut counts, name.to_owned(), cell.count.saturating_sub(cell.error));
                    Ok(())
                }
                _ => Err(broken(partition)),
            }
        })?;
    }
    let mut names: Vec<(String, u64)> = counts.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    names.truncate(names_max);
    let shown = names.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let other = total.saturating_sub(shown);
    Ok(Counted { names, other })
}
