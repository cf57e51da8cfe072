//! A file system that fills up: a small one of its own in memory, because the limit must be reached for real.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::Value;

use crate::client::Client;
use crate::kill::{Acknowledged, acknowledged, body, verify_by_repeat, verify_export};
use crate::server::Server;

const MIB: u64 = 1 << 20;
const DISK_BYTES: u64 = 256 * MIB;
/// How soon a fault must show.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// A mounted file system; unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// None, and why, where this user may not mount.
    fn mount(at: &Path) -> Result<Disk, String> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Disk(at.to_owned())),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes space until so much is left.
    fn fill(&self, left: u64) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        let block = vec![0x5a; 64 * 1024];
        while self.free_bytes() > left {
            let wanted = usize::try_from(self.free_bytes() - left).unwrap().min(block.len());
            if filler.write_all(&block[..wanted]).is_err() {
                return;
            }
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A disk, or none where it cannot be had, which is counted as skipped.
fn disk(at: &Path, name: &str) -> Option<Disk> {
    match Disk::mount(at) {
        Ok(disk) => Some(disk),
        Err(why) => {
            replay_tests::skip(name, &format!("a small file system cannot be mounted here: {why}"));
            None
        }
    }
}

fn get(server: &Server, path: &str) -> (u16, Value) {
    Client::connect(&server.address).and_then(|mut client| client.call("GET", path, None)).expect("an answer")
}

fn decide(server: &Server, id: &str) -> (u16, Value) {
    let call = |mut client: Client| client.call("POST", "/v1/decisions?wait=2000", Some(&body(id)));
    Client::connect(&server.address).and_then(call).expect("an answer")
}

/// Waits until readiness is this, and says how long it took.
fn becomes(server: &Server, status: u16) -> Duration {
    let since = Instant::now();
    while get(server, "/health/ready").0 != status {
        assert!(since.elapsed() < SHOWN_WITHIN, "readiness was not {status} within {SHOWN_WITHIN:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    since.elapsed()
}

#[test]
fn little_space_shows_before_anybody_asks() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = disk(&directory.path().join("disk"), "crash full_disk::little_space_shows_before_anybody_asks")
    else {
        return;
    };
    let data = disk.0.join("data");
    let server = Server::configured(&data, &[("LEXECON_LOG__FREE_BYTES_MIN", "67108864")]).unwrap();
    let mut known = Acknowledged::new();
    let (status, first) = decide(&server, "before-1");
    assert_eq!(status, 200, "{first}");
    known.insert("before-1".into(), acknowledged(&first).unwrap());

    disk.fill(32 * MIB);
    let shown = becomes(&server, 503);
    let reasons = get(&server, "/health/ready").1.to_string();
    assert!(reasons.contains("no space left") && reasons.contains("67108864"), "{reasons}");
    let mut refused = 0;
    for number in 0..20 {
        let (status, answer) = decide(&server, &format!("meanwhile-{number}"));
        assert_eq!((status, acknowledged(&answer)), (503, None), "{answer}");
        assert_eq!(answer["code"], "not_ready", "{answer}");
        refused += 1;
    }
    // What is there can be read, and the process is alive.
    let id = first["decision_id"].as_str().unwrap();
    assert_eq!(get(&server, &format!("/v1/decisions/{id}")).0, 200);
    assert_eq!(get(&server, "/health/live").0, 200);

    disk.empty();
    let recovered = becomes(&server, 200);
    for number in 0..20 {
        let id = format!("meanwhile-{number}");
        let (status, answer) = decide(&server, &id);
        assert_eq!(status, 200, "{answer}");
        known.insert(id, acknowledged(&answer).unwrap());
    }
    server.kill();
    let events = verify_export(&data, directory.path(), &known);
    println!(
        "full disk: not ready after {shown:?} without a request, {refused} refused, 0 acknowledged, ready again after \
         {recovered:?}; {events} events verify"
    );
}

/// Without the reserve: every byte is taken while requests go on.
#[test]
fn a_disk_without_a_byte_left_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = disk(&directory.path().join("disk"), "crash full_disk::a_disk_without_a_byte_left_loses_nothing")
    else {
        return;
    };
    let data = disk.0.join("data");
    let server = Server::configured(&data, &[("LEXECON_LOG__FREE_BYTES_MIN", "0")]).unwrap();
    let mut known = Acknowledged::new();
    let mut refused = 0;
    let mut number = 0;
    let mut one = |known: &mut Acknowledged| {
        number += 1;
        let id = format!("one-{number}");
        let (status, answer) = decide(&server, &id);
        match acknowledged(&answer) {
            Some(coordinate) => {
                assert_eq!(status, 200, "{answer}");
                known.insert(id, coordinate);
                true
            }
            None => {
                assert!(status == 202 || status >= 500, "{status} {answer}");
                refused += 1;
                false
            }
        }
    };
    for _ in 0..50 {
        assert!(one(&mut known));
    }
    disk.fill(0);
    let since = Instant::now();
    // What the log had reserved is used up first; that much may still be acknowledged, and must then be there.
    while one(&mut known) {
        assert!(since.elapsed() < Duration::from_secs(120), "a full disk stopped nothing");
        disk.fill(0);
    }
    let shown = becomes(&server, 503);
    disk.empty();
    let since = Instant::now();
    becomes(&server, 200);
    let recovered = since.elapsed();
    for _ in 0..50 {
        assert!(one(&mut known), "not decided after space was there again");
    }
    server.kill();
    let server = Server::start(&data);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    assert_eq!(verify_by_repeat(&server.address, &known, usize::MAX, &mut rng), known.len());
    server.kill();
    let events = verify_export(&data, directory.path(), &known);
    println!(
        "full disk without a reserve: {} acknowledged, {refused} refused, not ready {shown:?} after the first refusal, ready \
         again after {recovered:?}; all acknowledged are there, {events} events verify",
        known.len()
    );
}
