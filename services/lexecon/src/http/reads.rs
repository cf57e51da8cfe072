//! What all reads have in common: waiting for a position, naming the position that an answer reflects, pages.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine::reader::Reader;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::app::App;
use super::position;
use super::problem::{Code, Problem};

/// Waiting for a position.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct After {
    /// Wait until reads reflect this position: `partition:seq,…`, as in the header `lexecon-position`.
    after: Option<String>,
    /// Milliseconds to wait for it.
    wait: Option<u64>,
}

impl After {
    /// From a query that has more in it.
    pub(super) fn new(after: Option<String>, wait: Option<u64>) -> After {
        After { after, wait }
    }

    /// What is to be waited for, and how long.
    ///
    /// # Errors
    /// `invalid_query`.
    pub(super) fn checked(self, app: &App) -> Result<Awaited, Problem> {
        self.checked_as("after", app)
    }

    /// The same where the parameter has another name.
    ///
    /// # Errors
    /// `invalid_query`.
    pub(super) fn checked_as(self, name: &str, app: &App) -> Result<Awaited, Problem> {
        let wait = app.wait(self.wait)?;
        let positions = match self.after {
            None => Vec::new(),
            Some(text) => position::parse(&text).ok_or_else(|| {
                Problem::new(Code::InvalidQuery, format!("{name}: write partition:seq, several separated by commas"))
            })?,
        };
        if let Some((partition, _)) = positions.iter().find(|(partition, _)| *partition >= app.partitions) {
            return Err(Problem::new(Code::InvalidQuery, format!("{name}: there is no partition {partition}")));
        }
        Ok(Awaited { positions, wait })
    }
}

/// A position to be reached first.
pub(super) struct Awaited {
    positions: Vec<(u32, u64)>,
    wait: Duration,
}

impl Awaited {
    /// Blocks until it is reached.
    ///
    /// # Errors
    /// `position_not_reached` when the wait is over, or in vain.
    pub(super) fn reach(&self, reader: &Reader) -> Result<(), Problem> {
        if self.positions.is_empty() {
            return Ok(());
        }
        reader.wait_for(&self.positions, self.wait).map_err(|error| failed(&error))
    }

    /// The same for what is read from the owners' state instead of a read model.
    ///
    /// # Errors
    /// `position_not_reached` when the wait is over.
    pub(super) fn reach_state(&self, reader: &Reader) -> Result<(), Problem> {
        reader.wait_for_state(&self.positions, self.wait).map_err(|error| failed(&error))
    }
}

/// What failed while reading: the caller's question, or something here.
pub(super) fn failed(error: &engine::reader::Error) -> Problem {
    use engine::reader::Error;
    match error {
        Error::BadCursor => Problem::new(Code::InvalidQuery, format!("cursor: {error}")),
        Error::TenantNeeded { .. } => Problem::new(Code::InvalidQuery, format!("tenant: {error}")),
        Error::UnknownPartition { .. } => Problem::new(Code::InvalidQuery, format!("partition: {error}")),
        Error::Lookup(_) => Problem::internal("looking the actor up", error),
        Error::Wait(_) | Error::StateBehind { .. } => Problem::new(Code::NotReached, error.to_string()),
        _ => Problem::internal("reading", error),
    }
}

/// An answer with the position that it reflects.
pub(super) fn reflecting(body: impl Serialize, positions: &[(u32, u64)]) -> Response {
    let mut response = Json(body).into_response();
    position::insert(response.headers_mut(), positions);
    response
}

/// How many items a page may have.
///
/// # Errors
/// `invalid_query` when more are asked for than are allowed.
pub(super) fn page_size(app: &App, asked: Option<usize>) -> Result<usize, Problem> {
    let max = app.http.page_max;
    match asked {
        None => Ok(max.min(50)),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::new(Code::InvalidQuery, format!("limit: between 1 and {max}"))),
    }
}
