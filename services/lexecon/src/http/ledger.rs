//! The ledger itself: where its chains stand, an export of it, a backup of everything.

use std::io::{self, Write};
use std::path::PathBuf;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::reader::PartitionView;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use super::app::{App, permit};
use super::body::{self, Media};
use super::json;
use super::problem::{Code, Problem};
use super::query::Strict;
use super::reads::{self, After};
use super::streams::Held;

/// One partition of the ledger.
#[derive(Serialize, ToSchema)]
pub struct PartitionBody {
    /// Its number.
    pub partition: u32,
    /// Number of the next event: how many there are.
    pub next_seq: u64,
    /// Hash that the next event links to, hexadecimal.
    pub head: String,
    /// Epoch of the writer.
    pub writer_epoch: u32,
    /// When the last event was recorded, RFC 3339; null before the first.
    pub recorded_at: Option<String>,
    /// Position in the log after the head.
    pub position: u64,
    /// Position after the last record of the log.
    pub tail: u64,
    /// Frames that are no part of the chain.
    pub strays: u64,
    /// Events that the slowest read model is behind.
    pub lag_events: u64,
    /// Since when, milliseconds.
    pub lag_ms: u64,
    /// Why a read model has stopped for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Its read models.
    pub followers: Vec<FollowerBody>,
}

/// One read model of a partition.
#[derive(Serialize, ToSchema)]
pub struct FollowerBody {
    /// Its name.
    pub name: &'static str,
    /// The last event it reflects; null before the first.
    pub last_seq: Option<u64>,
    /// Events that it is behind.
    pub lag_events: u64,
    /// Since when, milliseconds.
    pub lag_ms: u64,
}

impl PartitionBody {
    /// Of the engine's view.
    pub fn of(view: &PartitionView) -> PartitionBody {
        let most = |of: fn(&engine::follow::Standing) -> u64| view.followers.iter().map(of).max().unwrap_or(0);
        PartitionBody {
            partition: view.partition,
            next_seq: view.head.next_seq,
            head: view.head.run_head.to_string(),
            writer_epoch: view.head.writer_epoch,
            recorded_at: (view.head.next_seq > 0).then(|| super::answer::time(view.recorded_at_us)),
            position: view.position.0,
            tail: view.tail.0,
            strays: view.strays.harmless.saturating_add(view.strays.garbage),
            lag_events: most(|standing| standing.lag_events),
            lag_ms: most(|standing| standing.lag_us) / 1_000,
            stopped: view.followers.iter().find_map(|standing| standing.halt.as_ref().map(ToString::to_string)),
            followers: view
                .followers
                .iter()
                .map(|standing| FollowerBody {
                    name: standing.name,
                    last_seq: standing.last_seq,
                    lag_events: standing.lag_events,
                    lag_ms: standing.lag_us / 1_000,
                })
                .collect(),
        }
    }
}

/// All partitions.
#[derive(Serialize, ToSchema)]
pub struct PartitionsBody {
    /// By number.
    pub items: Vec<PartitionBody>,
    /// Always null: there is one page.
    pub next: Option<String>,
    /// The last event of each partition.
    pub position: String,
}

impl PartitionsBody {
    /// Of the engine's views.
    pub fn of(views: &[PartitionView]) -> PartitionsBody {
        PartitionsBody {
            items: views.iter().map(PartitionBody::of).collect(),
            next: None,
            position: super::position::format(&heads(views)),
        }
    }
}

fn heads(views: &[PartitionView]) -> Vec<(u32, u64)> {
    views.iter().filter_map(|view| Some((view.partition, view.last_seq()?))).collect()
}

/// Where each chain stands.
#[utoipa::path(
    get, path = "/v1/ledger/partitions", tag = "ledger", params(After),
    responses((status = 200, description = "all partitions", body = PartitionsBody), (status = 400, description = "the query is not valid", body = Problem))
)]
pub async fn partitions(State(app): State<App>, Strict(after): Strict<After>) -> Result<Response, Problem> {
    let after = after.checked(&app)?;
    app.read(move |system| {
        after.reach(system.reader())?;
        let views = system.reader().partitions().map_err(|error| reads::failed(&error))?;
        Ok(reads::reflecting(PartitionsBody::of(&views), &heads(&views)))
    })
    .await
}

