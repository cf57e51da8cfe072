//! What the operating system says about this process, read from `/proc` when asked. Elsewhere than on Linux nothing is
//! said, rather than something wrong.

use std::fs;

/// One reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// User and system time, hundredths of a second as Linux counts them for programs.
    pub cpu_ticks: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Threads.
    pub threads: u64,
}

/// Clock ticks a second: `USER_HZ`, 100 on every Linux that this runs on.
pub(super) const TICKS_PER_SECOND: u64 = 100;

pub(super) fn read() -> Reading {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let files = fs::read_dir("/proc/self/fd").map(|entries| entries.count()).unwrap_or(0);
    Reading {
        resident_bytes: line(&status, "VmRSS:").saturating_mul(1024),
        cpu_ticks: ticks(&stat),
        files: u64::try_from(files).unwrap_or(u64::MAX),
        threads: line(&status, "Threads:"),
    }
}

fn line(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Fields 14 and 15 of proc(5), counted after the command's name, which may hold spaces and parentheses.
fn ticks(stat: &str) -> u64 {
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0 };
    rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        assert_eq!(ticks("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0"), 42);
        assert_eq!(line("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), 12);
        let now = read();
        assert!(now.resident_bytes > 100_000 && now.files > 0 && now.threads > 0, "{now:?}");
    }
}
