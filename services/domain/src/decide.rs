//! From a command to what is recorded for it. Total: a refusal is an event, and there is no other kind of failure
//! than having forgotten to fetch a key, which stops the owner instead of deciding wrongly.
//!
//! Order of the checks of a request: recognised before (a repeat or a conflict) → in its partition → tenant →
//! subjects → fields → time → policy. Recognition comes first, so that a repeat of a refused request gets the
//! refusal's bytes even when it would be accepted by now.

use crate::command::{Command, Identity, Placement, Proposal, Refusal};
use crate::event::{Answer, AnswerKind, Event, RetentionClass};
use crate::ids::{BundleHash, CommandId, Micros};
use crate::request::{Request, RiskClass};
use crate::state::{Key, NotFetched, ReadSet, Record, State};
use policy::{Mode, PolicySet, ReasonCode};

/// Limits of `decide` that an operator may set; part of a partition's configuration, the same on every processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long an id is remembered, and how old a request may be. Microseconds.
    pub dedup_retention_us: Micros,
    /// How far ahead of the recorded time a request may claim to have occurred. Microseconds.
    pub future_max_us: Micros,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { dedup_retention_us: 7 * 24 * 3600 * 1_000_000, future_max_us: 5 * 60 * 1_000_000 }
    }
}

impl Terms {
    /// How long an id stays in the state, counted from the recorded time of its event. A request that is just young
    /// enough when it is recorded may be repeated for as long as it is accepted, and its own time may lie ahead.
    pub fn remembered_us(&self) -> Micros {
        self.dedup_retention_us.saturating_add(self.future_max_us)
    }
}

/// What comes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is recorded.
    Record(Event),
    /// It was answered before, by the event at this place in the ledger; nothing is recorded.
    Repeat {
        /// That event.
        seq: u64,
    },
}

/// The keys that [`decide`] reads for a command.
pub fn reads(command: &Command) -> ReadSet {
    match command {
        Command::Decide(proposal) => vec![
            Key::Request(proposal.identity.key),
            Key::Conflict(proposal.identity.key, proposal.identity.mac),
            Key::Tenant(proposal.request.tenant.clone()),
            Key::ActivePolicy,
        ],
        Command::Refuse(_) => vec![Key::ActivePolicy],
        Command::PublishPolicy { bundle_hash, .. } => vec![Key::PolicyProgress(*bundle_hash)],
        Command::ActivatePolicy { command_id, bundle_hash, .. } => {
            vec![Key::Command(*command_id), Key::PolicyProgress(*bundle_hash)]
        }
        Command::CreateTenant { command_id, tenant } => vec![Key::Command(*command_id), Key::Tenant(tenant.clone())],
        Command::MarkDeadLetter { command_id, position, .. } => {
            vec![Key::Command(*command_id), Key::DeadLetter(*position)]
        }
        Command::Unreadable { .. } => Vec::new(),
    }
}

/// Decides one command. `policies` is the compiled bundle that is in force, if any.
///
/// # Errors
/// [`NotFetched`] when `state` lacks one of the keys of [`reads`].
pub fn decide(
    terms: &Terms,
    state: &State,
    policies: Option<&PolicySet>,
    command: &Command,
    recorded_at_us: Micros,
) -> Result<Decision, NotFetched> {
    match command {
        Command::Decide(proposal) => decide_request(terms, state, policies, proposal, recorded_at_us),
        Command::Refuse(refusal) => Ok(refuse_unread(policies, refusal)),
        Command::PublishPolicy { bundle_hash, chunk_no, chunks, bytes } => {
            publish_policy(state, bundle_hash, *chunk_no, *chunks, bytes)
        }
        Command::ActivatePolicy { command_id, bundle_hash, mode } => {
            activate_policy(state, *command_id, bundle_hash, mode)
        }
        Command::CreateTenant { command_id, tenant } => {
            if let Some(repeat) = repeated_command(state, command_id)? {
                return Ok(repeat);
            }
            Ok(match state.get(&Key::Tenant(tenant.clone()))? {
                Some(_) => refuse_command(*command_id, format!("tenant {tenant} exists already")),
                None => Decision::Record(Event::TenantCreated { command_id: *command_id, tenant: tenant.clone() }),
            })
        }
        Command::MarkDeadLetter { command_id, position, mark } => {
            if let Some(repeat) = repeated_command(state, command_id)? {
                return Ok(repeat);
            }
            Ok(match state.get(&Key::DeadLetter(*position))? {
                Some(_) => refuse_command(*command_id, format!("dead letter {position} was dealt with already")),
                None => Decision::Record(Event::DeadLetterMarked {
                    command_id: *command_id,
                    position: *position,
                    mark: *mark,
                }),
            })
        }
        Command::Unreadable { detail } => Ok(refuse_command([0; 16], detail.clone())),
    }
}

