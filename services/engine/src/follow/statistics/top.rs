//! Counts of the most frequent names, in bounded space.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in data streams",
//! ICDT 2005): when a name is new and the table is full, it takes the place of the rarest one and inherits its count as
//! an error. A name that makes up more than 1/n of the stream is always in the table, whatever else is thrown at it,
//! which "the first n names" would not give: whoever comes first could fill it with junk. Shown is `count − error`, which
//! is never too much; the rest of the total is `other`, so the sum is exact. With no more than n names everything is.
//! Ties are broken by name, so the table depends on the ledger alone.
//!
//! Frozen: value of a name `u64 count ‖ u64 error`; under dimension + 16, without a name, `u32 names ‖ u64 total`.

use std::collections::{BTreeMap, BTreeSet};

use super::{broken, key, range};
use crate::follow::{Batch, Error};
use crate::kv::Space;
use crate::store::codec::{Reader, Writer};

/// Of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub count: u64,
    pub error: u64,
}

/// Of the whole table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub names: u32,
    pub total: u64,
}

pub(super) const SUM: u8 = 16;

impl Cell {
    fn encode(self) -> Vec<u8> {
        Writer::with_capacity(16).u64(self.count).u64(self.error).done()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Cell> {
        let mut reader = Reader::new(bytes);
        let cell = Cell { count: reader.u64()?, error: reader.u64()? };
        reader.end(cell)
    }
}

impl Sum {
    fn encode(self) -> Vec<u8> {
        Writer::with_capacity(12).u32(self.names).u64(self.total).done()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Sum> {
        let mut reader = Reader::new(bytes);
        let sum = Sum { names: reader.u32()?, total: reader.u64()? };
        reader.end(sum)
    }
}

/// The table of one dimension while one frame is counted.
pub(super) struct Top {
    partition: u32,
    dimension: u8,
    names_max: usize,
    sum: Option<Sum>,
    /// Names that this frame touched; none for those that lost their place.
    touched: BTreeMap<String, Option<Cell>>,
    /// Every name by count, once a place had to be given away.
    order: Option<BTreeSet<(u64, String)>>,
}

impl Top {
    pub(super) fn new(partition: u32, dimension: u8, names_max: usize) -> Self {
        Top { partition, dimension, names_max, sum: None, touched: BTreeMap::new(), order: None }
    }

    /// Counts a name once.
    pub(super) fn count(&mut self, batch: &Batch<'_>, name: &str) -> Result<(), Error> {
        let mut sum = self.sum(batch)?;
        sum.total = sum.total.saturating_add(1);
        if let Some(cell) = self.cell(batch, name)? {
            let count = cell.count.saturating_add(1);
            if let Some(order) = &mut self.order {
                order.remove(&(cell.count, name.to_owned()));
                order.insert((count, name.to_owned()));
            }
            self.set(name, Some(Cell { count, ..cell }));
        } else if usize::try_from(sum.names).is_ok_and(|names| names < self.names_max) {
            sum.names = sum.names.saturating_add(1);
            self.set(name, Some(Cell { count: 1, error: 0 }));
        } else {
            self.take_place_of_rarest(batch, name)?;
        }
        self.sum = Some(sum);
        Ok(())
    }

    /// Stores what was counted.
    pub(super) fn finish(self, batch: &mut Batch<'_>) -> Result<(), Error> {
        for (name, cell) in &self.touched {
            let key = key(self.partition, self.dimension, name.as_bytes());
            match cell {
                Some(cell) => batch.put(Space::Statistics, key, cell.encode()),
                None => batch.delete(Space::Statistics, key),
            }
        }
        if let Some(sum) = self.sum {
            let key = key(self.partition, self.dimension + SUM, &[]);
            batch.put(Space::Statistics, key, sum.encode());
        }
        Ok(())
    }

    fn set(&mut self, name: &str, cell: Option<Cell>) {
        self.touched.insert(name.to_owned(), cell);
    }

    fn sum(&self, batch: &Batch<'_>) -> Result<Sum, Error> {
        if let Some(sum) = self.sum {
            return Ok(sum);
        }
        match batch.get(Space::Statistics, &key(self.partition, self.dimension + SUM, &[]))? {
            Some(bytes) => Sum::decode(&bytes).ok_or_else(|| broken(self.partition)),
            None => Ok(Sum::default()),
        }
    }

