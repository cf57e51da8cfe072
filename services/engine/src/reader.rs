//! What can be asked of a ledger: decisions, requests, outcomes, counts, and where everything stands.
//!
//! Invariants: what is shown of an event is read from the ledger at that moment, and read models only say where to
//! look, so an erasure is effective at once; every walk is bounded by a setting, and where it ends early it says how to
//! go on; nothing personal is returned. Deliberately not here: who may ask (the interfaces), and personal parts, which
//! need a right and a record of the access.

mod error;
mod filter;
mod frames;
mod keys;
mod page;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::command::Identity;
use domain::ids::{ActorId, BundleHash, RequestId, Tenant};
use domain::routing::RoutingKey;
use domain::state::{Key, Record};
use eventlog::{LogReader, Position, Topic};
use ledger::{EventId, Head};
use policy::Mode;

use crate::datadir::Deployment;
use crate::follow::{self, Followers, InputAccount, Progress, Standing, Strays, Totals};
use crate::keys::Secrets;
use crate::kv::{Kv, Space, visit};
use crate::store::{self, Range, StateKey, StateRecord, Store};
use crate::view::{DecisionView, Kind};

pub use error::Error;
pub use filter::Filter;
pub use page::Page;

use frames::Frames;

/// Settings of a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Events on one page, at most.
    pub page_max: usize,
    /// Rows that are looked at for one page, at most; what is rarer comes on short pages.
    pub page_rows_max: usize,
    /// Tenants that a walk without a tenant goes through one by one; with more it goes through everything.
    pub page_tenants_max: usize,
    /// Names that statistics tell apart.
    pub statistics_names_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { page_max: 500, page_rows_max: 20_000, page_tenants_max: 16, statistics_names_max: 100 }
    }
}

/// Reads what was decided. Cheap to clone; from any thread, and blocking.
#[derive(Clone)]
pub struct Reader(Arc<Inner>);

struct Inner {
    kv: Arc<dyn Kv>,
    log: Arc<dyn LogReader>,
    secrets: Arc<Secrets>,
    deployment: Deployment,
    settings: Settings,
    progress: OnceLock<Arc<Progress>>,
}

/// The bundle in force in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivePolicy {
    /// Its content hash.
    pub bundle_hash: BundleHash,
    /// Its mode.
    pub mode: Mode,
    /// The event that put it in force.
    pub seq: u64,
}

/// One partition of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// Its number.
    pub partition: u32,
    /// Head of the chain, as far as state or read models have come.
    pub head: Head,
    /// Recorded time of the last event, microseconds; 0 before the first.
    pub recorded_at_us: i64,
    /// The log position after the last frame of that head, or of a stray after it.
    pub position: Position,
    /// One past the last record of the log.
    pub tail: Position,
    /// Frames that are no part of the ledger.
    pub strays: Strays,
    /// Its followers with their lag.
    pub followers: Vec<Standing>,
}

impl PartitionView {
    /// The last event.
    pub fn last_seq(&self) -> Option<u64> {
        self.head.next_seq.checked_sub(1)
    }
}

/// What one partition of the ledger consumed of one partition of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conserved {
    /// Partition of the ledger.
    pub partition: u32,
    /// Logical topic of the input.
    pub topic: String,
    /// Its partition.
    pub input_partition: u32,
    /// The account.
    pub account: InputAccount,
}

impl Reader {
    /// Of a deployment, with the default settings.
    pub fn new(kv: Arc<dyn Kv>, log: Arc<dyn LogReader>, secrets: Arc<Secrets>, deployment: &Deployment) -> Reader {
        Reader::with(kv, log, secrets, deployment, Settings::default())
    }

    /// Of a deployment.
    pub fn with(
        kv: Arc<dyn Kv>,
        log: Arc<dyn LogReader>,
        secrets: Arc<Secrets>,
        deployment: &Deployment,
        settings: Settings,
    ) -> Reader {
        Reader(Arc::new(Inner {
            kv,
            log,
            secrets,
            deployment: deployment.clone(),
            settings,
            progress: OnceLock::new(),
        }))
    }

    /// Lets this reader and its clones wait for what these followers have followed. The first ones given stay.
    pub fn follow(&self, followers: &Followers) {
        let _ = self.0.progress.set(followers.progress());
    }

    fn kv(&self) -> &dyn Kv {
        &*self.0.kv
    }

    fn partitions_of_deployment(&self) -> u32 {
        self.0.deployment.partitions
    }

    fn known(&self, partition: u32) -> Result<(), Error> {
        let partitions = self.partitions_of_deployment();
        if partition < partitions { Ok(()) } else { Err(Error::UnknownPartition { partition, partitions }) }
    }

    /// The event at a place of the ledger; none when there is no such event, or it answers no request.
    ///
    /// # Errors
    /// [`Error`].
    pub fn at(&self, partition: u32, seq: u64) -> Result<Option<DecisionView>, Error> {
        self.known(partition)?;
        Frames::new(&self.0).view(partition, seq)
    }

