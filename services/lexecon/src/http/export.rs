//! The ledger as lines of JSON: one event a line, by partition and place. For people and scripts; what is verified is
//! the binary export, because a re-serialisation proves nothing.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::datadir::Deployment;
use engine::export::{Error, frames};
use eventlog::LogReader;
use ledger::StoredEvent;
use ledger::layout::{Facts, Outcome};
use serde_json::{Value, json};

use super::answer::time;

/// One event. Sections 1 and 2 of answers are spelt out; every section is there as bytes in base64, sealed ones sealed.
pub fn event(partition: u32, event: &StoredEvent<'_>) -> Value {
    let body = &event.body;
    let sections: Vec<Value> = body
        .sections
        .iter()
        .map(|entry| {
            let bytes = event.section(entry.tag).map(|bytes| STANDARD.encode(bytes));
            json!({"tag": entry.tag, "kind": format!("{:?}", entry.kind).to_lowercase(), "length": entry.length,
                   "hash": entry.hash.to_string(), "bytes": bytes})
        })
        .collect();
    let mut line = json!({
        "partition": partition,
        "seq": body.seq,
        "event_id": body.event_id.to_string(),
        "event_type": body.event_type,
        "writer_epoch": body.writer_epoch,
        "recorded_at": time(body.recorded_at_us),
        "schema_hash": body.schema_hash.to_string(),
        "prev_hash": event.prev_hash.to_string(),
        "event_hash": event.event_hash.to_string(),
        "sections": sections,
    });
    if ledger::event_type::answers_request(body.event_type)
        && let Some(line) = line.as_object_mut()
    {
        if let Some(Ok(facts)) = event.section(ledger::section_tag::FACTS).map(Facts::decode) {
            line.insert("tenant".into(), facts.tenant.into());
            line.insert("action".into(), facts.action.into());
            line.insert("occurred_at".into(), time(facts.occurred_at_us).into());
            line.insert("bundle_hash".into(), facts.bundle_hash.to_string().into());
        }
        if let Some(Ok(outcome)) = event.section(ledger::section_tag::OUTCOME).map(Outcome::decode) {
            let name = policy::ReasonCode::from_number(outcome.reason_code).map(policy::ReasonCode::as_str);
            let word = ["deny", "permit", "escalate"].get(usize::from(outcome.outcome)).copied();
            line.insert("outcome".into(), word.into());
            line.insert("reason_code".into(), name.into());
            line.insert("outcome_no".into(), outcome.outcome_no.into());
            line.insert("policies".into(), outcome.policies.into());
            line.insert("obligations".into(), outcome.obligations.into());
        }
    }
    line
}

/// Writes every event of one partition, or of all.
///
/// # Errors
/// [`Error`]; the lines are not all there then.
pub fn lines(
    log: &dyn LogReader,
    deployment: &Deployment,
    only: Option<u32>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let partitions = only.map_or(0..deployment.partitions, |one| one..one.saturating_add(1));
    for partition in partitions {
        let mut strays = 0;
        frames(log, deployment, partition, &mut strays, &mut |_, frame, _| {
            for one in &frame.events {
                serde_json::to_writer(&mut *out, &event(partition, one)).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
