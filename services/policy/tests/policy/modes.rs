//! Each mode really differs, and the strata keep their order in all of them.

use policy::facts::{ContextValue, RiskClass};
use policy::{Bundle, Facts, Outcome, ReasonCode, Severity};

use crate::support::{facts, small};

const POLICIES: &str = r#"
@id("clerks-look") @obligation("log_access")
permit (principal in Role::"clerk", action == Action::"look", resource);
@id("leads-are-safe") @low_risk("yes")
permit (principal in Role::"lead", action, resource);
@id("no-red") @reason("data_class_not_allowed") @severity("low") @obligation("notify_owner")
forbid (principal, action, resource) when { context.data_classes.contains(DataClass::"red") };
@id("no-deep-delegation") @reason("delegation_too_deep") @severity("low")
forbid (principal, action, resource) when { context.delegation_depth > 5 };
@id("no-fifteens") @reason("quota") @severity("high")
forbid (principal, action, resource) when { context.subject_count == 15 };
@id("ask-about-scores") @outcome("escalate") @approver("lead") @ttl("5m") @obligation("human_review")
permit (principal, action, resource)
when { context.facts has score && context.facts.score + 1 > 10 } unless { context.approved };
"#;

/// Outcome and reason in strict, permissive and paranoid mode, and the determining policies in strict mode.
type Row = (&'static str, fn(&mut Facts), [(Outcome, ReasonCode); 3], &'static [&'static str]);

fn role(facts: &mut Facts, role: &str) {
    facts.actor.roles.insert(role.to_owned());
}

fn score(facts: &mut Facts, score: i64) {
    facts.context.insert("score".to_owned(), ContextValue::Long(score));
}

const TABLE: &[Row] = {
    use Outcome::{Deny, Escalate, Permit};
    use ReasonCode as R;
    const NONE: (Outcome, ReasonCode) = (Deny, R::NoMatchingPermit);
    const FREE: (Outcome, ReasonCode) = (Permit, R::NotForbidden);
    const RISKY: (Outcome, ReasonCode) = (Escalate, R::NotExplicitlyLowRisk);
    const PERMIT: (Outcome, ReasonCode) = (Permit, R::Permitted);
    const ERROR: (Outcome, ReasonCode) = (Deny, R::PolicyError);
    const ASK: (Outcome, ReasonCode) = (Escalate, R::OversightRequired);
    &[
        ("no policy speaks", |_| {}, [NONE, FREE, NONE], &[]),
        ("a permit", |f| role(f, "clerk"), [PERMIT, PERMIT, RISKY], &["clerks-look"]),
        (
            "a permit and stated low risk",
            |f| {
                role(f, "clerk");
                f.risk_class = RiskClass::Minimal;
                f.risk_score = Some(29);
            },
            [PERMIT, PERMIT, PERMIT],
            &["clerks-look"],
        ),
        (
            "a score of 30 is not low",
            |f| {
                role(f, "clerk");
                f.risk_class = RiskClass::Minimal;
                f.risk_score = Some(30);
            },
            [PERMIT, PERMIT, RISKY],
            &["clerks-look"],
        ),
        (
            "a class without a score is not explicit",
            |f| {
                role(f, "clerk");
                f.risk_class = RiskClass::Minimal;
            },
            [PERMIT, PERMIT, RISKY],
            &["clerks-look"],
        ),
        (
            "a score without a class is not explicit",
            |f| {
                role(f, "clerk");
                f.risk_score = Some(0);
            },
            [PERMIT, PERMIT, RISKY],
            &["clerks-look"],
        ),
        (
            "an approval alone is not low risk",
            |f| {
                role(f, "clerk");
                f.approved = true;
            },
            [PERMIT, PERMIT, RISKY],
            &["clerks-look"],
        ),
        (
            "a permit that is marked, through the hierarchy of roles",
            |f| role(f, "lead"),
            [PERMIT, PERMIT, PERMIT],
            &["clerks-look", "leads-are-safe"],
        ),
        (
            "a forbid",
            |f| {
                role(f, "lead");
                f.data_classes.insert("red".to_owned());
            },
            [(Deny, R::DataClassNotAllowed); 3],
            &["no-red"],
        ),
        (
            "two forbids of one severity: the lower number",
            |f| {
                f.data_classes.insert("red".to_owned());
                f.actor.delegation_depth = 6;
            },
            [(Deny, R::DataClassNotAllowed); 3],
            &["no-deep-delegation", "no-red"],
        ),
        (
            "a more severe forbid with a higher number",
            |f| {
                f.data_classes.insert("red".to_owned());
                f.subject_count = 15;
            },
            [(Deny, R::Quota); 3],
            &["no-fifteens", "no-red"],
        ),
        (
            "oversight of what is allowed",
            |f| {
                role(f, "lead");
                score(f, 10);
            },
            [ASK; 3],
            &["ask-about-scores"],
        ),
        ("oversight of what is not allowed", |f| score(f, 10), [NONE, ASK, NONE], &[]),
        (
            "oversight of what is forbidden",
            |f| {
                score(f, 10);
                f.actor.delegation_depth = 6;
            },
            [(Deny, R::DelegationTooDeep); 3],
            &["no-deep-delegation"],
        ),
        (
            "an overflow in the oversight stratum",
            |f| {
                role(f, "lead");
                score(f, i64::MAX);
            },
            [ERROR; 3],
            &["ask-about-scores"],
        ),
        ("an overflow where nothing is allowed", |f| score(f, i64::MAX), [NONE, ERROR, NONE], &[]),
        (
            "a fact of another type",
            |f| {
                role(f, "lead");
                f.context.insert("score".to_owned(), ContextValue::Bool(true));
            },
            [ERROR; 3],
            &[],
        ),
        (
            "a fact that nobody declared is not seen",
            |f| {
                role(f, "lead");
                f.context.insert("shoe-size".to_owned(), ContextValue::Long(43));
            },
            [PERMIT; 3],
            &["clerks-look", "leads-are-safe"],
        ),
        (
            "an action that is not declared meets no permit",
            |f| {
                role(f, "lead");
                f.action = "juggle".to_owned();
            },
            [NONE, FREE, NONE],
            &[],
        ),
        (
            "an action that is not declared meets forbids",
            |f| {
                role(f, "lead");
                f.action = "juggle".to_owned();
                f.actor.delegation_depth = 6;
            },
            [(Deny, R::DelegationTooDeep); 3],
            &["no-deep-delegation"],
        ),
        (
            "an action that is not declared for this kind of actor",
            |f| {
                role(f, "lead");
                f.actor.kind = policy::facts::ActorKind::Model;
            },
            [NONE, FREE, NONE],
            &[],
        ),
    ]
};

#[test]
fn modes_and_strata_decide_as_documented() {
    let sets =
        ["strict", "permissive", "paranoid"].map(|mode| Bundle::parse(&small(mode, POLICIES)).unwrap().compile());
    for (name, change, expected, policies) in TABLE {
        let mut given = facts();
        change(&mut given);
        for (set, expected) in sets.iter().zip(expected) {
            let verdict = set.evaluate(&given);
            assert_eq!((verdict.outcome, verdict.reason), *expected, "{name}, {:?}: {verdict:?}", set.mode());
            assert_eq!(verdict.severity.is_some(), verdict.outcome == Outcome::Escalate, "{name}");
            assert_eq!(verdict, set.evaluate(&given), "{name}: twice the same");
        }
        assert_eq!(sets[0].evaluate(&given).policies, *policies, "{name}");
    }
}

#[test]
fn an_escalation_carries_the_obligations_of_both_strata() {
    let set = Bundle::parse(&small("strict", POLICIES)).unwrap().compile();
    let mut given = facts();
    role(&mut given, "clerk");
    score(&mut given, 10);
    let verdict = set.evaluate(&given);
    assert_eq!(verdict.obligations, ["human_review", "log_access"]);
    assert_eq!(verdict.severity, Some(Severity::Medium));
    let annotations = &set.policy("ask-about-scores").unwrap().annotations;
    assert_eq!((annotations.approver.as_deref(), annotations.ttl_s), (Some("lead"), Some(300)));
    given.data_classes.insert("red".to_owned());
    assert_eq!(set.evaluate(&given).obligations, ["notify_owner"]);
}
