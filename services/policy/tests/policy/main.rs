//! Bundles from the outside: what is refused and where, what is decided, and what the shipped bundles say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod comparing;
mod encoding;
mod explaining;
mod modes;
mod refusals;
mod shipped;
mod support;
