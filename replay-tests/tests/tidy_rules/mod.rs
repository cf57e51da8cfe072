//! The rules of the tidy test, one file for each kind, over a tree of files held in memory.

pub mod changelog;
pub mod links;
pub mod proofs;
pub mod sizes;
pub mod status;
pub mod words;

use std::collections::BTreeMap;
use std::path::Path;

/// Folders that are made by running things and are never committed, and history itself.
const NOT_OURS: &[&str] = &[".git", "target", "data", "node_modules", "__pycache__", ".venv"];

/// Text files by their path from the root, with `/`; other files are there with an empty text.
pub struct Tree {
    pub files: BTreeMap<String, String>,
}

impl Tree {
    pub fn of(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    pub fn read(root: &Path) -> Tree {
        let mut tree = Tree { files: BTreeMap::new() };
        tree.read_folder(root, "");
        tree
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let kind = entry.file_type().unwrap();
            let path = format!("{prefix}{name}");
            if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
                self.read_folder(&entry.path(), &format!("{path}/"));
            } else if kind.is_file() && name != ".git" {
                let text = String::from_utf8(std::fs::read(entry.path()).unwrap()).unwrap_or_default();
                self.files.insert(path, text);
            }
        }
    }

    /// Is there such a file, or a folder with something in it?
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty() || self.files.contains_key(path) || self.files.keys().any(|p| p.starts_with(&folder))
    }

    pub fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(end))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}
