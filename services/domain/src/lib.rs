//! What a governance decision is.
//!
//! A pure room: no async, I/O, clock, randomness or serde. Requests and commands come in as values, [`decide`] turns
//! them into events, [`evolve`] folds what the ledger holds in clear into state. A refusal is a value, never an error.

pub mod command;
pub mod decide;
pub mod event;
pub mod evolve;
mod facts;
pub mod ids;
pub mod request;
pub mod routing;
mod split;
pub mod state;
mod validate;

pub use validate::FieldFault;
