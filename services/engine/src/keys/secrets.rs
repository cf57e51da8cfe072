//! The secrets that an operator keeps, and what is derived from them.
//!
//! In `DIR/keys`: `kek-NNNNNN.key`, the key-encryption key of each key period; `index.key`, the master of the
//! tenants' index keys, by which requests and persons are recognised; `queue.key`, for requests that wait in the
//! embedded log. Without the first what was sealed cannot be read, without the second nothing is recognised again:
//! so a missing file is refused, and a new one is made only where there is none at all.
//! Invariants: the key of one purpose never serves another (each derivation has a tag of its own); every process that
//! is given the same files derives the same keys.
//! Deliberately not here: which data keys there are (`keyring`), and rolling to a new period.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use domain::ids::Tenant;
use hkdf::Hkdf;
use ledger::identity::IndexKey;
use ledger::seal::Dek;
use sha2::Sha512;

use super::xaes::{self, NONCE_BYTES, Nonce};
use super::{Error, Key, files};

/// The derivations and boxes of keys at rest. Written like the ledger's tags, and none of them is one of those.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// From the key of a period to the one under which a tenant's data keys are wrapped.
    TenantKek,
    /// Additional data of a wrapped data key.
    Wrap,
    /// From the key of a period to the one that seals dead letters.
    DeadLetterKek,
    /// Additional data of a dead letter.
    DeadLetter,
    /// Additional data of a request that waits.
    Queue,
}

impl Purpose {
    #[cfg(test)]
    pub(super) const ALL: [Purpose; 5] =
        [Purpose::TenantKek, Purpose::Wrap, Purpose::DeadLetterKek, Purpose::DeadLetter, Purpose::Queue];

    /// One length byte, then the text.
    pub(crate) const fn tag(self) -> &'static [u8] {
        match self {
            Purpose::TenantKek => b"\x15lexecon/v1/tenant-kek",
            Purpose::Wrap => b"\x13lexecon/v1/kek-wrap",
            Purpose::DeadLetterKek => b"\x1alexecon/v1/dead-letter-kek",
            Purpose::DeadLetter => b"\x16lexecon/v1/dead-letter",
            Purpose::Queue => b"\x10lexecon/v1/queue",
        }
    }
}

const INDEX_FILE: &str = "index.key";
pub(super) const QUEUE_FILE: &str = "queue.key";
const FIRST_PERIOD: u32 = 1;
/// Layout of a wrapped data key: `u8 layout = 1 | u32 period | 24 nonce | 32 ciphertext | 16 tag`.
const WRAP_LAYOUT: u8 = 1;

/// Bytes of a wrapped data key.
pub const WRAPPED_BYTES: usize = 1 + 4 + NONCE_BYTES + 32 + 16;

pub(crate) fn kek_file(period: u32) -> String {
    format!("kek-{period:06}.key")
}

/// `None` for a file of another purpose.
fn period_of(dir: &Path, name: &str) -> Option<Result<u32, Error>> {
    let digits = name.strip_prefix("kek-")?.strip_suffix(".key")?;
    let period = digits.parse().ok().filter(|period| *period >= FIRST_PERIOD && kek_file(*period) == name);
    Some(period.ok_or_else(|| Error::Misnamed { path: dir.join(name) }))
}

/// What an operator must know after a start. The binary logs it as a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// New keys were made.
    Created {
        /// Where they are.
        dir: PathBuf,
        /// The files' names.
        files: Vec<String>,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Notice::Created { dir, files } = self;
        write!(
            f,
            "created new keys in {} ({}): keep a copy of them apart from the data; without them nothing that is sealed can ever be read, \
             and whoever has both can read everything",
            dir.display(),
            files.join(", ")
        )
    }
}

/// All secrets of a deployment.
pub struct Secrets {
    keks: BTreeMap<u32, Key>,
    period: u32,
    index: Key,
    queue: Key,
    index_keys: IndexKeys,
}

/// Index keys that were derived already. Names of tenants come from producers, so there is a limit: a full memory is
/// emptied and fills again with those in use.
#[derive(Default)]
struct IndexKeys(RwLock<BTreeMap<Tenant, IndexKey>>);

/// Index keys kept at once, about 600 bytes each.
const INDEX_KEYS_MAX: usize = 1024;

