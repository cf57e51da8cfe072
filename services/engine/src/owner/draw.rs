//! What is drawn at random for an event: surrogates, data keys, nonces, salts; and the compiled bundles.
//!
//! Invariants: what is drawn for a batch belongs to that batch until its frame is in the ledger, and is never used
//! again if the batch is forgotten; a key counts only when its `KeyCreated` is in the ledger, a directory row only when
//! an accepted event names its surrogate, so nothing here trusts the keyring alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::event::Answer;
use domain::ids::{BundleHash, Tenant};
use domain::request::PersonRole;
use domain::state::{Key, Record};
use eventlog::{NewRecord, Topic};
use ledger::seal::Dek;
use policy::{Bundle, PolicySet};
use rand::Rng;

use super::batch::Draft;
use super::understand::{People, is_person};
use super::{Error, Owner};
use crate::keys::{Keyring, KeyringRecord, ORGANISATION, tenant_or_none};
use crate::kv::Kv;
use crate::record::{Material, SectionKey};
use crate::store::{StateKey, StateRecord, Store, SurrogateState};

type KeyOf = (String, [u8; 16], u8, u32);

/// Surrogates and section keys in memory: of accepted frames in the owner, of one batch in its draft.
///
/// INVARIANT: in the owner, every surrogate lives. Whatever it did not commit itself, and whatever ends one, empties it.
#[derive(Clone)]
pub(super) struct Drawn {
    surrogates: BTreeMap<[u8; 32], [u8; 16]>,
    keys: BTreeMap<KeyOf, SectionKey>,
    max: usize,
}

impl Drawn {
    pub(super) fn new(max: usize) -> Drawn {
        Drawn { surrogates: BTreeMap::new(), keys: BTreeMap::new(), max }
    }

    pub(super) fn surrogate(&self, lookup: &[u8; 32]) -> Option<[u8; 16]> {
        self.surrogates.get(lookup).copied()
    }

    /// Which surrogates and data keys these are; their bytes follow from that.
    pub(super) fn names(&self) -> impl Iterator<Item = [u8; 16]> + '_ {
        self.surrogates.values().copied().chain(self.keys.values().map(|key| key.dek_id))
    }

    pub(super) fn clear(&mut self) {
        self.surrogates.clear();
        self.keys.clear();
    }

    /// Takes over what an accepted batch drew or looked up. A full cache is emptied: it refills from the keyring, and
    /// unlike an eviction by use this is the same on every run.
    pub(super) fn keep(&mut self, other: Drawn) {
        if self.surrogates.len().saturating_add(other.surrogates.len()) > self.max {
            self.surrogates.clear();
        }
        if self.keys.len().saturating_add(other.keys.len()) > self.max {
            self.keys.clear();
        }
        self.surrogates.extend(other.surrogates);
        self.keys.extend(other.keys);
    }
}

impl Owner {
    pub(super) fn keyring<'a>(&'a self, kv: &'a dyn Kv) -> Keyring<'a> {
        Keyring::new(kv, &self.ctx.secrets, self.partition)
    }

    /// Everything that sealing an answer needs. New keys get their `KeyCreated` pushed into the draft first.
    pub(super) fn material(
        &mut self,
        kv: &dyn Kv,
        draft: &mut Draft,
        answer: &Answer,
        people: &People,
    ) -> Result<Material, Error> {
        let class = answer.retention_class as u8;
        let Some(request) = &answer.request else {
            let tenant = None;
            return Ok(Material {
                nonce: self.random(),
                actor: ORGANISATION,
                on_behalf_of: None,
                subjects: Vec::new(),
                organisation: self.section_key(kv, draft, tenant, ORGANISATION, class)?,
                persons: BTreeMap::new(),
            });
        };
        let tenant = Some(&request.tenant);
        let actor = self.surrogate(kv, draft, &people.actor)?;
        let on_behalf_of = match &people.on_behalf_of {
            Some(lookup) => Some(self.surrogate(kv, draft, lookup)?),
            None => None,
        };
        let mut subjects = Vec::with_capacity(people.subjects.len());
        for lookup in &people.subjects {
            subjects.push(self.surrogate(kv, draft, lookup)?);
        }
        let mut persons = BTreeMap::new();
        if is_person(request.actor.kind) {
            persons.insert(PersonRole::Actor, self.section_key(kv, draft, tenant, actor, class)?);
        }
        if let (Some(principal), Some(surrogate)) = (&request.actor.on_behalf_of, on_behalf_of)
            && is_person(principal.kind)
        {
            persons.insert(PersonRole::OnBehalfOf, self.section_key(kv, draft, tenant, surrogate, class)?);
        }
        for (index, surrogate) in subjects.iter().enumerate() {
            let role = PersonRole::Subject(u8::try_from(index).unwrap_or(u8::MAX));
            persons.insert(role, self.section_key(kv, draft, tenant, *surrogate, class)?);
        }
        let organisation = self.section_key(kv, draft, tenant, ORGANISATION, class)?;
        Ok(Material { nonce: self.random(), actor, on_behalf_of, subjects, organisation, persons })
    }

    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0u8; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn surrogate(&mut self, kv: &dyn Kv, draft: &mut Draft, lookup: &[u8; 32]) -> Result<[u8; 16], Error> {
        if let Some(known) = draft.drawn.surrogate(lookup).or_else(|| self.drawn.surrogate(lookup)) {
            return Ok(known);
        }
        let store = Store::new(kv, self.partition);
        for candidate in self.keyring(kv).surrogates(lookup)? {
            let state = draft.fold.get(&store, &StateKey::Surrogate(candidate))?;
            if matches!(state, Some(StateRecord::Surrogate(SurrogateState::Live | SurrogateState::Erasing { .. }))) {
                draft.drawn.surrogates.insert(*lookup, candidate);
                return Ok(candidate);
            }
        }
        let surrogate = self.random();
        self.stage_keyring(draft, KeyringRecord::Directory { lookup: *lookup, surrogate })?;
        draft.drawn.surrogates.insert(*lookup, surrogate);
        Ok(surrogate)
    }

