//! Keys: what is secret, and what can be forgotten.
//!
//! Three layers, each wrapped or derived by the one above it: files that an operator keeps ([`Secrets`]), data keys
//! wrapped under them ([`Keyring`], topic `keys`), and sections of events sealed under those (`record`). The ledger
//! holds commitments to data keys and never a key.
//! Invariants: no function here draws a random number (the owner does and hands it in, so that a run can be
//! repeated); nothing secret has a `Debug` that shows it or outlives its value in memory; whether a key counts is the
//! ledger's word, not the keyring's, and comes in as [`Standing`].
//! Deliberately not here: a KMS, the rolling of key periods and erasure as a workflow. The bytes are ready for them.

mod error;
mod files;
pub mod keyring;
pub mod queue;
mod secrets;
#[cfg(test)]
mod tests;
pub(crate) mod xaes;

pub use error::Error;
pub use keyring::{Claim, Keyring, KeyringRecord, Removed};
pub use secrets::{Notice, Secrets, WRAPPED_BYTES};
pub use xaes::{NONCE_BYTES, Nonce};

pub(crate) use secrets::{Purpose, kek_file};

use domain::ids::Tenant;
use ledger::seal::Dek;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The tenant under which the organisation's key is kept for input that names no tenant, because it cannot be read.
/// No tenant can have this name ([`domain::ids::Tenant`] refuses it).
pub const NO_TENANT: &str = "";

/// The name under which a tenant's keys are kept, [`NO_TENANT`] where there is none.
pub fn tenant_or_none(tenant: Option<&Tenant>) -> &str {
    tenant.map_or(NO_TENANT, Tenant::as_str)
}

/// The surrogate of an organisation in records of its keys: keys of a tenant itself, of no person.
pub const ORGANISATION: [u8; 16] = [0; 16];

/// What the ledger says about a data key. From the owner's state, never from the keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No `KeyCreated` names it: it does not count, whatever the keyring holds.
    Never,
    /// A `KeyCreated` names it.
    Counted {
        /// The commitment in that event.
        commit: [u8; 32],
    },
    /// It counts, and must not be used for the time being.
    Restricted,
    /// An erasure of its subject was accepted: no record of it counts any more.
    Erased {
        /// Recorded time of that event, microseconds since 1970-01-01 UTC.
        at_us: i64,
    },
}

/// What can be done with a data key.
#[derive(Debug)]
pub enum KeyState {
    /// It never counted.
    Never,
    /// It opens and seals.
    Live(Dek),
    /// It must not be used for the time being.
    Restricted,
    /// It was forgotten on purpose.
    Erased {
        /// Recorded time of the erasure, microseconds since 1970-01-01 UTC.
        at_us: i64,
    },
    /// It ought to be there and is not: a fault.
    Missing,
}

/// 32 secret bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key(pub(crate) [u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key([redacted])")
    }
}
