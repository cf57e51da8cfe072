//! Ordered bytes in memory. Cloning takes a snapshot and copies nothing until one of the two is written to, so that a
//! model checker can branch from any state; equality and hash are those of the content.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Entry, Error, Kv, Space, Write};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store in memory. Share one between threads by `Arc`; `clone` branches.
#[derive(Debug, Default)]
pub struct MemoryKv {
    spaces: RwLock<[Arc<Map>; Space::ALL.len()]>,
}

impl MemoryKv {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn read<T>(&self, space: Space, f: impl FnOnce(&Map) -> T) -> Option<T> {
        // A poisoned lock guards maps that are whole between any two statements, so reading on is right.
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        spaces.get(usize::from(space.number())).map(|map| f(map))
    }

    fn snapshot(&self) -> [Arc<Map>; Space::ALL.len()] {
        self.spaces.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Clone for MemoryKv {
    fn clone(&self) -> Self {
        MemoryKv { spaces: RwLock::new(self.snapshot()) }
    }
}

impl PartialEq for MemoryKv {
    fn eq(&self, other: &Self) -> bool {
        self.snapshot() == other.snapshot()
    }
}

impl Eq for MemoryKv {}

impl Hash for MemoryKv {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.snapshot().hash(state);
    }
}

impl Kv for MemoryKv {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.read(space, |map| map.get(key).cloned()).flatten())
    }

    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let found = self.read(space, |map| keys.iter().map(|key| map.get(key).cloned()).collect());
        Ok(found.unwrap_or_default())
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], limit: usize, reverse: bool) -> Result<Vec<Entry>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let copy = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        let found = self.read(space, |map| {
            let range = map.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)));
            if reverse { range.rev().take(limit).map(copy).collect() } else { range.take(limit).map(copy).collect() }
        });
        Ok(found.unwrap_or_default())
    }

    fn write(&self, batch: Vec<Write>) -> Result<(), Error> {
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        for write in batch {
            let (Write::Put(space, ..) | Write::Delete(space, _) | Write::DeleteRange(space, ..)) = write;
            let Some(map) = spaces.get_mut(usize::from(space.number())) else {
                continue;
            };
            let map = Arc::make_mut(map);
            match write {
                Write::Put(_, key, value) => {
                    map.insert(key, value);
                }
                Write::Delete(_, key) => {
                    map.remove(&key);
                }
                Write::DeleteRange(_, from, to) if from < to => {
                    let mut tail = map.split_off(&from);
                    map.append(&mut tail.split_off(&to));
                }
                Write::DeleteRange(..) => {}
            }
        }
        Ok(())
    }
}
