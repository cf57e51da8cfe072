//! The interface that a command talks to: of a running system, or of one started in this process for a directory.
//!
//! Both answer the same paths with the same bytes, so commands that change something are written once. A system in
//! this process is the whole engine: it claims its partitions and drains when the command is done. Commands that only
//! read do not start one (see `offline`).

use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use domain::decide::Terms;
use engine::datadir::{DataDir, Deployment};
use engine::system::{Start, System};
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::arguments::{DEFAULT_URL, Remote, Source};
use super::failure::Failure;
use crate::client::{self, Answer, Client, Problem};
use crate::config::{self, Flags, Secret, Settings, Sources};
use crate::exit::Exit;
use crate::{assembly, bundles, http as interface, telemetry};

/// How long one call may take, streams apart.
const CALL: Duration = Duration::from_secs(60);
/// What a system in this process gets to stop.
const STOP: Duration = Duration::from_secs(10);

/// An interface, and the runtime that drives it.
pub struct Reach {
    runtime: Runtime,
    place: Option<Place>,
}

enum Place {
    Remote(Client),
    Here(Box<Here>),
}

struct Here {
    router: axum::Router,
    system: Arc<System>,
    stop: watch::Sender<bool>,
}

impl Reach {
    /// The running system, or one started here when a directory is named.
    ///
    /// # Errors
    /// The configuration, the address or the directory cannot be used.
    pub fn new(source: &Source) -> Result<Reach, Failure> {
        Reach::with_policy(source, None)
    }

    /// The same, with this bundle in force when one is started here.
    ///
    /// # Errors
    /// As [`Reach::new`], and when the bundle cannot be put in force.
    pub fn with_policy(source: &Source, policy: Option<&str>) -> Result<Reach, Failure> {
        match &source.data {
            Some(data) => Reach::start(data, source.config.as_deref(), policy),
            None => Reach::remote(&source.remote),
        }
    }

    /// A running system.
    ///
    /// # Errors
    /// The address or the token cannot be used.
    pub fn remote(remote: &Remote) -> Result<Reach, Failure> {
        let client = Client::new(url(remote), token(remote)?).map_err(failure)?;
        Ok(Reach { runtime: runtime()?, place: Some(Place::Remote(client)) })
    }

    fn start(data: &Path, config: Option<&Path>, policy: Option<&str>) -> Result<Reach, Failure> {
        let flags = Flags { data: Some(data.to_owned()), listen: None, policy: policy.map(str::to_owned) };
        let mut settings = settings(config, flags)?;
        let mut of_engine = assembly::engine_settings(&settings);
        // A command works on the deployment that is there; only `serve` changes what decisions are made under.
        let described =
            DataDir::described(data).map_err(|error| Failure::new(Exit::Data, "data", error.to_string()))?;
        if let Some((deployment, terms)) = described {
            say_differences(data, config.is_some(), &settings, &deployment, terms);
            of_engine.partitions = deployment.partitions;
            of_engine.routing = deployment.routing;
            of_engine.terms = terms;
        }
        // The token guards the network, and here is none.
        settings.http.token = None;
        let recorder = telemetry::install(&settings)
            .map_err(|error| Failure::new(Exit::Failure, "telemetry", error.to_string()))?;
        let runtime = runtime()?;
        let (system, started) = bundles::start(&settings, of_engine, Start::default()).map_err(|error| {
            let code = if matches!(error, bundles::NotStarted::Bundle(_)) { "bundle" } else { "data" };
            Failure::new(error.exit(), code, error.to_string())
        })?;
        for notice in started.notices {
            // To people; a script asked for the answer only.
            let _ = writeln!(std::io::stderr(), "{notice}");
        }
        let system = Arc::new(system);
        let (stop, stopping) = watch::channel(false);
        let app = interface::App::new(Arc::clone(&system), &settings, recorder, stopping);
        let here = Here { router: interface::router(app), system, stop };
        Ok(Reach { runtime, place: Some(Place::Here(Box::new(here))) })
    }

    /// The running system's client.
    pub fn client(&self) -> Option<&Client> {
        match &self.place {
            Some(Place::Remote(client)) => Some(client),
            _ => None,
        }
    }

    /// Waits for what is done with the client.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// `GET path?query`
    ///
    /// # Errors
    /// As [`failure`] makes them.
    pub fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, Failure> {
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let asked = async {
            match &self.place {
                Some(Place::Remote(client)) => client.get(path, &query).await,
                Some(Place::Here(here)) => here.ask(http::Method::GET, &with_query(path, &query), Vec::new()).await,
                None => Err(client::Error::Url("closed".into())),
            }
        };
        self.within(asked)
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`failure`] makes them.
    pub fn post(&self, path: &str, body: Vec<u8>) -> Result<Answer, Failure> {
        self.try_post(path, body).map_err(failure)
    }

    /// The same, for who acts on problems.
    ///
    /// # Errors
    /// The client's.
    pub fn try_post(&self, path: &str, body: Vec<u8>) -> Result<Answer, client::Error> {
        self.runtime.block_on(async {
            match &self.place {
                Some(Place::Remote(client)) => match tokio::time::timeout(CALL, client.post(path, body)).await {
                    Ok(answer) => answer,
                    Err(_) => Err(no_answer()),
                },
                Some(Place::Here(here)) => here.ask(http::Method::POST, path, body).await,
                None => Err(client::Error::Url("closed".into())),
            }
        })
    }

