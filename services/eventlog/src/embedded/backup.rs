//! Backups of a running log: RocksDB's checkpoint, and an anchor that is not ahead of it.

use std::{fs, io, path::Path, sync::Arc};

use rocksdb::checkpoint::Checkpoint;

use super::{anchor, fault, settings::Settings, shared::Shared};
use crate::Error;

/// Takes backups; a clone may go to any thread.
#[derive(Clone)]
pub struct Backup(Arc<Shared>);

impl Backup {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Writes a checkpoint of the log into a directory that is new or empty, laid out as [`Settings::at`] has it.
    /// Unchanging files are linked where the file system can, else copied. The log goes on meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::NotWritable`] (also if the directory is not empty), [`Error::NoSpace`],
    /// [`Error::Storage`].
    pub fn checkpoint(&self, data: impl AsRef<Path>) -> Result<(), Error> {
        let target = Settings::at(data.as_ref());
        new_or_empty(data.as_ref()).map_err(|error| fault::of_io(data.as_ref(), &error))?;
        self.0.with_store(|store| {
            // Taken first: the checkpoint then holds at least what the anchor says.
            let mark = self.0.mark().clone();
            let checkpoint = Checkpoint::new(&store.db);
            let checkpoint = checkpoint.map_err(|error| store.fault(&error))?;
            let made = checkpoint.create_checkpoint(&target.directory);
            made.map_err(|error| fault::of_rocksdb(&target.directory, &error))?;
            anchor::create(&target.anchor, &mark).map(|_| ())
        })
    }
}

/// Makes the directory, or takes an empty one: a volume that is mounted there cannot be made by us.
fn new_or_empty(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    for entry in fs::read_dir(directory)? {
        if entry?.file_name() != "lost+found" {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the directory is not empty"));
        }
    }
    Ok(())
}
