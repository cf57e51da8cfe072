//! Key files: how 32 secret bytes lie in a directory, and when they are believed.
//!
//! Invariants: a file that others can read or write is refused, not repaired, because nobody can say who has read it
//! already; keys are created only where none are, and a creation that was interrupted is finished or begun again
//! before any key of it is used. The order that makes this so: all files under temporary names, synced; then all
//! renamed, synced. So a temporary file beside a final one is whole, and temporary files alone were never used.
//! Deliberately not here: what the keys are for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

use super::{Error, Key};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;
const TEMPORARY: &str = ".new";

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// Makes the directory if it is not there; refuses one that others can look into.
pub(super) fn directory(dir: &Path, create: bool) -> Result<(), Error> {
    match fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => Err(Error::WrongKind { path: dir.to_owned(), expected: "a directory" }),
        Ok(meta) => private(dir, meta.mode(), DIRECTORY_MODE),
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir).map_err(io_error("create", dir))?;
            dir.parent().map_or(Ok(()), sync_directory)
        }
        Err(error) => Err(io_error("read", dir)(error)),
    }
}

fn private(path: &Path, mode: u32, wanted: u32) -> Result<(), Error> {
    if mode & OTHERS != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode: mode & 0o7777, wanted });
    }
    Ok(())
}

/// Names of the files with suffix `.key`, sorted.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, Error> {
    Ok(listing(dir)?.into_iter().filter(|name| name.ends_with(".key")).collect())
}

fn listing(dir: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let name = entry.map_err(io_error("list", dir))?.file_name();
        // A name that is not UTF-8 is none of ours.
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// Reads one key.
pub(super) fn read(path: &Path) -> Result<Key, Error> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Missing { path: path.to_owned() },
        _ => io_error("read", path)(error),
    })?;
    // Of the opened file, so that it cannot be another one by now.
    let meta = file.metadata().map_err(io_error("read", path))?;
    if !meta.is_file() {
        return Err(Error::WrongKind { path: path.to_owned(), expected: "a file" });
    }
    private(path, meta.mode(), FILE_MODE)?;
    // One byte more than a key can have, so that a longer file is seen without being read.
    let mut bytes = Zeroizing::new([0_u8; 67]);
    let mut len = 0;
    while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).map_err(io_error("read", path))? {
            0 => break,
            more => len += more,
        }
    }
    parse(bytes.get(..len).unwrap_or_default()).ok_or_else(|| Error::NotAKey { path: path.to_owned() })
}

/// 32 raw bytes, or 64 hexadecimal digits with or without a line end.
fn parse(bytes: &[u8]) -> Option<Key> {
    if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
        return Some(Key(raw));
    }
    let digits = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let digits = digits.strip_suffix(b"\r").unwrap_or(digits);
    let mut key = Key([0; 32]);
    hex::decode_to_slice(digits, &mut key.0).ok()?;
    Some(key)
}

/// Finishes, or takes back, a creation of `names` that was interrupted.
pub(super) fn finish_interrupted(dir: &Path, created: &[String]) -> Result<(), Error> {
    let listed = listing(dir)?;
    let begun = created.iter().any(|name| listed.contains(name));
    let mut changed = false;
    for name in created {
        let (from, to) = (dir.join(format!("{name}{TEMPORARY}")), dir.join(name));
        if !listed.contains(&format!("{name}{TEMPORARY}")) {
            continue;
        }
        // A final file is never replaced: it may be in use.
        if begun && !listed.contains(name) {
            fs::rename(&from, &to).map_err(io_error("rename", &from))?;
        } else {
            fs::remove_file(&from).map_err(io_error("remove", &from))?;
        }
        changed = true;
    }
    if changed { sync_directory(dir) } else { Ok(()) }
}

/// Creates all of `keys` in a directory that holds none.
pub(super) fn create(dir: &Path, keys: &[(String, Key)]) -> Result<Vec<PathBuf>, Error> {
    for (name, key) in keys {
        write_new(&dir.join(format!("{name}{TEMPORARY}")), key)?;
    }
    sync_directory(dir)?;
    let mut created = Vec::new();
    for (name, _) in keys {
        let (from, to) = (dir.join(format!("{name}{TEMPORARY}")), dir.join(name));
        fs::rename(&from, &to).map_err(io_error("rename", &from))?;
        created.push(to);
    }
    sync_directory(dir)?;
    Ok(created)
}

fn write_new(path: &Path, key: &Key) -> Result<(), Error> {
    let mut text = Zeroizing::new([0_u8; 65]);
    if let Some((line_end, digits)) = text.split_last_mut() {
        *line_end = b'\n';
        hex::encode_to_slice(key.0, digits).map_err(|_| Error::NotAKey { path: path.to_owned() })?;
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path).map_err(io_error("create", path))?;
    file.write_all(text.as_slice()).map_err(io_error("write", path))?;
    file.sync_all().map_err(io_error("write", path))
}

fn sync_directory(dir: &Path) -> Result<(), Error> {
    // The parent of a relative path of one part is the empty path: the current directory.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

/// 32 bytes of the operating system's randomness: the one place that draws by itself, because a key file is no part
/// of a run that could be repeated.
pub(super) fn draw(path: &Path) -> Result<Key, Error> {
    let mut key = Key([0; 32]);
    if let Err(error) = getrandom::fill(&mut key.0) {
        key.zeroize();
        return Err(io_error("draw randomness for", path)(io::Error::other(error)));
    }
    Ok(key)
}
