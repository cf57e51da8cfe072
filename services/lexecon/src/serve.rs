//! `lexecon serve`: every role in one process.
//!
//! Order: configuration → address → data directory and engine → interface. The address is bound before the data
//! directory is touched, so that a second process on the same port changes nothing; requests are answered only when
//! the engine can decide them.
//! Invariant: the first signal stops taking requests, answers what was begun and makes everything durable; the second
//! ends the process at once. Nothing acknowledged depends on either. A signal during the start ends the start.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::system::{Start, StartError, Started, System};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

pub use crate::assembly::engine_settings;
use crate::bundles;
use crate::cli::failure::Failure;
use crate::config::{self, Flags, Settings, Sources};
use crate::exit::Exit;
use crate::http::{self, App, Server};
use crate::telemetry;

/// A stop takes no longer than this in all.
const STOP_MAX: Duration = Duration::from_millis(9_500);
/// What the engine gets of it at least, to make everything durable.
const ENGINE_STOP_MIN: Duration = Duration::from_millis(1_000);
/// How often histograms are folded, so that their memory does not depend on being scraped.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--policy`
    pub policy: Option<String>,
    /// `--json`
    pub json: bool,
}

fn failed(exit: Exit, message: impl ToString) -> Failure {
    let code = match exit {
        Exit::Usage => "configuration",
        Exit::Data => "data",
        Exit::Listen => "listen",
        Exit::Ok | Exit::Failure | Exit::Unreachable | Exit::Interrupted => "failure",
    };
    Failure::new(exit, code, message.to_string())
}

/// Runs until a signal comes.
///
/// # Errors
/// It did not start, or the interface ended by itself.
pub fn run(options: &Options) -> Result<Exit, Failure> {
    let flags = Flags { data: options.data.clone(), listen: options.listen, policy: options.policy.clone() };
    let settings = config::load(&Sources::of_process(options.config.clone(), flags))
        .map_err(|faults| failed(Exit::Usage, faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    telemetry::start_logs(&settings.telemetry.level).map_err(|error| failed(Exit::Usage, error))?;
    let recorder = telemetry::install(&settings).map_err(|error| failed(Exit::Failure, error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(Exit::Failure, error))?;
    runtime.block_on(async {
        let server = Server::bind(&settings.http)
            .map_err(|error| failed(Exit::Listen, not_bound(settings.http.listen, &error)))?;
        let mut signals = Signals::new().map_err(|error| failed(Exit::Failure, error))?;
        let Some((system, started)) = started(&settings, &mut signals).await? else { return Ok(Exit::Ok) };
        for notice in &started.notices {
            tracing::warn!("{notice}");
        }
        serve_until_told(options, &settings, server, signals, (system, started), recorder).await
    })
}

/// Starts the engine; none when a signal came first and it has stopped again.
async fn started(settings: &Settings, signals: &mut Signals) -> Result<Option<(System, Started)>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let (wanted, told) = (settings.clone(), Arc::clone(&stop));
    let mut starting = tokio::task::spawn_blocking(move || start(&wanted, told));
    let name = tokio::select! {
        started = &mut starting => return started.map_err(|error| failed(Exit::Failure, error))?.map(Some),
        name = signals.next() => name,
    };
    tracing::info!(signal = name, "stopping before the start is over: nothing was acknowledged yet");
    stop.store(true, Ordering::Relaxed);
    let ended = tokio::select! {
        ended = tokio::time::timeout(STOP_MAX, &mut starting) => ended.ok(),
        _ = signals.next() => None,
    };
    match ended {
        Some(Ok(Ok((system, _)))) => {
            let drained = tokio::task::spawn_blocking(move || system.drain(ENGINE_STOP_MIN)).await;
            drained.map_err(|error| failed(Exit::Failure, error))?;
            Ok(None)
        }
        Some(Ok(Err(_))) => Ok(None),
        Some(Err(error)) => Err(failed(Exit::Failure, error)),
        None => {
            // A store that is being opened cannot be interrupted, and waiting for its thread would be waiting for it.
            tracing::warn!("the start did not end in time, or a second signal came: ending at once");
            std::process::exit(Exit::Interrupted as i32);
        }
    }
}

async fn serve_until_told(
    options: &Options,
    settings: &Settings,
    server: Server,
    mut signals: Signals,
    (system, started): (System, Started),
    recorder: telemetry::Recorder,
) -> Result<Exit, Failure> {
    let system = Arc::new(system);
    let (stop, stopping) = watch::channel(false);
    let app = App::new(Arc::clone(&system), settings, recorder.clone(), stopping.clone());
    let address = server.address();
    announce(options.json, settings, address, &started).map_err(|error| failed(Exit::Failure, error))?;
    let upkeep = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            recorder.upkeep();
        }
    });
    let drain = Duration::from_millis(settings.http.drain_ms);
    let mut serving = tokio::spawn(server.run(http::router(app), stopping, drain));
    let ended = tokio::select! {
        name = signals.next() => Some(name),
        _ = &mut serving => None,
    };
    let Some(name) = ended else {
        return Err(failed(Exit::Failure, "the interface ended by itself; the log says why"));
    };
    let began = Instant::now();
    tracing::info!(signal = name, "stopping: answering what was begun");
    // Nobody else receives: the process is about to end.
    let _ = stop.send(true);
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("a second signal: ending at once");
        std::process::exit(Exit::Interrupted as i32);
    });
    let answered = serving.await.unwrap_or(false);
    upkeep.abort();
    let rest = STOP_MAX.saturating_sub(began.elapsed()).max(ENGINE_STOP_MIN);
    let unanswered = tokio::task::spawn_blocking(move || drain_engine(system, rest))
        .await
        .map_err(|error| failed(Exit::Failure, error))?;
    tracing::info!(
        millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        answered,
        unanswered,
        "stopped"
    );
    Ok(if answered && unanswered == Some(0) { Exit::Ok } else { Exit::Interrupted })
}

