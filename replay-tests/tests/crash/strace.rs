//! Faults inside of system calls, by `strace`: what the C library below us meets, and no code of ours can fake.
//!
//! `strace` counts calls for each thread by itself: `when=3` is the third call of whichever thread makes three first.
//! Its `--seccomp-bpf` would be quicker and is not used: with it (6.1) only `when=1` has any effect.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::Server;

/// Whether `strace` may trace here; if not, the test counts as skipped.
pub fn can_trace(test: &str) -> bool {
    let can = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let can = can.is_ok_and(|output| output.status.success());
    if !can {
        replay_tests::skip(&format!("crash {test}"), "strace cannot trace here");
    }
    can
}

fn options(fault: &str, paths: &[String]) -> Vec<String> {
    let call = fault.split(':').next().unwrap();
    let (trace, inject) = (format!("trace={call}"), format!("inject={fault}"));
    let mut options = ["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject].map(str::to_owned).to_vec();
    options.extend(paths.iter().flat_map(|path| ["-P".to_owned(), path.clone()]));
    options
}

/// A server with a fault, such as `fdatasync:error=EIO`, in one system call of each of its threads. With `paths`, only
/// calls on these files count and fail.
pub fn server(fault: &str, paths: &[String], data: &Path, settings: &[(&str, &str)]) -> Result<Server, String> {
    let options = options(fault, paths);
    let wrapper: Vec<&str> = ["strace"].into_iter().chain(options.iter().map(String::as_str)).collect();
    Server::under(&wrapper, data, settings)
}

/// A tracer of a process that runs already. When dropped it lets go of it, and the process runs on.
pub struct Attached {
    strace: Child,
}

impl Attached {
    /// Attaches to every thread, and waits until it has. With `paths`, only calls on these files fail.
    pub fn to(process: Pid, fault: &str, paths: &[String]) -> Attached {
        let mut command = Command::new("strace");
        command.args(options(fault, paths)).args(["-p", &process.as_raw_nonzero().to_string()]);
        let strace = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_traced(process) {
            assert!(Instant::now() < deadline, "strace did not attach");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        Attached { strace }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // Asked to end, it detaches; killed, it would leave stopped threads behind.
        let _ = kill_process(Pid::from_child(&self.strace), Signal::INT);
        let _ = self.strace.wait();
    }
}

/// The files that RocksDB numbers in a directory, those that are there and those that it would make next.
pub fn numbered_files(directory: &Path, ahead: u64) -> Vec<String> {
    let directory = directory.canonicalize().unwrap();
    let files = std::fs::read_dir(&directory).unwrap().flatten().map(|file| file.path());
    let numbered = files.filter(|file| file.extension().is_some_and(|ending| ending == "log" || ending == "sst"));
    let newest = numbered.filter_map(|file| file.file_stem()?.to_str()?.parse::<u64>().ok()).max().unwrap();
    let names = (1..newest + ahead).flat_map(|n| [format!("{n:06}.log"), format!("{n:06}.sst")]);
    names.map(|name| directory.join(name).display().to_string()).collect()
}

/// Whether every thread has a tracer. A thread that ends meanwhile does not count.
fn is_traced(process: Pid) -> bool {
    let tasks = format!("/proc/{}/task", process.as_raw_nonzero());
    let Ok(tasks) = std::fs::read_dir(tasks) else { return true };
    tasks.flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_none_or(|tracer| tracer.trim() != "0")
    })
}
