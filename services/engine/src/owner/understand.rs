//! From a record of an input to a command: opening, decoding, recognising and placing it.
//!
//! Invariant: every record becomes exactly one command, whatever its bytes are. What cannot be read goes to the dead
//! letters, sealed, before the event that refuses it.

use domain::command::{Command, DeadLetterMark, Identity, Placement, Proposal, Refusal};
use domain::request::{ActorKind, IdType, Request, limits::REQUEST_BYTES_MAX};
use domain::routing::RoutingKey;
use eventlog::{NewRecord, Record, Topic};
use ledger::identity::{self, IndexKey};
use policy::ReasonCode;

use super::{Error, Owner};
use crate::dead_letter;
use crate::keys::queue;
use crate::kv::Kv;
use crate::store::{StateKey, StateRecord, Store, SurrogateState};

/// Marks a request that an owner forwarded to its partition.
pub const HEADER_FORWARDED: &str = "lexecon-forwarded";

/// Longest value of the header of a sealed record that is kept, in bytes: more than any form of ours has.
const SEALED_VALUE_MAX: usize = 16;

/// A record, understood.
pub(super) struct Understood {
    pub(super) command: Command,
    /// The canonical bytes of a request, or the raw bytes of what is none. Empty for commands.
    pub(super) bytes: Vec<u8>,
    /// What must be durable before the event: a dead letter.
    pub(super) dead_letter: Option<NewRecord>,
    /// Keyed lookups of the actor, the principal and the subjects, in that order.
    pub(super) people: People,
    /// The record as it would be forwarded.
    pub(super) framed: Vec<u8>,
}

/// Keyed directory lookups of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct People {
    pub(super) actor: [u8; 32],
    pub(super) on_behalf_of: Option<[u8; 32]>,
    pub(super) subjects: Vec<[u8; 32]>,
}

impl People {
    /// Of everybody: the actor, the principal, the subjects.
    pub(super) fn lookups(&self) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.actor).chain(&self.on_behalf_of).chain(&self.subjects)
    }
}

impl Owner {
    pub(super) fn understand(
        &mut self,
        kv: &dyn Kv,
        topic: Topic,
        record: &Record,
        deaths: u32,
        now_us: i64,
    ) -> Result<Understood, Error> {
        let deadly = deaths >= self.ctx.limits.crashes_max && deaths > 0;
        let why = deadly.then(|| format!("the process ended {deaths} times while it computed this record"));
        match (topic, why) {
            (Topic::Requests, why) => self.request(kv, record, why, now_us),
            // Commands are refused by an event alone: whoever wrote one has it.
            (_, Some(detail)) => Ok(plain(Command::Unreadable { detail })),
            (Topic::Policies, None) => Ok(plain(self.policy_command(kv, &record.value)?)),
            (_, None) => Ok(plain(command(&record.value))),
        }
    }

    fn request(
        &mut self,
        kv: &dyn Kv,
        record: &Record,
        deadly: Option<String>,
        now_us: i64,
    ) -> Result<Understood, Error> {
        let raw = match queue::open_request(&self.ctx.secrets, self.partition, record) {
            Ok(raw) => raw,
            Err(why) => {
                let detail = queue::detail(&why);
                return self.refuse(record, &record.value, ReasonCode::Undecodable, detail, now_us);
            }
        };
        if let Some(detail) = deadly {
            return self.refuse(record, &raw, ReasonCode::Quarantined, detail, now_us);
        }
        if raw.len() > REQUEST_BYTES_MAX {
            let detail = format!("{} bytes; the limit is {REQUEST_BYTES_MAX}", raw.len());
            return self.refuse(record, &raw, ReasonCode::TooLarge, detail, now_us);
        }
        let request = match self.ctx.requests.read(&raw) {
            Ok(request) => request,
            Err(why) => return self.refuse(record, &raw, ReasonCode::Undecodable, why.to_string(), now_us),
        };
        let bytes = wire::encode_request(&request)?;
        let index = self.ctx.secrets.index_key(&request.tenant);
        let routing_key = RoutingKey::of(&request.tenant, &request.actor.id, self.ctx.routing);
        let identity = identify(&index, &routing_key, &request, &bytes)?;
        let people = people(&index, &request)?;
        let proposal = Proposal {
            placement: self.placement(&routing_key, record),
            subject_erasing: self.is_erasing(kv, &people)?,
            identity,
            request,
        };
        Ok(Understood { command: Command::Decide(Box::new(proposal)), bytes, dead_letter: None, people, framed: raw })
    }

    fn refuse(
        &mut self,
        record: &Record,
        raw: &[u8],
        reason: ReasonCode,
        detail: String,
        now_us: i64,
    ) -> Result<Understood, Error> {
        let letter = wire::DeadLetter {
            topic: Topic::Requests.as_str().to_owned(),
            partition: self.partition,
            offset: record.position.0,
            reason_code: reason.as_str().to_owned(),
            detail: detail.clone(),
            headers: kept_headers(record, raw),
            key: Some(record.key.clone()),
            // What a broker's record cannot hold is kept as its size and place only.
            value: (raw.len() <= dead_letter::VALUE_BYTES_MAX).then(|| raw.to_vec()),
            value_bytes: u64::try_from(raw.len()).unwrap_or(u64::MAX),
            at_us: now_us,
        };
        let nonce = self.random();
        let sealed = dead_letter::seal(&self.ctx.secrets, self.partition, &letter, nonce)?;
        let key: [u8; 16] = self.random();
        let record = NewRecord {
            topic: Topic::DeadLetters,
            partition: self.partition,
            key: key.to_vec(),
            headers: Vec::new(),
            value: sealed,
        };
        Ok(Understood {
            command: Command::Refuse(Refusal { reason, detail }),
            bytes: raw.to_vec(),
            dead_letter: Some(record),
            people: People::default(),
            framed: Vec::new(),
        })
    }

