//! The closed vocabulary of annotations: what a policy may say beyond whether it matches.
//!
//! Invariant: whatever is not in this file is a fault, so a misspelt `@obligation` cannot be silently without effect.
//! Which annotation may stand on which kind of policy is checked here too.

use std::collections::BTreeMap;

use crate::fault::{Fault, FaultCode};
use crate::reason::ReasonCode;
use crate::verdict::Severity;

/// Declares the closed table of obligations.
macro_rules! obligations {
    ($($variant:ident $name:literal $meaning:literal;)*) => {
        /// What the caller must do along with an action.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Obligation { $(#[doc = $meaning] $variant,)* }

        /// Every obligation.
        pub const OBLIGATIONS: &[Obligation] = &[$(Obligation::$variant,)*];

        impl Obligation {
            /// The stable name used in `@obligation` and in every interface.
            pub fn as_str(self) -> &'static str {
                match self { $(Obligation::$variant => $name,)* }
            }

            /// One sentence for people.
            pub fn meaning(self) -> &'static str {
                match self { $(Obligation::$variant => $meaning,)* }
            }

            /// The obligation with this name.
            pub fn from_name(name: &str) -> Option<Obligation> {
                match name { $($name => Some(Obligation::$variant),)* _ => None }
            }
        }
    };
}

obligations! {
    DiscloseAi "disclose_ai" "tell the people concerned that they deal with an AI system";
    EncryptTransport "encrypt_transport" "send the data over an encrypted connection only";
    HumanReview "human_review" "have a human review the result before it takes effect";
    LabelSynthetic "label_synthetic" "mark generated content as artificially generated, readable by machines";
    LimitScope "limit_scope" "touch no more than the named resource";
    LogAccess "log_access" "record who saw which data";
    MinimiseData "minimise_data" "use no more data than the purpose needs";
    NotifyOwner "notify_owner" "tell the owner of the resource";
    NotifySecurity "notify_security" "tell the security team";
    RedactOutput "redact_output" "remove personal data from what is returned";
    RetainEvidence "retain_evidence" "keep inputs and outputs as evidence";
}

/// Names of all annotations, for messages.
const KNOWN: &str = "id, outcome, reason, obligation, severity, approver, ttl, low_risk, description";

/// The annotations of one policy, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// `@outcome("escalate")`: the policy belongs to the oversight stratum.
    pub escalate: bool,
    /// `@reason("…")`, a code of 100–199.
    pub reason: Option<ReasonCode>,
    /// `@obligation("a, b")`, sorted, without repeats.
    pub obligations: Vec<Obligation>,
    /// `@severity("…")`.
    pub severity: Option<Severity>,
    /// `@approver("role")`: the role that may approve an escalation.
    pub approver: Option<String>,
    /// `@ttl("5m")`: seconds that an approval of the escalation holds.
    pub ttl_s: Option<u64>,
    /// `@low_risk("yes")`: a permit that makes what it permits explicitly low-risk in paranoid mode.
    pub low_risk: bool,
    /// `@description("…")`: one sentence for people.
    pub description: Option<String>,
}

/// One annotation as it stands in the text.
pub(crate) struct Raw<'a> {
    pub name: &'a str,
    pub value: &'a str,
    pub offset: usize,
}

/// Where faults about annotations of one policy go.
pub(crate) struct Sink<'a> {
    pub at: &'a dyn Fn(usize, String, String) -> Fault,
    pub faults: &'a mut Vec<Fault>,
}

impl Sink<'_> {
    fn push(&mut self, offset: usize, message: impl Into<String>, remedy: impl Into<String>) {
        let mut fault = (self.at)(offset, message.into(), remedy.into());
        fault.code = FaultCode::Annotation;
        self.faults.push(fault);
    }
}

