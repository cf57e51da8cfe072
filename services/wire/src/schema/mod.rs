//! Schemas as data: parsed by the Avro crate, compiled by us into something that can be walked within bounds.
//!
//! `tree` is one schema as an arena without recursion; `plan` says how data of a writer's tree becomes data of a
//! reader's; `walk` carries a plan out over bytes; `datum` makes values of them; `codec` puts the crate's writer beside it.
//!
//! Why not the crate's own reading: `read_deser` cannot resolve (it panics when given a reader schema), and the one over
//! `Value` ignores aliases, resolves by the value instead of the writer's schema, takes truncated text and truth values
//! for nulls, and drops repeated keys. The tests hold ours against it where it is right.

pub(crate) mod codec;
pub(crate) mod datum;
pub(crate) mod defaults;
pub(crate) mod plan;
pub(crate) mod tree;
pub(crate) mod walk;
