//! The keyring of a partition: records of topic `keys[p]`, and their index.
//!
//! Invariants: a record says that a key or a directory row exists, and never that it counts: that is the ledger's word
//! and comes in from the owner's state. A record is never replaced: several of one key may lie side by side, each under
//! a random record key, and any that counts is good. The index is derived from the topic alone and can be made again.
//! What the index holds of a record is written and removed together, so that an erasure leaves no row of it.
//! Deliberately not here: reading the topic, and deciding when to sweep.

use eventlog::{Position, Record};
use ledger::seal::Dek;

use super::secrets::Secrets;
use super::{Error, KeyState, ORGANISATION, Standing};
use crate::kv::{Kv, Space, Write};

mod record;

pub use record::KeyringRecord;

/// First byte after the partition in a key of [`Space::Keyring`]. Frozen; values are as stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Row {
    /// → u64, the next position to be read.
    Cursor = 0,
    /// 16 dek_id ‖ u64 position → the record as it lies in the topic.
    Dek = 1,
    /// 32 lookup ‖ u64 position → 16 surrogate.
    Lookup = 2,
    /// 16 surrogate ‖ u64 position → reference.
    Surrogate = 3,
    /// u64 position → reference. Removed once the record is known to count.
    Unsettled = 4,
}

/// Names the rows of one record: `u8 kind | 16 surrogate | 16 dek_id or 32 lookup`, kinds as in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reference {
    surrogate: [u8; 16],
    named: Named,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Dek([u8; 16]),
    Lookup([u8; 32]),
}

/// What must be in the ledger for a keyring record to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// A `KeyCreated` of this data key.
    Dek([u8; 16]),
    /// An event that names this surrogate.
    Surrogate([u8; 16]),
}

/// Records to be removed. First from the topic, then from the index: a crash in between leaves an index row of a
/// record that is gone, which the next sweep finds, and not a record that no sweep would find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Positions in `keys[p]`, ascending.
    pub positions: Vec<Position>,
    /// Changes of the index, to be written when the topic is done.
    pub writes: Vec<Write>,
    /// Whether a limit was reached and there may be more after `writes` was applied.
    pub more: bool,
}

/// The index of one partition's keyring.
#[derive(Clone, Copy)]
pub struct Keyring<'a> {
    kv: &'a dyn Kv,
    secrets: &'a Secrets,
    partition: u32,
}

impl<'a> Keyring<'a> {
    /// The keyring of `partition`.
    pub fn new(kv: &'a dyn Kv, secrets: &'a Secrets, partition: u32) -> Self {
        Keyring { kv, secrets, partition }
    }

