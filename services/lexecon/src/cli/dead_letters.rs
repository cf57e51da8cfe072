//! `dlq list | show | retry | discard`: records that could not be decoded or processed. Nothing is ever removed by
//! hand: retrying and discarding are commands through the log, and the ledger's event stays.

use serde_json::Value;

use super::arguments::{DeadLetter, Dlq, Source};
use super::decisions::show;
use super::failure::Failure;
use super::output::{Output, text};
use super::question::{Asked, Question};
use super::reach::Reach;
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// There is no such dead letter, or nobody answers.
pub fn run(command: &Dlq, output: &mut Output<'_>) -> Result<Exit, Failure> {
    match command {
        Dlq::List(source) => list(source, output),
        Dlq::Show(args) => {
            let (partition, position) = args.id;
            let found = Asked::new(&args.source)?.ask(&Question::DeadLetter { partition, position })?;
            show(&found, output)
        }
        Dlq::Retry(args) => {
            mark(args, "retry", "is processed once more; if it fails again there is a new dead letter", output)
        }
        Dlq::Discard(args) => mark(args, "discard", "is marked as dealt with; its ledger event stays", output),
    }
}

fn list(source: &Source, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let asked = Asked::new(source)?;
    let mut items: Vec<Value> = Vec::new();
    let mut cursor = None;
    loop {
        let mut page = asked.ask(&Question::DeadLetters { cursor })?;
        items.extend(page.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).into_iter().flatten());
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    if output.json {
        output.object(&serde_json::json!({"items": items, "next": null}))?;
        return Ok(Exit::Ok);
    }
    let mut rows = vec![["ID", "AT", "REASON", "FROM", "STATE"].map(str::to_owned).to_vec()];
    rows.extend(items.iter().map(|item| {
        let id = format!("{}:{}", text(item, "/partition"), text(item, "/position"));
        let origin =
            ["/origin/topic", "/origin/partition", "/origin/offset"].map(|pointer| text(item, pointer)).join(":");
        vec![id, text(item, "/at"), text(item, "/reason_code"), origin, text(item, "/state")]
    }));
    output.table(&rows)?;
    output.line(format!("{} dead letters", items.len()))?;
    Ok(Exit::Ok)
}

fn mark(args: &DeadLetter, verb: &str, told: &str, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let (partition, position) = args.id;
    let answer =
        Reach::new(&args.source)?.post(&format!("/v1/dead-letters/{partition}/{position}:{verb}"), Vec::new())?;
    if output.json {
        output.object(&answer.body)?;
    } else {
        output.line(format!("{partition}:{position} {told}"))?;
    }
    Ok(Exit::Ok)
}
