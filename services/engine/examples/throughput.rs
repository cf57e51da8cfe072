//! Durable decisions a second through the engine alone, without HTTP: what the interface has to share the machine with.
//!
//! `cargo run --release --workspace --example throughput -- SECONDS INFLIGHT BUNDLE_DIR`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use domain::ids::{Action, ActorId, RequestId, SubjectId, Tenant, Word};
use domain::request::{Actor, ActorKind, IdType, Request, RiskClass, Subject};
use engine::runtime::clock::wall_us;
use engine::settings::Settings;
use engine::system::{Submitted, System};
use policy::BundleSource;

fn read(root: &Path, at: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, files);
        } else {
            files.insert(path.strip_prefix(root).unwrap().display().to_string(), std::fs::read(&path).unwrap());
        }
    }
}

fn request(n: u64) -> Request {
    let person = Subject {
        id_type: IdType::Email,
        id: SubjectId::new(format!("person{}@example.org", n % 2000)).unwrap(),
        role: Word::new("recipient").unwrap(),
        fields: BTreeMap::new(),
    };
    Request {
        tenant: Tenant::new("default").unwrap(),
        request_id: RequestId::new(format!("t-{n}")).unwrap(),
        actor: Actor {
            id: ActorId::new(format!("agent-{}", n % 500)).unwrap(),
            kind: ActorKind::Agent,
            model: None,
            roles: Default::default(),
            on_behalf_of: None,
        },
        action: Action::new(["read_file", "send_email", "send_money", "delete_file"][(n % 4) as usize]).unwrap(),
        tool: None,
        resource: None,
        intent: None,
        data_classes: Default::default(),
        practice: None,
        risk_class: RiskClass::Minimal,
        risk: None,
        confidence_percent: Some(90),
        amount: None,
        purpose: None,
        legal_basis: None,
        approval: None,
        context: Default::default(),
        subjects: if n.is_multiple_of(4) { vec![person] } else { Vec::new() },
        occurred_at_us: wall_us(),
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let seconds: u64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    let inflight: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(256);
    let bundle = args.next().unwrap_or_else(|| "compliance/bundles/enterprise-general".into());
    let mut files = BTreeMap::new();
    read(Path::new(&bundle), Path::new(&bundle), &mut files);
    let directory = tempfile::tempdir().unwrap();
    let (system, _) =
        System::start(Settings::new(directory.path().join("data")), Some(&BundleSource { files }), &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut waiting, mut n, mut done) = (VecDeque::new(), 0, 0u64);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(seconds) {
        while waiting.len() < inflight {
            if let Submitted::Pending(pending) = system.submit(&request(n)).unwrap() {
                waiting.push_back(pending);
            }
            n += 1;
        }
        if let Some(pending) = waiting.pop_front() {
            runtime.block_on(pending.answer());
            done += 1;
        }
    }
    let elapsed = since.elapsed();
    println!("{inflight} in flight: {:.0} durable decisions/s", done as f64 / elapsed.as_secs_f64());
    drop(waiting);
    system.drain(Duration::from_secs(5));
}