    /// The next position of `keys[p]` that the index lacks.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn cursor(&self) -> Result<Position, Error> {
        match self.kv.get(Space::Keyring, &self.key(Row::Cursor, &[]))? {
            None => Ok(Position::ZERO),
            Some(value) => {
                let next = value.try_into().map_err(|_| damaged("the cursor has not 8 bytes"))?;
                Ok(Position(u64::from_be_bytes(next)))
            }
        }
    }

    /// Takes in what was read of the topic from the cursor on, up to the watermark `tail`: what to write, as one
    /// batch, and the cursor after it. Below `tail`, no record read means that there is none: the rest was removed.
    /// Whether these records count is not known here, so the next sweep looks at them.
    ///
    /// # Errors
    /// A value is no keyring record of a known layout; nothing is to be written then.
    pub fn absorb(&self, records: &[Record], tail: Position) -> Result<(Vec<Write>, Position), Error> {
        let mut writes = Vec::new();
        for Record { position, value, .. } in records {
            let record = KeyringRecord::decode(value)?;
            writes.extend(self.rows_of(&record, value, *position));
            writes.push(Write::Put(Space::Keyring, self.unsettled(*position), Reference::of(&record).encode()));
        }
        let next = records.last().map_or(tail, |last| last.position.next());
        writes.push(Write::Put(Space::Keyring, self.key(Row::Cursor, &[]), next.0.to_be_bytes().to_vec()));
        Ok((writes, next))
    }

    /// What to write for a record that was staged at `position` for a frame that the ledger has accepted. The cursor
    /// stays: between such records lie those of frames that were forgotten, which only [`Keyring::absorb`] sees.
    ///
    /// # Errors
    /// A value does not fit its field.
    pub fn index(&self, record: &KeyringRecord, position: Position) -> Result<Vec<Write>, Error> {
        Ok(self.rows_of(record, &record.encode()?, position).into())
    }

    fn rows_of(&self, record: &KeyringRecord, value: &[u8], position: Position) -> [Write; 2] {
        let reference = Reference::of(record);
        let content = match reference.named {
            Named::Dek(_) => value.to_vec(),
            Named::Lookup(_) => reference.surrogate.to_vec(),
        };
        [
            Write::Put(Space::Keyring, self.by_name(&reference, position), content),
            Write::Put(Space::Keyring, self.by_surrogate(&reference.surrogate, position), reference.encode()),
        ]
    }

    /// Surrogates that directory rows give for a person, oldest first. Only one that the ledger names counts.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn surrogates(&self, lookup: &[u8; 32]) -> Result<Vec<[u8; 16]>, Error> {
        let mut found: Vec<[u8; 16]> = Vec::new();
        for (_, value) in self.rows(Row::Lookup, &[lookup])? {
            let surrogate = value.try_into().map_err(|_| damaged("a directory row has not 16 bytes"))?;
            if !found.contains(&surrogate) {
                found.push(surrogate);
            }
        }
        Ok(found)
    }

    /// Records of a data key, oldest first.
    ///
    /// # Errors
    /// The index cannot be read, or holds what is no record.
    pub fn wrapped(&self, dek_id: &[u8; 16]) -> Result<Vec<KeyringRecord>, Error> {
        self.rows(Row::Dek, &[dek_id])?.into_iter().map(|(_, value)| KeyringRecord::decode(&value)).collect()
    }

    /// A data key that counts, by the commitment in the ledger; none when no record of it is there.
    ///
    /// # Errors
    /// Records of the key are there, and none gives the key that the ledger committed to: it was tampered with, the
    /// KEK is another one, or the period's KEK is missing. An owner must not go on then: it would make new keys under
    /// the wrong KEK.
    pub fn dek(&self, dek_id: &[u8; 16], commit: &[u8; 32]) -> Result<Option<Dek>, Error> {
        let mut fault = None;
        for record in self.wrapped(dek_id)? {
            match self.unwrap(&record, commit) {
                Ok(dek) => return Ok(Some(dek)),
                Err(error) => fault = Some(error),
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// What can be done with a data key, given what the ledger says about it.
    ///
    /// # Errors
    /// As [`Keyring::dek`], for a key that counts.
    pub fn state(&self, dek_id: &[u8; 16], standing: Standing) -> Result<KeyState, Error> {
        Ok(match standing {
            Standing::Never => KeyState::Never,
            Standing::Restricted => KeyState::Restricted,
            Standing::Erased { at_us } => KeyState::Erased { at_us },
            Standing::Counted { commit } => self.dek(dek_id, &commit)?.map_or(KeyState::Missing, KeyState::Live),
        })
    }

    fn unwrap(&self, record: &KeyringRecord, commit: &[u8; 32]) -> Result<Dek, Error> {
        let KeyringRecord::Wrapped { dek_id, tenant, wrapped, .. } = record else {
            return Err(damaged("a row of a data key holds another record"));
        };
        let dek = self.secrets.unwrap(tenant, dek_id, wrapped)?;
        if dek.commit().0 == *commit { Ok(dek) } else { Err(Error::Uncommitted) }
    }

    /// Records below a watermark of the topic that the ledger does not count: staged for frames that never became part
    /// of it. Looks at no more than `limit` records that were not known to count before.
    ///
    /// INVARIANT: `below` was taken before the caller's accepted claim was sent, and `counts` knows the ledger up to
    /// that claim; else a record could be swept that a frame under way refers to.
    ///
    /// # Errors
    /// The index cannot be read, or what `counts` returns.
    pub fn orphans<E: From<Error>>(
        &self,
        below: Position,
        limit: usize,
        counts: impl Fn(&Claim) -> Result<bool, E>,
    ) -> Result<Removed, E> {
        let limit = limit.max(1);
        let (from, to) = (self.unsettled(Position::ZERO), self.unsettled(below));
        let page = self.kv.scan(Space::Keyring, &from, &to, limit, false).map_err(Error::from)?;
        let mut removed = Removed { more: page.len() == limit, ..Removed::default() };
        for (key, value) in page {
            let position = position_of(&key)?;
            let reference = Reference::decode(&value)?;
            if counts(&reference.claim())? {
                removed.writes.push(Write::Delete(Space::Keyring, key));
            } else {
                removed.positions.push(position);
                removed.writes.extend(self.forget(&reference, position));
            }
        }
        Ok(removed)
    }

    /// All records of a person: data keys and directory rows.
    ///
    /// # Errors
    /// The index cannot be read, or `surrogate` is [`ORGANISATION`], which stands for no person.
    pub fn remove(&self, surrogate: &[u8; 16]) -> Result<Removed, Error> {
        if *surrogate == ORGANISATION {
            return Err(Error::Organisation);
        }
        let mut removed = Removed::default();
        for (position, value) in self.rows(Row::Surrogate, &[surrogate])? {
            removed.positions.push(position);
            removed.writes.extend(self.forget(&Reference::decode(&value)?, position));
        }
        Ok(removed)
    }

    fn forget(&self, reference: &Reference, position: Position) -> [Write; 3] {
        [self.by_name(reference, position), self.by_surrogate(&reference.surrogate, position), self.unsettled(position)]
            .map(|key| Write::Delete(Space::Keyring, key))
    }

    fn key(&self, row: Row, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = self.partition.to_be_bytes().to_vec();
        key.push(row as u8);
        key.extend(parts.concat());
        key
    }

    fn by_name(&self, reference: &Reference, position: Position) -> Vec<u8> {
        let at = position.0.to_be_bytes();
        match &reference.named {
            Named::Dek(dek_id) => self.key(Row::Dek, &[dek_id, &at]),
            Named::Lookup(lookup) => self.key(Row::Lookup, &[lookup, &at]),
        }
    }

    fn by_surrogate(&self, surrogate: &[u8; 16], position: Position) -> Vec<u8> {
        self.key(Row::Surrogate, &[surrogate, &position.0.to_be_bytes()])
    }

    fn unsettled(&self, position: Position) -> Vec<u8> {
        self.key(Row::Unsettled, &[&position.0.to_be_bytes()])
    }

    /// The rows under a prefix with their positions, ascending. As many as one person or one key has records.
    fn rows(&self, row: Row, parts: &[&[u8]]) -> Result<Vec<(Position, Vec<u8>)>, Error> {
        let from = self.key(row, parts);
        let to = crate::kv::after_prefix(&from);
        let mut rows = Vec::new();
        crate::kv::visit(self.kv, Space::Keyring, &from, &to, |key, value| {
            rows.push((position_of(key)?, value.to_vec()));
            Ok::<(), Error>(())
        })?;
        Ok(rows)
    }
}

fn damaged(why: &'static str) -> Error {
    Error::Undecodable { what: "the index of the keyring", why }
}

fn position_of(key: &[u8]) -> Result<Position, Error> {
    key.last_chunk()
        .map(|at| Position(u64::from_be_bytes(*at)))
        .ok_or_else(|| damaged("a key ends inside its position"))
}

impl Reference {
    fn of(record: &KeyringRecord) -> Reference {
        match record {
            KeyringRecord::Wrapped { dek_id, surrogate, .. } => {
                Reference { surrogate: *surrogate, named: Named::Dek(*dek_id) }
            }
            KeyringRecord::Directory { lookup, surrogate } => {
                Reference { surrogate: *surrogate, named: Named::Lookup(*lookup) }
            }
        }
    }

    fn claim(&self) -> Claim {
        match self.named {
            Named::Dek(dek_id) => Claim::Dek(dek_id),
            Named::Lookup(_) => Claim::Surrogate(self.surrogate),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match &self.named {
            Named::Dek(dek_id) => [&[record::WRAPPED][..], &self.surrogate, dek_id].concat(),
            Named::Lookup(lookup) => [&[record::DIRECTORY][..], &self.surrogate, lookup].concat(),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Reference, Error> {
        let bad = || damaged("a reference to a record is not understood");
        let (kind, rest) = bytes.split_first().ok_or_else(bad)?;
        let (surrogate, rest) = rest.split_first_chunk().ok_or_else(bad)?;
        let named = match *kind {
            record::WRAPPED => Named::Dek(rest.try_into().map_err(|_| bad())?),
            record::DIRECTORY => Named::Lookup(rest.try_into().map_err(|_| bad())?),
            _ => return Err(bad()),
        };
        Ok(Reference { surrogate: *surrogate, named })
    }
}
