//! The program as a process, and a client that can be told to misbehave: bytes out, bytes in, nothing hidden.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const START: Duration = Duration::from_secs(60);

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lexecon"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEXECON_")) {
        command.env_remove(name);
    }
    command
}

/// A running `lexecon serve`; killed when dropped.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
    pub announced: Value,
    pub data: PathBuf,
    logs: PathBuf,
    _directory: Option<tempfile::TempDir>,
}

impl Running {
    pub fn start() -> Running {
        Running::with(&[])
    }

    /// With settings as environment variables.
    pub fn with(environment: &[(&str, &str)]) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let mut running = Running::on(&data, environment);
        running._directory = Some(directory);
        running
    }

    pub fn on(data: &Path, environment: &[(&str, &str)]) -> Running {
        Running::given(data, &[], environment)
    }

    /// With further arguments of `serve`.
    pub fn given(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let logs = data.with_extension("log");
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"])
            .arg(data)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&logs).unwrap())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            let _ = tell.send((read, line));
        });
        let said = told.recv_timeout(START);
        let announced = said.ok().and_then(|(_, line)| serde_json::from_str::<Value>(&line).ok());
        let Some(announced) = announced else {
            let _ = child.kill();
            panic!("it did not start: {}", std::fs::read_to_string(&logs).unwrap_or_default());
        };
        let address = announced["address"].as_str().unwrap().parse().unwrap();
        Running { child, address, announced, data: data.to_owned(), logs, _directory: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn logs(&self) -> String {
        std::fs::read_to_string(&self.logs).unwrap()
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap().success());
    }

    /// Stops it as an operator would.
    pub fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.ended(Duration::from_secs(20)).code(), Some(0), "{}", self.logs());
    }

    /// Waits for the end.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let status = until(within, || self.child.try_wait().unwrap());
        status.unwrap_or_else(|| panic!("still running after {within:?}: {}", self.logs()))
    }

    pub fn get(&self, path: &str) -> Answer {
        call(self.address, "GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        call(self.address, "POST", path, &[("content-type", "application/json")], body.as_bytes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until there is something or the time is up.
pub fn until<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }
}

/// One call on a connection of its own.
pub fn call(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    Kept::open(address).call(method, path, headers, body).expect("an answer")
}

/// A connection that is kept.
pub struct Kept(pub BufReader<TcpStream>);

impl Kept {
    pub fn open(address: SocketAddr) -> Kept {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Kept(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    pub fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: lexecon\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        // A server that refuses early may close before all is sent; its answer is there all the same.
        let _ = self.send(&[head.as_bytes(), body].concat());
        self.answer()
    }

    /// Reads one answer; none when the connection ended before one.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        if self.0.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = Vec::new();
        if let Some(length) = headers.get("content-length") {
            body.resize(length.parse().ok()?, 0);
            self.0.read_exact(&mut body).ok()?;
        } else if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
        }
        Some(Answer { status, headers, body })
    }

    /// One chunk of a chunked body; none at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        self.0.read_exact(&mut chunk).ok()?;
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }
}

/// A body that is right, by number.
pub fn request(number: usize) -> String {
    serde_json::json!({
        "request_id": format!("r-{number}"),
        "actor": { "id": format!("agent-{}", number % 7), "kind": "agent", "roles": ["analyst"] },
        "action": "read_document",
        "risk_class": "minimal",
        "risk": { "score": 5 },
        "confidence_percent": 95,
    })
    .to_string()
}
