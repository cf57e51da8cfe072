//! Input of a small deployment: a bundle with all three outcomes, a tenant, requests with and without subjects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::decide::Terms;
use domain::ids::{Action, ActorId, RequestId, SubjectId, Tenant, Word};
use domain::request::{Actor, ActorKind, IdType, Request, RiskClass, Subject};
use domain::routing::Routing;
use engine::keys::Secrets;
use engine::owner::{Bundles, Context, Limits};
use eventlog::{NewRecord, Topic};
use ledger::{ChainId, LedgerId};
use policy::BundleSource;

/// When everything begins, microseconds since 1970-01-01 UTC.
pub const START_US: i64 = 1_790_000_000_000_000;

/// What all owners of the deployment share. `seed` fixes its keys.
pub fn context(seed: u64, partitions: u32, limits: Limits) -> Arc<Context> {
    Arc::new(Context {
        secrets: Arc::new(Secrets::in_memory(seed)),
        requests: Arc::new(wire::RequestReader::with_builtin(wire::Limits::default()).unwrap()),
        terms: Terms::default(),
        routing: Routing::Actor,
        partitions,
        topic_id: Box::new(|_, _| [9; 16]),
        limits,
        bundles: Bundles::default(),
    })
}

/// The chain of a partition.
pub fn chain(partition: u32) -> ChainId {
    ChainId { ledger_id: LedgerId([7; 16]), partition, chain_epoch: 0 }
}

/// A small bundle with all three outcomes.
fn bundle() -> BundleSource {
    let files = [
        (
            "manifest.toml",
            "format = 1\nname = \"simulation\"\nversion = \"1.0.0\"\ndescription = \"all three outcomes\"\nmode = \"strict\"\nschema = \"schema.cedarschema\"\n\
             policies = [\"policies.cedar\"]\nroles = []\ndata_classes = []\n",
        ),
        (
            "schema.cedarschema",
            "type TenantFacts = {};\naction read, write, pay appliesTo { principal: [User, Agent, Model, AiSystem], resource: [Resource], context: RequestContext };\n",
        ),
        (
            "policies.cedar",
            "@id(\"readers\")\npermit (principal, action == Action::\"read\", resource);\n\
             @id(\"payers\")\npermit (principal, action == Action::\"pay\", resource);\n\
             @id(\"look-at-payments\")\n@outcome(\"escalate\")\n@severity(\"high\")\npermit (principal, action == Action::\"pay\", resource);\n",
        ),
    ];
    BundleSource { files: files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect() }
}

/// The records that make the deployment ready: the bundle in chunks of `chunk_bytes` and its activation, and in each
/// partition the tenant.
pub fn beginning(partitions: u32, chunk_bytes: usize) -> Vec<NewRecord> {
    let bundle = policy::Bundle::parse(&bundle()).unwrap();
    let bundle_hash = bundle.hash().0;
    let text = bundle.encode();
    let chunks = u32::try_from(text.chunks(chunk_bytes).count()).unwrap();
    let publish = (0u32..).zip(text.chunks(chunk_bytes)).map(|(chunk_no, bytes)| wire::PolicyRecord::Publish {
        command_id: [1; 16],
        bundle_hash,
        chunk_no,
        chunks,
        bytes: bytes.into(),
        by: "sim".into(),
    });
    let activate = wire::PolicyRecord::Activate { command_id: [2; 16], bundle_hash, by: "sim".into() };
    let policies = publish
        .chain([activate])
        .map(|record| NewRecord::new(Topic::Policies, 0, Vec::new(), record.encode().unwrap()));
    let tenants = (0..partitions).map(|partition| {
        let tenant = Tenant::new("default").unwrap();
        let record = wire::CommandRecord::CreateTenant { command_id: [3; 16], tenant, by: "sim".into() };
        NewRecord::new(Topic::Commands, partition, Vec::new(), record.encode().unwrap())
    });
    policies.chain(tenants).collect()
}

/// Request `number` of an actor. Another variant is another body under the same id; every second number names a data
/// subject, every third comes from a person, and the three actions come in turn.
pub fn request(actor: &str, number: u32, variant: u32) -> Request {
    let subject = Subject {
        id_type: IdType::Email,
        id: SubjectId::new(format!("person{}@example.org", number % 5)).unwrap(),
        role: Word::new("recipient").unwrap(),
        fields: BTreeMap::from([(Word::new("name").unwrap(), format!("Person {number}"))]),
    };
    Request {
        tenant: Tenant::new("default").unwrap(),
        request_id: RequestId::new(format!("r-{number}")).unwrap(),
        actor: Actor {
            id: ActorId::new(actor).unwrap(),
            kind: if number.is_multiple_of(3) { ActorKind::Person } else { ActorKind::Agent },
            model: None,
            roles: BTreeSet::new(),
            on_behalf_of: None,
        },
        action: Action::new(["read", "write", "pay"][(number % 3) as usize]).unwrap(),
        tool: None,
        resource: None,
        intent: Some(format!("variant {variant}")),
        data_classes: BTreeSet::new(),
        practice: None,
        risk_class: RiskClass::Minimal,
        risk: None,
        confidence_percent: None,
        amount: None,
        purpose: None,
        legal_basis: None,
        approval: None,
        context: BTreeMap::new(),
        subjects: if number.is_multiple_of(2) { vec![subject] } else { Vec::new() },
        occurred_at_us: START_US,
    }
}

/// How a request is recognised in the ledger.
pub fn identity(ctx: &Context, request: &Request) -> domain::command::Identity {
    let routing = domain::routing::RoutingKey::of(&request.tenant, &request.actor.id, ctx.routing);
    let bytes = wire::encode_request(request).unwrap();
    engine::owner::identify(&ctx.secrets.index_key(&request.tenant), &routing, request, &bytes).unwrap()
}
