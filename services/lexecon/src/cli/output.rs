//! What a command prints: text for people or JSON for scripts, on standard output and nowhere else.
//!
//! One command prints one JSON object, or one object a line where there may be many (`load --file`, `outcomes`).

use std::io::{self, Write};

use serde_json::{Value, json};

use super::failure::Failure;
use crate::exit::Exit;

/// Standard output, and the form that was asked for.
pub struct Output<'a> {
    /// JSON instead of text.
    pub json: bool,
    to: &'a mut dyn Write,
}

impl<'a> Output<'a> {
    /// Writes to `to`.
    pub fn new(json: bool, to: &'a mut dyn Write) -> Output<'a> {
        Output { json, to }
    }

    /// A line of text.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.to, "{}", text.as_ref())
    }

    /// A JSON object on a line of its own.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn object(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.to, "{value}")
    }

    /// Columns, each as wide as its widest cell; the last is not padded.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn table(&mut self, rows: &[Vec<String>]) -> io::Result<()> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// What remains is written.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// Bytes as they are.
    pub fn bytes(&mut self) -> &mut dyn Write {
        self.to
    }

    /// Says why a command failed: to people on standard error, to scripts on standard output. Returns the exit code.
    pub fn failure(&mut self, failure: &Failure) -> Exit {
        if !failure.message.is_empty() {
            // When neither can be written there is nobody left to tell.
            let _ = if self.json {
                self.object(&json!({"error": {"code": failure.code, "message": failure.message}}))
            } else {
                writeln!(io::stderr(), "error: {}", failure.message)
            };
        }
        failure.exit
    }
}

/// The text at a JSON pointer; numbers and truth values as they are written, nothing for null.
pub fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| text(item, "")).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let mut written = Vec::new();
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        Output::new(false, &mut written).table(&[row(&["a", "long", "x"]), row(&["bcd", "é", ""])]).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "a    long  x\nbcd  é\n");
    }

    #[test]
    fn texts_of_values() {
        let value = json!({"a": {"b": "c"}, "n": 7, "l": ["x", 1], "z": null});
        let found = ["/a/b", "/n", "/l", "/z", "/none"].map(|pointer| text(&value, pointer));
        assert_eq!(found, ["c", "7", "x, 1", "", ""]);
    }
}
