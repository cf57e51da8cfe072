//! Keys of the state and their frozen bytes: `u32 partition ‖ u8 kind ‖ fields`, big-endian, so that a partition is
//! one range and a kind within it another.
//!
//! Texts come last and run to the end, so no length is needed and none can be wrong. The time of an expiry comes
//! first, so that what expires next stands first. INVARIANT: numbers are never reused.

use domain::ids::{Micros, Tenant};
use domain::state::Key;
use ledger::Hash;

use super::Error;
use super::codec::{Reader, Writer};

/// Frozen numbers of key kinds.
mod kind {
    pub const HEAD: u8 = 1;
    pub const POSITION: u8 = 2;
    pub const INPUT: u8 = 3;
    pub const PERIOD: u8 = 4;
    pub const TOTALS: u8 = 5;
    pub const ACTIVE_POLICY: u8 = 6;
    pub const TENANT: u8 = 7;
    pub const POLICY_PROGRESS: u8 = 8;
    pub const POLICY_CHUNK: u8 = 9;
    pub const SCHEMA: u8 = 10;
    pub const DEK: u8 = 11;
    pub const DEK_COUNTED: u8 = 12;
    pub const SURROGATE: u8 = 13;
    pub const COMMAND: u8 = 14;
    pub const DEAD_LETTER: u8 = 15;
    pub const REQUEST: u8 = 16;
    pub const CONFLICT: u8 = 17;
    pub const EXPIRY: u8 = 18;
    pub const INPUT_ORIGIN: u8 = 19;
}

/// Names one record of a partition's state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// What decisions read.
    Domain(Key),
    /// The head of the chain that this state was folded to.
    Head,
    /// The log position after the last folded frame: a hint, left out of the digest.
    Position,
    /// How far an input partition was consumed.
    Input {
        /// Logical topic.
        topic: String,
        /// Input partition.
        partition: u32,
    },
    /// What an input was at the beginning.
    InputOrigin {
        /// Logical topic.
        topic: String,
        /// Input partition.
        partition: u32,
    },
    /// The data key of a subject, class and key period.
    Dek {
        /// Tenant; empty for what could not be read.
        tenant: String,
        /// The subject; zeros mean the organisation.
        surrogate: [u8; 16],
        /// Retention class.
        class: u8,
        /// Key period.
        period: u32,
    },
    /// That a data key counts, by its id.
    DekCounted([u8; 16]),
    /// Whether a surrogate lives.
    Surrogate([u8; 16]),
    /// That a record schema is in this partition.
    Schema(Hash),
    /// The key period under which keys are wrapped.
    Period,
}

impl StateKey {
    /// The frozen number of its kind.
    pub fn kind(&self) -> u8 {
        match self {
            StateKey::Head => kind::HEAD,
            StateKey::Position => kind::POSITION,
            StateKey::Input { .. } => kind::INPUT,
            StateKey::InputOrigin { .. } => kind::INPUT_ORIGIN,
            StateKey::Period => kind::PERIOD,
            StateKey::Dek { .. } => kind::DEK,
            StateKey::DekCounted(_) => kind::DEK_COUNTED,
            StateKey::Surrogate(_) => kind::SURROGATE,
            StateKey::Schema(_) => kind::SCHEMA,
            StateKey::Domain(key) => domain_kind(key),
        }
    }
}

fn domain_kind(key: &Key) -> u8 {
    match key {
        Key::Totals => kind::TOTALS,
        Key::ActivePolicy => kind::ACTIVE_POLICY,
        Key::Tenant(_) => kind::TENANT,
        Key::PolicyProgress(_) => kind::POLICY_PROGRESS,
        Key::PolicyChunk(..) => kind::POLICY_CHUNK,
        Key::Command(_) => kind::COMMAND,
        Key::DeadLetter(_) => kind::DEAD_LETTER,
        Key::Request(_) => kind::REQUEST,
        Key::Conflict(..) => kind::CONFLICT,
        Key::Expiry(..) => kind::EXPIRY,
    }
}

/// The bytes of a key in a partition.
pub fn encode_key(partition: u32, key: &StateKey) -> Vec<u8> {
    let out = Writer::with_capacity(80).u32(partition);
    let out = match key {
        StateKey::Domain(key) => return domain_key(out, key).done(),
        _ => out.u8(key.kind()),
    };
    match key {
        StateKey::Domain(_) | StateKey::Head | StateKey::Position | StateKey::Period => out,
        StateKey::Input { topic, partition } | StateKey::InputOrigin { topic, partition } => {
            out.u32(*partition).bytes(topic.as_bytes())
        }
        StateKey::Dek { tenant, surrogate, class, period } => {
            out.bytes(surrogate).u8(*class).u32(*period).bytes(tenant.as_bytes())
        }
        StateKey::DekCounted(id) | StateKey::Surrogate(id) => out.bytes(id),
        StateKey::Schema(hash) => out.bytes(&hash.0),
    }
    .done()
}

