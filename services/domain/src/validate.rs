//! Checks of a request that need neither state nor time.

/// One field of a request that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// Where, for example `subjects[0].fields.name`.
    pub path: String,
    /// Machine-readable, stable.
    pub code: &'static str,
    /// What is wrong and what to do, without the value.
    pub message: String,
}