    /// The event with this id; none when there is none that a follower has seen.
    ///
    /// # Errors
    /// [`Error`].
    pub fn decision(&self, id: &EventId) -> Result<Option<DecisionView>, Error> {
        for chain in follow::chains(&self.0.deployment) {
            if let Some(seq) = follow::find_id(self.kv(), chain.partition, id)?
                && chain.event_id(seq) == *id
            {
                return self.at(chain.partition, seq);
            }
        }
        Ok(None)
    }

    /// One page of the events that answer requests, newest first. `cursor` is the `next` of the page before, and
    /// `limit` is held between 1 and a setting.
    ///
    /// Each event that was there at the first page comes exactly once, whatever is decided meanwhile.
    ///
    /// # Errors
    /// [`Error::BadCursor`], [`Error::TenantNeeded`], or a fault.
    pub fn decisions(&self, filter: &Filter, cursor: Option<&str>, limit: usize) -> Result<Page, Error> {
        page::read(&self.0, filter, cursor, limit)
    }

    /// The event that answered a request. That in the partition where the request belongs, if there is one; else a
    /// rejection where it was found.
    ///
    /// # Errors
    /// [`Error`].
    pub fn request(&self, tenant: &Tenant, actor: &ActorId, id: &RequestId) -> Result<Option<DecisionView>, Error> {
        let deployment = &self.0.deployment;
        let routing_key = RoutingKey::of(tenant, actor, deployment.routing);
        let index = self.0.secrets.index_key(tenant);
        let key = ledger::identity::request_key(&index, &routing_key.record_key(), id.as_str().as_bytes())?;
        let right = routing_key.partition(deployment.partitions);
        let others = (0..deployment.partitions).filter(|partition| *partition != right);
        for partition in std::iter::once(right).chain(others) {
            // State knows it a moment before the read model does.
            let state_key = StateKey::Domain(Key::Request(key));
            let in_state = match Store::new(self.kv(), partition).get(&state_key)? {
                Some(StateRecord::Domain(Record::Answered(answered))) => Some(answered.seq),
                _ => None,
            };
            let seq = match in_state {
                Some(seq) => Some(seq),
                None => follow::find_request(self.kv(), partition, &key)?,
            };
            if let Some(seq) = seq
                && let Some(view) = self.at(partition, seq)?
                && view.kind != Kind::Rerouted
            {
                return Ok(Some(view));
            }
        }
        Ok(None)
    }

    /// The event that answered this very body under this id in `partition`, a recorded conflict among them; none when
    /// the log has to be asked.
    ///
    /// # Errors
    /// [`Error`].
    pub fn answered(&self, partition: u32, identity: &Identity) -> Result<Option<DecisionView>, Error> {
        self.known(partition)?;
        let store = Store::new(self.kv(), partition);
        for key in [Key::Request(identity.key), Key::Conflict(identity.key, identity.mac)] {
            match store.get(&StateKey::Domain(key))? {
                Some(StateRecord::Domain(Record::Answered(answered))) if answered.mac == identity.mac => {
                    return self.at(partition, answered.seq);
                }
                Some(_) => {}
                // Not even the id is known to state: only a request that state has forgotten can be in the read model.
                None => break,
            }
        }
        let Some(seq) = follow::find_request(self.kv(), partition, &identity.key)? else {
            return Ok(None);
        };
        let mut frames = Frames::new(&self.0);
        let same =
            frames.event(partition, seq, |event| Ok(crate::record::facts(event)?.request_mac == identity.mac))?;
        if same == Some(true) { frames.view(partition, seq) } else { Ok(None) }
    }

    /// As [`Reader::answered`], for several requests. Nearly all are new, which is found out for all of them at once.
    ///
    /// # Errors
    /// [`Error`].
    pub fn answered_many(&self, asked: &[(u32, Identity)]) -> Result<Vec<Option<DecisionView>>, Error> {
        let keys: Vec<_> = asked
            .iter()
            .map(|(partition, identity)| store::encode_key(*partition, &StateKey::Domain(Key::Request(identity.key))))
            .collect();
        let in_state = self.kv().get_many(Space::State, &keys)?;
        let keys: Vec<_> =
            asked.iter().map(|(partition, identity)| follow::request_row(*partition, &identity.key)).collect();
        let in_model = self.kv().get_many(Space::Requests, &keys)?;
        let known = in_state.iter().zip(&in_model).map(|(state, model)| state.is_some() || model.is_some());
        let each = asked.iter().zip(known);
        each.map(|((partition, identity), known)| if known { self.answered(*partition, identity) } else { Ok(None) })
            .collect()
    }

