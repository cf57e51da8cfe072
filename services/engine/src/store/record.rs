//! Records of the state and their frozen bytes: `u8 layout ‖ fields`, one file per kind.
//!
//! The kind is not in the bytes: the key says it. A further field means a further layout number, and the old one stays
//! readable. Deliberately not here: anything that erasure would have to touch.

mod active_policy;
mod answered;
mod dead_letter;
mod dek;
mod dek_counted;
mod expiry;
mod head;
mod input;
mod input_origin;
mod period;
mod policy_chunk;
mod policy_progress;
mod position;
mod seq;
mod surrogate;
mod totals;

use domain::ids::Micros;
use domain::state::{Key, Record};
use ledger::{Hash, Head};

use super::key::StateKey;

pub(crate) use head::{put as put_head, take as take_head};
pub use surrogate::SurrogateState;

/// What stands under a [`StateKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateRecord {
    /// What decisions read.
    Domain(Record),
    /// The head and what a writer continues from.
    Head {
        /// Head of the chain.
        head: Head,
        /// Recorded time of the last event.
        recorded_at_us: Micros,
        /// Number of the next outcome.
        next_outcome_no: u64,
    },
    /// Log position after the last folded frame.
    Position(u64),
    /// How far an input was consumed.
    Input {
        /// First offset that is not consumed.
        to_offset: u64,
    },
    /// What an input was when the partition's first claim named it. Apart from how far it was consumed, because it is
    /// written once and the other with every frame.
    InputOrigin {
        /// Identity of its contents; another one means that the log was replaced under the same name.
        topic_id: [u8; 16],
        /// First offset that was read.
        start: u64,
    },
    /// The data key of a subject, class and period.
    Dek {
        /// Its id.
        dek_id: [u8; 16],
        /// Commitment to it.
        commit: Hash,
    },
    /// A data key that counts.
    DekCounted {
        /// Whose.
        surrogate: [u8; 16],
        /// Commitment to it.
        commit: Hash,
    },
    /// Whether a surrogate lives.
    Surrogate(SurrogateState),
    /// The event that brought a schema.
    Schema {
        /// Its place in the ledger.
        seq: u64,
    },
    /// A key period.
    Period(u32),
}

/// The bytes of a record.
pub fn encode_record(record: &StateRecord) -> Vec<u8> {
    match record {
        StateRecord::Head { head, recorded_at_us, next_outcome_no } => {
            head::encode(head, *recorded_at_us, *next_outcome_no)
        }
        StateRecord::Position(position) => position::encode(*position),
        StateRecord::Input { to_offset } => input::encode(*to_offset),
        StateRecord::InputOrigin { topic_id, start } => input_origin::encode(topic_id, *start),
        StateRecord::Dek { dek_id, commit } => dek::encode(dek_id, commit),
        StateRecord::DekCounted { surrogate, commit } => dek_counted::encode(surrogate, commit),
        StateRecord::Surrogate(state) => surrogate::encode(state),
        StateRecord::Schema { seq } => seq::encode(*seq),
        StateRecord::Period(period) => period::encode(*period),
        StateRecord::Domain(record) => match record {
            Record::Answered(answered) => answered::encode(answered),
            Record::Tenant { seq } | Record::Command { seq } => seq::encode(*seq),
            Record::ActivePolicy { bundle_hash, mode, seq } => active_policy::encode(bundle_hash, *mode, *seq),
            Record::PolicyChunk(bytes) => policy_chunk::encode(bytes),
            Record::PolicyProgress { chunks, have } => policy_progress::encode(*chunks, *have),
            Record::DeadLetter { mark, seq } => dead_letter::encode(*mark, *seq),
            Record::Totals(totals) => totals::encode(totals),
            Record::Expiry => expiry::encode(),
        },
    }
}

/// Reads the record that stands under `key`; `None` for bytes that no version wrote there.
pub fn decode_record(key: &StateKey, bytes: &[u8]) -> Option<StateRecord> {
    match key {
        StateKey::Head => head::decode(bytes),
        StateKey::Position => position::decode(bytes).map(StateRecord::Position),
        StateKey::Input { .. } => input::decode(bytes),
        StateKey::InputOrigin { .. } => input_origin::decode(bytes),
        StateKey::Dek { .. } => dek::decode(bytes),
        StateKey::DekCounted(_) => dek_counted::decode(bytes),
        StateKey::Surrogate(_) => surrogate::decode(bytes).map(StateRecord::Surrogate),
        StateKey::Schema(_) => seq::decode(bytes).map(|seq| StateRecord::Schema { seq }),
        StateKey::Period => period::decode(bytes).map(StateRecord::Period),
        StateKey::Domain(key) => match key {
            Key::Request(_) | Key::Conflict(..) => answered::decode(bytes).map(Record::Answered),
            Key::Tenant(_) => seq::decode(bytes).map(|seq| Record::Tenant { seq }),
            Key::Command(_) => seq::decode(bytes).map(|seq| Record::Command { seq }),
            Key::ActivePolicy => active_policy::decode(bytes),
            Key::PolicyChunk(..) => policy_chunk::decode(bytes).map(Record::PolicyChunk),
            Key::PolicyProgress(_) => policy_progress::decode(bytes),
            Key::DeadLetter(_) => dead_letter::decode(bytes),
            Key::Totals => totals::decode(bytes).map(Record::Totals),
            Key::Expiry(..) => expiry::decode(bytes),
        }
        .map(StateRecord::Domain),
    }
}
