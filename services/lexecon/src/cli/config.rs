//! `config check`: reads the configuration as `serve` would and prints the effective one, secrets masked.

use serde_json::json;

use super::arguments::ConfigCheck;
use super::failure::Failure;
use super::output::Output;
use super::reach;
use crate::config::{Flags, effective};
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// The configuration has faults; each names its place.
pub fn check(args: &ConfigCheck, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let settings = reach::settings(args.config.as_deref(), Flags::default())?;
    let unprintable = |error: String| Failure::new(Exit::Failure, "configuration", error);
    if output.json {
        let value = serde_json::to_value(&settings).map_err(|error| unprintable(error.to_string()))?;
        output.object(&json!({"valid": true, "effective": value}))?;
    } else {
        output.line(effective(&settings).map_err(|error| unprintable(error.to_string()))?.trim_end())?;
    }
    Ok(Exit::Ok)
}
