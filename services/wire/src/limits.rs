//! Caps that hold before and while foreign bytes are looked at.
//!
//! Why: the Avro crate has no limit on recursion, trusts block counts and takes short input for nulls. Nothing is
//! handed to it before [`crate::schema::walk`] has gone through the same bytes within these caps.

/// Bytes of one record of our own topics and sections, requests apart.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that a request may grow to when a newer schema adds defaults to it.
pub const RESOLVED_BYTES_MAX: usize = 2 * REQUEST_BYTES_MAX;

/// Values visited in one datum, those of zero bytes (null, empty records) included.
pub const STEPS_MAX: u64 = 1 << 20;

/// What the Avro crate may allocate for one value or collection, in bytes.
pub const ALLOCATION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a schema document.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;

/// Nested types of a schema, references followed.
pub const SCHEMA_DEPTH_MAX: usize = 32;

/// Nested brackets of a schema document: three for each type (type, fields, field), and some for attributes.
pub const SCHEMA_BRACKETS_MAX: usize = 3 * SCHEMA_DEPTH_MAX + 8;

/// Types in one schema, and pairs of types in one resolution.
pub const SCHEMA_NODES_MAX: usize = 4096;

/// Writer schemas that one reader knows.
pub const SCHEMAS_MAX: usize = 1024;

pub use domain::request::limits::REQUEST_BYTES_MAX;

/// The caps of reading requests, for operators who want lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request as submitted, framing apart.
    pub request_bytes_max: usize,
    /// Bytes of one request after resolution.
    pub resolved_bytes_max: usize,
    /// Values visited in one request.
    pub steps_max: u64,
    /// Writer schemas known at a time.
    pub schemas_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_bytes_max: REQUEST_BYTES_MAX,
            resolved_bytes_max: RESOLVED_BYTES_MAX,
            steps_max: STEPS_MAX,
            schemas_max: SCHEMAS_MAX,
        }
    }
}
