//! What a round of the embedded log costs: `cargo run --release --workspace --example rounds [SECONDS]`.
//!
//! Every figure is durable: each round is synced twice, write-ahead log and anchor, before it counts. A plain file that
//! is appended to and synced twice a round stands beside each, since the disk sets the pace and differs by machine.
#![allow(clippy::print_stdout, reason = "its table is what it is for")]

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use eventlog::{
    Done, Error, EventLog, NewRecord, Topic,
    embedded::{Embedded, Settings},
};

const PARTITIONS: u32 = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map(|text| text.parse()).transpose()?.unwrap_or(3);
    let long = Duration::from_secs(seconds);
    println!("partitions  frame KiB  requests  frames/s     MiB/s    p50 us    p99 us  plain p50 us");
    for (partitions, frame_kib, requests) in [(1, 1, 0), (8, 1, 0), (1, 64, 0), (8, 64, 0), (1, 64, 100), (8, 64, 100)]
    {
        let data = tempfile::tempdir()?;
        let frame = incompressible(frame_kib << 10);
        let (rounds, plain) = measure(data.path(), long, partitions, &frame, requests)?;
        let total: Duration = rounds.iter().sum();
        let per_second = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / total.as_secs_f64();
        let frames = rounds.len() * usize::try_from(partitions)?;
        println!(
            "{partitions:>10}  {frame_kib:>9}  {requests:>8}  {:>8.0}  {:>8.1}  {:>8}  {:>8}  {:>12}",
            per_second(frames),
            per_second(frames * frame.len() / 1024) / 1024.0,
            percentile(&rounds, 50).as_micros(),
            percentile(&rounds, 99).as_micros(),
            percentile(&plain, 50).as_micros(),
        );
    }
    // Bounded by the settings, however much was written.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown");
    println!("peak memory of the process: {}", peak.trim());
    Ok(())
}

/// Rounds of one frame a partition, and as many requests of 500 bytes in all; after each, the same bytes of frames to a
/// plain file. In turn, so that whatever else the machine does meets both alike.
fn measure(
    data: &Path,
    long: Duration,
    partitions: u32,
    frame: &[u8],
    requests: u32,
) -> Result<(Vec<Duration>, Vec<Duration>), Box<dyn std::error::Error>> {
    let mut log = Embedded::open(Settings { partitions: PARTITIONS, ..Settings::at(data) })?;
    let reader = log.reader();
    log.poll(Duration::ZERO);
    let mut file = OpenOptions::new().create(true).append(true).open(data.join("plain"))?;
    let mut other = OpenOptions::new().create(true).append(true).open(data.join("other"))?;
    let bytes = frame.repeat(usize::try_from(partitions)?);
    let (mut rounds, mut plain) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < long {
        let round = Instant::now();
        for request in 0..requests {
            let partition = request % partitions;
            let key = *b"0123456789abcdef";
            log.submit(NewRecord::new(Topic::Requests, partition, key, vec![7; 500]));
        }
        for partition in 0..partitions {
            let at = reader.tail(Topic::Ledger, partition)?;
            log.append(partition, at, frame.to_vec());
        }
        let done = log.poll(Duration::ZERO);
        rounds.push(round.elapsed());
        let committed = done.iter().filter(|done| matches!(done.done, Done::Committed(_))).count();
        if u32::try_from(committed)? != partitions {
            return Err(Error::Unavailable { reason: format!("{committed} committed") }.into());
        }
        let round = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        other.write_all(&[7; 4_096])?;
        other.sync_data()?;
        plain.push(round.elapsed());
    }
    Ok((rounds, plain))
}

/// Frames are mostly ciphertext.
fn incompressible(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()
    };
    std::iter::repeat_with(|| next()[0]).take(bytes).collect()
}

fn percentile(rounds: &[Duration], percent: usize) -> Duration {
    let mut sorted = rounds.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}