/// Stops the engine; none when something still uses it, and then the end of the process stops it. What is acknowledged
/// is durable either way.
fn drain_engine(system: Arc<System>, within: Duration) -> Option<usize> {
    let until = Instant::now() + within;
    let mut shared = system;
    loop {
        match Arc::try_unwrap(shared) {
            Ok(system) => return Some(system.drain(until.saturating_duration_since(Instant::now()))),
            Err(still) if Instant::now() < until => {
                shared = still;
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Err(_) => return None,
        }
    }
}

fn announce(json: bool, settings: &Settings, address: SocketAddr, started: &Started) -> io::Result<()> {
    let data = settings.data.directory.display().to_string();
    let mut out = io::stdout().lock();
    if json {
        let line = serde_json::json!({
            "event": "listening",
            "address": address.to_string(),
            "url": format!("http://{address}"),
            "data": data,
            "ledger_id": started.ledger_id.to_string(),
            "partitions": started.partitions,
            "first_start": started.first_start,
            "pid": std::process::id(),
        });
        writeln!(out, "{line}")?;
    } else {
        let ledger = started.ledger_id;
        writeln!(
            out,
            "lexecon listens on http://{address} (data in {data}, ledger {ledger}, {} partitions)",
            started.partitions
        )?;
    }
    out.flush()
}

fn not_bound(listen: SocketAddr, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there; stop it, or choose another port with --listen",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose another with --listen",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; choose another with --listen",
        _ => "choose another address with --listen",
    };
    format!("cannot listen on {listen}: {error}; {remedy}")
}

fn start(settings: &Settings, stop: Arc<AtomicBool>) -> Result<(System, Started), Failure> {
    let how = Start { stop, ..Start::default() };
    bundles::start(settings, engine_settings(settings), how).map_err(|error| failed(error.exit(), error))
}

/// The exit code that goes with a failed start.
pub fn exit_of(error: &StartError) -> Exit {
    match error {
        StartError::Bundle(_) | StartError::Stopped => Exit::Failure,
        _ => Exit::Data,
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
