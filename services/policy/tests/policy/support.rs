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

#[expect(clippy::disallowed_methods, reason = "tests read the bundles that the project ships")]
fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
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

/// A small valid bundle: one file per kind.
pub fn small(mode: &str, policies: &str) -> BundleSource {
    let manifest = format!(
        "format = 1\nname = \"small\"\nversion = \"1.0.0\"\ndescription = \"For tests.\"\nmode = \"{mode}\"\n\
         schema = \"schema.cedarschema\"\npolicies = [\"policies/*.cedar\"]\nentities = \"entities.json\"\n\
         tests = [\"tests/*.toml\"]\nroles = [\"clerk\", \"lead\"]\ndata_classes = [\"blue\", \"red\"]\n"
    );
    let schema = "type TenantFacts = { score?: Long };\naction look, touch appliesTo { principal: [User, Agent], \
                  resource: [Resource], context: RequestContext };\n";
    let entities = "[{ \"uid\": { \"type\": \"Role\", \"id\": \"lead\" }, \"attrs\": {}, \
                    \"parents\": [{ \"type\": \"Role\", \"id\": \"clerk\" }] }]\n";
    let tests = "[given]\ntenant = \"acme\"\nactor = { id = \"u-1\", kind = \"person\" }\naction = \"look\"\n\n\
                 [[test]]\nname = \"nobody\"\nexpect = { outcome = \"deny\" }\n";
    let files = [
        ("manifest.toml", manifest.as_str()),
        ("schema.cedarschema", schema),
        ("policies/all.cedar", policies),
        ("entities.json", entities),
        ("tests/all.toml", tests),
    ];
    BundleSource { files: files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect() }
}

/// Facts of a person who looks at something, for tests to vary.
pub fn facts() -> policy::Facts {
    use policy::facts::{Actor, ActorKind, RiskClass};
    policy::Facts {
        tenant: "acme".to_owned(),
        actor: Actor {
            id: "u-1".to_owned(),
            kind: ActorKind::Person,
            roles: Default::default(),
            model: None,
            delegation_depth: 0,
        },
        action: "look".to_owned(),
        tool: None,
        resource: None,
        data_classes: Default::default(),
        practice: None,
        risk_class: RiskClass::Unknown,
        risk_score: None,
        confidence_percent: None,
        amount: None,
        purpose: None,
        legal_basis: None,
        approved: false,
        subject_count: 0,
        recorded_at_us: 0,
        context: BTreeMap::new(),
    }
}
