//! Bodies of requests: the right media type, whole, in time, and not larger than allowed.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::problem::{Code, Problem};

/// What a body must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`
    Json,
    /// `application/octet-stream`
    Octets,
}

impl Media {
    fn name(self) -> &'static str {
        match self {
            Media::Json => "application/json",
            Media::Octets => "application/octet-stream",
        }
    }
}

/// Reads a body to its end.
///
/// # Errors
/// 415, 413, 408, or 400 when the connection broke off.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    media: Media,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    check_media(headers, media)?;
    let too_large =
        || Problem::new(Code::TooLarge, format!("the body may have at most {bytes_max} bytes; send less at a time"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let collecting = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(timeout, collecting).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Code::InvalidBody, "the body broke off; send it again")),
        Err(_) => Err(Problem::new(
            Code::Timeout,
            format!("the body did not arrive within {} ms; send it faster", timeout.as_millis()),
        )),
    }
}

fn check_media(headers: &HeaderMap, media: Media) -> Result<(), Problem> {
    let expected = media.name();
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (essence, parameters) = given.split_once(';').unwrap_or((given, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    let plain = charset.is_empty() || charset.replace('"', "") == "charset=utf-8";
    if !essence.trim().eq_ignore_ascii_case(expected) || !plain {
        return Err(Problem::new(Code::MediaType, format!("send the header `content-type: {expected}`")));
    }
    match headers.get(header::CONTENT_ENCODING).map(header::HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(()),
        Some(_) => Err(Problem::new(Code::MediaType, "send the body without content-encoding")),
    }
}