    /// The key of a person, or of the organisation, for sections of one class in the current period.
    fn section_key(
        &mut self,
        kv: &dyn Kv,
        draft: &mut Draft,
        tenant: Option<&Tenant>,
        surrogate: [u8; 16],
        class: u8,
    ) -> Result<SectionKey, Error> {
        let period = self.ctx.secrets.period();
        let name = tenant_or_none(tenant).to_owned();
        let of = (name.clone(), surrogate, class, period);
        if let Some(known) = draft.drawn.keys.get(&of).or_else(|| self.drawn.keys.get(&of)) {
            return Ok(known.clone());
        }
        let store = Store::new(kv, self.partition);
        let state_key = StateKey::Dek { tenant: name.clone(), surrogate, class, period };
        if let Some(StateRecord::Dek { dek_id, commit }) = draft.fold.get(&store, &state_key)? {
            if let Some(dek) = self.keyring(kv).dek(&dek_id, &commit.0)? {
                let key = SectionKey { dek_id, period, dek };
                draft.drawn.keys.insert(of, key.clone());
                return Ok(key);
            }
            // Only the keys of a person who is being forgotten may be gone while they count.
            let person = draft.fold.get(&store, &StateKey::Surrogate(surrogate))?;
            if !matches!(person, Some(StateRecord::Surrogate(SurrogateState::Erasing { .. }))) {
                let whose = if surrogate == ORGANISATION { "a tenant" } else { "a person" };
                return Err(Error::KeyLost { partition: self.partition, surrogate: whose, dek_id });
            }
        }
        let key = SectionKey { dek_id: self.random(), period, dek: Dek(self.random()) };
        let nonce = self.random();
        let wrapped = self.ctx.secrets.wrap(period, &name, &key.dek_id, &key.dek, nonce)?;
        self.stage_keyring(
            draft,
            KeyringRecord::Wrapped { dek_id: key.dek_id, tenant: name.clone(), surrogate, class, period, wrapped },
        )?;
        draft.key_created(&store, &name, surrogate, class, &key)?;
        draft.drawn.keys.insert(of, key.clone());
        Ok(key)
    }

    fn stage_keyring(&mut self, draft: &mut Draft, record: KeyringRecord) -> Result<(), Error> {
        let key: [u8; 16] = self.random();
        draft.keyring.push((draft.staged.len(), record.clone()));
        draft.staged.push(NewRecord {
            topic: Topic::Keys,
            partition: self.partition,
            key: key.to_vec(),
            headers: Vec::new(),
            value: record.encode()?,
        });
        Ok(())
    }
}

/// Compiled bundles by hash, shared by the partitions of a process.
#[derive(Clone, Default)]
pub struct Bundles(Arc<Mutex<BTreeMap<BundleHash, Result<PolicySet, String>>>>);

/// Compiled bundles kept at once: the one in force, the one before and candidates.
const COMPILED_MAX: usize = 16;

impl Bundles {
    /// The compiled bundle, from the chunks in the state. An inner error says why the bundle cannot be used.
    pub fn get(&self, kv: &dyn Kv, partition: u32, hash: &BundleHash) -> Result<Result<PolicySet, String>, Error> {
        let mut compiled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = compiled.get(hash) {
            return Ok(found.clone());
        }
        let Some(bytes) = text(&Store::new(kv, partition), hash)? else {
            return Ok(Err("it is not whole in this partition's log".to_owned()));
        };
        let made = compile(&bytes, hash);
        if compiled.len() >= COMPILED_MAX {
            compiled.clear();
        }
        compiled.insert(*hash, made.clone());
        Ok(made)
    }
}

/// The text of a bundle, as it went through the log.
pub fn text(store: &Store<'_>, hash: &BundleHash) -> Result<Option<Vec<u8>>, Error> {
    let chunks = match store.get(&StateKey::Domain(Key::PolicyProgress(*hash)))? {
        Some(StateRecord::Domain(Record::PolicyProgress { chunks, have })) if chunks == have => chunks,
        _ => return Ok(None),
    };
    let mut bytes = Vec::new();
    for chunk_no in 0..chunks {
        match store.get(&StateKey::Domain(Key::PolicyChunk(*hash, chunk_no)))? {
            Some(StateRecord::Domain(Record::PolicyChunk(chunk))) => bytes.extend_from_slice(&chunk),
            _ => return Ok(None),
        }
    }
    Ok(Some(bytes))
}

/// Compiles a bundle from its text.
///
/// # Errors
/// Why it cannot be used, in words.
pub fn compile(bytes: &[u8], hash: &BundleHash) -> Result<PolicySet, String> {
    let source = Bundle::decode(bytes).map_err(|why| why.to_string())?;
    let bundle = Bundle::parse(&source)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    if bundle.hash().0 != *hash {
        return Err("its text has another hash than it was published under".to_owned());
    }
    Ok(bundle.compile())
}
