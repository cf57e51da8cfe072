//! Tables on standard output, and the same figures as JSON.

use std::path::Path;

use serde_json::{Map, Value};

pub struct Report {
    machine: Value,
    figures: Map<String, Value>,
}

impl Report {
    pub fn new(machine: Value) -> Report {
        Report { machine, figures: Map::new() }
    }

    pub fn head(&self) {
        let text = |name: &str| self.machine[name].to_string().trim_matches('"').to_owned();
        println!(
            "commit {}{}, {}; {} × {}, {} MiB, Linux {}; fdatasync p50 {} µs",
            text("commit"),
            if self.machine["changed"] == true { " with changes" } else { "" },
            text("date"),
            text("cores"),
            text("cpu"),
            text("memory_mib"),
            text("kernel"),
            text("fdatasync_p50_us")
        );
    }

    pub fn set(&mut self, name: &str, figures: Value) {
        self.figures.insert(name.to_owned(), figures);
    }

    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let whole = serde_json::json!({ "machine": self.machine, "figures": self.figures });
        std::fs::write(path, format!("{whole:#}\n"))
    }
}

/// Prints a table: columns as wide as what stands in them, the first to the left, the others to the right.
pub fn table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    println!("\n{title}");
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([head.get(at).map_or(0, |cell| cell.chars().count())]).max().unwrap_or(0)
    };
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().enumerate().map(|(at, cell)| {
            let pad = " ".repeat(width(at).saturating_sub(cell.chars().count()));
            if at == 0 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
        });
        println!("  {}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(head.to_vec());
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
}
