//! Fixed layouts of clear sections: what every verifier can read without Avro (FORMAT.md, "Layouts").
//!
//! Facts and outcome are sections 1 and 2 of events that answer a request; every other event type has its own layout
//! as section 1. Invariants: the first byte is the layout's number; encoding is the only way to the bytes, decoding is
//! total and ends exactly where the section ends; a further field means a further number, and a number once released
//! keeps its vectors in `vectors/layouts.json`. Numbers that belong to the domain (mode, class, cause, reason) are
//! carried and not interpreted.

mod claim;
mod command_refused;
mod dead_letter_marked;
mod epoch_closed;
mod erasure_final;
mod erasure_keys_destroyed;
mod erasure_requested;
mod facts;
mod input_advanced;
mod input_lost;
mod kek_rolled;
mod key_created;
mod outcome;
mod policy_activated;
mod policy_published;
mod schema_added;
mod tenant_created;

pub use claim::{Claim, InputStart, Origin, ROUTING_ACTOR, ROUTING_TENANT};
pub use command_refused::CommandRefused;
pub use dead_letter_marked::{DeadLetterMarked, MARK_DISCARDED, MARK_RETRIED};
pub use epoch_closed::EpochClosed;
pub use erasure_final::ErasureFinal;
pub use erasure_keys_destroyed::ErasureKeysDestroyed;
pub use erasure_requested::ErasureRequested;
pub use facts::Facts;
pub use input_advanced::InputAdvanced;
pub use input_lost::InputLost;
pub use kek_rolled::KekRolled;
pub use key_created::KeyCreated;
pub use outcome::{OUTCOME_DENY, OUTCOME_ESCALATE, OUTCOME_NONE, OUTCOME_PERMIT, Outcome};
pub use policy_activated::PolicyActivated;
pub use policy_published::{CHUNK_BYTES_MAX, PolicyPublished};
pub use schema_added::SchemaAdded;
pub use tenant_created::TenantCreated;
