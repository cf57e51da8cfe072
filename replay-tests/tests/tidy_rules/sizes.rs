//! How long files are and how they open.

use super::Tree;

const FILE_LINES_MAX: usize = 800;
const INLINE_TEST_LINES_MAX: usize = 200;
const INDEX_LINES_MAX: usize = 150;

/// Lines of code, and of the inline tests at the end.
fn lines(text: &str) -> (usize, usize) {
    let all: Vec<&str> = text.lines().collect();
    let is_start = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim().starts_with("mod tests {");
    let code = all.windows(2).position(is_start).unwrap_or(all.len());
    (code, all.len() - code)
}

pub fn files(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in tree.ending(".rs") {
        let (code, tests) = lines(text);
        if code > FILE_LINES_MAX {
            faults.push(format!("{path}: {code} lines, more than {FILE_LINES_MAX}: split it"));
        }
        if tests > INLINE_TEST_LINES_MAX {
            faults.push(format!(
                "{path}: {tests} lines of inline tests, more than {INLINE_TEST_LINES_MAX}: move them out"
            ));
        }
    }
    faults
}

pub fn indexes(tree: &Tree) -> Vec<String> {
    let is_index = |path: &str| matches!(path.rsplit('/').next(), Some("lib.rs" | "mod.rs"));
    tree.ending(".rs")
        .filter(|(path, _)| is_index(path))
        .map(|(path, text)| (path, lines(text).0))
        .filter(|(_, code)| *code > INDEX_LINES_MAX)
        .map(|(path, code)| format!("{path}: {code} lines, more than {INDEX_LINES_MAX}: move code out"))
        .collect()
}

pub fn openings(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in &tree.files {
        let first = text.lines().next().unwrap_or_default();
        if path.ends_with(".rs") && first.trim_start_matches("//! ").len() == first.len() {
            faults.push(format!("{path}: does not open with //! and why it is there"));
        }
        let is_script = first.starts_with("#!") || path.ends_with(".py") && !text.is_empty();
        let second = text.lines().nth(usize::from(first.starts_with("#!"))).unwrap_or_default();
        if is_script && !path.ends_with(".rs") && !second.starts_with("# ") && !second.starts_with("\"\"\"") {
            faults.push(format!("{path}: a script says after its first line why it is there"));
        }
    }
    faults
}
