//! The README's status table: one row for each requirement, done or not, so that none is quietly forgotten.

use super::Tree;

/// Every requirement that the project is measured by.
pub const REQUIREMENTS: &[&str] = &[
    "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "C1", "C2", "C3",
    "C4", "C5", "D1", "D2", "D3", "D4", "D5", "E1", "E2", "E3", "E4", "E5", "F1", "F2", "F3", "F4", "F5", "G1", "G2",
    "G3", "G4", "G5", "G6", "G7", "G8", "G9", "G10", "H1", "H2", "H3", "I1", "I2",
];

pub fn rows(tree: &Tree) -> Vec<String> {
    let Some(readme) = tree.files.get("README.md") else {
        return vec!["README.md is missing".to_owned()];
    };
    let first_cells: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.trim().strip_prefix('|')?.split('|').next())
        .map(|cell| cell.trim().trim_matches('*'))
        .collect();
    let count = |id: &str| first_cells.iter().filter(|cell| **cell == id).count();
    let wrong = REQUIREMENTS.iter().map(|id| (id, count(id))).filter(|(_, rows)| *rows != 1);
    wrong.map(|(id, rows)| format!("README.md: {id} has {rows} rows in the status table")).collect()
}
