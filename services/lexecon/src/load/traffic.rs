//! What is sent: the lines of a file, or generated traffic of an enterprise whose agents read, write, send, pay and
//! delete, mostly as they should.
//!
//! Under the bundle `enterprise-general` every outcome occurs (a test of the command counts them). A request is a
//! function of seed and number, so it does not matter which connection sends it.

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// Agents and staff of each tenant.
const ACTORS: u64 = 400;
/// Customers of each tenant.
const CUSTOMERS: u64 = 5_000;

/// Where requests come from.
#[derive(Debug)]
pub enum Requests {
    /// One body a line, as they are.
    Lines(Vec<String>),
    /// Made up.
    Generated(Traffic),
}

impl Requests {
    /// The body of a request.
    pub fn body(&self, number: u64) -> String {
        match self {
            Requests::Lines(lines) => {
                usize::try_from(number).ok().and_then(|at| lines.get(at)).cloned().unwrap_or_default()
            }
            Requests::Generated(traffic) => traffic.request(number).to_string(),
        }
    }

    /// The body of a batch.
    pub fn batch(&self, numbers: std::ops::Range<u64>) -> String {
        let mut body = String::from(r#"{"requests":["#);
        for number in numbers.clone() {
            if number > numbers.start {
                body.push(',');
            }
            body.push_str(&self.body(number));
        }
        body.push_str("]}");
        body
    }

    /// Identity of a request, when it has one.
    pub fn id(&self, number: u64) -> Option<String> {
        match self {
            Requests::Lines(_) => {
                let body: Value = serde_json::from_str(&self.body(number)).ok()?;
                body.get("request_id")?.as_str().map(str::to_owned)
            }
            Requests::Generated(traffic) => Some(traffic.id(number)),
        }
    }
}

/// Generated traffic.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Same seed, same requests, same ids.
    pub seed: u64,
    /// Tenants that send; they must exist.
    pub tenants: Vec<String>,
}

/// What an agent or a person is about, and how often: the weights add up to 100.
#[derive(Clone, Copy)]
enum Errand {
    ReadInternal,
    ReadPublic,
    ReadCustomer,
    WriteInternal,
    SendInside,
    MailCustomer,
    PaySmall,
    PayMedium,
    PayHuge,
    ApprovePayment,
    DeleteFile,
    ScreenApplicants,
    ObeyContent,
    Overreach,
}

const ERRANDS: &[(Errand, u32)] = &[
    (Errand::ReadInternal, 26),
    (Errand::ReadPublic, 10),
    (Errand::ReadCustomer, 12),
    (Errand::WriteInternal, 9),
    (Errand::SendInside, 9),
    (Errand::MailCustomer, 7),
    (Errand::PaySmall, 8),
    (Errand::PayMedium, 4),
    (Errand::PayHuge, 1),
    (Errand::ApprovePayment, 3),
    (Errand::DeleteFile, 3),
    (Errand::ScreenApplicants, 2),
    (Errand::ObeyContent, 3),
    (Errand::Overreach, 3),
];

impl Traffic {
    fn id(&self, number: u64) -> String {
        format!("load-{:016x}-{number}", self.seed)
    }

    fn request(&self, number: u64) -> Value {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        let mut draw = Draw { rng };
        let tenant = usize::try_from(draw.below(self.tenants.len() as u64)).ok().and_then(|at| self.tenants.get(at));
        let mut body = draw.errand().request(&mut draw);
        body.insert("request_id".into(), self.id(number).into());
        body.insert("tenant".into(), tenant.map_or("default", String::as_str).into());
        Value::Object(body)
    }
}

