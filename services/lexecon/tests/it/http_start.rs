//! Starting and stopping: what is refused, how it is said, and how it ends.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::running::{Kept, Running, call, program, request, until};

const SOON: Duration = Duration::from_secs(30);

fn fails(arguments: &[&str], environment: &[(&str, &str)], exit: i32, says: &[&str]) {
    let child = program().arg("serve").args(arguments).envs(environment.iter().copied()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert_eq!(child.status.code(), Some(exit), "{arguments:?}: {err}");
    assert!(out.is_empty(), "{arguments:?} printed {out}");
    for text in says {
        assert!(err.contains(text), "{arguments:?}: {text:?} is not in {err}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_cannot_start_says_why_and_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let config = directory.path().join("lexecon.toml");
    let with = |text: &str| std::fs::write(&config, text).unwrap();
    let common = ["--data", path(&data), "--config", path(&config), "--listen", "127.0.0.1:0"];

    with("[http]\npage_maximum = 7\n");
    fails(&common, &[], 2, &["lexecon.toml:2", "http.page_maximum", "unknown field"]);
    with("[http]\npage_max = \"seven\"\n");
    fails(&common, &[], 2, &["lexecon.toml:2", "http.page_max"]);
    with("");
    fails(&common, &[("LEXECON_HTTP__PAGE_MAXIMUM", "7")], 2, &["LEXECON_HTTP__PAGE_MAXIMUM"]);
    fails(&["--data", path(&data), "--listen", "0.0.0.0:0"], &[], 2, &["--listen", "loopback", "token"]);
    fails(
        &["--data", path(&data), "--config", "/nowhere/lexecon.toml"],
        &[],
        2,
        &["/nowhere/lexecon.toml", "cannot be read"],
    );
    assert!(!data.exists(), "a broken configuration touched the data directory");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&["--data", path(&data), "--listen", &address], &[], 4, &[&address, "--listen"]);
    assert!(!data.exists(), "a port in use touched the data directory");

    let foreign = directory.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("holiday.jpg"), b"x").unwrap();
    fails(&["--data", path(&foreign), "--listen", "127.0.0.1:0"], &[], 3, &["foreign", "directory"]);
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1, "something was written into a foreign directory");

    let file = directory.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    fails(&["--data", path(&file), "--listen", "127.0.0.1:0"], &[], 3, &["file"]);
}

#[test]
fn one_process_holds_a_directory() {
    let running = Running::start();
    fails(&["--data", path(&running.data), "--listen", "127.0.0.1:0"], &[], 3, &["in use", "--url"]);
    assert_eq!(running.post("/v1/decisions", &request(1)).status, 200, "the first one was disturbed");
}

#[test]
fn a_newer_directory_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut running = Running::on(&data, &[]);
    running.signal("TERM");
    assert!(running.ended(SOON).success());
    let description = data.join("lexecon.toml");
    let text = std::fs::read_to_string(&description).unwrap();
    let newer = text.replacen("= 1", "= 99", 1);
    assert_ne!(text, newer, "{text}");
    std::fs::write(&description, newer).unwrap();
    fails(&["--data", path(&data), "--listen", "127.0.0.1:0"], &[], 3, &["newer version"]);
}

#[test]
fn a_token_locks_everything_but_liveness() {
    let directory = tempfile::tempdir().unwrap();
    let token = "correct-horse-battery-staple";
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let running = Running::with(&[("LEXECON_HTTP__TOKEN_FILE", path(&file))]);
    let check = |path: &str, value: Option<&str>, status: u16| {
        let headers: Vec<(&str, &str)> = value.iter().map(|value| ("authorization", *value)).collect();
        let answer = call(running.address, "GET", path, &headers, b"");
        assert_eq!(answer.status, status, "{path} {value:?}: {}", answer.text());
        if status == 401 {
            assert!(answer.headers["www-authenticate"].starts_with("Bearer"));
            assert_eq!(answer.json()["code"], "unauthorized");
        }
    };
    let right = format!("Bearer {token}");
    for path in ["/health", "/health/ready", "/metrics", "/openapi.json", "/v1/decisions", "/v1/nothing"] {
        check(path, None, 401);
        check(path, Some("Bearer correct-horse-battery-stapl"), 401);
    }
    check("/health/live", None, 200);
    check("/health", Some(&right), 200);
    check("/metrics", Some(&right), 200);
    check("/v1/nothing", Some(&right), 404);
    assert!(!running.logs().contains(token), "the token is in the log");
}

