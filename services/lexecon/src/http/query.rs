//! Queries and paths, strictly: unknown names, repeats and wrong types are refused, without showing a value.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};

/// A query of a type of ours.
pub struct Strict<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Strict<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Strict<T>, Problem> {
        Query::<T>::try_from_uri(&parts.uri).map(|Query(value)| Strict(value)).map_err(|rejection| {
            use std::error::Error;
            let cause = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
            Problem::new(Code::InvalidQuery, explain(&cause))
        })
    }
}

/// What is wrong, of the parser's own words only those that hold nothing of the query.
fn explain(cause: &str) -> String {
    let (found, expected) = cause.rsplit_once(", expected ").unwrap_or((cause, ""));
    if found.contains("unknown field") {
        return format!(
            "a name is not known here; known are {}",
            expected.trim_start_matches("one of ").replace('`', "")
        );
    }
    for known in ["missing field ", "duplicate field "] {
        if let Some(at) = found.find(known) {
            return found.get(at..).unwrap_or(known).replace('`', "");
        }
    }
    match cause
        .split_once(':')
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
    {
        Some(name) => format!("{name}: has a wrong type or value; see /openapi.json"),
        None => "a value has a wrong type; see /openapi.json".to_owned(),
    }
}

/// A path of a type of ours.
pub struct Place<T>(pub T);

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Place<T>, Problem> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(value)| Place(value))
            .map_err(|_| Problem::new(Code::InvalidPath, "a part of the path has a wrong type; see /openapi.json"))
    }
}
