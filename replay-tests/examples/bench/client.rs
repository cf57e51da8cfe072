//! Closed-loop HTTP/1.1 clients, one thread and one connection each: a blocking client of a few lines, because what the
//! client spends is missing from what the server could have had on the same cores.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::traffic::{self, Templates};

/// What one run sends.
#[derive(Clone)]
pub struct Load {
    pub address: String,
    pub connections: usize,
    /// Requests in one call; 0 sends single ones.
    pub batch: u64,
    /// Distinguishes ids of one run from those of another.
    pub run: u64,
    pub until: Until,
}

/// When a run ends.
#[derive(Clone)]
pub enum Until {
    Elapsed(Duration),
    Sent(u64),
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub decided: u64,
    pub errors: u64,
    /// Of calls, sorted. Microseconds.
    pub latencies_us: Vec<u32>,
    pub seconds: f64,
}

impl Outcome {
    pub fn percentile_us(&self, percent: usize) -> u32 {
        let at = self.latencies_us.len().saturating_sub(1) * percent / 100;
        self.latencies_us.get(at).copied().unwrap_or(0)
    }

    pub fn rate(&self) -> f64 {
        self.decided as f64 / self.seconds.max(1e-9)
    }
}

/// Runs it. `done` counts decisions while it runs.
pub fn run(load: &Load, templates: &Arc<Templates>, done: &Arc<AtomicU64>) -> Outcome {
    let next = Arc::new(AtomicU64::new(0));
    let since = Instant::now();
    let threads: Vec<_> = (0..load.connections)
        .map(|_| {
            let (load, templates, next, done) = (load.clone(), templates.clone(), next.clone(), done.clone());
            std::thread::Builder::new()
                .stack_size(128 * 1024)
                .spawn(move || connection(&load, &templates, &next, &done, since))
                .expect("a thread can be started")
        })
        .collect();
    let mut outcome = Outcome::default();
    for thread in threads {
        let one = thread.join().expect("a client thread ends");
        outcome.decided += one.decided;
        outcome.errors += one.errors;
        outcome.latencies_us.extend(one.latencies_us);
    }
    outcome.seconds = since.elapsed().as_secs_f64();
    outcome.latencies_us.sort_unstable();
    outcome
}

fn connection(load: &Load, templates: &Templates, next: &AtomicU64, done: &AtomicU64, since: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let stream = TcpStream::connect(&load.address).expect("the server accepts connections");
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out can be set");
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    let (mut body, mut call, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    let each = load.batch.max(1);
    loop {
        let number = next.fetch_add(each, Ordering::Relaxed);
        let over = match load.until {
            Until::Elapsed(limit) => since.elapsed() >= limit,
            Until::Sent(limit) => number >= limit,
        };
        if over {
            return outcome;
        }
        compose(load, templates, number, &mut body, &mut call);
        let began = Instant::now();
        reader.get_mut().write_all(&call).expect("the server reads");
        let status = read(&mut reader, &mut answer);
        outcome.latencies_us.push(began.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
        let decided = match (status, load.batch) {
            (200, 0) => 1,
            (200, _) => count(&answer, b"\"decision_id\":\"") - count(&answer, b"\"type\":\"urn:"),
            _ => 0,
        };
        outcome.decided += decided;
        outcome.errors += each - decided;
        done.fetch_add(decided, Ordering::Relaxed);
    }
}

fn compose(load: &Load, templates: &Templates, number: u64, body: &mut Vec<u8>, call: &mut Vec<u8>) {
    body.clear();
    let now = traffic::now();
    let path = if load.batch == 0 {
        templates.push(load.run, number, &now, body);
        "/v1/decisions"
    } else {
        body.extend_from_slice(b"{\"requests\":[");
        for offset in 0..load.batch {
            if offset > 0 {
                body.push(b',');
            }
            templates.push(load.run, number + offset, &now, body);
        }
        body.extend_from_slice(b"]}");
        "/v1/decisions:batch"
    };
    call.clear();
    write!(
        call,
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    call.extend_from_slice(body);
}

/// Status; the body is left in `answer`.
fn read(reader: &mut BufReader<TcpStream>, answer: &mut Vec<u8>) -> u16 {
    let mut line = Vec::new();
    let (mut status, mut length, mut first) = (0, 0usize, true);
    loop {
        line.clear();
        let n = reader.read_until(b'\n', &mut line).expect("the server answers in time");
        assert!(n > 0, "the server closed the connection");
        if first {
            status = std::str::from_utf8(&line).ok().and_then(|text| text.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
            first = false;
        } else if line.len() <= 2 {
            break;
        } else if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            length = std::str::from_utf8(&line[15..]).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        }
    }
    answer.resize(length, 0);
    reader.read_exact(answer).expect("the whole answer comes");
    status
}

fn count(haystack: &[u8], needle: &[u8]) -> u64 {
    let mut found = 0;
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|byte| *byte == needle[0]) {
        if rest[at..].starts_with(needle) {
            found += 1;
        }
        rest = &rest[at + 1..];
    }
    found
}