/// Checks the annotations of one policy. `@id` is read by the caller, who needs it first.
pub(crate) fn check(raw: &[Raw<'_>], permit: bool, sink: &mut Sink<'_>) -> Annotations {
    let mut out = Annotations::default();
    let mut offsets: BTreeMap<&str, usize> = BTreeMap::new();
    for annotation in raw {
        offsets.insert(annotation.name, annotation.offset);
        read(annotation, &mut out, sink);
    }
    let at = |name: &str| offsets.get(name).copied();
    if let (Some(offset), false) = (at("outcome"), permit) {
        sink.push(offset, "a forbid cannot escalate", "write the oversight policy as a permit that matches");
    }
    let plain_permit = permit && !out.escalate;
    if let (Some(offset), true) = (at("reason"), plain_permit) {
        sink.push(offset, "a permit needs no reason", "put @reason on the forbid or the oversight policy");
    }
    if let (Some(offset), true) = (at("severity"), plain_permit) {
        sink.push(offset, "a permit has no severity", "put @severity on the forbid or the oversight policy");
    }
    for name in ["approver", "ttl"] {
        if let (Some(offset), false) = (at(name), out.escalate) {
            sink.push(
                offset,
                format!("@{name} stands on a policy that does not escalate"),
                "add @outcome(\"escalate\") or remove it",
            );
        }
    }
    if let (Some(offset), false) = (at("low_risk"), plain_permit) {
        sink.push(offset, "@low_risk stands on a policy that is no plain permit", "remove it");
    }
    out
}

fn read(annotation: &Raw<'_>, out: &mut Annotations, sink: &mut Sink<'_>) {
    let Raw { name, value, offset } = *annotation;
    match name {
        "id" => {}
        "outcome" if value == "escalate" => out.escalate = true,
        "outcome" => sink.push(offset, format!("the outcome {value:?} is not known"), "use escalate"),
        "reason" => match ReasonCode::from_name(value) {
            Some(code) if (100..200).contains(&code.number()) => out.reason = Some(code),
            _ => sink.push(
                offset,
                format!("the reason {value:?} is not one that policies may give"),
                format!("use one of {}", policy_reasons()),
            ),
        },
        "obligation" => read_obligations(value, offset, out, sink),
        "severity" => match severity(value) {
            Some(severity) => out.severity = Some(severity),
            None => {
                sink.push(offset, format!("the severity {value:?} is not known"), "use low, medium, high or critical")
            }
        },
        "approver" => out.approver = Some(value.to_owned()),
        "ttl" => match duration_s(value) {
            Some(seconds) => out.ttl_s = Some(seconds),
            None => sink.push(
                offset,
                format!("the time to live {value:?} is not a duration of 1 second to 30 days"),
                "use a number and s, m, h or d, for example 5m",
            ),
        },
        "low_risk" if value == "yes" => out.low_risk = true,
        "low_risk" => sink.push(offset, format!("@low_risk has the value {value:?}"), "use @low_risk(\"yes\")"),
        "description" if value.trim().is_empty() => {
            sink.push(offset, "the description is empty", "say in a sentence what the policy is for");
        }
        "description" => out.description = Some(value.to_owned()),
        unknown => sink.push(offset, format!("the annotation @{unknown} is not known"), format!("use one of {KNOWN}")),
    }
}

fn read_obligations(value: &str, offset: usize, out: &mut Annotations, sink: &mut Sink<'_>) {
    for name in value.split(',').map(str::trim) {
        match Obligation::from_name(name) {
            Some(obligation) => out.obligations.push(obligation),
            None => {
                let known: Vec<&str> = OBLIGATIONS.iter().map(|known| known.as_str()).collect();
                sink.push(
                    offset,
                    format!("the obligation {name:?} is not known"),
                    format!("use one or more of {}", known.join(", ")),
                );
            }
        }
    }
    out.obligations.sort_by_key(|obligation| obligation.as_str());
    out.obligations.dedup();
}

fn policy_reasons() -> String {
    let names: Vec<&str> =
        ReasonCode::ALL.iter().filter(|code| (100..200).contains(&code.number())).map(|code| code.as_str()).collect();
    names.join(", ")
}

/// The severity with this name.
pub(crate) fn severity(name: &str) -> Option<Severity> {
    match name {
        "low" => Some(Severity::Low),
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        "critical" => Some(Severity::Critical),
        _ => None,
    }
}

/// Seconds of a duration such as `90s`, `5m`, `8h`, `1d`, up to 30 days.
fn duration_s(value: &str) -> Option<u64> {
    let unit = value.chars().next_back()?;
    let number = value.strip_suffix(unit)?;
    if !number.bytes().all(|b| b.is_ascii_digit()) || number.starts_with('0') {
        return None;
    }
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let total = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (total <= 30 * 86_400).then_some(total)
}
