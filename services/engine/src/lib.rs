//! The engine.

pub mod dead_letter;
pub mod keys;
pub mod kv;
pub mod record;
pub mod store;
