//! What was measured where: commit, processor, memory, kernel, disk.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::disk;

pub fn describe(scratch: &Path) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let date = jiff::Timestamp::from_second(now.as_secs().try_into().unwrap_or(0))
        .map(|time| time.to_string())
        .unwrap_or_default();
    let memory_kib: u64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    json!({
        "commit": git(&["rev-parse", "--short=12", "HEAD"]),
        "changed": !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty(),
        "date": date,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "memory_mib": memory_kib / 1024,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "fdatasync_p50_us": disk::fdatasync_p50(scratch, 200).as_micros() as u64,
    })
}

fn git(words: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(words).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
