//! Named size limits of a bundle. They bound memory and time before anything is parsed.

/// Limits that [`Bundle::parse_within`](crate::Bundle::parse_within) enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files in a bundle.
    pub files_max: usize,
    /// Bytes of one path.
    pub path_bytes_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: usize,
    /// Bytes of all files together. The bundle goes through the log of every partition, so this is kept small.
    pub bundle_bytes_max: usize,
    /// Policies in a bundle.
    pub policies_max: usize,
    /// Bytes of one policy, annotations included.
    pub policy_bytes_max: usize,
    /// Bytes of one annotation's value.
    pub annotation_bytes_max: usize,
    /// Declared actions, groups included.
    pub actions_max: usize,
    /// Tests in a bundle.
    pub tests_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            files_max: 512,
            path_bytes_max: 200,
            file_bytes_max: 1024 * 1024,
            bundle_bytes_max: 8 * 1024 * 1024,
            policies_max: 10_000,
            policy_bytes_max: 32 * 1024,
            annotation_bytes_max: 1024,
            actions_max: 2_000,
            tests_max: 20_000,
        }
    }
}
