//! Health, metrics and the document of the interface.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::system::{ComponentState, Readiness};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::problem::{Code, Problem};
use super::routes;

/// One part of the process.
#[derive(Serialize, ToSchema)]
pub struct ComponentBody {
    /// Its name.
    name: &'static str,
    /// `up`, `degraded` or `down`.
    state: &'static str,
    /// How long asking it took, microseconds.
    latency_us: u64,
    /// More in words.
    detail: String,
}

/// How the process is.
#[derive(Serialize, ToSchema)]
pub struct HealthBody {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// Why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// Version of the program.
    version: &'static str,
    /// The parts.
    components: Vec<ComponentBody>,
}

/// Every part with its latency.
#[utoipa::path(
    get, path = "/health", tag = "operation",
    responses(
        (status = 200, description = "ready", body = HealthBody),
        (status = 503, description = "not ready", body = HealthBody),
    )
)]
pub async fn health(State(app): State<App>) -> Result<Response, Problem> {
    let (readiness, components) = app.probe(|system| (system.readiness(), system.components())).await?;
    let (status, reasons) = match readiness {
        Readiness::Ready => (StatusCode::OK, Vec::new()),
        Readiness::NotReady { reasons } => (StatusCode::SERVICE_UNAVAILABLE, reasons),
    };
    let components = components
        .into_iter()
        .map(|part| ComponentBody {
            name: part.name,
            state: match part.state {
                ComponentState::Up => "up",
                ComponentState::Degraded => "degraded",
                ComponentState::Down => "down",
            },
            latency_us: u64::try_from(part.latency.as_micros()).unwrap_or(u64::MAX),
            detail: part.detail,
        })
        .collect();
    let word = if status == StatusCode::OK { "ready" } else { "not_ready" };
    let body = HealthBody { status: word, reasons, version: env!("CARGO_PKG_VERSION"), components };
    Ok((status, Json(body)).into_response())
}

/// Whether a request sent now is decided durably.
#[derive(Serialize, ToSchema)]
pub struct ReadyBody {
    /// `ready`
    status: &'static str,
}

/// Ready: a request sent now is decided durably.
#[utoipa::path(
    get, path = "/health/ready", tag = "operation",
    responses((status = 200, description = "ready", body = ReadyBody), (status = 503, description = "not ready", body = Problem))
)]
pub async fn ready(State(app): State<App>) -> Result<Json<ReadyBody>, Problem> {
    if *app.stopping.borrow() {
        return Err(Problem::new(Code::NotReady, "the process is stopping"));
    }
    match app.probe(engine::system::System::readiness).await? {
        Readiness::Ready => Ok(Json(ReadyBody { status: "ready" })),
        Readiness::NotReady { reasons } => Err(Problem::new(Code::NotReady, reasons.join("; "))),
    }
}

/// Whether the process answers.
#[derive(Serialize, ToSchema)]
pub struct LiveBody {
    /// `live`
    status: &'static str,
}

/// Live: the process answers. The one path that needs no token.
#[utoipa::path(get, path = "/health/live", tag = "operation", responses((status = 200, description = "live", body = LiveBody)))]
pub async fn live() -> Json<LiveBody> {
    Json(LiveBody { status: "live" })
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "a scrape", body = String, content_type = "text/plain"))
)]
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let recorder = app.recorder.clone();
    let text = app
        .probe(move |system| {
            crate::telemetry::sample(system);
            recorder.render()
        })
        .await?;
    let mut response = text.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(response)
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub async fn openapi() -> Response {
    let mut response = routes::DOCUMENT.as_str().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
