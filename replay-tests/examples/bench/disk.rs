//! How long the disk takes to make a small write durable: nothing that acknowledges durably is faster than that.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Median of appending 4 KiB and `fdatasync`, as the write-ahead log does it.
pub fn fdatasync_p50(directory: &Path, rounds: usize) -> Duration {
    let mut file = tempfile::tempfile_in(directory).expect("the scratch directory can be written");
    let block = [7u8; 4096];
    let mut times: Vec<Duration> = (0..rounds.max(1))
        .map(|_| {
            file.write_all(&block).unwrap();
            let since = Instant::now();
            file.sync_data().unwrap();
            since.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
