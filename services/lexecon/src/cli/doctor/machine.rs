//! Space, file system, port, limits, memory and clock.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{statfs, statvfs};
use rustix::process::{Resource, getrlimit};

use super::Finding;
use super::directory::nearest;

const GIB: u64 = 1024 * 1024 * 1024;
/// Below this nothing should be started.
const SPACE_FAIL: u64 = GIB / 2;
/// Below this a day of traffic may not fit.
const SPACE_WARN: u64 = 5 * GIB;
/// What the process takes with its defaults under load, with room to spare.
const MEMORY_WARN: u64 = GIB;
/// Files that the store keeps open, and what else a process opens.
const FILES_BESIDE_CONNECTIONS: u64 = 1_024;
/// No build of this program is older: 2026-01-01 UTC.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// How far behind its own files a clock may be.
const BEHIND_MAX: Duration = Duration::from_secs(60);

/// Free space where the data lies.
pub fn space(data: &Path) -> Finding {
    const NAME: &str = "disk space";
    let at = nearest(data);
    let free = match statvfs(&at) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            return Finding::fail(NAME, format!("{}: {error}", at.display()), "name another directory with --data");
        }
    };
    let detail = format!("{:.1} GiB free at {}", gib(free), at.display());
    match free {
        _ if free < SPACE_FAIL => {
            Finding::fail(NAME, detail, "free some space, or name a directory on another disk with --data")
        }
        _ if free < SPACE_WARN => Finding::warn(NAME, detail, "a million decisions take about 1 GiB; have more ready"),
        _ => Finding::ok(NAME, detail),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB as f64
}

/// Magic numbers of statfs(2): file systems on which "durable" does not mean what it should.
const TMPFS: i128 = 0x0102_1994;
const RAMFS: i128 = 0x8584_58f6;
const NFS: i128 = 0x6969;
const SMB2: i128 = 0xfe53_4d42;

/// Whether synced means durable there.
pub fn file_system(data: &Path) -> Finding {
    const NAME: &str = "file system";
    let at = nearest(data);
    let kind = match statfs(&at) {
        Ok(found) => i128::from(found.f_type),
        Err(error) => {
            return Finding::fail(NAME, format!("{}: {error}", at.display()), "name another directory with --data");
        }
    };
    match kind {
        TMPFS | RAMFS => {
            Finding::warn(NAME, "in memory: all is lost at power loss", "keep data on a disk if decisions must last")
        }
        NFS | SMB2 => Finding::warn(NAME, "on the network: locks and syncs depend on the server", "use a local disk"),
        _ => Finding::ok(NAME, "on a disk of this machine"),
    }
}

/// Whether the address can be listened on.
pub fn port(listen: SocketAddr) -> Finding {
    const NAME: &str = "port";
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok(NAME, format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let remedy = "if that is Lexecon, all is well; otherwise stop it, or choose another port with --listen";
            Finding::warn(NAME, format!("somebody listens on {listen}"), remedy)
        }
        Err(error) => Finding::fail(NAME, format!("{listen}: {error}"), "choose another address with --listen"),
    }
}

/// Whether connections and the store's files fit into the limit.
pub fn open_files(connections_max: usize) -> Finding {
    const NAME: &str = "open files";
    let needed = FILES_BESIDE_CONNECTIONS.saturating_add(u64::try_from(connections_max).unwrap_or(u64::MAX));
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Finding::warn(
            NAME,
            format!("at most {limit}, and {needed} may be needed"),
            format!("ulimit -n {needed}, or LimitNOFILE={needed}"),
        ),
        Some(limit) => Finding::ok(NAME, format!("at most {limit}")),
        None => Finding::ok(NAME, "without a limit"),
    }
}

/// Memory that is available now.
pub fn memory() -> Finding {
    const NAME: &str = "memory";
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    match available.map(|kib| kib * 1024) {
        None => Finding::ok(NAME, "not known on this system"),
        Some(bytes) if bytes < MEMORY_WARN => {
            Finding::warn(NAME, format!("{:.1} GiB available", gib(bytes)), "have 1 GiB available for the process")
        }
        Some(bytes) => Finding::ok(NAME, format!("{:.1} GiB available", gib(bytes))),
    }
}

/// Whether the clock can be right.
pub fn clock(data: &Path) -> Finding {
    const NAME: &str = "clock";
    let remedy = "set the clock, and keep it set (chrony, systemd-timesyncd)";
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let shown = jiff::Timestamp::try_from(now).map_or_else(|_| "?".into(), |time| format!("{time:.0}"));
    if since < EARLIEST {
        return Finding::fail(NAME, format!("{shown} is before this program was written"), remedy);
    }
    // The ledger's time never runs backwards: a clock behind the last write records a standing time until it catches up.
    let written = fs::metadata(data.join("anchor")).and_then(|meta| meta.modified()).ok();
    match written.and_then(|written| written.duration_since(now).ok()) {
        Some(behind) if behind > BEHIND_MAX => {
            Finding::warn(NAME, format!("{shown} is {} s before the last write of the data", behind.as_secs()), remedy)
        }
        _ => Finding::ok(NAME, shown),
    }
}
