//! What auditors must trust: the bytes of the ledger, and how they are checked.
//!
//! The room is pure: synchronous, total, without I/O, clock, randomness or serde. It depends on nothing of ours, so
//! that the verifier stays small enough to be read. The bytes themselves are specified in `FORMAT.md` beside this
//! crate; everything here reproduces the vectors in `vectors/`.
//!
//! Invariants:
//! - Stored bytes are hashed, never a re-serialisation of what was decoded from them.
//! - [`accept()`] is the only judge of what belongs to a ledger. Writers, readers and the verifier all use it.
//! - Every parser is total: any bytes give a value or an error, never a panic, and no allocation exceeds the input.
//!
//! Deliberately not here: Avro, keys at rest, where frames are stored, what a decision means.
//!
//! Read in this order: [`chain`], [`event`], [`run`], [`frame`], [`mod@accept`], [`verify`].

pub mod accept;
pub mod chain;
mod codec;
mod error;
pub mod event;
pub mod export;
pub mod frame;
pub mod hash;
pub mod identity;
pub mod layout;
pub mod peek;
mod record;
pub mod run;
pub mod seal;
pub mod tree;
pub mod verify;

pub use accept::{Accepted, Refused, Stray, accept};
pub use chain::{ChainId, EventId, Head, LedgerId};
pub use error::Error;
pub use event::{Body, NewEvent, Section, SectionEntry, SectionKind, StoredEvent, event_type, section_tag};
pub use frame::{Coordinate, FRAME_BYTES_MAX, Frame, FrameBuilder};
pub use hash::Hash;
pub use peek::{ledger_id_of, run_head_of};
pub use record::RecordKind;
pub use run::{InputRange, Run};
