//! The whole engine on the embedded log as one value: start, submit, read, back up, drain.
//!
//! Invariants: ready means that a request sent now is decided durably, so every part has a say in it; nothing is told
//! to a caller before its event is durable; data and keys are backed up as a pair, keys last, so that every key a copied
//! event needs is in the copy.

mod in_force;
mod submit;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::ids::{CommandId, Micros, Tenant};
use domain::request::Request;
use domain::routing::RoutingKey;
use eventlog::embedded::{Backup, Embedded};
use eventlog::{EventLog, LogReader, NewRecord, Position, Topic};
use ledger::LedgerId;
use policy::{Bundle, BundleSource};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::datadir::{self, DataDir, Deployment};
use crate::follow::Followers;
use crate::keys::{Secrets, queue};
use crate::kv::Kv;
use crate::kv::rocks::RocksKv;
use crate::owner::{Bundles, Context, Owner};
use crate::reader::Reader;
use crate::runtime::clock::Clock;
use crate::runtime::waiters::{Listener, Told};
use crate::runtime::{self, Parts, Runtime};
use crate::settings::Settings;
use crate::store::{StateKey, StateRecord, Store};
use crate::view::DecisionView;

/// Bytes of a bundle in one record of the log.
const CHUNK_BYTES: usize = 256 * 1024;

/// The tenant that always exists.
pub const DEFAULT_TENANT: &str = "default";

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] datadir::Error),
    /// The keys.
    #[error("keys: {0}")]
    Keys(#[from] crate::keys::Error),
    /// The log.
    #[error("log: {0}")]
    Log(#[from] eventlog::Error),
    /// State and read models.
    #[error("state: {0}")]
    Kv(#[from] crate::kv::Error),
    /// Read models.
    #[error("read models: {0}")]
    Follow(#[from] crate::follow::Error),
    /// A thread.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// The system gave no random numbers.
    #[error("the system's random number generator failed: {0}")]
    Entropy(getrandom::Error),
    /// Schemas that are built in.
    #[error("schemas: {0}")]
    Wire(#[from] wire::Error),
    /// The bundle for the first start.
    #[error("the bundle for the first start cannot be used: {0}")]
    Bundle(String),
    /// Not every partition was owned in time.
    #[error("not running after {seconds} s: {}", missing.join("; "))]
    NotRunning {
        /// How long was waited.
        seconds: u64,
        /// What is missing.
        missing: Vec<String>,
    },
    /// The ledger in the log is another one than the directory says.
    #[error("the log holds ledger {found}, the data directory is of ledger {expected}; restore both from one backup")]
    ForeignLedger {
        /// What the directory says.
        expected: LedgerId,
        /// What the log holds.
        found: LedgerId,
    },
}

/// Why a request was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// It would not be decided now.
    #[error("not ready: {0}")]
    NotReady(String),
    /// Too many are in flight.
    #[error("{limit} requests are in flight already; try again shortly")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// Larger than the limit, in its canonical encoding.
    #[error("the request has {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It cannot be encoded, sealed or looked up.
    #[error("{0}")]
    Failed(String),
}

/// What a start found and did.
#[derive(Clone, Debug)]
pub struct Started {
    /// Whether the data directory was made.
    pub first_start: bool,
    /// What the operator should know.
    pub notices: Vec<String>,
    /// The ledger.
    pub ledger_id: LedgerId,
    /// Number of partitions.
    pub partitions: u32,
}

/// Whether a request that is sent now is decided durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Ready,
    /// It might not be.
    NotReady {
        /// Why, in words.
        reasons: Vec<String>,
    },
}

/// How a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentState {
    /// Works.
    Up,
    /// Works, but lags behind or was disturbed.
    Degraded,
    /// Does not work.
    Down,
}

/// One component of the engine, for `/health`.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name.
    pub name: &'static str,
    /// How it is.
    pub state: ComponentState,
    /// How long asking it took.
    pub latency: Duration,
    /// More in words.
    pub detail: String,
}

/// What was asked and is not answered yet.
pub struct Pending {
    listener: Listener,
    _place: Place,
    partition: u32,
    reader: Reader,
}

