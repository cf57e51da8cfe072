//! `ledger partitions | strays | export | anchor rebuild`.

use serde_json::{Value, json};

use super::arguments::{Anchor, Ledger, Source};
use super::failure::Failure;
use super::output::{Output, text};
use super::question::{Asked, Question};
use super::{anchor, export};
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// Nobody answers, or the directory cannot be used.
pub fn run(command: &Ledger, output: &mut Output<'_>) -> Result<Exit, Failure> {
    match command {
        Ledger::Partitions(source) => partitions(source, output),
        Ledger::Strays(source) => strays(source, output),
        Ledger::Export(args) => export::run(args, output),
        Ledger::Anchor(Anchor::Rebuild(args)) => anchor::rebuild(args, output),
    }
}

fn partitions(source: &Source, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let found = Asked::new(source)?.ask(&Question::Partitions)?;
    if output.json {
        output.object(&found)?;
        return Ok(Exit::Ok);
    }
    let heads = ["PARTITION", "EVENTS", "POSITION", "STRAYS", "LAG", "HEAD"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(items(&found).iter().map(|item| {
        ["/partition", "/next_seq", "/position", "/strays", "/lag_events", "/head"]
            .map(|pointer| text(item, pointer))
            .to_vec()
    }));
    output.table(&rows)?;
    Ok(Exit::Ok)
}

/// Frames that every reader refused. Harmless ones are what the log's contract allows; anything else stops a reader,
/// so its exit code is 1.
fn strays(source: &Source, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let found = Asked::new(source)?.ask(&Question::Partitions)?;
    let count = |item: &Value| item.pointer("/strays").and_then(Value::as_u64).unwrap_or(0);
    let stopped = |item: &Value| item.pointer("/stopped").is_some_and(|why| !why.is_null());
    let total: u64 = items(&found).iter().map(count).sum();
    let any_stopped = items(&found).iter().any(stopped);
    if output.json {
        let of = |item: &Value| json!({"partition": item["partition"], "strays": count(item), "stopped": item.get("stopped")});
        let rows: Vec<_> = items(&found).iter().map(of).collect();
        output.object(&json!({"items": rows, "strays": total}))?;
    } else {
        let mut rows = vec![["PARTITION", "STRAYS", "STOPPED"].map(str::to_owned).to_vec()];
        rows.extend(
            items(&found).iter().map(|item| ["/partition", "/strays", "/stopped"].map(|p| text(item, p)).to_vec()),
        );
        output.table(&rows)?;
        output.line(format!(
            "{total} strays: frames in the log that are no part of the ledger, refused by every reader alike"
        ))?;
    }
    Ok(if any_stopped { Exit::Failure } else { Exit::Ok })
}

fn items(value: &Value) -> &[Value] {
    value.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
