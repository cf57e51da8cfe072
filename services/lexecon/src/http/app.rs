//! What handlers share: the engine, the limits, the permits, and the signal that the process is stopping.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::system::System;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::problem::{Code, Problem};
use crate::config::{Http, Settings};
use crate::telemetry::Recorder;

/// Shared by all handlers.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What all handlers see.
pub struct Inner {
    /// The engine.
    pub system: Arc<System>,
    /// Limits.
    pub http: Http,
    /// Partitions of the deployment.
    pub partitions: u32,
    /// Who may ask.
    pub auth: super::auth::Auth,
    /// Renders scrapes.
    pub recorder: Recorder,
    /// Places for requests.
    pub requests: Arc<Semaphore>,
    /// Places for reads.
    pub reads: Arc<Semaphore>,
    /// Places for streams.
    pub streams: Arc<Semaphore>,
    /// First times of requests that do not say when they occurred.
    pub undated: super::undated::Undated,
    /// True when nothing new is to be begun.
    pub stopping: watch::Receiver<bool>,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// For one running engine. `stopping` becomes true when nothing new is to be begun.
    pub fn new(system: Arc<System>, settings: &Settings, recorder: Recorder, stopping: watch::Receiver<bool>) -> App {
        let http = settings.http.clone();
        App(Arc::new(Inner {
            partitions: system.deployment().partitions,
            system,
            auth: super::auth::Auth::new(http.token.as_ref()),
            recorder,
            requests: Arc::new(Semaphore::new(http.requests_max)),
            reads: Arc::new(Semaphore::new(http.reads_max)),
            streams: Arc::new(Semaphore::new(http.streams_max)),
            undated: super::undated::Undated::new(http.undated_max),
            http,
            stopping,
        }))
    }

    /// Runs a read on a thread that may block, so that reads never hold up submissions.
    ///
    /// # Errors
    /// `busy` when too many reads are under way, and what the read itself says.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&System) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = permit(&self.reads, "reads at once")?;
        let system = Arc::clone(&self.system);
        let task = tokio::task::spawn_blocking(move || {
            let result = read(&system);
            drop(permit);
            result
        });
        task.await.unwrap_or_else(|error| Err(Problem::internal("the read", &error)))
    }

    /// Asks the engine how it is, on a thread that may block and with no permit: probes answer when nothing else does.
    ///
    /// # Errors
    /// `internal` when the question failed.
    pub(super) async fn probe<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&System) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let system = Arc::clone(&self.system);
        tokio::task::spawn_blocking(move || ask(&system)).await.map_err(|error| Problem::internal("the probe", &error))
    }

    /// How long a submission or a read may wait.
    ///
    /// # Errors
    /// `invalid_query` when more is asked for than is allowed.
    pub(super) fn wait(&self, asked_ms: Option<u64>) -> Result<Duration, Problem> {
        let max = self.http.wait_max_ms;
        match asked_ms {
            Some(ms) if ms > max => Err(Problem::new(Code::InvalidQuery, format!("wait: at most {max} milliseconds"))),
            Some(ms) => Ok(Duration::from_millis(ms)),
            None => Ok(Duration::from_millis(self.http.wait_default_ms)),
        }
    }
}

/// Takes a permit at once or not at all: what cannot begin now is refused instead of queued.
pub(super) fn permit(semaphore: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(semaphore)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Busy, format!("too many {what}; try again in a second, with fewer at a time")))
}

/// The wall clock, for what a client left out.
pub(super) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    i64::try_from(since).unwrap_or(i64::MAX)
}
