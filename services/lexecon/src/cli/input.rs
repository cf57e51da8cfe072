//! Requests from files and standard input, read with the same strictness as over HTTP.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use domain::request::Request;

use super::failure::Failure;
use crate::config::Http;
use crate::http::{json, problem};

/// Bytes of a file of requests that are read at most; more is refused, not cut.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The bytes of a file, or of standard input for `-`.
///
/// # Errors
/// It cannot be read, or is larger than the limit.
pub fn bytes(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(max + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file(path, error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(Failure::file(path, format!("has more than {max} bytes; is it the right file?")));
    }
    Ok(bytes)
}

/// One request, checked.
///
/// # Errors
/// It cannot be read, or is no valid request; every field at fault is named.
pub fn request(path: &Path, now_us: i64) -> Result<Request, Failure> {
    let limits = Http::default();
    let bytes = bytes(path, u64::try_from(limits.body_bytes_max).unwrap_or(u64::MAX))?;
    json::request(&bytes, limits.depth_max, now_us).map_err(|problem| Failure::file(path, told(&problem)))
}

fn told(problem: &problem::Problem) -> String {
    let fields: Vec<_> = problem.errors.iter().map(|field| format!("\n  {}: {}", field.path, field.message)).collect();
    format!("{}{}", problem.detail, fields.concat())
}

/// The lines of a file of requests, empty ones apart.
///
/// # Errors
/// It cannot be read, is not UTF-8, or has no line.
pub fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let text = String::from_utf8(bytes(path, FILE_BYTES_MAX)?);
    let text = text.map_err(|_| Failure::file(path, "is not UTF-8; write one JSON request a line"))?;
    let lines: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(Failure::file(path, "holds no requests; write one JSON request a line"));
    }
    Ok(lines)
}
