//! Which policy bundle a start puts in force: one that is built in, by name, or a directory.
//!
//! Invariants: a choice that cannot be read or is not valid is refused with file and line before the data directory is
//! touched, so what was in force stays; without a choice the bundle in force stays, and a new ledger begins with
//! [`FIRST`]. What is chosen is an event of the ledger (see `engine::system`): the processor never reads it from disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use domain::ids::Tenant;
use engine::system::{Start, StartError, Started, System};
use include_dir::{Dir, include_dir};
use policy::{Bundle, BundleSource, Fault};

use crate::config::Settings;
use crate::exit::Exit;
use crate::serve;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../compliance/bundles");

/// What a new ledger begins with when nothing was chosen.
pub const FIRST: &str = "enterprise-general";

/// Files of a bundle directory that are read at most; a wrong directory is noticed before it is read whole.
const FILES_MAX: usize = 2_000;
/// Bytes of a bundle that are read at most.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a name nor a directory.
    #[error("{choice:?} is no built-in bundle ({}) and no directory; name one of them", built_in().join(", "))]
    Unknown {
        /// What was chosen.
        choice: String,
    },
    /// A file or directory cannot be read.
    #[error("{}: {cause}; name the directory of a bundle", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Far larger than a bundle.
    #[error("{}: has more in it than a bundle may have; name the directory of a bundle", path.display())]
    TooLarge {
        /// The directory.
        path: PathBuf,
    },
    /// Not valid; each fault with file, line and remedy.
    #[error("{}", placed(at, faults).join("\n"))]
    Refused {
        /// The directory or the name.
        at: PathBuf,
        /// What is wrong.
        faults: Vec<Fault>,
    },
}

fn placed(at: &Path, faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|fault| at.join(fault.to_string()).display().to_string()).collect()
}

/// Names of the bundles that are built in.
pub fn built_in() -> Vec<String> {
    let mut names: Vec<_> = BUILT_IN.dirs().map(|dir| dir.path().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn named(choice: &str) -> Option<&'static Dir<'static>> {
    BUILT_IN.dirs().find(|dir| dir.path().as_os_str() == choice)
}

/// Whether there is such a bundle, valid or not.
///
/// # Errors
/// `Unknown`.
pub fn exists(choice: &str) -> Result<(), Error> {
    if named(choice).is_some() || Path::new(choice).is_dir() {
        return Ok(());
    }
    Err(Error::Unknown { choice: choice.to_owned() })
}

/// The bundle of this name, or in this directory; a name comes first, so write `./NAME` for a directory that is called
/// like one.
///
/// # Errors
/// Every variant.
pub fn chosen(choice: &str) -> Result<BundleSource, Error> {
    exists(choice)?;
    let source = match named(choice) {
        Some(dir) => embedded(dir),
        None => read(Path::new(choice))?,
    };
    match Bundle::parse(&source) {
        Ok(_) => Ok(source),
        Err(faults) => Err(Error::Refused { at: PathBuf::from(choice), faults }),
    }
}

fn embedded(bundle: &Dir<'_>) -> BundleSource {
    fn collect(root: &Path, dir: &Dir<'_>, files: &mut BTreeMap<String, Vec<u8>>) {
        for file in dir.files() {
            let path = file.path().strip_prefix(root).unwrap_or(file.path());
            files.insert(path.to_string_lossy().into_owned(), file.contents().to_vec());
        }
        for inner in dir.dirs() {
            collect(root, inner, files);
        }
    }
    let mut files = BTreeMap::new();
    collect(bundle.path(), bundle, &mut files);
    BundleSource { files }
}

/// Reads a bundle directory: every file in it, hidden ones apart.
///
/// # Errors
/// `Unreadable` and `TooLarge`.
pub fn read(directory: &Path) -> Result<BundleSource, Error> {
    let mut files = BTreeMap::new();
    let mut bytes: u64 = 0;
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let at = directory.join(&folder);
        for entry in fs::read_dir(&at).map_err(unreadable(&at))? {
            let name = entry.map_err(unreadable(&at))?.file_name();
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            let path = folder.join(&name);
            let full = directory.join(&path);
            let meta = fs::metadata(&full).map_err(unreadable(&full))?;
            if meta.is_dir() {
                folders.push(path);
                continue;
            }
            bytes = bytes.saturating_add(meta.len());
            if files.len() >= FILES_MAX || bytes > BYTES_MAX {
                return Err(Error::TooLarge { path: directory.to_owned() });
            }
            let text = fs::read(&full).map_err(unreadable(&full))?;
            let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            files.insert(parts.join("/"), text);
        }
    }
    Ok(BundleSource { files })
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::Unreadable { path: path.clone(), cause }
}

/// Why a system was not started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The bundle that was chosen.
    #[error(transparent)]
    Bundle(#[from] Error),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] StartError),
}

impl NotStarted {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            NotStarted::Bundle(Error::Refused { .. }) => Exit::Failure,
            NotStarted::Bundle(_) => Exit::Usage,
            NotStarted::Engine(error) => serve::exit_of(error),
        }
    }
}

/// Starts the engine with the tenants of the configuration, and with the bundle that it names in force.
///
/// # Errors
/// [`NotStarted`]; nothing is left running then.
pub fn start(
    settings: &Settings,
    of_engine: engine::settings::Settings,
    how: Start<'_>,
) -> Result<(System, Started), NotStarted> {
    let choice = settings.policy.first.as_deref();
    let source = chosen(choice.unwrap_or(FIRST))?;
    // The configuration is checked, so no name is left out here.
    let tenants: Vec<Tenant> =
        settings.tenants.iter().filter_map(|entry| Tenant::new(entry.name.as_str()).ok()).collect();
    let (system, started) = System::start_as(of_engine, Some(&source), &tenants, how)?;
    if choice.is_some() && system.put_in_force(&source, "configuration")? {
        tracing::info!(bundle = choice, "another policy bundle was in force; the configured one is now");
    }
    Ok((system, started))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn every_built_in_bundle_is_valid_and_the_same_as_its_directory() {
        let names = built_in();
        assert!(names.contains(&FIRST.to_owned()) && names.len() >= 2, "{names:?}");
        for name in names {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compliance/bundles").join(&name);
            let (named, read) = (chosen(&name).unwrap(), chosen(directory.to_str().unwrap()).unwrap());
            let hash = |source| Bundle::parse(source).unwrap().hash();
            assert_eq!(hash(&named), hash(&read), "{name}");
        }
        let unknown = chosen("enterprise").expect_err("no such bundle").to_string();
        assert!(unknown.contains("enterprise-general, eu-ai-act"), "{unknown}");
    }
}
