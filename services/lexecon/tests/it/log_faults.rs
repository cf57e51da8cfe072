//! What a client is told when the log does not take its request: the router in this process, above a log that answers
//! as the test wants it to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use engine::system::{Start, System};
use eventlog::embedded::Embedded;
use eventlog::{Completion, Done, Error, EventLog, LogReader, NewRecord, Position, Removal, Ticket, Topic, Waker};
use http_body_util::BodyExt as _;
use lexecon::serve::engine_settings;
use lexecon::{bundles, config, http as interface, telemetry};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::running::request;

type Told = Arc<Mutex<Option<Done>>>;

/// Answers requests with what is set; passes everything on else.
struct Answering {
    inner: Embedded,
    requests: Told,
    flushes: Told,
    due: Vec<Completion>,
}

impl EventLog for Answering {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }
    fn reader(&self) -> Arc<dyn LogReader> {
        self.inner.reader()
    }
    fn submit(&mut self, record: NewRecord) -> Ticket {
        let answer = self.requests.lock().unwrap().clone();
        match answer.filter(|_| record.topic == Topic::Requests) {
            None => self.inner.submit(record),
            Some(done) => {
                // The log below numbers from 1.
                let ticket = Ticket::numbered(u64::MAX - u64::try_from(self.due.len()).unwrap());
                self.due.push(Completion { ticket, done });
                ticket
            }
        }
    }
    fn stage(&mut self, records: Vec<NewRecord>) -> Ticket {
        self.inner.stage(records)
    }
    fn append(&mut self, partition: u32, at: Position, frame: Vec<u8>) -> Ticket {
        self.inner.append(partition, at, frame)
    }
    fn publish(&mut self, partition: u32, outcomes: Vec<NewRecord>) -> Ticket {
        self.inner.publish(partition, outcomes)
    }
    fn remove(&mut self, topic: Topic, partition: u32, positions: Removal) -> Ticket {
        self.inner.remove(topic, partition, positions)
    }
    fn poll(&mut self, timeout: Duration) -> Vec<Completion> {
        let mut done = std::mem::take(&mut self.due);
        done.extend(self.inner.poll(timeout));
        done
    }
    fn flush(&mut self) -> Result<(), Error> {
        match self.flushes.lock().unwrap().clone() {
            Some(Done::Failed(error)) => Err(error),
            _ => self.inner.flush(),
        }
    }
    fn waker(&self) -> Waker {
        self.inner.waker()
    }
}

#[test]
fn a_client_is_told_what_the_log_did_with_its_request() {
    let directory = tempfile::tempdir().unwrap();
    let (requests, flushes) = (Told::default(), Told::default());
    let mut settings = config::Settings::default();
    settings.data.directory = directory.path().join("data");
    let (answers, syncs) = (requests.clone(), flushes.clone());
    let how = Start {
        over: Some(Box::new(move |inner| {
            Box::new(Answering { inner, requests: answers, flushes: syncs, due: Vec::new() })
        })),
        ..Start::default()
    };
    let started =
        System::start_as(engine_settings(&settings), Some(&bundles::chosen(bundles::FIRST).unwrap()), &[], how)
            .unwrap();
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    let recorder = telemetry::install(&settings).unwrap();
    let router = interface::router(interface::App::new(Arc::new(started.0), &settings, recorder, stopping));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let call = |path: &str, media: &str, body: &[u8]| -> (u16, Option<String>, Value) {
        let post = http::Request::post(path).header(http::header::CONTENT_TYPE, media);
        runtime.block_on(async {
            let answer = router.clone().oneshot(post.body(Body::from(body.to_vec())).unwrap()).await.unwrap();
            let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
            let status = answer.status().as_u16();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            (status, location, serde_json::from_slice(&bytes).unwrap())
        })
    };
    let json = |path: &str, number: usize| call(path, "application/json", request(number).as_bytes());
    let raw = || call("/v1/requests:raw", "application/octet-stream", b"\0\0\0\0\x01poison");
    let refused = Done::Failed(Error::Unavailable { reason: "a test said so".into() });
    let set = |which: &Told, done: Option<Done>| *which.lock().unwrap() = done;

    set(&requests, Some(refused.clone()));
    let (status, location, problem) = json("/v1/decisions", 1);
    assert_eq!((status, location, &problem["code"]), (503, None, &"not_ready".into()), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("a test said so") && detail.contains("nothing was submitted"), "{problem}");
    assert_eq!((raw().0, &raw().2["code"]), (503, &"not_ready".into()));

    set(&requests, Some(Done::Unknown));
    let (status, location, problem) = json("/v1/decisions", 1);
    assert_eq!((status, &problem["code"]), (503, &"unknown".into()), "{problem}");
    assert!(location.unwrap().starts_with("/v1/requests?"), "{problem}");
    assert!(!problem["detail"].as_str().unwrap().contains("nothing was"), "{problem}");
    assert_eq!((raw().0, &raw().2["code"]), (503, &"unknown".into()));

    // The log takes it, and cannot sync it.
    set(&requests, None);
    set(&flushes, Some(refused));
    assert_eq!((raw().0, &raw().2["code"]), (503, &"unknown".into()));
    let pending = (0..50).map(|number| json("/v1/decisions?wait=0", number)).find(|(status, _, _)| *status != 200);
    let (status, _, problem) = pending.expect("50 decisions in no time");
    assert_eq!((status, &problem["code"]), (503, &"unknown".into()), "{problem}");

    // And all is well again: the same request, which nobody had answered, is decided.
    set(&flushes, None);
    let (status, _, decision) = json("/v1/decisions", 1);
    assert_eq!((status, decision["decision_id"].is_string()), (200, true), "{decision}");
    assert_eq!(raw().0, 202);
}