    /// Outcomes of a partition with numbers above `after` (none: from the first), in order, at most `limit`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn outcomes(&self, partition: u32, after: Option<u64>, limit: usize) -> Result<Vec<DecisionView>, Error> {
        self.known(partition)?;
        let limit = limit.clamp(1, self.0.settings.page_max);
        let from = after.map_or(0, |after| after.saturating_add(1));
        let mut frames = Frames::new(&self.0);
        let mut found = Vec::new();
        // The first frame may hold only lower numbers, so one more than outcomes are wanted.
        for first_seq in follow::outcome_frames_from(self.kv(), partition, from, limit.saturating_add(1))? {
            for seq in frames.outcomes(partition, first_seq, from)? {
                if found.len() == limit {
                    return Ok(found);
                }
                found.extend(frames.view(partition, seq)?);
            }
        }
        Ok(found)
    }

    /// Every partition of the ledger.
    ///
    /// # Errors
    /// [`Error`].
    pub fn partitions(&self) -> Result<Vec<PartitionView>, Error> {
        follow::chains(&self.0.deployment)
            .into_iter()
            .map(|chain| {
                let partition = chain.partition;
                let followers = self.standings(partition)?;
                let mut view = PartitionView {
                    partition,
                    head: Head::genesis(chain),
                    recorded_at_us: 0,
                    position: Position::ZERO,
                    tail: self.0.log.tail(Topic::Ledger, partition)?,
                    strays: Strays::default(),
                    followers,
                };
                for name in self.names() {
                    if let Some(cursor) = follow::load_cursor(self.kv(), partition, name)?
                        && cursor.position > view.position
                    {
                        view.head = cursor.head;
                        view.recorded_at_us = cursor.recorded_at_us;
                        view.position = cursor.position;
                        view.strays = cursor.strays;
                    }
                }
                Ok(view)
            })
            .collect()
    }

    /// Where the followers of a partition stand: as they say themselves, or, where none are at work, by their cursors.
    fn standings(&self, partition: u32) -> Result<Vec<Standing>, Error> {
        let live = self.0.progress.get().map(|progress| progress.standings());
        let standings = match live {
            Some(all) => all.into_iter().filter(|standing| standing.partition == partition).collect(),
            None => {
                let mut stored = Vec::new();
                for name in self.names() {
                    let cursor = follow::load_cursor(self.kv(), partition, name)?;
                    stored.extend(cursor.map(|cursor| Standing::of(name, &cursor)));
                }
                stored
            }
        };
        Ok(follow::measured(standings, &*self.0.log))
    }

    fn names(&self) -> [&'static str; 5] {
        follow::NAMES
    }

    /// The last event of each partition that every read model reflects; partitions without any are left out.
    ///
    /// # Errors
    /// [`Error`].
    pub fn positions(&self) -> Result<Vec<(u32, u64)>, Error> {
        let mut positions = Vec::new();
        for partition in 0..self.partitions_of_deployment() {
            let mut least = Some(u64::MAX);
            for name in self.names() {
                let cursor = follow::load_cursor(self.kv(), partition, name)?;
                least = least.min(cursor.and_then(|cursor| cursor.last_seq()));
            }
            positions.extend(least.map(|seq| (partition, seq)));
        }
        Ok(positions)
    }

    /// Waits until every read model reflects each of these events. `timeout` is for all of them together.
    ///
    /// # Errors
    /// [`Error::Wait`].
    pub fn wait_for(&self, positions: &[(u32, u64)], timeout: Duration) -> Result<(), Error> {
        match self.0.progress.get() {
            Some(progress) => Ok(follow::wait_for(progress, positions, timeout)?),
            None => Err(follow::WaitError::NotFollowing.into()),
        }
    }

    /// Counts over all partitions.
    ///
    /// # Errors
    /// [`Error`].
    pub fn statistics(&self) -> Result<Totals, Error> {
        let names_max = self.0.settings.statistics_names_max;
        Ok(Totals::read(self.kv(), self.partitions_of_deployment(), names_max)?)
    }

    /// What was consumed, by partition and input, from the run records alone.
    ///
    /// # Errors
    /// [`Error`].
    pub fn conservation(&self) -> Result<Vec<Conserved>, Error> {
        let mut all = Vec::new();
        for partition in 0..self.partitions_of_deployment() {
            let Range { space, from, to } = Range::partition(Space::Conservation, partition);
            visit(self.kv(), space, &from, &to, |key, value| {
                let broken = || follow::Error::Model { name: "conservation", partition };
                let (topic, input_partition) = follow::input_of(key).ok_or_else(broken)?;
                let account = InputAccount::decode(value).ok_or_else(broken)?;
                all.push(Conserved { partition, topic, input_partition, account });
                Ok::<_, Error>(())
            })?;
        }
        Ok(all)
    }

    /// The bundle in force in a partition, as its owner has folded it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn active_policy(&self, partition: u32) -> Result<Option<ActivePolicy>, Error> {
        self.known(partition)?;
        let found = Store::new(self.kv(), partition).get(&StateKey::Domain(Key::ActivePolicy))?;
        Ok(match found {
            Some(StateRecord::Domain(Record::ActivePolicy { bundle_hash, mode, seq })) => {
                Some(ActivePolicy { bundle_hash, mode, seq })
            }
            _ => None,
        })
    }

    /// Whether a partition's owner knows a tenant.
    ///
    /// # Errors
    /// [`Error`].
    pub fn knows_tenant(&self, partition: u32, tenant: &Tenant) -> Result<bool, Error> {
        self.known(partition)?;
        let key = StateKey::Domain(Key::Tenant(tenant.clone()));
        Ok(Store::new(self.kv(), partition).get(&key)?.is_some())
    }
}
