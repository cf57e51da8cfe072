//! A file system that fills up: a small one of its own in memory, because the limit must be reached for real.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::evidence::{
    Acknowledged, SHOWN_WITHIN, acknowledged, becomes, decide, decide_and_keep, get, reaches, verify_by_repeat,
    verify_export,
};
use crate::server::Server;

const MIB: u64 = 1 << 20;
const DISK_BYTES: u64 = 256 * MIB;
/// How soon it must work again: the log waits longer between attempts to reopen than it waits to say that it is broken.
const BACK_WITHIN: Duration = Duration::from_secs(10);

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
    let (status, first) = decide(&server, "before-1").expect("an answer");
    assert_eq!(status, 200, "{first}");
    known.insert("before-1".into(), acknowledged(&first).unwrap());

    disk.fill(32 * MIB);
    let shown = becomes(&server, 503, SHOWN_WITHIN);
    let reasons = get(&server, "/health/ready").1.to_string();
    assert!(reasons.contains("no space left") && reasons.contains("67108864"), "{reasons}");
    let mut refused = 0;
    for number in 0..20 {
        let (status, answer) = decide(&server, &format!("meanwhile-{number}")).expect("an answer");
        assert_eq!((status, acknowledged(&answer)), (503, None), "{answer}");
        assert_eq!(answer["code"], "not_ready", "{answer}");
        refused += 1;
    }
    // What is there can be read, and the process is alive.
    let id = first["decision_id"].as_str().unwrap();
    assert_eq!(get(&server, &format!("/v1/decisions/{id}")).0, 200);
    assert_eq!(get(&server, "/health/live").0, 200);

    disk.empty();
    let recovered = becomes(&server, 200, BACK_WITHIN);
    for number in 0..20 {
        decide_and_keep(&server, &format!("meanwhile-{number}"), &mut known);
    }
    server.kill();
    let events = verify_export(&data, directory.path(), &known).events;
    println!(
        "full disk: not ready after {shown:?} without a request, {refused} refused, 0 acknowledged, ready again after \
         {recovered:?}; {events} events verify"
    );
}

/// Asks for one decision. Whether it was acknowledged; if not, nobody may say that it is decided.
fn attempt(server: &Server, number: u32, known: &mut Acknowledged) -> bool {
    let id = format!("one-{number}");
    let (status, answer) = decide(server, &id).expect("an answer");
    let Some(coordinate) = acknowledged(&answer) else {
        assert!(status == 202 || status >= 500, "{status} {answer}");
        return false;
    };
    assert_eq!(status, 200, "{answer}");
    known.insert(id, coordinate);
    true
}

/// Without the reserve: every byte is taken while requests go on. The log opens itself again when there is space; the
/// derived state cannot, and then readiness must say what to do, and doing it must be enough.
#[test]
fn a_disk_without_a_byte_left_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = disk(&directory.path().join("disk"), "crash full_disk::a_disk_without_a_byte_left_loses_nothing")
    else {
        return;
    };
    let data = disk.0.join("data");
    let settings = [("LEXECON_LOG__FREE_BYTES_MIN", "0")];
    let mut server = Server::configured(&data, &settings).unwrap();
    let mut known = Acknowledged::new();
    assert!((0..50).all(|number| attempt(&server, number, &mut known)));
    disk.fill(0);
    let since = Instant::now();
    let mut number = 50;
    // What the log had reserved is used up first; that much may still be acknowledged, and must then be there.
    while attempt(&server, number, &mut known) {
        assert!(since.elapsed() < Duration::from_secs(120), "a full disk stopped nothing");
        number += 1;
        disk.fill(0);
    }
    let shown = becomes(&server, 503, SHOWN_WITHIN);
    let meanwhile = known.len();
    assert!((1_000..1_020).all(|number| !attempt(&server, number, &mut known)), "acknowledged without a byte left");
    disk.empty();
    let recovered = match reaches(&server, 200, BACK_WITHIN) {
        Ok(after) => format!("by itself after {after:?}"),
        Err(why) => {
            assert!(why["detail"].as_str().unwrap().contains("start again"), "{why}");
            server.kill();
            server = Server::configured(&data, &settings).unwrap();
            "after the restart that it asked for".to_owned()
        }
    };
    assert!((2_000..2_050).all(|number| attempt(&server, number, &mut known)), "not decided with space again");
    server.kill();
    let server = Server::start(&data);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    assert_eq!(verify_by_repeat(&server.address, &known, usize::MAX, &mut rng), known.len());
    server.kill();
    let events = verify_export(&data, directory.path(), &known).events;
    println!(
        "full disk without a reserve: {meanwhile} acknowledged before it was noticed, not ready {shown:?} after the first refusal, 20 more refused, ready again {recovered}; all {} acknowledged are there, {events} events verify",
        known.len()
    );
}
