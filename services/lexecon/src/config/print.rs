//! The effective configuration as text, secrets masked.

use super::Settings;

/// As TOML that can be read back, but for masked secrets.
///
/// # Errors
/// When a path of the configuration is not UTF-8 and so cannot be written as TOML.
pub fn effective(settings: &Settings) -> Result<String, toml::ser::Error> {
    toml::to_string_pretty(settings)
}