struct Draw {
    rng: ChaCha8Rng,
}

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.rng.random_range(0..limit) }
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.next_u32() % 100 < percent
    }

    /// A few are busy and most are not: the square of an even draw.
    fn skewed(&mut self, limit: u64) -> u64 {
        let drawn = self.below(limit);
        drawn * drawn / limit.max(1)
    }

    fn errand(&mut self) -> Errand {
        let mut left = u32::try_from(self.below(100)).unwrap_or(0);
        for (errand, weight) in ERRANDS {
            if left < *weight {
                return *errand;
            }
            left -= weight;
        }
        Errand::ReadInternal
    }

    fn agent(&mut self, trade: &str, role: &str) -> Value {
        let id = format!("agent-{trade}-{}", self.skewed(ACTORS));
        let mut agent = json!({"id": id, "kind": "agent", "model": "example-model-1", "roles": [role]});
        if self.chance(20)
            && let Some(agent) = agent.as_object_mut()
        {
            let staff = format!("staff-{}", self.skewed(ACTORS));
            agent.insert("on_behalf_of".into(), json!({"id": staff, "kind": "person", "delegation_depth": 1}));
        }
        agent
    }

    fn person(&mut self, role: &str) -> Value {
        json!({"id": format!("staff-{}", self.skewed(ACTORS)), "kind": "person", "roles": [role]})
    }

    fn customer(&mut self) -> Value {
        let number = self.skewed(CUSTOMERS);
        json!([{
            "id_type": "customer", "id": format!("customer-{number}"), "role": "customer",
            "fields": {"email": format!("customer-{number}@example.org"), "name": format!("Customer {number}")}
        }])
    }

    fn recipient(&mut self) -> Value {
        let number = self.skewed(CUSTOMERS);
        json!([{"id_type": "email", "id": format!("customer-{number}@example.org"), "role": "recipient"}])
    }

    /// Mostly sure, now and then not.
    fn confidence(&mut self) -> i64 {
        match self.below(100) {
            0..2 => self.between(10, 39),
            2..6 => self.between(40, 69),
            _ => self.between(70, 99),
        }
    }

    fn payment(&mut self, actor: Value, action: &str, low: i64, high: i64) -> Value {
        json!({
            "actor": actor, "action": action, "tool": "banking", "data_classes": ["financial"], "risk_class": "limited",
            "resource": {"kind": "account", "id": format!("account-{}", self.below(50))},
            "amount": {"minor_units": self.between(low, high), "currency": "EUR"}, "purpose": "invoice",
            "risk": {"score": self.between(5, 50)}, "confidence_percent": self.between(75, 99),
            "context": {"recipient_known": true, "same_person_as_requester": false},
            "subjects": [{"id_type": "other", "id": format!("payee-{}", self.skewed(CUSTOMERS)), "role": "payee"}]
        })
    }
}

