//! CPU time and memory of processes and of the machine, from `/proc`.

use std::collections::BTreeMap;
use std::time::Instant;

/// Clock ticks a second in `/proc/PID/stat`: a constant of the Linux ABI on every architecture that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    pub user: f64,
    pub sys: f64,
}

impl Cpu {
    pub fn total(self) -> f64 {
        self.user + self.sys
    }

    pub fn since(self, before: Cpu) -> Cpu {
        Cpu { user: self.user - before.user, sys: self.sys - before.sys }
    }
}

fn stat(path: &str) -> Option<(String, Vec<u64>)> {
    let text = std::fs::read_to_string(path).ok()?;
    let (head, rest) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    Some((name, rest.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect()))
}

fn cpu(fields: &[u64], at: usize) -> Cpu {
    let seconds = |at: usize| fields.get(at).copied().unwrap_or(0) as f64 / TICKS_PER_SECOND;
    Cpu { user: seconds(at), sys: seconds(at + 1) }
}

/// Of a process, all its threads.
pub fn of_process(pid: u32) -> Cpu {
    stat(&format!("/proc/{pid}/stat")).map_or(Cpu::default(), |(_, fields)| cpu(&fields, 11))
}

/// Of children that this process has waited for.
pub fn of_children() -> Cpu {
    stat("/proc/self/stat").map_or(Cpu::default(), |(_, fields)| cpu(&fields, 13))
}

/// Of a process's threads, by their names without numbers.
pub fn of_threads(pid: u32) -> BTreeMap<String, Cpu> {
    let mut threads: BTreeMap<String, Cpu> = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        if let Some((name, fields)) = stat(&format!("{}/stat", entry.path().display())) {
            let sum =
                threads.entry(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned()).or_default();
            let one = cpu(&fields, 11);
            *sum = Cpu { user: sum.user + one.user, sys: sum.sys + one.sys };
        }
    }
    threads
}

/// Busy CPU seconds of the whole machine since it started.
fn of_machine() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .map(|word| word.parse().unwrap_or(0.0))
        .collect();
    let idle = fields.get(3).copied().unwrap_or(0.0) + fields.get(4).copied().unwrap_or(0.0);
    // Guest time is counted in user time already.
    (fields.iter().take(8).sum::<f64>() - idle) / TICKS_PER_SECOND
}

/// Resident bytes of a process.
pub fn resident_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// What a server and this process spent during a run.
pub struct Meter {
    pid: u32,
    since: Instant,
    server: Cpu,
    threads: BTreeMap<String, Cpu>,
    client: Cpu,
    machine: f64,
}

/// What it came to.
#[derive(Clone, Debug)]
pub struct Spent {
    pub server: Cpu,
    pub threads: BTreeMap<String, Cpu>,
    pub client: Cpu,
    /// Cores that everybody else used, on average.
    pub others: f64,
}

impl Meter {
    pub fn start(pid: u32) -> Meter {
        Meter {
            pid,
            since: Instant::now(),
            server: of_process(pid),
            threads: of_threads(pid),
            client: of_process(std::process::id()),
            machine: of_machine(),
        }
    }

    pub fn stop(self) -> Spent {
        let seconds = self.since.elapsed().as_secs_f64();
        let server = of_process(self.pid).since(self.server);
        let same = self.pid == std::process::id();
        let client = if same { Cpu::default() } else { of_process(std::process::id()).since(self.client) };
        let before = |name: &str| self.threads.get(name).copied().unwrap_or_default();
        let threads =
            of_threads(self.pid).into_iter().map(|(name, cpu)| (name.clone(), cpu.since(before(&name)))).collect();
        let others = (of_machine() - self.machine - server.total() - client.total()).max(0.0) / seconds;
        Spent { server, threads, client, others }
    }
}