#[test]
fn what_it_prints_is_one_line_and_the_rest_is_json() {
    let mut running = Running::start();
    assert_eq!(running.announced["event"], "listening");
    assert_eq!(running.announced["first_start"], true);
    assert_eq!(running.announced["url"], format!("http://{}", running.address));
    assert_eq!(running.get("/health/ready").status, 200);
    let health = running.get("/health").json();
    assert_eq!(health["status"], "ready");
    assert!(
        health["components"]
            .as_array()
            .unwrap()
            .iter()
            .all(|part| part["latency_us"].is_u64() && part["state"] == "up"),
        "{health}"
    );
    running.signal("INT");
    assert!(running.ended(SOON).success());
    for line in running.logs().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    assert!(running.logs().contains("\"WARN\""), "the first start says where keys lie");
}

#[test]
fn a_signal_lets_what_was_begun_end() {
    let mut running = Running::start();
    let address = running.address;
    let busy = AtomicUsize::new(0);
    let stopped = thread::scope(|scope| {
        let busy = &busy;
        let clients: Vec<_> = (0..8)
            .map(|client| {
                scope.spawn(move || {
                    let mut kept = Kept::open(address);
                    let mut answered = 0;
                    for number in 0..100_000 {
                        let body = request(client * 1_000_000 + number);
                        match kept.call(
                            "POST",
                            "/v1/decisions",
                            &[("content-type", "application/json")],
                            body.as_bytes(),
                        ) {
                            Some(answer) if answer.status == 200 => {
                                if answered == 0 {
                                    busy.fetch_add(1, Ordering::Relaxed);
                                }
                                answered += 1;
                            }
                            Some(answer) => assert!([202, 503].contains(&answer.status), "{}", answer.text()),
                            None => break,
                        }
                    }
                    answered
                })
            })
            .collect();
        // The signal finds all of them at work, none about to connect.
        assert!(until(SOON, || (busy.load(Ordering::Relaxed) == 8).then_some(())).is_some());
        let began = Instant::now();
        running.signal("TERM");
        let status = running.ended(Duration::from_secs(10));
        println!("stopped under load in {:?}", began.elapsed());
        let answered: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(answered > 0);
        status
    });
    assert_eq!(stopped.code(), Some(0), "{}", running.logs());
}

#[test]
fn a_stream_and_a_hanging_client_do_not_keep_it() {
    let mut running = Running::start();
    let mut stream = Kept::open(running.address);
    stream.send(b"GET /v1/outcomes?partition=0 HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n").unwrap();
    let mut hanging = Kept::open(running.address);
    hanging
        .send(
            b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\ncontent-type: application/json\r\n\r\n{",
        )
        .unwrap();
    running.signal("TERM");
    running.ended(Duration::from_secs(10));
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let mut running = Running::with(&[("LEXECON_HTTP__DRAIN_MS", "8000")]);
    // A body that never comes keeps the first stop waiting.
    let mut hanging = Kept::open(running.address);
    hanging
        .send(
            b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\ncontent-type: application/json\r\n\r\n{",
        )
        .unwrap();
    assert!(
        until(SOON, || running.get("/metrics").text().contains("lexecon_http_requests_inflight 2").then_some(()))
            .is_some()
    );
    let began = Instant::now();
    running.signal("TERM");
    assert!(until(SOON, || running.logs().contains("stopping").then_some(())).is_some());
    running.signal("TERM");
    assert_eq!(running.ended(SOON).code(), Some(6));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