    fn cell(&self, batch: &Batch<'_>, name: &str) -> Result<Option<Cell>, Error> {
        if let Some(cell) = self.touched.get(name) {
            return Ok(*cell);
        }
        let stored = batch.get(Space::Statistics, &key(self.partition, self.dimension, name.as_bytes()))?;
        stored.map(|bytes| Cell::decode(&bytes).ok_or_else(|| broken(self.partition))).transpose()
    }

    fn take_place_of_rarest(&mut self, batch: &Batch<'_>, name: &str) -> Result<(), Error> {
        let mut order = match self.order.take() {
            Some(order) => order,
            None => self.load(batch)?,
        };
        let rarest = order.pop_first();
        let error = rarest.as_ref().map_or(0, |(count, _)| *count);
        let count = error.saturating_add(1);
        order.insert((count, name.to_owned()));
        self.order = Some(order);
        if let Some((_, rarest)) = rarest {
            self.set(&rarest, None);
        }
        self.set(name, Some(Cell { count, error }));
        Ok(())
    }

    fn load(&self, batch: &Batch<'_>) -> Result<BTreeSet<(u64, String)>, Error> {
        let (from, to, cut) = range(self.partition, self.dimension);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (key, value) in batch.scan(Space::Statistics, &from, &to, usize::MAX)? {
            let name = key.get(cut..).map(String::from_utf8_lossy);
            match (name, Cell::decode(&value)) {
                (Some(name), Some(cell)) => counts.insert(name.into_owned(), cell.count),
                _ => return Err(broken(self.partition)),
            };
        }
        for (name, cell) in &self.touched {
            match cell {
                Some(cell) => counts.insert(name.clone(), cell.count),
                None => counts.remove(name),
            };
        }
        Ok(counts.into_iter().map(|(name, count)| (count, name)).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kv::Kv;
    use crate::kv::memory::MemoryKv;

    /// Counts a stream in batches of one frame each; gives names with what is shown for them, and the total.
    fn counted(stream: &[&str], frame: usize, names_max: usize) -> (BTreeMap<String, u64>, Sum, MemoryKv) {
        let kv = MemoryKv::new();
        for names in stream.chunks(frame) {
            let mut batch = Batch::new(&kv);
            let mut top = Top::new(1, 2, names_max);
            for name in names {
                top.count(&batch, name).unwrap();
            }
            top.finish(&mut batch).unwrap();
            kv.write(batch.into_writes()).unwrap();
        }
        let (from, to, cut) = range(1, 2);
        let cells = kv.scan(Space::Statistics, &from, &to, usize::MAX, false).unwrap();
        let shown = cells
            .iter()
            .map(|(key, value)| {
                let cell = Cell::decode(value).unwrap();
                let name = String::from_utf8(key.get(cut..).unwrap().to_vec()).unwrap();
                (name, cell.count - cell.error)
            })
            .collect();
        let sum = kv.get(Space::Statistics, &key(1, 2 + SUM, &[])).unwrap().unwrap();
        (shown, Sum::decode(&sum).unwrap(), kv)
    }

    #[test]
    fn frequent_names_survive_junk_and_the_sum_is_exact() {
        let junk: Vec<String> = (0..900).map(|n| format!("junk-{n}")).collect();
        let mut stream: Vec<&str> = Vec::new();
        for (at, name) in junk.iter().enumerate() {
            stream.push(name);
            // Comes late, when the table has long been full of junk.
            if at > 300 {
                stream.push("send_email");
            }
            if at % 5 == 0 {
                stream.push("pay");
            }
        }
        let (shown, sum, kv) = counted(&stream, 40, 8);
        assert_eq!(sum.total, u64::try_from(stream.len()).unwrap());
        assert_eq!((shown.len(), sum.names), (8, 8), "bounded");
        for name in ["send_email", "pay"] {
            let true_count = stream.iter().filter(|seen| **seen == name).count();
            let found = usize::try_from(*shown.get(name).unwrap()).unwrap();
            assert!(found <= true_count && found * 2 > true_count, "{name}: {found} of {true_count}");
        }
        assert!(shown.values().sum::<u64>() <= sum.total);
        for frame in [1, 7, stream.len()] {
            assert!(counted(&stream, frame, 8).2 == kv, "frames of {frame} give another table");
        }
    }

    #[test]
    fn few_names_are_exact() {
        let stream = ["a", "b", "a", "", "c", "a"];
        let (shown, sum, _) = counted(&stream, 2, 4);
        let expected = [("", 1), ("a", 3), ("b", 1), ("c", 1)];
        assert_eq!(shown, expected.map(|(name, count)| (name.to_owned(), count)).into());
        assert_eq!(sum, Sum { names: 4, total: 6 });
    }
}
