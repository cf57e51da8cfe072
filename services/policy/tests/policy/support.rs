//! Bundles for tests: from directories of the repository and from a few lines of text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use policy::{Bundle, BundleSource};

/// The directory of the bundles that the project ships.
pub fn shipped_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compliance/bundles")
}

/// Reads a bundle directory, as the binary does.
pub fn read_dir(dir: &Path) -> BundleSource {
    let mut files = BTreeMap::new();
    collect(dir, dir, &mut files);
    BundleSource { files }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests read the bundles that the project ships"
)]
fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

/// A shipped bundle; its faults fail the test by name.
pub fn shipped(name: &str) -> Bundle {
    Bundle::parse(&read_dir(&shipped_dir().join(name))).unwrap_or_else(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{name}:\n{}", lines.join("\n"))
    })
}
