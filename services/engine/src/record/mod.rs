//! Between what is decided and what is recorded: sealing an answer into an event, and reading events again.
//!
//! Invariants: what is clear and what is sealed is settled here and by `Request::split`, nowhere else; a person's values
//! lie in that person's section alone; nothing here draws or looks at a clock, so the same material gives the same
//! bytes, which is what replay compares. State and read models are folded from [`clear()`] alone, so that an erasure
//! changes neither. Deliberately not here: where keys come from (`keys`), and the chain (`ledger`).

mod clear;
mod error;
pub mod numbers;
mod open;
mod plain;
mod seal;

pub use clear::{Clear, clear, facts, outcome};
pub use error::Error;
pub use open::{Keys, Opened, Read, Resealing, material, open, reseal};
pub use plain::{fixed, plain};
pub use seal::{Material, Sealing, SectionKey, decision_schema, decision_schema_hash, seal_answer};

pub use crate::keys::KeyState;

#[cfg(test)]
mod tests;
