//! Strict JSON: unknown fields, doubled keys, wrong types and deep nesting are refused, with the place and no values.
//!
//! A body is parsed once, straight into the types of [`body`], whose texts then move into the domain's. Only when that
//! fails is it parsed again, to find out where and why: a faultless request never pays for the explanation.
//! Invariant: no message holds a value; a name of a field is shown only where it cannot be personal.

mod body;
mod context;
mod explain;
mod request;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use body::RequestBody;
pub use explain::explain;

use super::problem::{Code, Problem};
use domain::request::Request;

/// A request out of a body.
///
/// # Errors
/// A [`Problem`] that names each field at fault.
pub fn request(bytes: &[u8], depth_max: usize, now_us: i64) -> Result<Request, Problem> {
    let body: RequestBody = parse(bytes, depth_max)?;
    request::convert(body, now_us).map_err(|errors| Problem::fields(Code::InvalidFields, errors))
}

/// A body of a type of ours.
///
/// # Errors
/// A [`Problem`] that names the field at fault.
pub fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8], depth_max: usize) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|_| explain::<T>(bytes, depth_max))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the list `requests`")]
struct Batch {
    requests: Vec<RequestBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the list `requests`")]
struct RawBatch<'a> {
    #[serde(borrow)]
    requests: Vec<&'a RawValue>,
}

/// The requests of a batch, each by itself: a fault in one is that one's problem.
///
/// # Errors
/// A [`Problem`] when the batch itself cannot be read.
pub fn batch(
    bytes: &[u8],
    depth_max: usize,
    requests_max: usize,
    now_us: i64,
) -> Result<Vec<Result<Request, Problem>>, Problem> {
    if let Ok(batch) = serde_json::from_slice::<Batch>(bytes) {
        bound(batch.requests.len(), requests_max)?;
        let convert =
            |body| request::convert(body, now_us).map_err(|errors| Problem::fields(Code::InvalidFields, errors));
        return Ok(batch.requests.into_iter().map(convert).collect());
    }
    let batch: RawBatch<'_> = parse(bytes, depth_max)?;
    bound(batch.requests.len(), requests_max)?;
    Ok(batch.requests.into_iter().map(|raw| request(raw.get().as_bytes(), depth_max, now_us)).collect())
}

fn bound(count: usize, max: usize) -> Result<(), Problem> {
    match count {
        0 => Err(Problem::new(Code::InvalidFields, "requests: must hold at least one request")),
        count if count > max => {
            Err(Problem::new(Code::BatchTooLarge, format!("requests: at most {max} go into one batch; send several")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