impl IndexKeys {
    fn get_or(&self, tenant: &Tenant, derive: impl FnOnce() -> IndexKey) -> IndexKey {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return known.clone();
        }
        let made = derive();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= INDEX_KEYS_MAX {
            known.clear();
        }
        known.insert(tenant.clone(), made.clone());
        made
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("periods", &self.keks.keys()).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads the keys in `dir`, and makes them if there are none. For a data directory without a ledger only: where
    /// there is one, new keys would fit nothing in it, and [`Secrets::open`] says which are missing instead.
    ///
    /// # Errors
    /// As [`Secrets::open`], and when files cannot be created.
    pub fn open_or_create(dir: &Path) -> Result<(Secrets, Vec<Notice>), Error> {
        files::directory(dir, true)?;
        files::finish_interrupted(dir, &Self::first_files())?;
        let mut notices = Vec::new();
        if files::names(dir)?.is_empty() {
            let mut keys = Vec::new();
            for name in Self::first_files() {
                let key = files::draw(&dir.join(&name))?;
                keys.push((name, key));
            }
            files::create(dir, &keys)?;
            notices.push(Notice::Created { dir: dir.to_owned(), files: Self::first_files().into() });
        }
        Ok((Self::read(dir)?, notices))
    }

    /// Reads the keys in `dir`.
    ///
    /// # Errors
    /// A file is missing, is no key, or can be used by others than its owner; a key period between the first and the
    /// last is missing.
    pub fn open(dir: &Path) -> Result<Secrets, Error> {
        files::directory(dir, false)?;
        files::finish_interrupted(dir, &Self::first_files())?;
        Self::read(dir)
    }

    fn first_files() -> [String; 3] {
        [INDEX_FILE.to_owned(), QUEUE_FILE.to_owned(), kek_file(FIRST_PERIOD)]
    }

    fn read(dir: &Path) -> Result<Secrets, Error> {
        let periods: Result<Vec<u32>, Error> =
            files::names(dir)?.iter().filter_map(|name| period_of(dir, name)).collect();
        let periods = periods?;
        let (Some(&first), Some(&period)) = (periods.iter().min(), periods.iter().max()) else {
            return Err(Error::Missing { path: dir.join(kek_file(FIRST_PERIOD)) });
        };
        let mut keks = BTreeMap::new();
        // Periods are forgotten from the first on, so one that is missing in between was lost.
        for period in first..=period {
            keks.insert(period, files::read(&dir.join(kek_file(period)))?);
        }
        Ok(Secrets {
            keks,
            period,
            index: files::read(&dir.join(INDEX_FILE))?,
            queue: files::read(&dir.join(QUEUE_FILE))?,
            index_keys: IndexKeys::default(),
        })
    }

    /// Keys that follow from `seed` and lie nowhere: for simulation and tests, where a run must be repeatable.
    pub fn in_memory(seed: u64) -> Secrets {
        let key = |name: &[u8]| derive(&seed.to_be_bytes(), &[b"in memory: ", name]);
        Secrets {
            keks: BTreeMap::from([(FIRST_PERIOD, key(b"kek"))]),
            period: FIRST_PERIOD,
            index: key(b"index"),
            queue: key(b"queue"),
            index_keys: IndexKeys::default(),
        }
    }

    /// The period whose key wraps new data keys: the last.
    pub fn period(&self) -> u32 {
        self.period
    }

    /// The key by which requests and persons of a tenant are recognised:
    /// HKDF-SHA-512 (RFC 5869) of the master without salt, info `tag("index") ‖ tenant`, 32 bytes.
    ///
    /// Derived once a tenant: two HKDF steps for each request were two per cent of all that a decision costs.
    pub fn index_key(&self, tenant: &Tenant) -> IndexKey {
        self.index_keys.get_or(tenant, || {
            let key = derive(&self.index.0, &[ledger::hash::tag(ledger::hash::Tag::Index), tenant.as_str().as_bytes()]);
            IndexKey::new(key.0)
        })
    }

    /// The key that seals requests while they wait.
    pub(super) fn queue(&self) -> &Key {
        &self.queue
    }

