//! The HTTP interface: JSON in and out, RFC 9457 problems, server-sent events, OpenAPI.
//!
//! Invariants: every limit is a named setting; nothing that the edge refuses reaches the log; no answer, header or log
//! line holds a value of a request but its id; the router and the OpenAPI document are built from one table.
//! Deliberately not here: rules. A request is parsed, handed to the engine, and its answer is written down.
//!
//! The way of a request: [`server`] (connections, time-outs) → [`edge`] (id, token, limits, headers, metrics, log) →
//! a handler → [`answer`] or [`problem`].

pub mod answer;
mod app;
mod auth;
mod body;
mod connection;
pub mod dead_letters;
mod decisions;
mod edge;
pub mod export;
mod health;
pub mod json;
pub mod ledger;
pub(crate) mod lookups;
pub mod outcomes;
mod policies;
pub mod position;
pub mod problem;
mod query;
mod reads;
pub mod routes;
mod server;
pub mod statistics;
mod streams;
mod submit;
mod timed;
mod undated;

pub use app::App;
pub use routes::{document, router};
pub use server::Server;
