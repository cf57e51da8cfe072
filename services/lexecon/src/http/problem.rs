//! Everything that the interface answers instead of what was asked for: RFC 9457 problem details, from one table.
//!
//! Invariants: codes are stable and never reused; a message names field, place and remedy and shows no value of the
//! request. `instance` is the request's id, which the edge fills in, so that no other code has to know it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! codes {
    ($($variant:ident $name:literal $status:ident $title:literal;)*) => {
        /// What kind of problem it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// One sentence, the same for every problem of this code.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// The status that goes with it.
            pub fn status(self) -> StatusCode {
                match self { $(Code::$variant => StatusCode::$status,)* }
            }

            fn urn(self) -> &'static str {
                match self { $(Code::$variant => concat!("urn:lexecon:problem:", $name),)* }
            }
        }
    };
}

codes! {
    InvalidJson "invalid_json" BAD_REQUEST "the body is not valid JSON";
    InvalidUtf8 "invalid_utf8" BAD_REQUEST "the body is not valid UTF-8";
    TooDeep "too_deep" BAD_REQUEST "the body is nested too deeply";
    InvalidFields "invalid_fields" BAD_REQUEST "fields of the body are not as they must be";
    InvalidQuery "invalid_query" BAD_REQUEST "the query is not as it must be";
    InvalidPath "invalid_path" BAD_REQUEST "the path is not as it must be";
    InvalidBody "invalid_body" BAD_REQUEST "the body could not be read";
    Unauthorized "unauthorized" UNAUTHORIZED "a bearer token is required";
    Forbidden "forbidden" FORBIDDEN "this is not allowed here";
    NotFound "not_found" NOT_FOUND "there is no such thing";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "the path does not take this method";
    Timeout "request_timeout" REQUEST_TIMEOUT "the body did not arrive in time";
    Conflict "conflict" CONFLICT "the request id was used before with another body";
    AlreadyDone "already_done" CONFLICT "this was done before";
    BackupFailed "backup_failed" CONFLICT "the backup could not be made";
    TooLarge "too_large" PAYLOAD_TOO_LARGE "the body is too large";
    BatchTooLarge "batch_too_large" PAYLOAD_TOO_LARGE "the batch holds too many requests";
    MediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "the body's media type is not supported";
    Rejected "rejected" UNPROCESSABLE_ENTITY "the request was refused, and the refusal is recorded";
    Busy "busy" TOO_MANY_REQUESTS "too much is in flight";
    Internal "internal" INTERNAL_SERVER_ERROR "something failed here";
    NotReady "not_ready" SERVICE_UNAVAILABLE "requests cannot be decided durably right now";
    Unknown "unknown" SERVICE_UNAVAILABLE "nobody knows whether the request was written";
    NotReached "position_not_reached" SERVICE_UNAVAILABLE "reads have not caught up with the position asked for";
    Pending "pending" ACCEPTED "the request is in the log and not decided yet";
}

/// One field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where, for example `subjects[0].fields.name`.
    pub path: String,
    /// Machine-readable and stable.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Where an event stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Coordinate {
    /// Partition.
    pub partition: u32,
    /// Number in the partition's chain, dense from 0.
    pub seq: u64,
    /// 64 hexadecimal digits.
    pub event_hash: String,
}

/// Problem details (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:lexecon:problem:<code>`
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// The same for every problem of this code.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// The status code.
    pub status: u16,
    /// What happened this time and what to do.
    pub detail: String,
    /// Machine-readable and stable.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// Id of the request, as in the header `x-request-id` and in the log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// For `rejected` and `conflict`: why, as it is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason_code: Option<&'static str>,
    /// For `rejected` and `conflict`: the event that records it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// For `rejected` and `conflict`: where the refusal is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Coordinate>,
    /// For `pending` and `unknown`: where to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The code as a value.
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) number: Code,
}

impl Problem {
    /// A problem of this code. `detail` says what to do and shows no value.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            kind: code.urn(),
            title: code.title(),
            status: code.status().as_u16(),
            detail: detail.into(),
            code: code.as_str(),
            instance: String::new(),
            errors: Vec::new(),
            reason_code: None,
            decision_id: None,
            ledger: None,
            location: None,
            number: code,
        }
    }

    /// Fields at fault; the detail lists them for whoever shows only that.
    pub fn fields(code: Code, errors: Vec<FieldError>) -> Problem {
        let detail = errors.iter().map(|error| join(&error.path, &error.message)).collect::<Vec<_>>().join("; ");
        Problem { errors, ..Problem::new(code, detail) }
    }

    /// What the caller is not told: the cause goes to the log, under the request's id.
    pub fn internal(what: &'static str, cause: &dyn std::fmt::Display) -> Problem {
        tracing::error!(what, cause = %cause, "failed");
        Problem::new(Code::Internal, format!("{what} failed; the server's log says why under this request's id"))
    }

    /// Seconds after which trying again makes sense.
    fn retry_after(&self) -> Option<HeaderValue> {
        matches!(self.number, Code::Busy | Code::NotReady | Code::Unknown | Code::NotReached)
            .then(|| HeaderValue::from_static("1"))
    }

    /// The finished answer.
    pub fn render(mut self, instance: &str) -> Response {
        instance.clone_into(&mut self.instance);
        let status = self.number.status();
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if let Some(location) = self.location.as_deref().and_then(|location| HeaderValue::from_str(location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        if self.number == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lexecon\""));
        }
        if let Some(ledger) = &self.ledger {
            super::position::insert(headers, &[(ledger.partition, ledger.seq)]);
        }
        response
    }
}

fn join(path: &str, message: &str) -> String {
    if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") }
}

/// A problem that still needs its instance: the edge takes it out of the response and renders it.
#[derive(Clone)]
pub(super) struct Unrendered(pub Problem);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.number.status().into_response();
        response.extensions_mut().insert(Unrendered(self));
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_are_unique_and_say_what_they_are() {
        let mut names = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(names.insert(code.as_str()), "{code:?} stands twice");
            assert!(code.urn().ends_with(code.as_str()));
            assert!(!code.title().ends_with('.'), "{code:?}");
            assert!(code.status().as_u16() >= 400 || *code == Code::Pending, "{code:?}");
        }
    }
}