    fn within(&self, asked: impl Future<Output = Result<Answer, client::Error>>) -> Result<Answer, Failure> {
        let answer = self.runtime.block_on(async { tokio::time::timeout(CALL, asked).await });
        answer.unwrap_or_else(|_| Err(no_answer())).map_err(failure)
    }
}

fn no_answer() -> client::Error {
    client::Error::Unreachable { url: "the system".into(), cause: format!("no answer within {} s", CALL.as_secs()) }
}

impl Here {
    async fn ask(&self, method: http::Method, path: &str, body: Vec<u8>) -> Result<Answer, client::Error> {
        let wrong = |error: http::Error| client::Error::Url(error.to_string());
        let request =
            http::Request::builder().method(method).uri(path).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body)).map_err(wrong)?;
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        let position = response.headers().get("lexecon-position").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let foreign = || client::Error::Foreign { url: path.to_owned(), status: status.as_u16() };
        let bytes = response.into_body().collect().await.map_err(|_| foreign())?.to_bytes();
        if !status.is_success() {
            let problem: Problem = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
            return Err(client::Error::Problem(Box::new(problem)));
        }
        let body = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        Ok(Answer { status: status.as_u16(), position, body })
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        let Some(Place::Here(here)) = self.place.take() else { return };
        let Here { router, system, stop } = *here;
        let _ = stop.send(true);
        drop(router);
        // What is acknowledged is durable already; draining only spares the next start some reading.
        if let Ok(system) = Arc::try_unwrap(system) {
            system.drain(STOP);
        }
    }
}

fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let mut url = path.to_owned();
    for (n, (name, value)) in query.iter().enumerate() {
        url.push(if n == 0 { '?' } else { '&' });
        url.push_str(name);
        url.push('=');
        url.push_str(&escaped(value));
    }
    url
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, section 2.3.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The address of the running system.
pub fn url(remote: &Remote) -> &str {
    remote.url.as_deref().unwrap_or(DEFAULT_URL)
}

/// The token of the running system: from the file, or from the variable that the server reads too.
///
/// # Errors
/// The file cannot be read.
pub fn token(remote: &Remote) -> Result<Option<Secret>, Failure> {
    let text = match &remote.token_file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| Failure::file(file, error))?),
        None => std::env::var("LEXECON_HTTP__TOKEN").ok(),
    };
    Ok(text
        .map(|text| Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        .filter(|token| !token.reveal().is_empty()))
}

/// The configuration of this process.
///
/// # Errors
/// It has faults; all of them are named.
pub fn settings(file: Option<&Path>, flags: Flags) -> Result<Settings, Failure> {
    config::load(&Sources::of_process(file.map(Path::to_owned), flags)).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Usage, "configuration", faults.join("\n"))
    })
}

/// Says, to people, where the configuration and a data directory disagree about what the deployment is. The directory
/// goes before: its ledger was made under what it says.
pub fn say_differences(data: &Path, is_named: bool, settings: &Settings, deployment: &Deployment, terms: Terms) {
    let (wanted, defaults) = (assembly::engine_settings(settings), assembly::engine_settings(&Settings::default()));
    let hours = |terms: Terms| (terms.dedup_retention_us / 3_600_000_000).to_string();
    let millis = |terms: Terms| (terms.future_max_us / 1_000).to_string();
    let rows = [
        (
            "topology.partitions",
            wanted.partitions.to_string(),
            defaults.partitions.to_string(),
            deployment.partitions.to_string(),
        ),
        (
            "topology.routing",
            wanted.routing.as_str().to_owned(),
            defaults.routing.as_str().to_owned(),
            deployment.routing.as_str().to_owned(),
        ),
        ("dedup.retention_hours", hours(wanted.terms), hours(defaults.terms), hours(terms)),
        ("clock.future_max_ms", millis(wanted.terms), millis(defaults.terms), millis(terms)),
    ];
    for (key, wanted, default, found) in rows {
        // A default that nobody wrote down contradicts nothing.
        if wanted != found && (is_named || wanted != default) {
            let shown = data.display();
            let _ = writeln!(
                std::io::stderr(),
                "{key} is {wanted} in the configuration and {found} in {shown}, which is used; `lexecon serve` with \
                 this configuration says what to do"
            );
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::new(Exit::Failure, "runtime", format!("the process cannot start threads: {error}")))
}

/// What the client says, as the end of a command.
pub fn failure(error: client::Error) -> Failure {
    match &error {
        client::Error::Url(_) => Failure::new(Exit::Usage, "url", error.to_string()),
        client::Error::Unreachable { .. } => Failure::new(Exit::Unreachable, "unreachable", error.to_string()),
        client::Error::Foreign { .. } => Failure::new(Exit::Unreachable, "foreign", error.to_string()),
        client::Error::Problem(problem) => Failure::new(Exit::Failure, problem.code.clone(), told(problem)),
    }
}

/// A problem in words, with each field at fault on a line of its own.
pub fn told(problem: &Problem) -> String {
    let mut lines = vec![format!("{} ({}): {}", problem.title, problem.code, problem.detail)];
    lines.extend(problem.errors.iter().map(|field| format!("  {}: {} ({})", field.path, field.message, field.code)));
    lines.join("\n")
}
