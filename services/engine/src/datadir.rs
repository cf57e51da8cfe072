//! The data directory: what is in it, whose it is, and which version wrote it.
//!
//! ```text
//! DIR/lexecon.toml   what this deployment is: format, ledger id, partitions, routing (frozen at the first start)
//! DIR/lock           held while a process uses the directory
//! DIR/log/           the embedded log        DIR/anchor   its head anchor
//! DIR/state/         state and read models: a fold of the ledger, may be deleted and rebuilt
//! DIR/keys/          keys; together with the log, and nothing else, they are what must be backed up
//! ```
//! Invariants: nothing is written into a directory that is not ours; one process at a time; what the deployment is
//! never changes once an event says so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use domain::routing::Routing;
use ledger::{ChainId, LedgerId};
use rustix::fs::{FlockOperation, flock};

/// The newest layout of the directory that this program knows.
const FORMAT: u32 = 1;
const DEPLOYMENT: &str = "lexecon.toml";
/// The same while it is being written.
const UNFINISHED: &str = "lexecon.new";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("{path}: {source}; is the directory writable by this user, and is there space left?")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds other things.
    #[error("{path} holds files that are not Lexecon's and no {DEPLOYMENT}; choose an empty or new directory")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// There is nothing in it yet, and the command needs data.
    #[error("{path} holds no Lexecon data; start `lexecon serve --data {path}` once, or name another directory")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "{path} was written by a newer version (layout {found}, this program knows up to {FORMAT}); use that version"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its layout.
        found: u32,
    },
    /// Another process uses it.
    #[error("{path} is in use by another process; stop it, or reach it with --url")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file that describes the deployment cannot be understood.
    #[error("{path}: {detail}; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The configuration wants another deployment than the one that is there.
    #[error(
        "{what} is {wanted} in the configuration and {found} in {path}; it is fixed at the first start, so set it back"
    )]
    Mismatch {
        /// Which setting.
        what: &'static str,
        /// What the configuration says.
        wanted: String,
        /// What the directory says.
        found: String,
        /// The directory.
        path: PathBuf,
    },
}

/// What a deployment is, for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Random, one per deployment.
    pub ledger_id: LedgerId,
    /// How many partitions each topic has.
    pub partitions: u32,
    /// What shares a partition.
    pub routing: Routing,
    /// Raised on repartitioning.
    pub chain_epoch: u32,
}

impl Deployment {
    /// The chain of one partition.
    pub fn chain(&self, partition: u32) -> ChainId {
        ChainId { ledger_id: self.ledger_id, partition, chain_epoch: self.chain_epoch }
    }
}

/// A data directory, held by this process until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    deployment: Deployment,
    first_start: bool,
    _lock: File,
}

