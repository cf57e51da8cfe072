//! Writes that are gathered over many frames and stored as one, readable before they are stored.
//!
//! A counter that is raised a thousand times in a batch is one write. Bounded by its user, who stores it when
//! [`Batch::size`] reaches the limit.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::kv::{self, Entry, Kv, Space, Write};

/// Gathered writes on top of a store.
pub struct Batch<'a> {
    kv: &'a dyn Kv,
    pending: BTreeMap<Space, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    size: usize,
}

impl<'a> Batch<'a> {
    /// Nothing yet, on top of `kv`.
    pub fn new(kv: &'a dyn Kv) -> Self {
        Batch { kv, pending: BTreeMap::new(), size: 0 }
    }

    /// The value of a key, with what was gathered.
    ///
    /// # Errors
    /// [`kv::Error`].
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, kv::Error> {
        match self.pending.get(&space).and_then(|keys| keys.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.kv.get(space, key),
        }
    }

    /// Sets a key.
    pub fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.set(space, key, Some(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, space: Space, key: Vec<u8>) {
        self.set(space, key, None);
    }

    /// Gathers a write made elsewhere. A range is removed key by key, so it must be a short one.
    ///
    /// # Errors
    /// [`kv::Error`] of looking a range up.
    pub fn add(&mut self, write: Write) -> Result<(), kv::Error> {
        match write {
            Write::Put(space, key, value) => self.put(space, key, value),
            Write::Delete(space, key) => self.delete(space, key),
            Write::DeleteRange(space, from, to) => {
                for (key, _) in self.scan(space, &from, &to, usize::MAX)? {
                    self.delete(space, key);
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, space: Space, key: Vec<u8>, value: Option<Vec<u8>>) {
        let bytes = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let (key_bytes, value_bytes) = (key.len(), bytes(&value));
        match self.pending.entry(space).or_default().insert(key, value) {
            Some(before) => self.size = self.size.saturating_sub(bytes(&before)),
            None => self.size = self.size.saturating_add(key_bytes),
        }
        self.size = self.size.saturating_add(value_bytes);
    }

    /// At most `limit` entries of `[from, to)`, ascending, with what was gathered.
    ///
    /// # Errors
    /// [`kv::Error`].
    pub fn scan(&self, space: Space, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, kv::Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        let pending: Vec<_> =
            self.pending.get(&space).into_iter().flat_map(|keys| keys.range::<[u8], _>(range)).collect();
        // Each gathered removal hides at most one stored entry.
        let hidden = pending.iter().filter(|(_, value)| value.is_none()).count();
        let stored = self.kv.scan(space, from, to, limit.saturating_add(hidden), false)?;
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        for (key, value) in pending {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(merged.into_iter().take(limit).collect())
    }

    /// Bytes of keys and values gathered.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What is to be stored, in one write.
    pub fn into_writes(self) -> Vec<Write> {
        self.pending
            .into_iter()
            .flat_map(|(space, keys)| {
                keys.into_iter().map(move |(key, value)| match value {
                    Some(value) => Write::Put(space, key, value),
                    None => Write::Delete(space, key),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kv::memory::MemoryKv;

    fn keys(batch: &Batch<'_>, from: &str, to: &str, limit: usize) -> String {
        let found = batch.scan(Space::Statistics, from.as_bytes(), to.as_bytes(), limit).unwrap();
        let shown: Vec<String> = found
            .iter()
            .map(|(key, value)| String::from_utf8_lossy(key).into_owned() + &String::from_utf8_lossy(value))
            .collect();
        shown.join(" ")
    }

    #[test]
    fn reads_show_what_was_gathered_and_the_store_ends_up_with_it() {
        let kv = MemoryKv::new();
        let put = |key: &str| Write::Put(Space::Statistics, key.into(), b"0".to_vec());
        kv.write(["a", "b", "c", "d"].map(put).into()).unwrap();
        let mut batch = Batch::new(&kv);
        batch.put(Space::Statistics, b"b".to_vec(), b"1".to_vec());
        batch.put(Space::Statistics, b"bb".to_vec(), b"1".to_vec());
        batch.delete(Space::Statistics, b"a".to_vec());
        batch.put(Space::Requests, b"c".to_vec(), b"9".to_vec());
        for (from, to, limit, expected) in
            [("a", "z", 9, "b1 bb1 c0 d0"), ("a", "z", 1, "b1"), ("b", "c", 9, "b1 bb1"), ("c", "b", 9, "")]
        {
            assert_eq!(keys(&batch, from, to, limit), expected, "{from}..{to}");
        }
        assert_eq!(batch.get(Space::Statistics, b"a").unwrap(), None);
        assert_eq!(batch.get(Space::Statistics, b"d").unwrap(), Some(b"0".to_vec()));
        assert_eq!(batch.size(), 2 + 3 + 1 + 2);
        batch.add(Write::DeleteRange(Space::Statistics, b"bb".to_vec(), b"d".to_vec())).unwrap();
        assert_eq!(keys(&batch, "a", "z", 9), "b1 d0");
        kv.write(batch.into_writes()).unwrap();
        assert_eq!(keys(&Batch::new(&kv), "a", "z", 9), "b1 d0");
    }
}
