//! Explanations: complete, equal to the verdict, and without a value of the request.

use policy::facts::{Amount, ContextValue, Resource};
use policy::{Bundle, Outcome, Part, PolicySet};

use crate::support::{facts, small};

const POLICIES: &str = r#"
@id("clerks") permit (principal in Role::"clerk", action, resource);
@id("small-sums") permit (principal, action == Action::"look", resource)
when { context has amount && context.amount.minor_units < 10 && context.amount.currency == "EUR" };
@id("touchers") permit (principal, action == Action::"touch", resource);
@id("no-fives") forbid (principal, action, resource) when { resource.kind == "five" && context.facts has score };
@id("overflows") @outcome("escalate") permit (principal, action, resource)
when { context.facts has score && context.facts.score * 2 > 5 };
"#;

#[test]
fn every_policy_is_traced() {
    let set = Bundle::parse(&small("strict", POLICIES)).unwrap().compile();
    let mut given = facts();
    given.amount = Some(Amount { minor_units: 5, currency: *b"EUR" });
    given.context.insert("score".to_owned(), ContextValue::Long(1));
    let explanation = set.explain(&given);
    assert_eq!(explanation.verdict, set.evaluate(&given));
    let traces: Vec<(&str, Part, bool, Option<bool>, bool)> = explanation
        .policies
        .iter()
        .map(|t| (t.id.as_str(), t.part, t.considered, t.satisfied, t.determining))
        .collect();
    assert_eq!(
        traces,
        [
            ("clerks", Part::Permit, false, None, false),
            ("no-fives", Part::Forbid, true, Some(false), false),
            ("overflows", Part::Oversight, true, Some(false), false),
            ("small-sums", Part::Permit, true, Some(true), true),
            ("touchers", Part::Permit, false, None, false),
        ]
    );
    assert_eq!((explanation.policies_total, explanation.first_stratum, explanation.oversight_stratum), (5, 2, 1));
    assert_eq!(explanation.facts_seen, ["action", "amount", "context", "resource"]);
    given.context.insert("score".to_owned(), ContextValue::Long(i64::MAX));
    let failed = set.explain(&given);
    assert!(failed.policies[2].failed && failed.policies[2].determining && failed.policies[2].satisfied.is_none());
}

#[test]
fn explanations_hold_no_values() {
    let set = Bundle::parse(&small("strict", POLICIES)).unwrap().compile();
    let mut given = facts();
    given.tenant = "canary-tenant".to_owned();
    given.actor.id = "canary-actor".to_owned();
    given.actor.roles.insert("canary-role".to_owned());
    given.actor.model = Some("canary-model".to_owned());
    given.tool = Some("canary-tool".to_owned());
    given.purpose = Some("canary-purpose".to_owned());
    given.practice = Some("canary-practice".to_owned());
    given.data_classes.insert("canary-class".to_owned());
    given.resource = Some(Resource { kind: "canary-kind".to_owned(), id: "canary-id".to_owned() });
    for (name, value) in
        [("score", ContextValue::Text("canary-score".to_owned())), ("canary-fact", ContextValue::Long(7))]
    {
        for action in ["look", "touch", "canary-action"] {
            let mut given = given.clone();
            given.action = action.to_owned();
            given.context.insert(name.to_owned(), value.clone());
            let text = format!("{:?}", set.explain(&given));
            assert!(!text.contains("canary"), "{text}");
        }
    }
}

#[test]
fn an_undeclared_action_is_said_to_be_undeclared() {
    let set = Bundle::parse(&small("strict", POLICIES)).unwrap().compile();
    let mut given = facts();
    given.action = "juggle".to_owned();
    let explanation = set.explain(&given);
    assert!(!explanation.action_declared);
    assert_eq!(explanation.verdict.outcome, Outcome::Deny);
    assert!(explanation.verdict.explanation.contains("does not declare the action"));
}

#[test]
fn a_policy_set_is_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<PolicySet>();
    shared::<Bundle>();
}
