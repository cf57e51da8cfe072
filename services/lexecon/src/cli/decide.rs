//! `decide`: has the requests of files decided and says what came of each.

use serde_json::{Map, Value, json};

use super::arguments::Decide;
use super::failure::Failure;
use super::input;
use super::output::{Output, text};
use super::reach::{self, Reach};
use crate::client::{Error, Problem};
use crate::exit::Exit;

/// A body larger than any server takes is not even sent.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Runs the command. Exit code 0 when every request has a decision, whatever it is; 1 when one was refused.
///
/// # Errors
/// A file cannot be read, or nobody answers.
pub fn run(args: &Decide, output: &mut Output<'_>) -> Result<Exit, Failure> {
    // Read first: a misspelt name must not leave half of the requests decided.
    let bodies = args
        .files
        .iter()
        .map(|file| Ok((file, input::bytes(file, BODY_BYTES_MAX)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let reach = Reach::with_policy(&args.source, args.policy.as_deref())?;
    let mut exit = Exit::Ok;
    for (file, body) in bodies {
        let name = file.display().to_string();
        match reach.try_post("/v1/decisions", body) {
            Ok(answer) if answer.status == 200 => decided(&name, answer.body, output)?,
            Ok(answer) => {
                exit = Exit::Failure;
                refused(
                    &name,
                    &json!({"code": "pending", "detail": "not decided yet; ask for it by id"}),
                    answer.status,
                    output,
                )?;
            }
            Err(Error::Problem(problem)) => {
                exit = Exit::Failure;
                refused(&name, &problem_value(&problem), problem.status, output)?;
            }
            Err(error) => return Err(reach::failure(error)),
        }
    }
    Ok(exit)
}

fn decided(file: &str, body: Value, output: &mut Output<'_>) -> Result<(), Failure> {
    if output.json {
        let mut object = Map::from_iter([("file".to_owned(), Value::from(file))]);
        if let Value::Object(body) = body {
            object.extend(body);
        }
        return Ok(output.object(&Value::Object(object))?);
    }
    let place = format!("{}:{}", text(&body, "/ledger/partition"), text(&body, "/ledger/seq"));
    output.line(format!("{:8} {:28} {file}", text(&body, "/outcome"), text(&body, "/reason_code")))?;
    output.line(format!("         {}", text(&body, "/explanation")))?;
    for (name, pointer) in [("policies", "/policies"), ("obligations", "/obligations")] {
        let value = text(&body, pointer);
        if !value.is_empty() {
            output.line(format!("         {name}: {value}"))?;
        }
    }
    output.line(format!("         ledger {place} {}", text(&body, "/ledger/event_hash")))?;
    Ok(())
}

fn problem_value(problem: &Problem) -> Value {
    let errors: Vec<_> =
        problem.errors.iter().map(|e| json!({"path": e.path, "code": e.code, "message": e.message})).collect();
    json!({
        "code": problem.code, "title": problem.title, "detail": problem.detail, "errors": errors,
        "reason_code": problem.reason_code,
        "ledger": problem.ledger.as_ref().map(|l| json!({"partition": l.partition, "seq": l.seq, "event_hash": l.event_hash}))
    })
}

fn refused(file: &str, problem: &Value, status: u16, output: &mut Output<'_>) -> Result<(), Failure> {
    if output.json {
        return Ok(output.object(&json!({"file": file, "outcome": null, "status": status, "problem": problem}))?);
    }
    output.line(format!("{:8} {:28} {file}", "refused", text(problem, "/code")))?;
    output.line(format!("         {}", text(problem, "/detail")))?;
    for error in problem.pointer("/errors").and_then(Value::as_array).into_iter().flatten() {
        output.line(format!("         {}: {}", text(error, "/path"), text(error, "/message")))?;
    }
    Ok(())
}
