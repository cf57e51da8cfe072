//! The data directory and the keys in it: whose they are, and who may read them.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};

use super::Finding;

const DATA: &str = "data directory";
const KEYS: &str = "keys";

/// Findings about the directory and about its keys.
pub fn findings(data: &Path) -> Vec<Finding> {
    let shown = data.display();
    let meta = match fs::metadata(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return vec![missing(data)],
        Err(error) => {
            return vec![Finding::fail(DATA, format!("{shown}: {error}"), "name another with --data, or repair it")];
        }
        Ok(meta) => meta,
    };
    if !meta.is_dir() {
        return vec![Finding::fail(DATA, format!("{shown} is no directory"), "name another with --data")];
    }
    if access(data, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let remedy =
            format!("give it to this user (chown), or name another with --data; it belongs to user {}", meta.uid());
        return vec![Finding::fail(DATA, format!("{shown} is not writable"), remedy)];
    }
    vec![contents(data), keys(&data.join("keys"))]
}

/// The directory will be made: can it be?
fn missing(data: &Path) -> Finding {
    let parent = nearest(data);
    if access(&parent, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        return Finding::ok(DATA, format!("{} is not there yet; the first start makes it", data.display()));
    }
    let detail = format!("{} is not there, and {} is not writable", data.display(), parent.display());
    Finding::fail(DATA, detail, "make it and give it to this user, or name another with --data")
}

/// The nearest directory above that exists.
pub fn nearest(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.ancestors().find(|above| above.exists()).map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

fn contents(data: &Path) -> Finding {
    let shown = data.display();
    let Ok(description) = fs::read_to_string(data.join("lexecon.toml")) else {
        let others =
            fs::read_dir(data).into_iter().flatten().flatten().filter(|entry| entry.file_name() != "lost+found");
        return match others.count() {
            0 => Finding::ok(DATA, format!("{shown} is empty; the first start fills it")),
            _ => {
                Finding::fail(DATA, format!("{shown} holds other things"), "name an empty or new directory with --data")
            }
        };
    };
    let ledger = description
        .lines()
        .find_map(|line| line.strip_prefix("ledger_id = "))
        .unwrap_or("?")
        .trim_matches('"')
        .to_owned();
    if is_locked(&data.join("lock")) {
        return Finding::ok(DATA, format!("{shown} holds ledger {ledger} and is in use by a running process"));
    }
    Finding::ok(DATA, format!("{shown} holds ledger {ledger}"))
}

fn is_locked(lock: &Path) -> bool {
    // A shared lock needs no writing, and is let go at once.
    File::open(lock).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

fn keys(keys: &Path) -> Finding {
    let Ok(meta) = fs::metadata(keys) else {
        return Finding::ok(KEYS, "none yet; the first start makes them");
    };
    let entries = match fs::read_dir(keys) {
        Ok(entries) => entries,
        Err(error) => {
            return Finding::fail(KEYS, format!("{}: {error}", keys.display()), "give them to this user (chown)");
        }
    };
    let files = entries.flatten().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    let all = std::iter::once((keys.to_owned(), meta)).chain(files);
    let open: Vec<_> = all.filter(|(_, meta)| others_may(meta)).map(|(path, _)| path.display().to_string()).collect();
    if open.is_empty() {
        let remedy = "back them up together with the data: without them personal data cannot be read again";
        return Finding {
            remedy: remedy.into(),
            ..Finding::ok(KEYS, format!("in {}, for this user only", keys.display()))
        };
    }
    let remedy = format!("chmod 700 {0}; chmod 600 {0}/*", keys.display());
    Finding::fail(KEYS, format!("others may read {}", open.join(", ")), remedy)
}

fn others_may(meta: &Metadata) -> bool {
    meta.permissions().mode() & 0o077 != 0
}
