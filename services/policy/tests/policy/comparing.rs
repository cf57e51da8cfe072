//! Differences between bundles, and whether they could let more through.

use policy::{Bundle, Change, Part, diff};

use crate::support::small;

const BASE: &str = "@id(\"p\")\npermit (principal, action, resource);\n@id(\"f\")\nforbid (principal, action, resource) when { context.subject_count > 9 };\n";

fn check(mode: &str, policies: &str, changed: &[&str], widens: bool) {
    let from = Bundle::parse(&small("strict", BASE)).unwrap();
    let to = Bundle::parse(&small(mode, policies)).unwrap();
    let found = diff(&from, &to);
    let ids: Vec<&str> = found
        .policies
        .iter()
        .map(|change| match change {
            Change::Added { id, .. } | Change::Removed { id, .. } | Change::Changed { id, .. } => id.as_str(),
        })
        .collect();
    assert_eq!(ids, changed, "{policies}");
    assert_eq!(!found.may_widen.is_empty(), widens, "{mode} {policies}: {:?}", found.may_widen);
    assert_eq!((found.from, found.to), (from.hash(), to.hash()));
}

#[test]
fn differences_name_policies_and_direction() {
    let (permit, forbid) = BASE.split_at(BASE.find("@id(\"f\")").unwrap());
    check("strict", BASE, &[], false);
    check("strict", &format!("// moved\n\n{forbid}{permit}"), &[], false);
    check("strict", forbid, &["p"], false);
    check("strict", permit, &["f"], true);
    check("strict", &BASE.replace("> 9", "> 10"), &["f"], true);
    check("strict", &format!("{BASE}@id(\"q\")\nforbid (principal, action, resource);\n"), &["q"], false);
    check("strict", &format!("{BASE}@id(\"q\")\npermit (principal, action, resource);\n"), &["q"], true);
    check("paranoid", BASE, &[], false);
    check("permissive", BASE, &[], true);
}

#[test]
fn removing_a_permit_that_may_fail_may_widen() {
    let fails = "@id(\"q\")\npermit (principal, action, resource) when { context.subject_count + 1 > 2 };\n";
    let from = Bundle::parse(&small("strict", &format!("{BASE}{fails}"))).unwrap();
    let to = Bundle::parse(&small("strict", BASE)).unwrap();
    let found = diff(&from, &to);
    assert_eq!(found.policies, [Change::Removed { id: "q".to_owned(), part: Part::Permit }]);
    assert_eq!(found.may_widen.len(), 1, "{found:?}");
}
