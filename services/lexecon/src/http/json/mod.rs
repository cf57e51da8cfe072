//! Strict JSON: unknown fields, doubled keys, wrong types and deep nesting are refused, with the place and no values.
//!
//! A body is parsed once, straight into the types of [`body`], whose texts then move into the domain's. Only when that
//! fails is it parsed again, to find out where and why: a faultless request never pays for the explanation.
//! Invariant: no message holds a value; a name of a field is shown only where it cannot be personal.

mod body;
mod context;
mod explain;
mod request;
mod shape;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use body::RequestBody;
pub use explain::explain;

use self::shape::Object;
use super::problem::{Code, Problem};
use domain::request::Request;

/// A request out of a body, and whether it said when it occurred.
#[derive(Debug)]
pub struct Submission {
    /// The request; dated with the time of submission when it did not say.
    pub request: Request,
    /// Whether it did.
    pub dated: bool,
}

/// A submission out of a body.
///
/// # Errors
/// A [`Problem`] that names each field at fault.
pub fn submission(bytes: &[u8], depth_max: usize, now_us: i64) -> Result<Submission, Problem> {
    converted(parse(bytes, depth_max)?, now_us)
}

fn converted(body: RequestBody, now_us: i64) -> Result<Submission, Problem> {
    let dated = body.occurred_at.is_some();
    let request = request::convert(body, now_us).map_err(|errors| Problem::fields(Code::InvalidFields, errors))?;
    Ok(Submission { request, dated })
}

/// A request out of a body.
///
/// # Errors
/// A [`Problem`] that names each field at fault.
pub fn request(bytes: &[u8], depth_max: usize, now_us: i64) -> Result<Request, Problem> {
    submission(bytes, depth_max, now_us).map(|submission| submission.request)
}

/// A body of a type of ours: an object.
///
/// # Errors
/// A [`Problem`] that names the field at fault.
pub fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8], depth_max: usize) -> Result<T, Problem> {
    match serde_json::from_slice::<Object<T>>(bytes) {
        Ok(Object(value)) => Ok(value),
        Err(_) => Err(explain::<Object<T>>(bytes, depth_max)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    #[serde(deserialize_with = "shape::objects")]
    requests: Vec<RequestBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
) -> Result<Vec<Result<Submission, Problem>>, Problem> {
    if let Ok(Object(batch)) = serde_json::from_slice::<Object<Batch>>(bytes) {
        bound(batch.requests.len(), requests_max)?;
        return Ok(batch.requests.into_iter().map(|body| converted(body, now_us)).collect());
    }
    let batch: RawBatch<'_> = parse(bytes, depth_max)?;
    bound(batch.requests.len(), requests_max)?;
    Ok(batch.requests.into_iter().map(|raw| submission(raw.get().as_bytes(), depth_max, now_us)).collect())
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
