//! `backup`: a copy of data and keys as a pair, also while the system runs. The copy is made where the system runs.

use std::path::Path;

use serde_json::json;

use super::arguments::Backup;
use super::failure::Failure;
use super::output::Output;
use super::reach::Reach;
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// The directory is not empty, or the copy failed.
pub fn run(args: &Backup, output: &mut Output<'_>) -> Result<Exit, Failure> {
    // A running system has another working directory than this command.
    let directory = std::path::absolute(&args.directory).map_err(|error| Failure::file(&args.directory, error))?;
    if let Some(source) = &args.source.data {
        not_inside(source, &directory)?;
    }
    let reach = Reach::new(&args.source)?;
    let body = json!({"directory": directory.to_string_lossy()}).to_string();
    let answer = reach.post("/v1/backup", body.into_bytes())?;
    if output.json {
        output.object(&answer.body)?;
    } else {
        output.line(format!("data and keys are in {}", directory.display()))?;
        output.line("it holds the keys: keep it as you keep them")?;
        output.line(format!("to use it: lexecon serve --data {}", directory.display()))?;
    }
    Ok(Exit::Ok)
}

/// A backup inside of what it copies would grow into itself.
fn not_inside(data: &Path, backup: &Path) -> Result<(), Failure> {
    let data = std::path::absolute(data).map_err(|error| Failure::file(data, error))?;
    if backup.starts_with(&data) {
        return Err(Failure::file(backup, "lies in the data directory; choose a place outside of it"));
    }
    Ok(())
}