/// What comes of a request.
#[derive(Clone, Debug)]
pub enum Answered {
    /// Its event.
    Event(Arc<DecisionView>),
    /// The process stops, or the event could not be read; ask by id later.
    Unknown,
}

impl Pending {
    /// Waits for the event. Dropping the future loses nothing: the request is asked for by id.
    pub async fn answer(mut self) -> Answered {
        match self.listener.told().await {
            Some(Told::New(view)) => Answered::Event(view),
            Some(Told::Earlier { seq }) => match self.reader.at(self.partition, seq) {
                Ok(Some(view)) => Answered::Event(Arc::new(view)),
                _ => Answered::Unknown,
            },
            None => Answered::Unknown,
        }
    }
}

/// One of the places for requests in flight.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What became of a submitted request.
pub enum Submitted {
    /// It was answered before; the same event again.
    Repeat(Arc<DecisionView>),
    /// It is in flight.
    Pending(Pending),
}

/// Everything of one process on the embedded log.
pub struct System {
    settings: Settings,
    data: DataDir,
    secrets: Arc<Secrets>,
    kv: Arc<RocksKv>,
    runtime: Runtime,
    followers: Followers,
    reader: Reader,
    inflight: Arc<AtomicUsize>,
    draining: AtomicBool,
    backup: Backup,
}

