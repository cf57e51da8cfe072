//! `outcomes`: what was decided, in the order of each partition's numbers; `--follow` keeps on.

use futures_util::StreamExt as _;
use serde_json::Value;

use super::arguments::Outcomes;
use super::failure::Failure;
use super::output::{Output, text};
use super::question::{Asked, Question};
use super::reach;
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// Nobody answers, or there is no such partition.
pub fn run(args: &Outcomes, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let asked = Asked::new(&args.source)?;
    if args.follow {
        return follow(&asked, args, output);
    }
    let partitions = match args.partition {
        Some(partition) => vec![partition],
        None => partitions(&asked)?,
    };
    for partition in partitions {
        let mut after = args.after;
        loop {
            let page = asked.ask(&Question::Outcomes { partition, after })?;
            let items = page.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            for item in items {
                print(item, output)?;
            }
            match items.last().and_then(|item| item.get("outcome_no")).and_then(Value::as_u64) {
                Some(last) if page.get("next").is_some_and(|next| !next.is_null()) => after = Some(last),
                _ => break,
            }
        }
    }
    Ok(Exit::Ok)
}

fn partitions(asked: &Asked) -> Result<Vec<u32>, Failure> {
    let found = asked.ask(&Question::Partitions)?;
    let items = found.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Ok(items.iter().filter_map(|item| u32::try_from(item.get("partition")?.as_u64()?).ok()).collect())
}

fn print(item: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    if output.json {
        output.object(item)?;
    } else {
        let number = format!("{}#{}", text(item, "/partition"), text(item, "/outcome_no"));
        let cells =
            ["/outcome", "/reason_code", "/tenant", "/request_id", "/decision_id"].map(|pointer| text(item, pointer));
        let [outcome, reason, tenant, request, decision] = cells;
        output.line(format!("{number:>12}  {outcome:8}  {reason:28}  {tenant}  {request}  {decision}"))?;
    }
    Ok(())
}

/// Server-sent events of one partition or of all, until the server or a signal ends it.
fn follow(asked: &Asked, args: &Outcomes, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let Asked::Running(reach) = asked else {
        return Err(Failure::new(Exit::Usage, "usage", "--follow needs a running system; use --url"));
    };
    let Some(client) = reach.client() else { return Ok(Exit::Failure) };
    let owned: Vec<(&str, String)> = [("partition", args.partition.map(u64::from)), ("after", args.after)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_string())))
        .collect();
    let query: Vec<(&str, &str)> = owned.iter().map(|(name, value)| (*name, value.as_str())).collect();
    reach.block_on(async {
        let response = client.stream("/v1/outcomes", &query, "text/event-stream").await.map_err(reach::failure)?;
        let mut chunks = response.bytes_stream();
        let mut events = Events::default();
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Ok),
            };
            let Some(chunk) = chunk else {
                return Err(Failure::new(
                    Exit::Unreachable,
                    "ended",
                    "the system ended the stream; run it again with --after",
                ));
            };
            let broken = |error| {
                Failure::new(
                    Exit::Unreachable,
                    "broken_off",
                    format!("the stream broke off: {error}; run it again with --after"),
                )
            };
            for data in events.push(&chunk.map_err(broken)?) {
                if let Ok(item) = serde_json::from_slice::<Value>(&data) {
                    print(&item, output)?;
                }
            }
            output.flush()?;
        }
    })
}

/// The `data` of server-sent events out of a stream of bytes (HTML standard, section 9.2.6; our server writes each
/// event's data on one line).
#[derive(Default)]
struct Events {
    rest: Vec<u8>,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.strip_prefix(b"data:"))
            .map(|data| data.trim_ascii().to_vec())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let stream = b": alive\n\nid: 0:1\ndata: {\"a\":1}\n\nevent: x\r\ndata:{\"b\":2}\r\n\r\ndata: {\"c\"";
        for cut in 0..stream.len() {
            let (one, two) = stream.split_at(cut);
            let mut events = Events::default();
            let mut found = events.push(one);
            found.extend(events.push(two));
            assert_eq!(found, [b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec()], "cut at {cut}");
        }
    }
}