    fn placement(&self, routing_key: &RoutingKey, record: &Record) -> Placement {
        let partition = routing_key.partition(self.ctx.partitions);
        if partition == self.partition {
            Placement::Right
        } else if record.headers.iter().any(|(name, _)| name == HEADER_FORWARDED) {
            Placement::ElsewhereAgain
        } else {
            Placement::Elsewhere { partition }
        }
    }

    fn is_erasing(&self, kv: &dyn Kv, people: &People) -> Result<bool, Error> {
        let store = Store::new(kv, self.partition);
        // Those in memory live: the memory is emptied as soon as a frame says otherwise of anybody.
        for lookup in people.lookups().filter(|lookup| self.drawn.surrogate(lookup).is_none()) {
            for surrogate in self.keyring(kv).surrogates(lookup)? {
                let state = store.get(&StateKey::Surrogate(surrogate))?;
                if matches!(state, Some(StateRecord::Surrogate(SurrogateState::Erasing { .. }))) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn policy_command(&self, kv: &dyn Kv, value: &[u8]) -> Result<Command, Error> {
        Ok(match wire::PolicyRecord::decode(value) {
            Ok(wire::PolicyRecord::Publish { bundle_hash, chunk_no, chunks, bytes, .. }) => {
                Command::PublishPolicy { bundle_hash, chunk_no, chunks, bytes }
            }
            Ok(wire::PolicyRecord::Activate { command_id, bundle_hash, .. }) => {
                let mode = self.ctx.bundles.get(kv, self.partition, &bundle_hash)?.map(|set| set.mode());
                Command::ActivatePolicy { command_id, bundle_hash, mode }
            }
            Err(why) => Command::Unreadable { detail: why.to_string() },
        })
    }
}

fn plain(command: Command) -> Understood {
    Understood { command, bytes: Vec::new(), dead_letter: None, people: People::default(), framed: Vec::new() }
}

fn command(value: &[u8]) -> Command {
    match wire::CommandRecord::decode(value) {
        Ok(wire::CommandRecord::CreateTenant { command_id, tenant, .. }) => {
            Command::CreateTenant { command_id, tenant }
        }
        Ok(wire::CommandRecord::MarkDeadLetter { command_id, position, mark, .. }) => {
            Command::MarkDeadLetter { command_id, position, mark: marked(mark) }
        }
        Err(why) => Command::Unreadable { detail: why.to_string() },
    }
}

fn marked(mark: wire::Mark) -> DeadLetterMark {
    match mark {
        wire::Mark::Retried => DeadLetterMark::Retried,
        wire::Mark::Discarded => DeadLetterMark::Discarded,
    }
}

/// The headers that a letter keeps: of a value that is still sealed, that it is. A value that says so and is too long
/// to be one of ours is cut; it opens as little then.
fn kept_headers(record: &Record, raw: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let sealed = record.headers.iter().filter(|(name, _)| name == queue::SEALED_HEADER && raw == record.value);
    sealed.map(|(name, value)| (name.clone(), Some(value.iter().take(SEALED_VALUE_MAX).copied().collect()))).collect()
}

/// How a request is recognised.
///
/// # Errors
/// When a part is longer than its length field; names are shorter than that.
pub fn identify(
    index: &IndexKey,
    routing_key: &RoutingKey,
    request: &Request,
    bytes: &[u8],
) -> Result<Identity, Error> {
    let key = identity::request_key(index, &routing_key.record_key(), request.request_id.as_str().as_bytes())?;
    Ok(Identity { key, mac: identity::request_mac(index, bytes) })
}

/// The directory lookup of an identifier.
pub fn lookup(index: &IndexKey, id_type: IdType, id: &str) -> Result<[u8; 32], Error> {
    Ok(identity::subject_lookup(index, id_type as u16, id.as_bytes())?)
}

pub(super) fn people(index: &IndexKey, request: &Request) -> Result<People, Error> {
    Ok(People {
        actor: lookup(index, IdType::Actor, request.actor.id.as_str())?,
        on_behalf_of: match &request.actor.on_behalf_of {
            Some(principal) => Some(lookup(index, IdType::Actor, principal.id.as_str())?),
            None => None,
        },
        subjects: request
            .subjects
            .iter()
            .map(|subject| lookup(index, subject.id_type, subject.id.as_str()))
            .collect::<Result<_, _>>()?,
    })
}

/// The directory lookups of everybody whom a request names.
///
/// # Errors
/// When an identifier is longer than its length field; names are shorter than that.
pub fn lookups(index: &IndexKey, request: &Request) -> Result<Vec<[u8; 32]>, Error> {
    let People { actor, on_behalf_of, subjects } = people(index, request)?;
    Ok(std::iter::once(actor).chain(on_behalf_of).chain(subjects).collect())
}

/// Whether an actor's identifier is personal data.
pub(super) fn is_person(kind: ActorKind) -> bool {
    kind == ActorKind::Person
}