impl System {
    /// Starts everything and waits until every partition is owned. `sample` is activated, and `tenants` are created, as
    /// far as the ledger does not know them yet.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(
        settings: Settings,
        sample: Option<&BundleSource>,
        tenants: &[Tenant],
    ) -> Result<(System, Started), StartError> {
        let fresh = Deployment {
            ledger_id: LedgerId(random()?),
            partitions: settings.partitions,
            routing: settings.routing,
            chain_epoch: 0,
        };
        let data = DataDir::open_or_create(&settings.data, &fresh)?;
        let deployment = data.deployment().clone();
        let log =
            Embedded::open(eventlog::embedded::Settings { partitions: deployment.partitions, ..settings.log.clone() })?;
        let backup = log.backup();
        let log_reader = log.reader();
        let empty = is_empty(log_reader.as_ref(), deployment.partitions)?;
        let (secrets, key_notices) =
            if empty { Secrets::open_or_create(&data.keys())? } else { (Secrets::open(&data.keys())?, Vec::new()) };
        let secrets = Arc::new(secrets);
        must_be_this_ledger(log_reader.as_ref(), &deployment)?;
        let kv = Arc::new(RocksKv::open(&data.state(), &settings.kv)?);
        let reader = Reader::new(kv.clone(), log_reader.clone(), secrets.clone(), &deployment);
        let followers = Followers::with(
            kv.clone(),
            log_reader.clone(),
            crate::follow::chains(&deployment),
            settings.follow.clone(),
        )?;
        reader.follow(&followers);
        let ctx = Arc::new(context(&settings, &deployment, secrets.clone(), log_reader.clone())?);
        let mut owners = Vec::new();
        for partition in 0..deployment.partitions {
            let chain = deployment.chain(partition);
            owners.push(Owner::new(ctx.clone(), chain, ChaCha20Rng::from_seed(random()?)));
        }
        let wake = followers.waker();
        let runtime = Runtime::start(Parts {
            log: Box::new(log),
            kv: kv.clone() as Arc<dyn Kv>,
            owners,
            clock: Clock::start(settings.clock_max_step_us),
            workers: worker_count(&settings),
            advanced: Arc::new(move |partition| wake.wake(partition)),
        })?;
        let started = Started {
            first_start: data.is_first_start(),
            notices: key_notices.iter().map(ToString::to_string).collect(),
            ledger_id: deployment.ledger_id,
            partitions: deployment.partitions,
        };
        let system = System {
            settings,
            data,
            secrets,
            kv,
            runtime,
            followers,
            reader,
            inflight: Arc::default(),
            draining: AtomicBool::new(false),
            backup,
        };
        system.run_in(sample, tenants)?;
        Ok((system, started))
    }

    /// Waits for the partitions, then makes sure that tenants and a bundle are there.
    fn run_in(&self, sample: Option<&BundleSource>, tenants: &[Tenant]) -> Result<(), StartError> {
        let deadline = Instant::now() + self.settings.start_timeout;
        let not_running = |missing| StartError::NotRunning { seconds: self.settings.start_timeout.as_secs(), missing };
        let missing = self.runtime.wait_until_running(self.settings.start_timeout);
        if !missing.is_empty() {
            return Err(not_running(missing));
        }
        let default = Tenant::new(DEFAULT_TENANT).ok();
        for tenant in default.iter().chain(tenants) {
            self.create_tenant(tenant, "configuration")?;
        }
        if let Some(source) = sample
            && self.reader.active_policy(0).map_err(|error| StartError::Bundle(error.to_string()))?.is_none()
        {
            self.activate(source, "first start")?;
        }
        loop {
            let missing = self.unfinished(tenants, sample.is_some());
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(not_running(missing));
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn unfinished(&self, tenants: &[Tenant], bundle: bool) -> Vec<String> {
        let mut missing = self.runtime.statuses.not_running();
        for partition in 0..self.data.deployment().partitions {
            if bundle && !matches!(self.reader.active_policy(partition), Ok(Some(_))) {
                missing.push(format!("partition {partition}: no policy bundle in force"));
            }
            for tenant in tenants {
                if !self.reader.knows_tenant(partition, tenant).unwrap_or(false) {
                    missing.push(format!("partition {partition}: tenant {tenant} is not known yet"));
                }
            }
        }
        missing
    }

    /// Makes a tenant known in every partition that does not know it.
    ///
    /// # Errors
    /// The log does not take the command.
    pub fn create_tenant(&self, tenant: &Tenant, by: &str) -> Result<(), StartError> {
        for partition in 0..self.data.deployment().partitions {
            if self.reader.knows_tenant(partition, tenant).unwrap_or(false) {
                continue;
            }
            let command =
                wire::CommandRecord::CreateTenant { command_id: random()?, tenant: tenant.clone(), by: by.to_owned() };
            self.command(partition, &command)?;
        }
        Ok(())
    }

    /// Hands a command to a partition.
    ///
    /// # Errors
    /// The log does not take it.
    pub fn command(&self, partition: u32, command: &wire::CommandRecord) -> Result<(), StartError> {
        let value = command.encode()?;
        self.runtime.submit_and_wait(NewRecord {
            topic: Topic::Commands,
            partition,
            key: Vec::new(),
            headers: Vec::new(),
            value,
        })?;
        Ok(())
    }

    /// Publishes a bundle and puts it in force in every partition. Returns its hash.
    ///
    /// # Errors
    /// The bundle is broken, or the log does not take it.
    pub fn activate(&self, source: &BundleSource, by: &str) -> Result<[u8; 32], StartError> {
        let bundle = Bundle::parse(source).map_err(|faults| {
            StartError::Bundle(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        let bundle_hash = bundle.hash().0;
        let text = bundle.encode();
        let chunks = u32::try_from(text.len().div_ceil(CHUNK_BYTES)).unwrap_or(u32::MAX);
        for (chunk_no, bytes) in (0u32..).zip(text.chunks(CHUNK_BYTES)) {
            let command_id = random()?;
            self.policy(&wire::PolicyRecord::Publish {
                command_id,
                bundle_hash,
                chunk_no,
                chunks,
                bytes: bytes.to_vec(),
                by: by.to_owned(),
            })?;
        }
        self.policy(&wire::PolicyRecord::Activate { command_id: random()?, bundle_hash, by: by.to_owned() })?;
        Ok(bundle_hash)
    }

    fn policy(&self, record: &wire::PolicyRecord) -> Result<(), StartError> {
        let value = record.encode()?;
        self.runtime.submit_and_wait(NewRecord {
            topic: Topic::Policies,
            partition: 0,
            key: Vec::new(),
            headers: Vec::new(),
            value,
        })?;
        Ok(())
    }

    /// When this request occurred according to the event that answered its id; none when its id is not remembered. A
    /// repeat that leaves the time out is dated by it, or it would be another body.
    ///
    /// # Errors
    /// [`SubmitError::Failed`].
    pub fn occurred_at(&self, request: &Request) -> Result<Option<Micros>, SubmitError> {
        let failed = |why: String| SubmitError::Failed(why);
        let deployment = self.data.deployment();
        let routing_key = RoutingKey::of(&request.tenant, &request.actor.id, deployment.routing);
        let partition = routing_key.partition(deployment.partitions);
        let index = self.secrets.index_key(&request.tenant);
        let id = request.request_id.as_str().as_bytes();
        let key = ledger::identity::request_key(&index, &routing_key.record_key(), id);
        let key = key.map_err(|error| failed(error.to_string()))?;
        let state_key = StateKey::Domain(domain::state::Key::Request(key));
        let known =
            Store::new(self.kv.as_ref(), partition).get(&state_key).map_err(|error| failed(error.to_string()))?;
        let Some(StateRecord::Domain(domain::state::Record::Answered(answered))) = known else { return Ok(None) };
        let view = self.reader.at(partition, answered.seq).map_err(|error| failed(error.to_string()))?;
        Ok(view.map(|view| view.occurred_at_us))
    }

    fn place(&self) -> Result<Place, SubmitError> {
        let limit = self.settings.inflight_max;
        let before = self.inflight.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.inflight.clone());
        if before >= limit { Err(SubmitError::Busy { limit }) } else { Ok(place) }
    }

    /// Takes framed bytes as a broker would bring them, whatever they are, into one partition.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub fn submit_raw(&self, partition: u32, framed: &[u8]) -> Result<(u32, Position), SubmitError> {
        let partition = partition % self.data.deployment().partitions.max(1);
        let nonce = random().map_err(|error| SubmitError::Failed(error.to_string()))?;
        let record = queue::seal_request(&self.secrets, partition, framed, nonce)
            .map_err(|error| SubmitError::Failed(error.to_string()))?;
        self.runtime.submit_and_wait(record).map_err(|error| SubmitError::NotReady(error.to_string()))
    }

    /// Reads what was decided.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The followers of this process.
    pub fn followers(&self) -> &Followers {
        &self.followers
    }

    /// Reads the log.
    pub fn log(&self) -> &Arc<dyn LogReader> {
        &self.runtime.reader
    }

    /// Dead letters.
    pub fn letters(&self) -> crate::letters::Letters<'_> {
        crate::letters::Letters::new(
            self.runtime.reader.as_ref(),
            &self.secrets,
            self.kv.as_ref(),
            self.deployment().partitions,
        )
    }

    /// What the deployment is.
    pub fn deployment(&self) -> &Deployment {
        self.data.deployment()
    }

    /// Requests in flight and operations that wait for the log.
    pub fn queued(&self) -> (usize, usize) {
        (self.inflight.load(Ordering::Relaxed), self.runtime.queued())
    }

    /// Whether a request that is sent now is decided durably.
    pub fn readiness(&self) -> Readiness {
        let mut reasons = self.runtime.statuses.not_running();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("the process is stopping".to_owned());
        }
        if let eventlog::Health::Broken { error, .. } = self.runtime.reader.health() {
            reasons.push(format!("log: {error}"));
        }
        for partition in 0..self.data.deployment().partitions {
            if !matches!(self.reader.active_policy(partition), Ok(Some(_))) {
                reasons.push(format!("partition {partition}: no policy bundle in force; publish and activate one"));
            }
        }
        reasons.extend(self.followers.faults(self.settings.lag_events_max));
        if reasons.is_empty() { Readiness::Ready } else { Readiness::NotReady { reasons } }
    }

    /// Every component with its latency.
    pub fn components(&self) -> Vec<Component> {
        let timed = |name, work: &dyn Fn() -> (ComponentState, String)| {
            let since = Instant::now();
            let (state, detail) = work();
            Component { name, state, latency: since.elapsed(), detail }
        };
        vec![
            timed("log", &|| match self.runtime.reader.health() {
                eventlog::Health::Working => (ComponentState::Up, "embedded".to_owned()),
                eventlog::Health::Broken { error, attempts } => {
                    (ComponentState::Down, format!("{error} ({attempts} attempts to reopen)"))
                }
            }),
            timed("owners", &|| {
                let missing = self.runtime.statuses.not_running();
                if missing.is_empty() {
                    (ComponentState::Up, format!("{} partitions running", self.data.deployment().partitions))
                } else {
                    (ComponentState::Down, missing.join("; "))
                }
            }),
            timed("state", &|| match self.reader.active_policy(0) {
                Ok(Some(_)) => (ComponentState::Up, "readable".to_owned()),
                Ok(None) => (ComponentState::Degraded, "no policy bundle in force".to_owned()),
                Err(error) => (ComponentState::Down, error.to_string()),
            }),
            timed("followers", &|| {
                let faults = self.followers.faults(self.settings.lag_events_max);
                if faults.is_empty() {
                    (ComponentState::Up, "following".to_owned())
                } else {
                    (ComponentState::Degraded, faults.join("; "))
                }
            }),
        ]
    }

    /// Copies log and keys into `dir`, as a pair, while running. State is a fold of the log and is not copied.
    ///
    /// # Errors
    /// The directory exists and is not empty, or cannot be written.
    pub fn backup(&self, dir: &Path) -> Result<(), StartError> {
        self.backup.checkpoint(dir)?;
        // Keys last: whatever event the copy of the log holds, its key period was there before it.
        self.data.copy_keys_into(dir)?;
        self.data.describe_into(dir)?;
        Ok(())
    }

    /// Stops accepting, waits for what is in flight, stops the threads and makes everything durable. Returns how many
    /// requests were still without an answer when the time was up; they are found by id after the next start.
    pub fn drain(mut self, deadline: Duration) -> usize {
        self.draining.store(true, Ordering::Relaxed);
        let until = Instant::now() + deadline;
        while self.inflight.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.runtime.stop();
        self.followers.stop();
        self.inflight.load(Ordering::Relaxed)
    }

    /// State and read models, for tests that compare them.
    pub fn kv(&self) -> &Arc<RocksKv> {
        &self.kv
    }
}

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(StartError::Entropy)?;
    Ok(bytes)
}