impl DataDir {
    /// Opens the directory, or makes it with `fresh` as what the deployment is.
    ///
    /// # Errors
    /// Every variant of [`Error`] but `Empty`.
    pub fn open_or_create(path: &Path, fresh: &Deployment) -> Result<DataDir, Error> {
        fs::create_dir_all(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let description = path.join(DEPLOYMENT);
        let first_start = !description.exists();
        if first_start && !is_ours_to_fill(path)? {
            return Err(Error::Foreign { path: path.into() });
        }
        let lock = lock(path)?;
        if first_start {
            write_durably(path, &description, &describe(fresh))?;
        }
        let deployment = read(path, &description)?;
        let this = DataDir { path: path.into(), deployment, first_start, _lock: lock };
        this.must_be("log.partitions", fresh.partitions.to_string(), this.deployment.partitions.to_string())?;
        this.must_be("log.routing", fresh.routing.as_str().into(), this.deployment.routing.as_str().into())?;
        Ok(this)
    }

    /// Opens a directory that has data in it.
    ///
    /// # Errors
    /// `Empty` when it has none, and every other variant but `Mismatch`.
    pub fn open(path: &Path) -> Result<DataDir, Error> {
        let description = path.join(DEPLOYMENT);
        if !description.exists() {
            return Err(Error::Empty { path: path.into() });
        }
        let lock = lock(path)?;
        let deployment = read(path, &description)?;
        Ok(DataDir { path: path.into(), deployment, first_start: false, _lock: lock })
    }

    fn must_be(&self, what: &'static str, wanted: String, found: String) -> Result<(), Error> {
        if wanted == found { Ok(()) } else { Err(Error::Mismatch { what, wanted, found, path: self.path.clone() }) }
    }

    /// What the deployment is.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Whether this process made the directory.
    pub fn is_first_start(&self) -> bool {
        self.first_start
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The embedded log.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Its head anchor.
    pub fn anchor(&self) -> PathBuf {
        self.path.join("anchor")
    }

    /// State and read models.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Keys.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// Copies the keys into a backup, with modes that keep them from others.
    ///
    /// # Errors
    /// `Io` when one cannot be read or written.
    pub fn copy_keys_into(&self, backup: &Path) -> Result<(), Error> {
        let target = backup.join("keys");
        let io = |source| Error::Io { path: target.clone(), source };
        fs::DirBuilder::new().mode(0o700).create(&target).map_err(io)?;
        let keys = self.keys();
        let entries = fs::read_dir(&keys).map_err(|source| Error::Io { path: keys.clone(), source })?;
        for entry in entries {
            let entry = entry.map_err(|source| Error::Io { path: keys.clone(), source })?;
            copy_secret(&entry.path(), &target.join(entry.file_name()))?;
        }
        File::open(&target).and_then(|directory| directory.sync_all()).map_err(io)
    }

    /// Copies what describes the deployment into a backup.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn describe_into(&self, backup: &Path) -> Result<(), Error> {
        write_durably(backup, &backup.join(DEPLOYMENT), &describe(&self.deployment))
    }
}

/// Copies one file and makes it durable, readable by its owner only.
fn copy_secret(from: &Path, to: &Path) -> Result<(), Error> {
    let bytes = fs::read(from).map_err(|source| Error::Io { path: from.into(), source })?;
    let io = |source| Error::Io { path: to.into(), source };
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(to).map_err(io)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io)
}

/// An empty directory, or one in which an earlier first start was killed before it had said what the deployment is.
fn is_ours_to_fill(path: &Path) -> Result<bool, Error> {
    let io = |source| Error::Io { path: path.into(), source };
    for entry in fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if name != "lock" && name != "lost+found" && name != UNFINISHED {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = path.join("lock");
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
    let lock = opened.map_err(|source| Error::Io { path: file, source })?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| Error::Locked { path: path.into() })?;
    Ok(lock)
}

fn describe(deployment: &Deployment) -> String {
    format!(
        "# What this Lexecon deployment is. Fixed at the first start; do not edit.\n\
         format = {FORMAT}\nledger_id = \"{}\"\npartitions = {}\nrouting = \"{}\"\nchain_epoch = {}\n",
        deployment.ledger_id,
        deployment.partitions,
        deployment.routing.as_str(),
        deployment.chain_epoch
    )
}

fn write_durably(directory: &Path, path: &Path, text: &str) -> Result<(), Error> {
    let io = |source| Error::Io { path: path.into(), source };
    let beside = directory.join(UNFINISHED);
    let mut file = File::create(&beside).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&beside, path).map_err(io)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

fn read(directory: &Path, path: &Path) -> Result<Deployment, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let damaged = |detail: &str| Error::Damaged { path: path.into(), detail: detail.into() };
    let value = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().trim_matches('"').to_owned())
            .ok_or_else(|| damaged(&format!("`{name}` is missing")))
    };
    let number = |name: &str| value(name)?.parse::<u32>().map_err(|_| damaged(&format!("`{name}` is no number")));
    let format = number("format")?;
    if format > FORMAT {
        return Err(Error::Newer { path: directory.into(), found: format });
    }
    let routing = match value("routing")?.as_str() {
        "actor" => Routing::Actor,
        "tenant" => Routing::Tenant,
        _ => return Err(damaged("`routing` is neither actor nor tenant")),
    };
    Ok(Deployment {
        ledger_id: value("ledger_id")?.parse().map_err(|_| damaged("`ledger_id` is no UUID"))?,
        partitions: number("partitions")?,
        routing,
        chain_epoch: number("chain_epoch")?,
    })
}