fn domain_key(out: Writer, key: &Key) -> Writer {
    let out = out.u8(domain_kind(key));
    match key {
        Key::Totals | Key::ActivePolicy => out,
        Key::Tenant(tenant) => out.bytes(tenant.as_str().as_bytes()),
        Key::PolicyProgress(bundle) => out.bytes(bundle),
        Key::PolicyChunk(bundle, chunk_no) => out.bytes(bundle).u32(*chunk_no),
        Key::Command(id) => out.bytes(id),
        Key::DeadLetter(position) => out.u64(*position),
        Key::Request(request) => out.bytes(request),
        Key::Conflict(request, mac) => out.bytes(request).bytes(mac),
        Key::Expiry(at_us, key) => domain_key(out.ordered_i64(*at_us), key),
    }
}

/// Reads a key with its partition.
///
/// # Errors
/// [`Error::Key`] for bytes that [`encode_key`] does not make. An expiry of an expiry is one of them.
pub fn decode_key(bytes: &[u8]) -> Result<(u32, StateKey), Error> {
    read(bytes).ok_or_else(|| Error::Key { kind: kind_of(bytes) })
}

pub(super) fn kind_of(bytes: &[u8]) -> u8 {
    bytes.get(4).copied().unwrap_or(0)
}

fn read(bytes: &[u8]) -> Option<(u32, StateKey)> {
    let mut reader = Reader::new(bytes);
    let partition = reader.u32()?;
    let key = match reader.u8()? {
        kind::HEAD => reader.end(StateKey::Head),
        kind::POSITION => reader.end(StateKey::Position),
        kind::PERIOD => reader.end(StateKey::Period),
        kind::INPUT => {
            let partition = reader.u32()?;
            let topic = reader.rest_text()?;
            Some(StateKey::Input { topic, partition })
        }
        kind::INPUT_ORIGIN => {
            let partition = reader.u32()?;
            let topic = reader.rest_text()?;
            Some(StateKey::InputOrigin { topic, partition })
        }
        kind::DEK => {
            let (surrogate, class, period) = (reader.array()?, reader.u8()?, reader.u32()?);
            let tenant = reader.rest_text()?;
            Some(StateKey::Dek { tenant, surrogate, class, period })
        }
        kind::DEK_COUNTED => {
            let id = reader.array()?;
            reader.end(StateKey::DekCounted(id))
        }
        kind::SURROGATE => {
            let id = reader.array()?;
            reader.end(StateKey::Surrogate(id))
        }
        kind::SCHEMA => {
            let hash = Hash(reader.array()?);
            reader.end(StateKey::Schema(hash))
        }
        number => read_domain(number, reader, true).map(StateKey::Domain),
    }?;
    Some((partition, key))
}

fn read_domain(number: u8, mut reader: Reader<'_>, may_expire: bool) -> Option<Key> {
    let key = match number {
        kind::TOTALS => Key::Totals,
        kind::ACTIVE_POLICY => Key::ActivePolicy,
        kind::TENANT => return Tenant::new(reader.rest_text()?).ok().map(Key::Tenant),
        kind::POLICY_PROGRESS => Key::PolicyProgress(reader.array()?),
        kind::POLICY_CHUNK => Key::PolicyChunk(reader.array()?, reader.u32()?),
        kind::COMMAND => Key::Command(reader.array()?),
        kind::DEAD_LETTER => Key::DeadLetter(reader.u64()?),
        kind::REQUEST => Key::Request(reader.array()?),
        kind::CONFLICT => Key::Conflict(reader.array()?, reader.array()?),
        kind::EXPIRY if may_expire => {
            let (at_us, number) = (reader.ordered_i64()?, reader.u8()?);
            let key = read_domain(number, reader, false)?;
            return Some(Key::Expiry(at_us, Box::new(key)));
        }
        _ => return None,
    };
    reader.end(key)
}

/// The range of expiry keys of before `before_us`.
pub(super) fn expiry_range(partition: u32, before_us: Micros) -> (Vec<u8>, Vec<u8>) {
    let start = |at_us| Writer::with_capacity(13).u32(partition).u8(kind::EXPIRY).ordered_i64(at_us).done();
    (start(Micros::MIN), start(before_us))
}