fn decide_request(
    terms: &Terms,
    state: &State,
    policies: Option<&PolicySet>,
    proposal: &Proposal,
    recorded_at_us: Micros,
) -> Result<Decision, NotFetched> {
    let Identity { key, mac } = proposal.identity;
    let known = answered(state, &Key::Request(key))?;
    if let Some(known) = known
        && known.1 == mac
    {
        return Ok(Decision::Repeat { seq: known.0 });
    }
    if let Some((seq, _)) = answered(state, &Key::Conflict(key, mac))? {
        return Ok(Decision::Repeat { seq });
    }
    let refuse = |kind, reason, detail: String| Ok(Decision::Record(refusal(policies, proposal, kind, reason, detail)));
    // A request in the wrong partition is forwarded before anything is said about its body: only the right one knows.
    match proposal.placement {
        Placement::Right => {}
        Placement::Elsewhere { partition } => {
            return refuse(
                AnswerKind::Rerouted { partition },
                ReasonCode::Rerouted,
                format!("forwarded to partition {partition}"),
            );
        }
        Placement::ElsewhereAgain => {
            return refuse(
                AnswerKind::Rejected,
                ReasonCode::Misrouted,
                "it was forwarded once already; do all processors have the same routing and number of partitions?"
                    .into(),
            );
        }
    }
    if known.is_some() {
        return refuse(AnswerKind::Conflicted, ReasonCode::Conflict, "use a new request_id for a new body".into());
    }
    if state.get(&Key::Tenant(proposal.request.tenant.clone()))?.is_none() {
        let detail = format!("tenant: {} is not known; create it first", proposal.request.tenant);
        return refuse(AnswerKind::Rejected, ReasonCode::UnknownTenant, detail);
    }
    if proposal.subject_erasing {
        let detail = "subjects: one of them is being erased; submit again when that has ended".into();
        return refuse(AnswerKind::Rejected, ReasonCode::SubjectErasing, detail);
    }
    if let Err(faults) = proposal.request.validate() {
        let detail =
            faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect::<Vec<_>>().join("; ");
        return refuse(AnswerKind::Rejected, ReasonCode::Invalid, detail);
    }
    if let Some((reason, detail)) = untimely(terms, &proposal.request, recorded_at_us) {
        return refuse(AnswerKind::Rejected, reason, detail);
    }
    let Some(policies) = policies else {
        return refuse(AnswerKind::Rejected, ReasonCode::NoPolicy, "publish and activate a policy bundle first".into());
    };
    // INVARIANT: `approval` is never taken at its word. No event of this format approves anything yet, so none counts.
    let approved = false;
    let facts = proposal.request.facts(recorded_at_us, approved);
    let verdict = policies.evaluate(&facts);
    Ok(Decision::Record(Event::Answer(Box::new(Answer {
        kind: AnswerKind::Decided,
        identity: proposal.identity,
        outcome: Some(verdict.outcome),
        reason: verdict.reason,
        policies: verdict.policies,
        obligations: verdict.obligations,
        severity: verdict.severity,
        explanation: verdict.explanation,
        detail: String::new(),
        bundle_hash: policies.hash().0,
        mode: policies.mode(),
        retention_class: retention_class(&proposal.request),
        risk_score: facts.risk_score,
        request: Some(proposal.request.clone()),
    }))))
}

/// Records of high-risk and not classified systems are kept longer than ordinary ones.
fn retention_class(request: &Request) -> RetentionClass {
    match request.risk_class {
        RiskClass::High | RiskClass::Unacceptable => RetentionClass::HighRisk,
        RiskClass::Minimal | RiskClass::Limited | RiskClass::Unknown => RetentionClass::Ordinary,
    }
}

fn untimely(terms: &Terms, request: &Request, recorded_at_us: Micros) -> Option<(ReasonCode, String)> {
    if request.occurred_at_us < recorded_at_us.saturating_sub(terms.dedup_retention_us) {
        let days = terms.dedup_retention_us / (24 * 3600 * 1_000_000);
        return Some((
            ReasonCode::TooOld,
            format!("occurred_at: older than {days} days, for which ids are remembered"),
        ));
    }
    if request.occurred_at_us > recorded_at_us.saturating_add(terms.future_max_us) {
        let seconds = terms.future_max_us / 1_000_000;
        return Some((
            ReasonCode::FromTheFuture,
            format!("occurred_at: more than {seconds} s ahead; check the producer's clock"),
        ));
    }
    None
}

