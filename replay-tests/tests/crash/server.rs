//! The program under test, as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a stop may take: what the program promises.
const STOP_MAX: Duration = Duration::from_secs(15);

/// A binary of this workspace, built by the same `cargo test --workspace`. With `--test crash` alone it is not built
/// again: then `cargo build --workspace --bins` comes first.
pub fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join(name);
    assert!(path.exists(), "{} is not built; run the tests with --workspace", path.display());
    path
}

/// A running server; killed when dropped, so that a failed test leaves none behind.
pub struct Server {
    child: Child,
    /// Of the program itself: the child may be what wraps it.
    pid: Pid,
    logs: Option<JoinHandle<String>>,
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
        let mut child =
            serve(&mut command, data, settings).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        // Logs are drained all the time, so that a full pipe never blocks the program.
        let logs = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str::<Value>(&line).unwrap_or_default();
        match (said["address"].as_str(), said["pid"].as_i64()) {
            (Some(address), Some(pid)) => {
                let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                Ok(Server { child, pid, logs: Some(logs), address: address.to_owned() })
            }
            _ => {
                let status = child.wait().unwrap();
                Err(format!("{status}: {line}{}", logs.join().unwrap()))
            }
        }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// SIGTERM; does not wait.
    pub fn ask_to_stop(&self) {
        kill_process(self.pid, Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself; none when it has not.
    pub fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() >= until {
                return ended;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and waits until it has ended as promised. Returns its logs.
    pub fn stop(mut self) -> String {
        self.ask_to_stop();
        let ended = self.ends_within(STOP_MAX).expect("it ends in time after SIGTERM");
        let logs = self.logs.take().unwrap().join().unwrap();
        assert!(ended.success(), "{ended}: {logs}");
        logs
    }

    /// `kill -9`. Returns its logs.
    pub fn kill(mut self) -> String {
        self.end();
        self.logs.take().unwrap().join().unwrap()
    }

    fn end(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // What wraps it is killed as well: its end does not end the program.
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.child.kill();
            self.child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a process was killed, by whatever wraps it too.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

fn serve<'a>(command: &'a mut Command, data: &Path, settings: &[(&str, &str)]) -> &'a mut Command {
    command.envs(settings.iter().copied()).args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(data)
}

/// Starts and kills `after` that time, wherever the start has got to by then. Says whether it listened already.
pub fn killed_while_starting(data: &Path, after: Duration) -> bool {
    let mut command = Command::new(binary("lexecon"));
    let mut child = serve(&mut command, data, &[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + after;
    while Instant::now() < until {
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
    child.kill().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    !said.is_empty()
}

/// Runs a command to its end: exit code, standard output and standard error.
pub fn run(name: &str, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary(name)).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}
