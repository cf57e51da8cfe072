//! The table of invariants in ARCHITECTURE.md: each names a test, and every test that the documents name is there and
//! runs. A renamed or removed test would otherwise leave a claim behind that nothing proves.

use super::Tree;

const DOCUMENTS: &[&str] = &["ARCHITECTURE.md", "README.md"];
const SECTION: &str = "## Invariants";

pub fn named(tree: &Tree) -> Vec<String> {
    let mut faults = rows(tree);
    for document in DOCUMENTS {
        let lines = tree.files.get(*document).into_iter().flat_map(|text| text.lines());
        for (number, line) in lines.enumerate().map(|(number, line)| (number + 1, line)) {
            for name in tests(line) {
                faults.extend(fault(tree, name).map(|why| format!("{document}:{number}: {name}: {why}")));
            }
        }
    }
    faults
}

/// Every row of the table has a number of its own and names a test.
fn rows(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.files.get("ARCHITECTURE.md") else {
        return vec!["ARCHITECTURE.md is missing".to_owned()];
    };
    let mut ids = Vec::new();
    let mut faults = Vec::new();
    let section = text.lines().enumerate().skip_while(|(_, line)| *line != SECTION).skip(1);
    for (number, line) in section.take_while(|(_, line)| !line.starts_with("## ")) {
        let Some(id) = line.strip_prefix("| I").and_then(|rest| rest.split(' ').next()) else { continue };
        if ids.contains(&id) {
            faults.push(format!("ARCHITECTURE.md:{}: I{id} stands twice", number + 1));
        }
        ids.push(id);
        if tests(line).next().is_none() {
            faults.push(format!("ARCHITECTURE.md:{}: I{id} names no test", number + 1));
        }
    }
    if ids.is_empty() {
        faults.push(format!("ARCHITECTURE.md: no table under `{SECTION}`"));
    }
    faults
}

/// What stands as `path/file.rs::name` in code.
fn tests(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|code| code.contains(".rs::"))
}

fn fault(tree: &Tree, name: &str) -> Option<String> {
    let (file, test) = name.split_once("::")?;
    let Some(text) = tree.files.get(file) else { return Some(format!("there is no file {file}")) };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.starts_with(&format!("fn {test}("))) else {
        return Some(format!("there is no function {test}"));
    };
    let attributes: Vec<&str> =
        lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//")).copied().collect();
    if !attributes.contains(&"#[test]") {
        return Some(format!("{test} is no test"));
    }
    attributes.iter().any(|line| line.starts_with("#[ignore")).then(|| format!("{test} is ignored"))
}