/// Where a backup goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with directory")]
pub struct BackupBody {
    /// An absolute path on the server's machine to a directory that does not exist yet.
    #[schema(value_type = String)]
    directory: PathBuf,
}

/// A backup.
#[derive(Serialize, ToSchema)]
pub struct BackedUpBody {
    /// Where it is.
    #[schema(value_type = String)]
    directory: PathBuf,
}

/// Copy data and keys, as a pair, while running. Only where the server listens on loopback.
#[utoipa::path(
    post, path = "/v1/backup", tag = "operation", request_body = BackupBody,
    responses(
        (status = 200, description = "copied", body = BackedUpBody),
        (status = 400, description = "the body is not valid", body = Problem),
        (status = 403, description = "the server does not listen on loopback", body = Problem),
        (status = 409, description = "the directory is there already, or cannot be written", body = Problem),
    )
)]
pub async fn backup(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    if !app.http.listen.ip().is_loopback() {
        return Err(Problem::new(
            Code::Forbidden,
            "backups can be asked for only where the server listens on loopback",
        ));
    }
    let timeout = std::time::Duration::from_millis(app.http.body_timeout_ms);
    let bytes = body::read(&headers, body, Media::Json, app.http.body_bytes_max, timeout).await?;
    let body: BackupBody = json::parse(&bytes, app.http.depth_max)?;
    if !body.directory.is_absolute() {
        return Err(Problem::new(
            Code::InvalidFields,
            "directory: must be an absolute path; the server has another working directory",
        ));
    }
    app.read(move |system| {
        // The operator named the directory, so the message may.
        let failed = |error: engine::system::StartError| Problem::new(Code::BackupFailed, error.to_string());
        system.backup(&body.directory).map_err(failed)?;
        Ok(axum::Json(BackedUpBody { directory: body.directory }).into_response())
    })
    .await
}

/// What is exported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `ledger` (what `ledger-verify` reads) or `json` (one event a line).
    format: Option<String>,
    /// One partition; left out: all.
    partition: Option<u32>,
}

/// Pieces of an export that wait to be taken.
const PIECES_WAITING: usize = 8;
/// Bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Export the ledger as a stream: what is there when it begins.
#[utoipa::path(
    get, path = "/v1/ledger/export", tag = "ledger", params(ExportQuery),
    responses(
        (status = 200, description = "the ledger", content((Vec<u8> = "application/octet-stream"), (String = "application/x-ndjson"))),
        (status = 400, description = "the query is not valid", body = Problem),
        (status = 429, description = "too many streams", body = Problem),
    )
)]
pub async fn export(State(app): State<App>, Strict(query): Strict<ExportQuery>) -> Result<Response, Problem> {
    let (as_json, media) = match query.format.as_deref() {
        None | Some("ledger") => (false, "application/octet-stream"),
        Some("json") => (true, "application/x-ndjson"),
        Some(_) => return Err(Problem::new(Code::InvalidQuery, "format: must be one of ledger, json")),
    };
    if query.partition.is_some_and(|partition| partition >= app.partitions) {
        return Err(Problem::new(
            Code::InvalidQuery,
            format!("partition: there are {}, numbered from 0", app.partitions),
        ));
    }
    let held = Held::new(permit(&app.streams, "streams at once")?);
    let (pieces, taken) = mpsc::channel(PIECES_WAITING);
    let system = std::sync::Arc::clone(&app.system);
    let stopping = app.stopping.clone();
    tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(PIECE_BYTES, Pieces { pieces: pieces.clone(), stopping });
        let (log, deployment) = (system.log().as_ref(), system.deployment());
        let written = if as_json {
            super::export::lines(log, deployment, query.partition, &mut out)
        } else {
            engine::export::export(log, deployment, query.partition, &mut |bytes| out.write_all(bytes)).map(drop)
        };
        if let Err(error) = written.map_err(io::Error::other).and_then(|()| out.flush()) {
            // The status was sent long ago: breaking the stream off is the only way left to say that it is not whole.
            tracing::warn!(cause = %error, "an export broke off");
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(taken);
    let mut response = Body::from_stream(held.with(stream)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    Ok(response)
}

/// A writer whose bytes go to a client; it waits while the client takes nothing.
struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    stopping: tokio::sync::watch::Receiver<bool>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if *self.stopping.borrow() {
            return Err(io::Error::other("the process is stopping"));
        }
        let piece = Bytes::copy_from_slice(bytes);
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
