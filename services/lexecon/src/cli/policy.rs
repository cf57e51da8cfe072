//! `policy check | test | explain`: work on a bundle in a directory. Nothing running is needed and nothing is changed.

use std::collections::BTreeMap;
use std::path::Path;

use policy::{Bundle, Explanation, Fault, PolicyTrace, TestReport, Verdict, run_tests};
use serde_json::{Value, json};

use super::arguments::{Explain, Policy};
use super::failure::Failure;
use super::input;
use super::output::Output;
use crate::bundles;
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// The directory or the request cannot be read. A faulty bundle is no error here but an answer, with exit code 1.
pub fn run(command: &Policy, output: &mut Output<'_>) -> Result<Exit, Failure> {
    match command {
        Policy::Check(args) => match parse(&args.directory)? {
            Ok(bundle) => checked(&args.directory, &bundle, output),
            Err(faults) => refused(&args.directory, &faults, output),
        },
        Policy::Test(args) => match parse(&args.directory)? {
            Ok(bundle) => tested(&bundle, &run_tests(&bundle), output),
            Err(faults) => refused(&args.directory, &faults, output),
        },
        Policy::Explain(args) => match parse(&args.directory)? {
            Ok(bundle) => explained(args, &bundle, output),
            Err(faults) => refused(&args.directory, &faults, output),
        },
    }
}

fn parse(directory: &Path) -> Result<Result<Bundle, Vec<Fault>>, Failure> {
    let source = bundles::read(directory).map_err(|error| Failure::new(Exit::Usage, "file", error.to_string()))?;
    Ok(Bundle::parse(&source))
}

fn refused(directory: &Path, faults: &[Fault], output: &mut Output<'_>) -> Result<Exit, Failure> {
    if output.json {
        let faults: Vec<_> = faults
            .iter()
            .map(|f| {
                json!({
                    "file": f.file, "line": f.line, "column": f.column,
                    "code": f.code.as_str(), "message": f.message, "remedy": f.remedy
                })
            })
            .collect();
        output.object(&json!({"valid": false, "faults": faults}))?;
    } else {
        for fault in faults {
            output.line(directory.join(fault.to_string()).display().to_string())?;
        }
        output.line(format!("refused: {} faults", faults.len()))?;
    }
    Ok(Exit::Failure)
}

fn described(bundle: &Bundle) -> Value {
    json!({
        "name": bundle.name(), "version": bundle.version(), "mode": mode(bundle.mode()), "hash": bundle.hash().to_string(),
        "policies": bundle.policies().len(), "actions": bundle.actions().count(), "tests": bundle.tests().len()
    })
}

/// As manifests write it.
fn mode(mode: policy::Mode) -> &'static str {
    match mode {
        policy::Mode::Strict => "strict",
        policy::Mode::Permissive => "permissive",
        policy::Mode::Paranoid => "paranoid",
    }
}

fn checked(directory: &Path, bundle: &Bundle, output: &mut Output<'_>) -> Result<Exit, Failure> {
    if output.json {
        output.object(&json!({"valid": true, "bundle": described(bundle)}))?;
    } else {
        output.line(format!("{}: valid", directory.display()))?;
        output.line(format!("{} {}, {}", bundle.name(), bundle.version(), mode(bundle.mode())))?;
        let counts = (bundle.policies().len(), bundle.actions().count(), bundle.tests().len());
        output.line(format!("{} policies, {} actions, {} tests", counts.0, counts.1, counts.2))?;
        output.line(format!("hash {}", bundle.hash()))?;
    }
    Ok(Exit::Ok)
}

