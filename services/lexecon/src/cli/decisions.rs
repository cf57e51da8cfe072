//! `decisions list | get` and `requests get`.

use serde_json::Value;

use super::arguments::{DecisionGet, DecisionList, RequestGet};
use super::failure::Failure;
use super::output::{Output, text};
use super::question::{Asked, Filter, Question};
use crate::exit::Exit;

/// Items of one page that is asked for; more are fetched page by page.
const PAGE: u32 = 500;

/// `decisions list`
///
/// # Errors
/// A filter is not valid, or nobody answers.
pub fn list(args: &DecisionList, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let asked = Asked::new(&args.source)?;
    let mut cursor = args.cursor.clone();
    let mut items: Vec<Value> = Vec::new();
    let wanted = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut position = Value::Null;
    while items.len() < wanted {
        let left = u32::try_from(wanted - items.len()).unwrap_or(PAGE);
        let mut page = asked.ask(&Question::Decisions(Filter {
            tenant: args.tenant.clone(),
            actor: args.actor.clone(),
            action: args.action.clone(),
            outcome: args.outcome.clone(),
            from: args.from.clone(),
            to: args.to.clone(),
            limit: left.min(PAGE),
            cursor: cursor.take(),
        }))?;
        position = page.get_mut("position").map_or(Value::Null, Value::take);
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        items.extend(page.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).into_iter().flatten());
        if cursor.is_none() {
            break;
        }
    }
    if output.json {
        output.object(&serde_json::json!({"items": items, "next": cursor, "position": position}))?;
        return Ok(Exit::Ok);
    }
    let heads = ["RECORDED", "OUTCOME", "REASON", "ACTION", "LEDGER", "DECISION"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(items.iter().map(|item| {
        let place = format!("{}:{}", text(item, "/ledger/partition"), text(item, "/ledger/seq"));
        let cells = ["/recorded_at", "/outcome", "/reason_code", "/action"].map(|pointer| text(item, pointer));
        cells.into_iter().chain([place, text(item, "/decision_id")]).collect()
    }));
    output.table(&rows)?;
    if let Some(cursor) = cursor {
        output.line(format!("more with --cursor {cursor}"))?;
    }
    Ok(Exit::Ok)
}

/// `decisions get`
///
/// # Errors
/// There is no such decision, or nobody answers.
pub fn get(args: &DecisionGet, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let found = Asked::new(&args.source)?.ask(&Question::Decision { id: args.decision_id.clone() })?;
    show(&found, output)
}

/// `requests get`
///
/// # Errors
/// There is no such request, or nobody answers.
pub fn of_request(args: &RequestGet, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let found = Asked::new(&args.source)?.ask(&Question::Request {
        tenant: args.tenant.clone(),
        actor: args.actor.clone(),
        request_id: args.request_id.clone(),
    })?;
    show(&found, output)
}

/// Every member on a line of its own, nested ones with their path.
pub fn show(value: &Value, output: &mut Output<'_>) -> Result<Exit, Failure> {
    if output.json {
        output.object(value)?;
    } else {
        let mut rows = Vec::new();
        flatten("", value, &mut rows);
        output.table(&rows)?;
    }
    Ok(Exit::Ok)
}

fn flatten(prefix: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if member.is_object() {
            flatten(&path, member, rows);
        } else if !member.is_null() {
            rows.push(vec![path, text(member, "")]);
        }
    }
}
