//! Which policy bundle is in force.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::mode;
use super::app::App;
use super::problem::Problem;
use super::query::Strict;
use super::reads::{self, After};

/// The bundle in force in one partition.
#[derive(Serialize, ToSchema)]
pub struct ActiveBody {
    /// Partition.
    partition: u32,
    /// Content hash of the bundle, hexadecimal.
    bundle_hash: String,
    /// `strict`, `permissive` or `paranoid`.
    mode: &'static str,
    /// The event that put it in force.
    seq: u64,
}

/// The bundles in force.
#[derive(Serialize, ToSchema)]
pub struct ActivesBody {
    /// By partition; one without a bundle is left out.
    items: Vec<ActiveBody>,
    /// Always null: there is one page.
    next: Option<String>,
    /// Whether the same bundle is in force everywhere.
    uniform: bool,
}

/// The bundle in force, by partition.
#[utoipa::path(
    get, path = "/v1/policies/active", tag = "policies", params(After),
    responses((status = 200, description = "in force", body = ActivesBody), (status = 400, description = "the query is not valid", body = Problem))
)]
pub async fn active(State(app): State<App>, Strict(after): Strict<After>) -> Result<Response, Problem> {
    let after = after.checked(&app)?;
    app.read(move |system| {
        let reader = system.reader();
        after.reach_state(reader)?;
        // Positions first: what is in force then reflects at least them.
        let positions = reader.state_positions().map_err(|error| reads::failed(&error))?;
        let mut items = Vec::new();
        for partition in 0..system.deployment().partitions {
            let Some(active) = reader.active_policy(partition).map_err(|error| reads::failed(&error))? else {
                continue;
            };
            items.push(ActiveBody {
                partition,
                bundle_hash: hex::encode(active.bundle_hash),
                mode: mode(active.mode),
                seq: active.seq,
            });
        }
        let everywhere = u32::try_from(items.len()).is_ok_and(|count| count == system.deployment().partitions);
        let uniform =
            everywhere && items.windows(2).all(|pair| matches!(pair, [a, b] if a.bundle_hash == b.bundle_hash));
        Ok(reads::reflecting(ActivesBody { items, next: None, uniform }, &positions))
    })
    .await
}
