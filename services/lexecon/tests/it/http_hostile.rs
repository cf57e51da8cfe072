//! Clients that mean harm or are broken: what they do to themselves, and that a good client does not notice.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::running::{Kept, Running, request, until};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The 99th percentile of single decisions on one kept connection.
fn p99(address: SocketAddr, from: usize, count: usize) -> Duration {
    let mut kept = Kept::open(address);
    let mut took = Vec::with_capacity(count);
    for number in from..from + count {
        let body = request(number);
        let began = Instant::now();
        let answer = kept.call("POST", "/v1/decisions", &[JSON], body.as_bytes()).expect("an answer");
        took.push(began.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    took.sort_unstable();
    took[count * 99 / 100]
}

#[test]
fn a_slow_header_is_cut_off() {
    let running = Running::with(&[("LEXECON_HTTP__HEADER_TIMEOUT_MS", "300")]);
    let check = |first: &[u8]| {
        let mut kept = Kept::open(running.address);
        kept.send(first).unwrap();
        let began = Instant::now();
        // Trickles on, so that only a bound on the whole header ends it.
        let ended = until(Duration::from_secs(10), || {
            let _ = kept.send(b"x");
            ended(kept.0.get_ref()).then_some(())
        });
        assert!(ended.is_some(), "{} was not cut off", String::from_utf8_lossy(first));
        assert!(began.elapsed() >= Duration::from_millis(200), "cut off too early: {:?}", began.elapsed());
    };
    check(b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\nx-slow: ");
    check(b"G");
}

/// Whether the peer has closed.
fn ended(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut byte = [0; 512];
    let peeked = stream.peek(&mut byte);
    stream.set_nonblocking(false).unwrap();
    match peeked {
        Ok(0) => true,
        Ok(_) => {
            // An answer that says so (408), and then the end.
            use std::io::Read;
            let _ = (&*stream).read(&mut byte);
            false
        }
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let running = Running::with(&[("LEXECON_HTTP__HEADER_TIMEOUT_MS", "300")]);
    let silent = Kept::open(running.address);
    assert!(
        until(Duration::from_secs(10), || ended(silent.0.get_ref()).then_some(())).is_some(),
        "a silent connection stays"
    );
    let mut idle = Kept::open(running.address);
    assert_eq!(idle.call("GET", "/health/live", &[], b"").unwrap().status, 200);
    assert!(
        until(Duration::from_secs(10), || ended(idle.0.get_ref()).then_some(())).is_some(),
        "an idle connection stays"
    );
}

#[test]
fn a_slow_body_is_cut_off() {
    let running = Running::with(&[("LEXECON_HTTP__BODY_TIMEOUT_MS", "300")]);
    let mut kept = Kept::open(running.address);
    kept.send(
        b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{",
    )
    .unwrap();
    let answer = kept.answer().expect("an answer");
    assert_eq!((answer.status, answer.json()["code"].as_str()), (408, Some("request_timeout")));
    assert!(until(Duration::from_secs(10), || ended(kept.0.get_ref()).then_some(())).is_some(), "the connection stays");
}

#[test]
fn bodies_without_a_length_are_bounded_too() {
    let running = Running::start();
    let mut kept = Kept::open(running.address);
    kept.send(b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let chunk = [format!("{:x}\r\n", 16 * 1024).into_bytes(), vec![b' '; 16 * 1024], b"\r\n".to_vec()].concat();
    for _ in 0..64 {
        if kept.send(&chunk).is_err() {
            break;
        }
    }
    let answer = kept.answer().expect("an answer");
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("too_large")));
}

#[test]
fn headers_are_bounded() {
    let running = Running::start();
    let check = |headers: String| {
        let mut kept = Kept::open(running.address);
        let _ = kept.send(format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes());
        let status = kept.answer().map(|answer| answer.status);
        assert!(matches!(status, Some(431) | None), "{status:?}");
    };
    check(format!("x-long: {}\r\n", "a".repeat(64 * 1024)));
    check((0..200).map(|number| format!("x-{number}: a\r\n")).collect());
    assert_eq!(running.get("/health/live").status, 200);
}

#[test]
fn what_is_no_http_harms_nobody() {
    let running = Running::start();
    for bytes in [
        &b"\0\0\0\0\0\0\0\0\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
    ] {
        let mut kept = Kept::open(running.address);
        let _ = kept.send(bytes);
        let _ = kept.0.get_ref().shutdown(std::net::Shutdown::Write);
        let answer = kept.answer();
        assert!(answer.is_none_or(|answer| answer.status >= 400));
    }
    assert_eq!(running.post("/v1/decisions", &request(1)).status, 200);
}

#[test]
fn a_reader_that_stops_reading_is_cut_off() {
    let running = Running::with(&[("LEXECON_HTTP__WRITE_TIMEOUT_MS", "300")]);
    let mut kept = Kept::open(running.address);
    // Asks for the document again and again and takes nothing of it.
    let ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2_000);
    kept.0.get_ref().set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let _ = kept.send(&ask);
    let cut = until(Duration::from_secs(20), || {
        let metrics = running.get("/metrics").text();
        metrics
            .lines()
            .find(|line| {
                line.starts_with("lexecon_http_connections_cut_total{why=\"write_timeout\"}") && !line.ends_with(" 0")
            })
            .map(drop)
    });
    assert!(cut.is_some(), "still holding an answer that nobody takes");
}

#[test]
fn at_the_limit_the_silent_make_room_for_those_who_ask() {
    let running =
        Running::with(&[("LEXECON_HTTP__CONNECTIONS_MAX", "32"), ("LEXECON_HTTP__HEADER_TIMEOUT_MS", "60000")]);
    let mut hoard: Vec<Kept> = (0..200).map(|_| Kept::open(running.address)).collect();
    for kept in &mut hoard {
        let _ = kept.send(b"GET /he");
    }
    let began = Instant::now();
    for number in 0..20 {
        assert_eq!(running.post("/v1/decisions", &request(number)).status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "locked out: {:?}", began.elapsed());
    let open = running.get("/metrics").text();
    let open =
        open.lines().find_map(|line| line.strip_prefix("lexecon_http_connections ")).unwrap().parse::<f64>().unwrap();
    assert!(open <= 32.0, "{open} connections");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_good_client_does_not_notice_the_others() {
    let running =
        Running::with(&[("LEXECON_HTTP__CONNECTIONS_MAX", "256"), ("LEXECON_HTTP__HEADER_TIMEOUT_MS", "1000")]);
    p99(running.address, 0, 200);
    let alone = p99(running.address, 1_000, 400);
    let stop = AtomicBool::new(false);
    let (address, stop) = (running.address, &stop);
    let beside = thread::scope(|scope| {
        // 400 connections that trickle headers or bodies and come again when they are closed.
        for attacker in 0..4 {
            scope.spawn(move || {
                let open = || Kept::open(address);
                let mut hoard: Vec<Kept> = (0..100).map(|_| open()).collect();
                let start: &[u8] = match attacker % 2 {
                    0 => b"POST /v1/decisions HTTP/1.1\r\nx-slow: ",
                    _ => b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 90000\r\n\r\n{",
                };
                for kept in &mut hoard {
                    let _ = kept.send(start);
                }
                while !stop.load(Ordering::Relaxed) {
                    for kept in &mut hoard {
                        if kept.send(b" ").is_err() {
                            *kept = open();
                            let _ = kept.send(start);
                        }
                    }
                    thread::park_timeout(Duration::from_millis(50));
                }
            });
        }
        // The others end however this one ends.
        let _stop = Stop(stop);
        p99(address, 2_000, 400)
    });
    println!("p99 of a good client: {alone:?} alone, {beside:?} beside 400 slow connections");
    // Noise of a shared machine apart: far below any time-out that the others run into.
    assert!(beside < alone * 5 + Duration::from_millis(50), "{alone:?} alone, {beside:?} beside the others");
}

#[test]
fn too_much_at_once_is_refused_and_not_queued() {
    let running = Running::with(&[("LEXECON_HTTP__REQUESTS_MAX", "2"), ("LEXECON_HTTP__BODY_TIMEOUT_MS", "20000")]);
    let mut held: Vec<Kept> = (0..2)
        .map(|_| {
            let mut kept = Kept::open(running.address);
            kept.send(b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{").unwrap();
            kept
        })
        .collect();
    // Both hold a place before anybody else asks: a request that comes between them would take the second one's, who
    // would then be refused himself. The third that is worked on is the scrape.
    let counted = || running.get("/metrics").text().contains("\nlexecon_http_requests_inflight 3\n").then_some(());
    until(Duration::from_secs(10), counted).expect("two bodies that are waited for");
    let refused = running.post("/v1/decisions", &request(1));
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!((refused.json()["code"].as_str(), refused.headers["retry-after"].as_str()), (Some("busy"), "1"));
    // Whoever watches still sees everything.
    assert_eq!(running.get("/health/live").status, 200);
    assert_eq!(running.get("/health/ready").status, 200);
    assert_eq!(running.get("/metrics").status, 200);
    drop(held.pop());
    let taken = until(Duration::from_secs(10), || {
        Some(running.post("/v1/decisions", &request(1))).filter(|answer| answer.status == 200)
    });
    assert!(taken.is_some(), "a place was not given back");
}

#[test]
fn more_than_fits_in_flight_is_busy() {
    let running = Running::with(&[("LEXECON_ENGINE__INFLIGHT_MAX", "10")]);
    let requests: Vec<serde_json::Value> =
        (0..500).map(|number| serde_json::from_str(&request(number)).unwrap()).collect();
    let answer = running.post("/v1/decisions:batch", &json!({ "requests": requests }).to_string()).json();
    let codes: Vec<&str> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["code"].as_str().unwrap_or("decided"))
        .collect();
    assert!(codes.contains(&"busy") && codes.contains(&"decided"), "{codes:?}");
    assert_eq!(running.post("/v1/decisions", &request(1_000)).status, 200, "places were not given back");
}
