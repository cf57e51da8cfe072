//! `load`: sends traffic and prints outcome counts, latencies and the rate that was reached.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::Load;
use super::failure::Failure;
use super::output::Output;
use super::{input, progress, reach};
use crate::exit::Exit;
use crate::load::{Answer, Latencies, Pace, Plan, Progress, Report, Requests, Target, Traffic, run as run_plan};

/// How long after the last request was due a backlog is still worked off.
const GRACE: Duration = Duration::from_secs(10);
/// How often the bar moves.
const REDRAW: Duration = Duration::from_millis(200);

/// Runs the command. Exit code 0 when every request that was due has an outcome, 5 when nothing answered at all,
/// 1 otherwise.
///
/// # Errors
/// The file or the address cannot be used.
pub fn run(args: &Load, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let token = reach::token(&args.remote)?;
    let target = Target::new(reach::url(&args.remote), token.as_ref().map(|token| token.reveal()))
        .map_err(|error| Failure::new(Exit::Usage, "url", error.to_string()))?;
    let seed = args.seed.map_or_else(fresh_seed, Ok)?;
    let requests = match &args.file {
        Some(file) => Requests::Lines(input::lines(file)?),
        None => Requests::Generated(Traffic { seed, tenants: args.tenants.clone() }),
    };
    let plan = Plan {
        target,
        pace: pace(args, &requests),
        requests: Arc::new(requests),
        connections: usize::from(args.connections),
        timeout: args.timeout,
        grace: GRACE,
        keep_answers: args.file.is_some() && output.json,
    };
    let (report, answers) = watched(plan, output.json)?;
    let exit = match (report.is_complete(), report.answered) {
        (true, _) => Exit::Ok,
        (false, 0) if report.failed.values().sum::<u64>() == report.sent => Exit::Unreachable,
        _ => Exit::Failure,
    };
    match (output.json, &args.file) {
        (true, Some(_)) => lines(&answers, output)?,
        (true, None) => output.object(&object(args, seed, &report))?,
        (false, _) => told(args, seed, &report, output)?,
    }
    Ok(exit)
}

fn pace(args: &Load, requests: &Requests) -> Pace {
    let batch = u64::from(args.batch);
    let rate = args.rate.unwrap_or(0.0);
    let Requests::Lines(lines) = requests else {
        return Pace::lasting(rate, batch, args.duration.unwrap_or_default());
    };
    let all = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    match (args.rate, args.duration) {
        (Some(rate), Some(duration)) => {
            Pace { requests: Pace::lasting(rate, batch, duration).requests.min(all), rate, batch }
        }
        _ => Pace { rate, batch, requests: all },
    }
}

/// A seed of its own for each run, so that its requests are new ones.
fn fresh_seed() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Failure, "entropy", format!("no random numbers: {error}; give --seed")))?;
    Ok(u64::from_le_bytes(bytes))
}

fn watched(plan: Plan, json: bool) -> Result<(Report, Vec<Answer>), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "runtime", error.to_string()))?;
    let bar = progress::bar(plan.pace.requests, "requests", json || !io::stderr().is_terminal());
    let progress = Arc::new(Progress::default());
    runtime.block_on(async {
        let mut running = tokio::spawn(run_plan(plan, Arc::clone(&progress)));
        let mut interrupted = false;
        loop {
            tokio::select! {
                ended = &mut running => {
                    bar.finish_and_clear();
                    return ended.map_err(|error| Failure::new(Exit::Failure, "load", error.to_string()));
                }
                // The figures so far are printed, so the first signal ends the run and not the process.
                _ = tokio::signal::ctrl_c(), if !interrupted => {
                    interrupted = true;
                    progress.stop.store(true, Ordering::Relaxed);
                }
                () = tokio::time::sleep(REDRAW) => bar.set_position(progress.done.load(Ordering::Relaxed)),
            }
        }
    })
}

fn lines(answers: &[Answer], output: &mut Output<'_>) -> Result<(), Failure> {
    for answer in answers {
        output.object(&serde_json::to_value(answer).unwrap_or(Value::Null))?;
    }
    Ok(())
}

fn object(args: &Load, seed: u64, report: &Report) -> Value {
    let mut object = serde_json::to_value(report).unwrap_or(Value::Null);
    if let Some(object) = object.as_object_mut() {
        object.insert("rate".into(), json!(args.rate));
        object.insert("connections".into(), json!(args.connections));
        object.insert("batch".into(), json!(args.batch));
        object.insert("seed".into(), json!(seed));
    }
    object
}

fn told(args: &Load, seed: u64, report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
    let asked = args.rate.map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("{rate}/s asked for"));
    let source = args.file.as_ref().map_or_else(|| format!("seed {seed}"), |file| file.display().to_string());
    output.line(format!(
        "{} requests in {:.1} s: {:.1}/s decided, {asked}; {} connections, batches of {}, {source}",
        report.sent, report.elapsed_s, report.achieved_rate, args.connections, args.batch
    ))?;
    output.line("")?;
    let mut rows = Vec::new();
    #[expect(clippy::cast_precision_loss, reason = "a share is shown with one digit after the point")]
    let share = |n: u64| format!("{:5.1} %", 100.0 * n as f64 / report.sent.max(1) as f64);
    let counts =
        [("", &report.outcomes), ("  ", &report.reasons), ("refused: ", &report.refused), ("failed: ", &report.failed)];
    for (prefix, counts) in counts {
        rows.extend(counts.iter().map(|(name, n)| vec![format!("{prefix}{name}"), format!("{n:>9}"), share(*n)]));
    }
    if report.not_sent > 0 {
        rows.push(vec!["due and not sent".into(), format!("{:>9}", report.not_sent), String::new()]);
    }
    output.table(&rows)?;
    output.line("")?;
    let millis = |us: u64| format!("{:>9}", format!("{}.{:02}", us / 1000, us % 1000 / 10));
    let row = |name: &str, l: &Latencies| {
        let cells = [l.p50_us, l.p90_us, l.p99_us, l.p999_us, l.max_us].map(millis);
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let heads = ["milliseconds", "      p50", "      p90", "      p99", "    p99.9", "      max"];
    output.table(&[
        heads.map(str::to_owned).to_vec(),
        row("from when it was due", &report.latency),
        row("from when it was sent", &report.service),
    ])?;
    Ok(())
}