/// A fresh identity for a command.
///
/// # Errors
/// The system gives no random numbers.
pub fn command_id() -> Result<CommandId, StartError> {
    random()
}

fn worker_count(settings: &Settings) -> usize {
    match settings.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        set => set,
    }
}

pub(crate) fn context(
    settings: &Settings,
    deployment: &Deployment,
    secrets: Arc<Secrets>,
    log: Arc<dyn LogReader>,
) -> Result<Context, StartError> {
    Ok(Context {
        secrets,
        requests: Arc::new(wire::RequestReader::with_builtin(wire::Limits::default())?),
        terms: settings.terms,
        routing: deployment.routing,
        partitions: deployment.partitions,
        topic_id: Box::new(move |topic, partition| log.topic_id(topic, partition)),
        limits: settings.limits.clone(),
        bundles: Bundles::default(),
    })
}

fn is_empty(log: &dyn LogReader, partitions: u32) -> Result<bool, StartError> {
    for partition in 0..partitions {
        if log.tail(Topic::Ledger, partition)? > Position::ZERO {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first frame of each partition says which ledger it belongs to.
fn must_be_this_ledger(log: &dyn LogReader, deployment: &Deployment) -> Result<(), StartError> {
    for partition in 0..deployment.partitions {
        let limit = eventlog::ReadLimit { records: 1, ..eventlog::ReadLimit::default() };
        for record in log.read(Topic::Ledger, partition, Position::ZERO, limit)? {
            if let Some(found) = ledger::ledger_id_of(&record.value)
                && found != deployment.ledger_id
            {
                return Err(StartError::ForeignLedger { expected: deployment.ledger_id, found });
            }
        }
    }
    Ok(())
}
