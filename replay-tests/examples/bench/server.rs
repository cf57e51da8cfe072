//! The shipped binary as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A binary of this workspace, built along with this program.
pub fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("this program has a path");
    path.pop();
    path.pop();
    path.join(name)
}

pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts on a directory and waits until it listens, which it does only when every partition is owned.
    pub fn start(program: &Path, data: &Path) -> Server {
        let mut child = Command::new(program)
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("LEXECON_TELEMETRY__LEVEL", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        said.read_line(&mut line).expect("the server says where it listens");
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = said["address"].as_str().unwrap_or_else(|| panic!("the server did not start: {line}")).to_owned();
        Server { child, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as an operator would. Returns how long that took.
    pub fn stop(mut self) -> Duration {
        let since = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(pid, Signal::TERM).expect("the server is there");
        self.child.wait().expect("the server ends");
        since.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only when a measurement failed half-way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