impl Errand {
    fn request(self, draw: &mut Draw) -> Map<String, Value> {
        let body = match self {
            Errand::ReadInternal => json!({
                "actor": draw.agent("office", "assistant"), "action": "search_files", "tool": "drive",
                "data_classes": ["internal"], "risk_class": "minimal", "confidence_percent": draw.confidence(),
                "intent": "Find the documents that a task needs"
            }),
            Errand::ReadPublic => json!({
                "actor": draw.agent("research", "assistant"), "action": "get_webpage", "tool": "browser",
                "resource": {"kind": "web-page", "id": format!("page-{}", draw.below(10_000))},
                "data_classes": ["public"], "risk_class": "minimal"
            }),
            Errand::ReadCustomer => json!({
                "actor": draw.agent("support", "support"), "action": "read_record", "tool": "crm",
                "data_classes": ["personal"], "risk_class": "limited", "purpose": "support", "legal_basis": "contract",
                "risk": {"dimensions": {
                    "security": draw.between(0, 40), "privacy": draw.between(10, 60), "compliance": draw.between(0, 40),
                    "operational": draw.between(0, 40), "reputational": draw.between(0, 40), "financial": 0
                }},
                "subjects": draw.customer()
            }),
            Errand::WriteInternal => json!({
                "actor": draw.agent("office", "assistant"), "action": "append_to_file", "tool": "drive",
                "resource": {"kind": "file", "id": format!("file-{}", draw.below(2_000))},
                "data_classes": ["internal"], "risk_class": "minimal", "confidence_percent": draw.confidence()
            }),
            Errand::SendInside => json!({
                "actor": draw.person("employee"), "action": "send_email", "tool": "mail",
                "data_classes": ["internal"], "risk_class": "minimal",
                "context": {"recipient_external": false, "recipient_count": draw.between(1, 12)}
            }),
            Errand::MailCustomer => json!({
                "actor": draw.agent("mail", "assistant"), "action": "send_email", "tool": "mail",
                "data_classes": ["personal"], "risk_class": "limited", "purpose": "delivery", "legal_basis": "contract",
                "confidence_percent": draw.confidence(), "context": {"recipient_external": true, "recipient_count": 1},
                "subjects": draw.recipient()
            }),
            Errand::PaySmall => {
                let agent = draw.agent("bank", "assistant");
                draw.payment(agent, "send_money", 500, 25_000)
            }
            Errand::PayMedium => {
                let agent = draw.agent("bank", "assistant");
                draw.payment(agent, "schedule_transaction", 25_001, 100_000)
            }
            Errand::PayHuge => {
                let agent = draw.agent("bank", "assistant");
                draw.payment(agent, "send_money", 10_000_001, 90_000_000)
            }
            Errand::ApprovePayment => {
                let person = draw.person("finance-approver");
                draw.payment(person, "approve_payment", 100_001, 5_000_000)
            }
            Errand::DeleteFile => json!({
                "actor": draw.agent("office", "assistant"), "action": "delete_file", "tool": "drive",
                "resource": {"kind": "file", "id": format!("file-{}", draw.below(2_000))},
                "data_classes": ["internal"], "risk_class": "minimal"
            }),
            Errand::ScreenApplicants => json!({
                "actor": draw.agent("recruiting", "human-resources"), "action": "read_record", "tool": "recruiting",
                "data_classes": ["personal"], "risk_class": "high", "purpose": "recruiting", "legal_basis": "consent",
                "subjects": (0..draw.below(4) + 1)
                    .map(|n| json!({"id_type": "other", "id": format!("applicant-{}-{n}", draw.below(CUSTOMERS)), "role": "applicant"}))
                    .collect::<Vec<_>>()
            }),
            Errand::ObeyContent => json!({
                "actor": draw.agent("mail", "assistant"), "action": "send_email", "tool": "mail",
                "data_classes": ["internal"], "risk_class": "limited",
                "context": {"recipient_external": true, "recipient_count": 1, "instruction_from_content": true},
                "subjects": draw.recipient()
            }),
            Errand::Overreach => json!({
                "actor": draw.agent("intern", "contractor"), "action": "update_record", "tool": "crm",
                "data_classes": ["internal"], "risk_class": "minimal"
            }),
        };
        match body {
            Value::Object(body) => body,
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn traffic(seed: u64) -> Requests {
        Requests::Generated(Traffic { seed, tenants: vec!["default".into(), "acme".into()] })
    }

    #[test]
    fn a_request_is_a_function_of_seed_and_number() {
        let bodies = |seed| (0..500).map(|n| traffic(seed).body(n)).collect::<Vec<_>>();
        assert_eq!(bodies(1), bodies(1));
        let different: BTreeSet<_> = bodies(1).into_iter().chain(bodies(2)).collect();
        assert_eq!(different.len(), 1000);
    }

    #[test]
    fn traffic_is_mixed() {
        assert_eq!(ERRANDS.iter().map(|(_, weight)| weight).sum::<u32>(), 100);
        let bodies: Vec<Value> = (0..2000).map(|n| serde_json::from_str(&traffic(7).body(n)).unwrap()).collect();
        let distinct = |pointer: &str| {
            bodies.iter().filter_map(|b| b.pointer(pointer)).map(Value::to_string).collect::<BTreeSet<_>>()
        };
        assert_eq!(distinct("/tenant").len(), 2);
        assert!(
            distinct("/actor/id").len() > 300 && distinct("/action").len() >= 9 && distinct("/actor/kind").len() == 2
        );
        let with_subjects = bodies.iter().filter(|b| b.pointer("/subjects/0").is_some()).count();
        assert!((600..1200).contains(&with_subjects), "{with_subjects}");
    }

    #[test]
    fn batches_and_lines_keep_their_order() {
        let lines = Requests::Lines(vec![r#"{"request_id":"a"}"#.into(), r#"{"request_id":"b"}"#.into(), "{".into()]);
        assert_eq!(lines.batch(0..2), r#"{"requests":[{"request_id":"a"},{"request_id":"b"}]}"#);
        assert_eq!(lines.batch(1..2), r#"{"requests":[{"request_id":"b"}]}"#);
        assert_eq!([lines.id(0), lines.id(2)], [Some("a".into()), None]);
        assert_eq!(traffic(3).id(4), Some("load-0000000000000003-4".into()));
    }
}
