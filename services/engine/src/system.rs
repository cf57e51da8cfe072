//! The whole engine on the embedded log as one value: start, submit, read, back up, drain.
//!
//! Invariants: ready means that a request sent now is decided durably, so every part has a say in it; nothing is told
//! to a caller before its event is durable; data and keys are backed up as a pair, keys last, so that every key a copied
//! event needs is in the copy.

mod health;
mod in_force;
mod submit;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::decide::Terms;
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
use crate::runtime::submission::{Place, Places, Receipt};
use crate::runtime::waiters::{Listener, Told, Waiters};
use crate::runtime::{self, Confirmer, Parts, Runtime};
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
    /// The head anchor does not go with the log.
    #[error("log: {error}; the command is `lexecon ledger anchor rebuild --data {}`", data.display())]
    Anchor {
        /// What is wrong.
        error: eventlog::Error,
        /// The data directory.
        data: PathBuf,
    },
    /// It was told to stop before it was running.
    #[error("stopped before it was running")]
    Stopped,
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
    /// It was handed over, and nobody knows whether it was written.
    #[error("{0}; it may have been written")]
    Unknown(String),
    /// It cannot be encoded, sealed or looked up.
    #[error("{0}")]
    Failed(String),
}

impl From<runtime::Error> for SubmitError {
    fn from(error: runtime::Error) -> SubmitError {
        match error {
            runtime::Error::Unknown | runtime::Error::Slow => SubmitError::Unknown(error.to_string()),
            runtime::Error::Thread(_) | runtime::Error::Stopping | runtime::Error::Refused(_) => {
                SubmitError::NotReady(error.to_string())
            }
        }
    }
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

/// What is put between an engine and its log: one that fails as a test wants it to.
pub type Over<'a> = Box<dyn FnOnce(Embedded) -> Box<dyn EventLog> + 'a>;

/// How a system is started.
#[derive(Default)]
pub struct Start<'a> {
    /// What stands between the engine and its log.
    pub over: Option<Over<'a>>,
    /// Set by whoever wants the start to end early. Opening a store cannot be interrupted; waiting can.
    pub stop: Arc<AtomicBool>,
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
    confirmation: Confirmation,
    /// The place of this caller, whoever sent the request.
    _own: Arc<Receipt>,
    partition: u32,
    reader: Reader,
}

/// What comes of a request.
#[derive(Clone, Debug)]
pub enum Answered {
    /// Its event.
    Event(Arc<DecisionView>),
    /// The log did not take it: nothing was written and nothing will be.
    NotTaken {
        /// Why.
        reason: Arc<str>,
    },
    /// The log failed, the process stops, or the event could not be read; ask by id later.
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
            Some(Told::NotTaken { reason }) => Answered::NotTaken { reason },
            Some(Told::Unknown) | None => Answered::Unknown,
        }
    }

    /// For who stops waiting for the event and wants to know whether the request is in the log at least.
    pub fn confirmation(&self) -> Confirmation {
        self.confirmation.clone()
    }
}

/// Says whether a request that is not answered yet is in the log for good.
#[derive(Clone)]
pub struct Confirmation {
    confirmer: Confirmer,
    receipt: Arc<Receipt>,
    waiters: Waiters,
}

impl Confirmation {
    /// True once it is durable, so that it will be decided. False when nobody knows; then everybody who waits for it is
    /// told so, and a repeat submits again.
    pub async fn confirmed(self) -> bool {
        let identity = *self.receipt.identity();
        let durable = self.confirmer.is_durable(self.receipt).await;
        if !durable {
            self.waiters.tell([(identity, Told::Unknown)]);
        }
        durable
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
    places: Places,
    looked: health::Looked,
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
        System::start_as(settings, sample, tenants, Start::default())
    }