fn answered(state: &State, key: &Key) -> Result<Option<(u64, [u8; 32])>, NotFetched> {
    Ok(match state.get(key)? {
        Some(Record::Answered(answered)) => Some((answered.seq, answered.mac)),
        _ => None,
    })
}

fn in_force(policies: Option<&PolicySet>) -> (BundleHash, Mode) {
    policies.map_or(([0; 32], Mode::Strict), |policies| (policies.hash().0, policies.mode()))
}

fn refusal(
    policies: Option<&PolicySet>,
    proposal: &Proposal,
    kind: AnswerKind,
    reason: ReasonCode,
    detail: String,
) -> Event {
    let (bundle_hash, mode) = in_force(policies);
    Event::Answer(Box::new(Answer {
        kind,
        identity: proposal.identity,
        request: Some(proposal.request.clone()),
        outcome: None,
        reason,
        policies: Vec::new(),
        obligations: Vec::new(),
        severity: None,
        explanation: reason.meaning().to_owned(),
        detail,
        bundle_hash,
        mode,
        retention_class: RetentionClass::Ordinary,
        risk_score: None,
    }))
}

fn refuse_unread(policies: Option<&PolicySet>, refusal: &Refusal) -> Decision {
    let (bundle_hash, mode) = in_force(policies);
    Decision::Record(Event::Answer(Box::new(Answer {
        kind: AnswerKind::Rejected,
        identity: Identity::UNKNOWN,
        request: None,
        outcome: None,
        reason: refusal.reason,
        policies: Vec::new(),
        obligations: Vec::new(),
        severity: None,
        explanation: refusal.reason.meaning().to_owned(),
        detail: refusal.detail.clone(),
        bundle_hash,
        mode,
        retention_class: RetentionClass::Ordinary,
        risk_score: None,
    })))
}

fn repeated_command(state: &State, command_id: &CommandId) -> Result<Option<Decision>, NotFetched> {
    Ok(match state.get(&Key::Command(*command_id))? {
        Some(Record::Command { seq }) => Some(Decision::Repeat { seq: *seq }),
        _ => None,
    })
}

fn refuse_command(command_id: CommandId, detail: String) -> Decision {
    Decision::Record(Event::CommandRefused { command_id, reason: ReasonCode::Invalid, detail })
}

/// Takes a chunk only in its turn: a bundle is whole when its last chunk is, and a chunk that is there is not taken twice.
fn publish_policy(
    state: &State,
    bundle_hash: &BundleHash,
    chunk_no: u32,
    chunks: u32,
    bytes: &[u8],
) -> Result<Decision, NotFetched> {
    let (have, of) = match state.get(&Key::PolicyProgress(*bundle_hash))? {
        Some(Record::PolicyProgress { chunks, have }) => (*have, *chunks),
        _ => (0, chunks),
    };
    if of != chunks || chunk_no >= chunks {
        return Ok(refuse_command(
            [0; 16],
            format!("chunk {chunk_no} of {chunks} does not belong to a bundle of {of} chunks"),
        ));
    }
    if chunk_no > have {
        return Ok(refuse_command([0; 16], format!("chunk {chunk_no} came before chunk {have}; send them in order")));
    }
    if chunk_no < have {
        return Ok(Decision::Repeat { seq: 0 });
    }
    Ok(Decision::Record(Event::PolicyPublished { bundle_hash: *bundle_hash, chunk_no, chunks, bytes: bytes.to_vec() }))
}

fn activate_policy(
    state: &State,
    command_id: CommandId,
    bundle_hash: &BundleHash,
    mode: &Result<Mode, String>,
) -> Result<Decision, NotFetched> {
    if let Some(repeat) = repeated_command(state, &command_id)? {
        return Ok(repeat);
    }
    let whole = matches!(
        state.get(&Key::PolicyProgress(*bundle_hash))?,
        Some(Record::PolicyProgress { chunks, have }) if chunks == have
    );
    Ok(match mode {
        _ if !whole => refuse_command(command_id, "the bundle is not in this partition's log; publish it first".into()),
        Err(why) => refuse_command(command_id, why.clone()),
        Ok(mode) => Decision::Record(Event::PolicyActivated { command_id, bundle_hash: *bundle_hash, mode: *mode }),
    })
}
