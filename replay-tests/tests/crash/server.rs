//! The program under test, as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A binary of this workspace, built by the same `cargo test --workspace`.
pub fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join(name);
    assert!(path.exists(), "{} is not built; run the tests with --workspace", path.display());
    path
}

pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts on a directory and waits until it listens, which it does only when every partition is owned.
    pub fn start(data: &Path) -> Server {
        Server::try_start(data).unwrap_or_else(|message| panic!("did not start: {message}"))
    }

    /// The same; what it says when it does not start.
    pub fn try_start(data: &Path) -> Result<Server, String> {
        Server::configured(data, &[])
    }

    /// The same, with settings from the environment.
    pub fn configured(data: &Path, settings: &[(&str, &str)]) -> Result<Server, String> {
        Server::spawn(Command::new(binary("lexecon")), data, settings)
    }

    /// The same under another program, such as `strace …`, which is given the command to run.
    pub fn under(wrapper: &[&str], data: &Path, settings: &[(&str, &str)]) -> Result<Server, String> {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(binary("lexecon"));
        Server::spawn(command, data, settings)
    }

    fn spawn(mut command: Command, data: &Path, settings: &[(&str, &str)]) -> Result<Server, String> {
        let mut child = command
            .envs(settings.iter().copied())
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = child.stderr.take().unwrap();
        // Logs are drained all the time, so that a full pipe never blocks the program.
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        match serde_json::from_str::<Value>(&line) {
            Ok(said) if said["address"].is_string() => {
                Ok(Server { child, address: said["address"].as_str().unwrap().to_owned() })
            }
            _ => {
                let status = child.wait().unwrap();
                Err(format!("{status}: {}", errors.join().unwrap()))
            }
        }
    }

    /// Waits until it has ended by itself, or kills it then. Returns whether it did.
    pub fn ends_within(mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.kill();
        false
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Runs a command to its end: exit code and standard output.
pub fn run(name: &str, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary(name)).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}
