//! Keys at rest, tried out: files, wrapping, the keyring.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod files;
mod keyring;
mod wrapping;
