//! `ledger export`: the ledger as a file for `ledger-verify`, or as JSON.
//!
//! A file appears under its name only when it is whole and durable: what is broken off leaves nothing that could be
//! taken for an export.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use indicatif::ProgressBar;
use serde_json::json;

use super::arguments::{Export, Format};
use super::failure::Failure;
use super::output::Output;
use super::progress;
use super::question::Asked;
use super::reach::{self, Reach};
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// The file exists or cannot be written, or the export broke off.
pub fn run(args: &Export, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let bar = progress::bytes(output.json);
    let asked = Asked::new(&args.source)?;
    if args.out.as_os_str() == "-" {
        let mut to = Counted { to: output.bytes(), bytes: 0 };
        write(&asked, args, &mut to, &bar)?;
        to.flush()?;
        return Ok(Exit::Ok);
    }
    let part = Part::create(&args.out)?;
    let mut file = BufWriter::with_capacity(1 << 20, &part.file);
    let mut to = Counted { to: &mut file, bytes: 0 };
    write(&asked, args, &mut to, &bar)?;
    to.flush().map_err(|error| Failure::file(&args.out, error))?;
    let bytes = to.bytes;
    drop(file);
    part.keep()?;
    bar.finish_and_clear();
    if output.json {
        output.object(&json!({"file": args.out.display().to_string(), "bytes": bytes}))?;
    } else {
        output.line(format!("{} bytes in {}", bytes, args.out.display()))?;
        if args.format == Format::Ledger {
            output.line(format!("verify it with: ledger-verify {}", args.out.display()))?;
        }
    }
    Ok(Exit::Ok)
}

fn write(asked: &Asked, args: &Export, to: &mut Counted<'_>, bar: &ProgressBar) -> Result<(), Failure> {
    match asked {
        Asked::Running(reach) => stream(reach, args, to, bar),
        Asked::Directory(directory) => directory.export(args.format, args.partition, to, bar),
    }
}

fn stream(reach: &Reach, args: &Export, to: &mut Counted<'_>, bar: &ProgressBar) -> Result<(), Failure> {
    let Some(client) = reach.client() else { return Ok(()) };
    let (format, accept) = match args.format {
        Format::Ledger => ("ledger", "application/octet-stream"),
        Format::Json => ("json", "application/x-ndjson"),
    };
    let partition = args.partition.map(|partition| partition.to_string());
    let mut query = vec![("format", format)];
    query.extend(partition.as_deref().map(|partition| ("partition", partition)));
    reach.block_on(async {
        let response = client.stream("/v1/ledger/export", &query, accept).await.map_err(reach::failure)?;
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let broken = |error| {
                Failure::new(Exit::Unreachable, "broken_off", format!("the export broke off: {error}; run it again"))
            };
            to.write_all(&chunk.map_err(broken)?).map_err(|error| Failure::file(&args.out, error))?;
            bar.set_position(to.bytes);
        }
        Ok(())
    })
}

/// A writer that knows how much went through it.
pub struct Counted<'a> {
    to: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += u64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A file that is being written beside its final name, and goes away when it is not kept.
struct Part {
    file: File,
    path: PathBuf,
    out: PathBuf,
}

impl Part {
    fn create(out: &Path) -> Result<Part, Failure> {
        if out.exists() {
            return Err(Failure::file(out, "exists already; choose another name or remove it"));
        }
        let mut name = out.file_name().map(ToOwned::to_owned).unwrap_or_default();
        name.push(".part");
        let path = out.with_file_name(name);
        let opened = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let file = opened.map_err(|error| Failure::file(&path, error))?;
        Ok(Part { file, path, out: out.to_owned() })
    }

    fn keep(self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| Failure::file(&self.path, error))?;
        // A link and not a rename: a file that came to be meanwhile is not replaced.
        std::fs::hard_link(&self.path, &self.out).map_err(|error| Failure::file(&self.out, error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Kept or not, only the final name may stay.
        let _ = std::fs::remove_file(&self.path);
    }
}