    /// As [`System::start`], in a given way.
    ///
    /// # Errors
    /// As [`System::start`].
    pub fn start_as(
        settings: Settings,
        sample: Option<&BundleSource>,
        tenants: &[Tenant],
        how: Start<'_>,
    ) -> Result<(System, Started), StartError> {
        let fresh = Deployment {
            ledger_id: LedgerId(random()?),
            partitions: settings.partitions,
            routing: settings.routing,
            chain_epoch: 0,
        };
        let mut data = DataDir::open_or_create(&settings.data, &fresh, settings.terms)?;
        let deployment = data.deployment().clone();
        let on_log = eventlog::embedded::Settings { partitions: deployment.partitions, ..settings.log.clone() };
        let log = Embedded::open(on_log).map_err(|error| log_error(error, &settings.data))?;
        let backup = log.backup();
        let log: Box<dyn EventLog> = match how.over {
            Some(over) => over(log),
            None => Box::new(log),
        };
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
            log,
            kv: kv.clone() as Arc<dyn Kv>,
            owners,
            clock: Clock::start(settings.clock_max_step_us),
            workers: worker_count(&settings),
            advanced: Arc::new(move |partition| wake.wake(partition)),
        })?;
        let mut notices: Vec<String> = key_notices.iter().map(ToString::to_string).collect();
        notices.extend(data.decide_under(settings.terms)?.map(|earlier| changed_terms(&earlier, &settings.terms)));
        let started = Started {
            first_start: data.is_first_start(),
            notices,
            ledger_id: deployment.ledger_id,
            partitions: deployment.partitions,
        };
        let system = System {
            places: Places::new(settings.inflight_max),
            looked: health::Looked::new(),
            settings,
            data,
            secrets,
            kv,
            runtime,
            followers,
            reader,
            draining: AtomicBool::new(false),
            backup,
        };
        system.run_in(sample, tenants, &how.stop)?;
        Ok((system, started))
    }

    /// Waits for the partitions, then makes sure that tenants and a bundle are there.
    fn run_in(&self, sample: Option<&BundleSource>, tenants: &[Tenant], stop: &AtomicBool) -> Result<(), StartError> {
        let deadline = Instant::now() + self.settings.start_timeout;
        let wait = |missing: Vec<String>| {
            if stop.load(Ordering::Relaxed) {
                return Err(StartError::Stopped);
            }
            if Instant::now() >= deadline {
                return Err(StartError::NotRunning { seconds: self.settings.start_timeout.as_secs(), missing });
            }
            std::thread::park_timeout(Duration::from_millis(2));
            Ok(())
        };
        while !self.runtime.statuses.all_running() {
            wait(self.runtime.statuses.not_running())?;
        }
        let default = Tenant::new(DEFAULT_TENANT).ok();
        let tenants: Vec<Tenant> = default.iter().chain(tenants).cloned().collect();
        for tenant in &tenants {
            self.create_tenant(tenant, "configuration")?;
        }
        if let Some(source) = sample
            && self.reader.active_policy(0).map_err(|error| StartError::Bundle(error.to_string()))?.is_none()
        {
            self.activate(source, "first start")?;
        }
        loop {
            let missing = self.unfinished(&tenants, sample.is_some());
            if missing.is_empty() {
                return Ok(());
            }
            wait(missing)?;
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
        self.runtime.submit_and_wait(
            NewRecord { topic: Topic::Commands, partition, key: Vec::new(), headers: Vec::new(), value },
            None,
        )?;
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
        self.runtime.submit_and_wait(
            NewRecord { topic: Topic::Policies, partition: 0, key: Vec::new(), headers: Vec::new(), value },
            None,
        )?;
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
        self.places.take().ok_or(SubmitError::Busy { limit: self.places.max() })
    }

    /// Takes framed bytes as a broker would bring them, whatever they are, into one partition. Returns when they are
    /// durable there.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub fn submit_raw(&self, partition: u32, framed: &[u8]) -> Result<(u32, Position), SubmitError> {
        self.must_be_ready()?;
        let place = self.place()?;
        let partition = partition % self.data.deployment().partitions.max(1);
        let nonce = random().map_err(|error| SubmitError::Failed(error.to_string()))?;
        let record = queue::seal_request(&self.secrets, partition, framed, nonce)
            .map_err(|error| SubmitError::Failed(error.to_string()))?;
        Ok(self.runtime.submit_and_wait(record, Some(place))?)
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
        (self.places.taken(), self.runtime.queued())
    }

    /// Copies log and keys into `dir`, as a pair, while running. State is a fold of the log and is not copied.
    ///
    /// # Errors
    /// The directory is not empty, or cannot be written.
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
        while self.places.taken() > 0 && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.runtime.stop();
        self.followers.stop();
        self.places.taken()
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

/// Names the command where the anchor is at fault: the log cannot know it.
pub(crate) fn log_error(error: eventlog::Error, data: &Path) -> StartError {
    match error {
        eventlog::Error::AnchorMissing { .. } | eventlog::Error::AnchorDamaged { .. } => {
            StartError::Anchor { error, data: data.to_owned() }
        }
        error => StartError::Log(error),
    }
}

fn changed_terms(earlier: &Terms, now: &Terms) -> String {
    let hours = |terms: &Terms| terms.dedup_retention_us / 3_600_000_000;
    let millis = |terms: &Terms| terms.future_max_us / 1_000;
    format!(
        "dedup.retention_hours was {} and clock.future_max_ms was {} at the last start, they are {} and {} now: `lexecon \
         replay` and `lexecon rebuild` use the new ones for the whole ledger, so what was decided under the old ones may \
         come out different; `lexecon rebuild --replace` makes state agree with the new ones",
        hours(earlier),
        millis(earlier),
        hours(now),
        millis(now)
    )
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
