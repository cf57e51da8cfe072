//! A run: one thread keeps the time, one task a connection sends.
//!
//! A thread and not a timer of the runtime, because those are rounded up to whole milliseconds, which is as long as a
//! decision takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::Semaphore;

use super::connection::Connection;
use super::pace::Pace;
use super::tally::{Answer, Report, Tally, read};
use super::target::Target;
use super::traffic::Requests;

/// How often at most the schedule is looked at.
const TICK: Duration = Duration::from_micros(200);
/// How long after a failed connection the next is tried, so that a stopped server is not drowned.
const RECONNECT: Duration = Duration::from_millis(50);
const SINGLE: &str = "/v1/decisions";
const BATCH: &str = "/v1/decisions:batch";

/// What to do.
#[derive(Clone)]
pub struct Plan {
    /// Where to.
    pub target: Target,
    /// When.
    pub pace: Pace,
    /// What.
    pub requests: Arc<Requests>,
    /// Connections at once.
    pub connections: usize,
    /// How long a call may take.
    pub timeout: Duration,
    /// How long after the last call was due a backlog is still worked off.
    pub grace: Duration,
    /// Keep what every request came to, in their order. Otherwise only counts are kept.
    pub keep_answers: bool,
}

/// How far a run is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests that have come to something.
    pub done: AtomicU64,
    /// Set to end the run early.
    pub stop: AtomicBool,
}

struct Shared {
    plan: Plan,
    start: Instant,
    released: Semaphore,
    next: AtomicU64,
    progress: Arc<Progress>,
}

/// Runs a plan to its end, and returns the figures and, if they are to be kept, the answers in order of the requests.
/// What was not sent has an answer without outcome.
pub async fn run(plan: Plan, progress: Arc<Progress>) -> (Report, Vec<Answer>) {
    let shared = Arc::new(Shared {
        start: Instant::now(),
        released: Semaphore::new(0),
        next: AtomicU64::new(0),
        progress,
        plan,
    });
    let pacer = std::thread::spawn({
        let shared = shared.clone();
        move || keep_time(&shared)
    });
    let senders: Vec<_> = (0..shared.plan.connections.max(1)).map(|_| tokio::spawn(send(shared.clone()))).collect();
    let mut tally = Tally::new();
    let mut kept: Vec<(u64, Vec<Answer>)> = Vec::new();
    for sender in senders {
        if let Ok((counted, answers)) = sender.await {
            tally.add(counted);
            kept.extend(answers);
        }
    }
    let elapsed = shared.start.elapsed();
    shared.progress.stop.store(true, Ordering::Relaxed);
    let _ = pacer.join();
    kept.sort_by_key(|(call, _)| *call);
    let answers = if shared.plan.keep_answers { in_order(&shared.plan, kept) } else { Vec::new() };
    (tally.report(shared.plan.pace.requests, elapsed), answers)
}

fn in_order(plan: &Plan, kept: Vec<(u64, Vec<Answer>)>) -> Vec<Answer> {
    let not_sent = Answer { refused: Some("not sent".into()), ..Answer::default() };
    let mut answers: Vec<Answer> = (0..plan.pace.requests).map(|_| not_sent.clone()).collect();
    for (call, of_call) in kept {
        for (number, answer) in plan.pace.requests_of(call).zip(of_call) {
            if let Some(place) = usize::try_from(number).ok().and_then(|number| answers.get_mut(number)) {
                *place = answer;
            }
        }
    }
    for (number, answer) in (0u64..).zip(&mut answers) {
        answer.request_id = plan.requests.id(number);
    }
    answers
}

/// Releases calls as they become due, and ends the run when there is no more time for a backlog.
fn keep_time(shared: &Shared) {
    let pace = shared.plan.pace;
    let mut released = 0;
    let mut last_due = None;
    loop {
        let stop = shared.progress.stop.load(Ordering::Relaxed);
        let due = pace.due_by(shared.start.elapsed());
        if due > released && !stop {
            shared.released.add_permits(usize::try_from(due - released).unwrap_or(Semaphore::MAX_PERMITS >> 1));
            released = due;
        }
        if due >= pace.calls() {
            last_due.get_or_insert_with(Instant::now);
        }
        let is_late = pace.rate > 0.0 && last_due.is_some_and(|at| at.elapsed() > shared.plan.grace);
        if stop || is_late || shared.next.load(Ordering::Relaxed) >= pace.calls() {
            shared.released.close();
            return;
        }
        std::thread::sleep(TICK);
    }
}

/// One connection: takes the next call that is due, sends it, counts what came.
async fn send(shared: Arc<Shared>) -> (Tally, Vec<(u64, Vec<Answer>)>) {
    let plan = &shared.plan;
    let mut connection = Connection::new(&plan.target, plan.timeout);
    let mut tally = Tally::new();
    let mut kept = Vec::new();
    while let Ok(permit) = shared.released.acquire().await {
        permit.forget();
        let call = shared.next.fetch_add(1, Ordering::Relaxed);
        if call >= plan.pace.calls() {
            break;
        }
        let numbers = plan.pace.requests_of(call);
        let count = numbers.end - numbers.start;
        let batched = plan.pace.batch > 1;
        let body = if batched { plan.requests.batch(numbers) } else { plan.requests.body(numbers.start) };
        let sent = shared.start.elapsed();
        let due = plan.pace.due(call).unwrap_or(sent);
        let answers = match connection.post(if batched { BATCH } else { SINGLE }, Bytes::from(body)).await {
            Ok((status, body)) => {
                let now = shared.start.elapsed();
                let answers = read(status, &body, usize::try_from(count).unwrap_or(0), batched);
                tally.call(&answers, now.saturating_sub(due), now.saturating_sub(sent));
                answers
            }
            Err(why) => {
                tally.failure(count, why.as_str());
                tokio::time::sleep(RECONNECT).await;
                let answer = Answer { refused: Some(why.as_str().into()), ..Answer::default() };
                vec![answer; usize::try_from(count).unwrap_or(0)]
            }
        };
        shared.progress.done.fetch_add(count, Ordering::Relaxed);
        if plan.keep_answers {
            kept.push((call, answers));
        }
    }
    (tally, kept)
}