fn tested(bundle: &Bundle, report: &TestReport, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let failed = report.results.iter().filter(|result| !result.passed()).count();
    let outcomes: BTreeMap<_, _> = report.outcomes.iter().map(|(outcome, n)| (outcome.as_str(), n)).collect();
    if output.json {
        let failures: Vec<_> = report
            .results
            .iter()
            .filter(|result| !result.passed())
            .map(|r| json!({"name": r.name, "file": r.file, "line": r.line, "differences": r.differences}))
            .collect();
        output.object(&json!({
            "passed": report.passed(), "bundle": described(bundle), "tests": report.results.len(), "failed": failed,
            "failures": failures, "outcomes": outcomes, "uncovered": report.uncovered
        }))?;
    } else {
        for result in report.results.iter().filter(|result| !result.passed()) {
            output.line(format!("{}:{}: {}", result.file, result.line, result.name))?;
            for difference in &result.differences {
                output.line(format!("    {difference}"))?;
            }
        }
        for id in &report.uncovered {
            output.line(format!("no test exercises {id}"))?;
        }
        let outcomes: Vec<_> = outcomes.iter().map(|(outcome, n)| format!("{n} {outcome}")).collect();
        let passed = report.results.len() - failed;
        output.line(format!("{passed} passed, {failed} failed ({})", outcomes.join(", ")))?;
    }
    Ok(if report.passed() { Exit::Ok } else { Exit::Failure })
}

fn explained(args: &Explain, bundle: &Bundle, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let now = jiff::Timestamp::now().as_microsecond();
    let request = input::request(&args.request, now)?;
    // An approval counts only when it names an event of a ledger, and there is none here.
    let facts = request.facts(now, false);
    let explanation = bundle.compile().explain(&facts);
    if output.json {
        output.object(&explanation_value(&explanation))?;
        return Ok(Exit::Ok);
    }
    let verdict = &explanation.verdict;
    output.line(format!("{}: {}", verdict.outcome.as_str(), verdict.reason.as_str()))?;
    output.line(&verdict.explanation)?;
    if !verdict.obligations.is_empty() {
        output.line(format!("obligations: {}", verdict.obligations.join(", ")))?;
    }
    if !explanation.action_declared {
        output.line("the bundle does not declare this action for this kind of actor")?;
    }
    output.line(format!(
        "considered {} and {} of {} policies; facts seen: {}",
        explanation.first_stratum,
        explanation.oversight_stratum,
        explanation.policies_total,
        explanation.facts_seen.join(", ")
    ))?;
    let mut rows = vec![["POLICY", "PART", "MATCHED", "DETERMINING"].map(String::from).to_vec()];
    for trace in explanation.policies.iter().filter(|trace| trace.considered) {
        let determining = if trace.determining { "yes" } else { "" };
        rows.push(vec![trace.id.clone(), trace.part.as_str().into(), matched(trace).into(), determining.into()]);
    }
    output.table(&rows)?;
    Ok(Exit::Ok)
}

fn matched(trace: &PolicyTrace) -> &'static str {
    match (trace.failed, trace.satisfied) {
        (true, _) => "failed",
        (false, Some(true)) => "yes",
        (false, Some(false)) => "no",
        (false, None) => "",
    }
}

fn verdict_value(verdict: &Verdict) -> Value {
    json!({
        "outcome": verdict.outcome.as_str(), "reason_code": verdict.reason.as_str(), "policies": verdict.policies,
        "obligations": verdict.obligations, "explanation": verdict.explanation,
        "severity": verdict.severity.map(|severity| format!("{severity:?}").to_lowercase())
    })
}

fn explanation_value(explanation: &Explanation) -> Value {
    let policies: Vec<_> = explanation
        .policies
        .iter()
        .map(|trace| {
            json!({
                "id": trace.id, "part": trace.part.as_str(), "considered": trace.considered,
                "satisfied": trace.satisfied, "failed": trace.failed, "determining": trace.determining
            })
        })
        .collect();
    json!({
        "verdict": verdict_value(&explanation.verdict), "bundle_hash": explanation.bundle.to_string(),
        "evaluator_version": explanation.evaluator_version, "mode": mode(explanation.mode),
        "action_declared": explanation.action_declared, "policies_total": explanation.policies_total,
        "first_stratum": explanation.first_stratum, "oversight_stratum": explanation.oversight_stratum,
        "facts_seen": explanation.facts_seen, "policies": policies
    })
}
