//! The bundles that are measured: a shipped one, and ten policies that say much the same.

use std::collections::BTreeMap;
use std::path::Path;

use policy::BundleSource;

/// A bundle of this repository.
pub fn shipped(name: &str) -> BundleSource {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compliance/bundles").join(name);
    let mut files = BTreeMap::new();
    collect(&root, &root, &mut files);
    BundleSource { files }
}

fn collect(root: &Path, at: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(at).expect("the bundle is there") {
        let path = entry.expect("the bundle can be listed").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(name) = path.strip_prefix(root) {
            files.insert(name.display().to_string(), std::fs::read(&path).expect("the bundle can be read"));
        }
    }
}

const POLICIES: &str = r#"
@id("internal") permit (principal, action, resource) when { [DataClass::"internal", DataClass::"public"].containsAll(context.data_classes) };
@id("customers") permit (principal, action in [Action::"read_record", Action::"send_email"], resource) when { principal in Role::"support" || principal in Role::"assistant" };
@id("payments") permit (principal, action in [Action::"send_money", Action::"schedule_transaction"], resource) when { context has amount && context.amount.minor_units <= 100000 };
@id("approvals") permit (principal, action == Action::"approve_payment", resource) when { principal in Role::"finance-approver" };
@id("screening") permit (principal, action == Action::"read_record", resource) when { principal in Role::"human-resources" };
@id("injected") forbid (principal, action, resource) when { context.facts has instruction_from_content && context.facts.instruction_from_content };
@id("contractors") forbid (principal, action == Action::"update_record", resource) when { principal in Role::"contractor" };
@id("risky") forbid (principal, action, resource) when { context has risk_score && context.risk_score >= 85 };
@id("unsure") @outcome("escalate") permit (principal, action, resource) when { context has confidence_percent && context.confidence_percent < 40 };
@id("large") @outcome("escalate") permit (principal, action, resource) when { context has amount && context.amount.minor_units > 25000 };
"#;

const MANIFEST: &str = r#"format = 1
name = "ten"
version = "1.0.0"
description = "Ten policies."
mode = "strict"
schema = "schema.cedarschema"
policies = ["all.cedar"]
roles = ["assistant", "contractor", "employee", "finance-approver", "human-resources", "support"]
data_classes = ["financial", "internal", "personal", "public"]
"#;

const SCHEMA: &str = "type TenantFacts = { instruction_from_content?: Bool };
action append_to_file, approve_payment, delete_file, get_webpage, read_record, schedule_transaction, search_files, send_email, send_money,
  update_record appliesTo { principal: [User, Agent, Model, AiSystem], resource: [Resource], context: RequestContext };
";

/// Ten policies about the actions of the traffic.
pub fn ten() -> BundleSource {
    let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    BundleSource {
        files: BTreeMap::from([
            file("manifest.toml", MANIFEST),
            file("schema.cedarschema", SCHEMA),
            file("all.cedar", POLICIES),
        ]),
    }
}
