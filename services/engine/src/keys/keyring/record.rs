//! Records of topic `keys[p]`, byte for byte. Their record keys are 16 random bytes and mean nothing.
//!
//! Layout: `u8 layout = 1 | u8 kind`, then
//! kind 1, a wrapped data key: `16 dek_id | u8 len, tenant | 16 surrogate | u8 class | u32 period | u16 len, wrapped`;
//! kind 2, a directory row: `32 lookup | 16 surrogate`. Big-endian, nothing may follow. Frozen; further kinds get
//! further numbers.

use std::fmt;

use crate::keys::Error;

const LAYOUT: u8 = 1;
pub(super) const WRAPPED: u8 = 1;
pub(super) const DIRECTORY: u8 = 2;

/// One record of the keyring.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyringRecord {
    /// A data key, wrapped.
    Wrapped {
        /// Its random id.
        dek_id: [u8; 16],
        /// Whose index and KEK it belongs to; empty for input that names no tenant.
        tenant: String,
        /// Whose data it seals; [`crate::keys::ORGANISATION`] for the tenant's own.
        surrogate: [u8; 16],
        /// Retention class, as in facts.
        class: u8,
        /// Key period in which it was made and wrapped.
        period: u32,
        /// What [`crate::keys::Secrets::wrap`] made.
        wrapped: Vec<u8>,
    },
    /// The surrogate of a person.
    Directory {
        /// Keyed hash of the person's identifier (`ledger::identity::subject_lookup`).
        lookup: [u8; 32],
        /// Random.
        surrogate: [u8; 16],
    },
}

impl fmt::Debug for KeyringRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Lookups and surrogates are pseudonyms, wrapped keys are secrets of a kind: neither belongs into a log.
            KeyringRecord::Wrapped { tenant, class, period, wrapped, .. } => {
                write!(
                    f,
                    "Wrapped {{ tenant: {tenant:?}, class: {class}, period: {period}, wrapped: {} bytes }}",
                    wrapped.len()
                )
            }
            KeyringRecord::Directory { .. } => f.write_str("Directory { .. }"),
        }
    }
}

impl KeyringRecord {
    /// The value of the record.
    ///
    /// # Errors
    /// The tenant's name is longer than 255 bytes, or the wrapped key longer than 65,535.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = vec![LAYOUT];
        match self {
            KeyringRecord::Wrapped { dek_id, tenant, surrogate, class, period, wrapped } => {
                let too_long = |what, len, max| move |_| Error::TooLong { what, len, max };
                let tenant_len = u8::try_from(tenant.len()).map_err(too_long("a tenant's name", tenant.len(), 255))?;
                let wrapped_len =
                    u16::try_from(wrapped.len()).map_err(too_long("a wrapped data key", wrapped.len(), 65_535))?;
                out.push(WRAPPED);
                out.extend_from_slice(dek_id);
                out.push(tenant_len);
                out.extend_from_slice(tenant.as_bytes());
                out.extend_from_slice(surrogate);
                out.push(*class);
                out.extend_from_slice(&period.to_be_bytes());
                out.extend_from_slice(&wrapped_len.to_be_bytes());
                out.extend_from_slice(wrapped);
            }
            KeyringRecord::Directory { lookup, surrogate } => {
                out.push(DIRECTORY);
                out.extend_from_slice(lookup);
                out.extend_from_slice(surrogate);
            }
        }
        Ok(out)
    }

    /// Reads the value of a record. Total.
    ///
    /// # Errors
    /// The bytes are no record of a known layout.
    pub fn decode(bytes: &[u8]) -> Result<KeyringRecord, Error> {
        let bad = |why| Error::Undecodable { what: "a keyring record", why };
        let Some((&[LAYOUT, kind], rest)) = bytes.split_first_chunk() else {
            return Err(bad("its layout is not 1"));
        };
        match kind {
            WRAPPED => wrapped(rest).ok_or_else(|| bad("the fields of a wrapped data key do not fill it exactly")),
            DIRECTORY => directory(rest).ok_or_else(|| bad("the fields of a directory row do not fill it exactly")),
            _ => Err(bad("its kind is not known")),
        }
    }
}

fn wrapped(rest: &[u8]) -> Option<KeyringRecord> {
    let (dek_id, rest) = rest.split_first_chunk()?;
    let (tenant_len, rest) = rest.split_first()?;
    let (tenant, rest) = rest.split_at_checked((*tenant_len).into())?;
    let (surrogate, rest) = rest.split_first_chunk()?;
    let (class, rest) = rest.split_first()?;
    let (period, rest) = rest.split_first_chunk()?;
    let (wrapped_len, wrapped) = rest.split_first_chunk()?;
    (usize::from(u16::from_be_bytes(*wrapped_len)) == wrapped.len()).then_some(())?;
    Some(KeyringRecord::Wrapped {
        dek_id: *dek_id,
        tenant: std::str::from_utf8(tenant).ok()?.to_owned(),
        surrogate: *surrogate,
        class: *class,
        period: u32::from_be_bytes(*period),
        wrapped: wrapped.to_vec(),
    })
}

fn directory(rest: &[u8]) -> Option<KeyringRecord> {
    let (lookup, surrogate) = rest.split_first_chunk()?;
    Some(KeyringRecord::Directory { lookup: *lookup, surrogate: surrogate.try_into().ok()? })
}