    /// The key that seals dead letters of a period.
    pub(crate) fn dead_letter(&self, period: u32) -> Result<Key, Error> {
        Ok(derive(&self.kek(period)?.0, &[Purpose::DeadLetterKek.tag()]))
    }

    /// Wraps a data key for the keyring: `u8 layout = 1 | u32 period | 24 nonce | XAES-256-GCM(tenant's KEK, nonce,
    /// tag("kek-wrap") ‖ u32 period ‖ 16 dek_id ‖ tenant, DEK)`, [`WRAPPED_BYTES`] long. The tenant's KEK is
    /// HKDF-SHA-512 of the period's, info `tag("tenant-kek") ‖ tenant`. `tenant` is [`super::NO_TENANT`] for the
    /// organisation's key of input that names none.
    ///
    /// # Errors
    /// The key of that period is missing.
    pub fn wrap(
        &self,
        period: u32,
        tenant: &str,
        dek_id: &[u8; 16],
        dek: &Dek,
        nonce: Nonce,
    ) -> Result<Vec<u8>, Error> {
        let kek = self.tenant_kek(period, tenant)?;
        let sealed = xaes::seal(&kek.0, &nonce, &wrap_data(period, tenant, dek_id), &dek.0)
            .map_err(|_| Error::TooLong { what: "a data key", len: 32, max: 32 })?;
        let mut wrapped = Vec::with_capacity(WRAPPED_BYTES);
        wrapped.push(WRAP_LAYOUT);
        wrapped.extend_from_slice(&period.to_be_bytes());
        wrapped.extend_from_slice(&nonce);
        wrapped.extend_from_slice(&sealed);
        Ok(wrapped)
    }

    /// Unwraps what [`Secrets::wrap`] made. Whether it is the key that the ledger means is told by its commitment.
    ///
    /// # Errors
    /// The key of its period is missing; the bytes were changed or wrapped for another tenant, data key or by another
    /// KEK; they have another layout.
    pub fn unwrap(&self, tenant: &str, dek_id: &[u8; 16], wrapped: &[u8]) -> Result<Dek, Error> {
        let undecodable = |why| Error::Undecodable { what: "a wrapped data key", why };
        let Some((&WRAP_LAYOUT, rest)) = wrapped.split_first() else {
            return Err(undecodable("its layout is not 1"));
        };
        let Some((period, rest)) = rest.split_first_chunk() else {
            return Err(undecodable("it ends inside its period"));
        };
        let Some((nonce, sealed)) = rest.split_first_chunk() else {
            return Err(undecodable("it ends inside its nonce"));
        };
        let period = u32::from_be_bytes(*period);
        let kek = self.tenant_kek(period, tenant)?;
        let refused = || Error::Refused { what: "a wrapped data key", key: kek_file(period) };
        let opened = xaes::open(&kek.0, nonce, &wrap_data(period, tenant, dek_id), sealed).map_err(|_| refused())?;
        let bytes = <[u8; 32]>::try_from(opened.as_slice()).map_err(|_| undecodable("it is not 32 bytes long"))?;
        Ok(Dek(bytes))
    }

    fn tenant_kek(&self, period: u32, tenant: &str) -> Result<Key, Error> {
        Ok(derive(&self.kek(period)?.0, &[Purpose::TenantKek.tag(), tenant.as_bytes()]))
    }

    fn kek(&self, period: u32) -> Result<&Key, Error> {
        self.keks.get(&period).ok_or_else(|| Error::MissingPeriod { period, file: kek_file(period) })
    }
}

fn wrap_data(period: u32, tenant: &str, dek_id: &[u8; 16]) -> Vec<u8> {
    [Purpose::Wrap.tag(), &period.to_be_bytes(), dek_id, tenant.as_bytes()].concat()
}

/// HKDF-SHA-512 (RFC 5869) without salt, 32 bytes. What varies in length stands last in `info`, so that no two infos
/// of different parts are the same bytes.
#[expect(
    clippy::expect_used,
    reason = "32 bytes are fewer than the 255 × 64 that RFC 5869 allows; zeros would be a known key"
)]
fn derive(secret: &[u8], info: &[&[u8]]) -> Key {
    let mut key = Key([0; 32]);
    Hkdf::<Sha512>::new(None, secret).expand_multi_info(info, &mut key.0).expect("32 bytes can be derived");
    key
}
