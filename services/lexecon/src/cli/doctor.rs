//! `doctor`: looks at the environment that `serve` would meet, and says of each part ok, warn or fail, with a remedy.
//!
//! Invariant: it changes nothing, not even a data directory that is missing, and may be run beside a running system.

mod directory;
mod machine;

use serde_json::json;

use super::arguments::Doctor;
use super::failure::Failure;
use super::output::Output;
use super::reach;
use crate::config::{Flags, Settings};
use crate::exit::Exit;

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and something is to be known.
    Warn,
    /// It will not work.
    Fail,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    name: &'static str,
    state: State,
    detail: String,
    remedy: String,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Finding {
        Finding { name, state: State::Ok, detail: detail.into(), remedy: String::new() }
    }

    fn warn(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { name, state: State::Warn, detail: detail.into(), remedy: remedy.into() }
    }

    fn fail(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { name, state: State::Fail, detail: detail.into(), remedy: remedy.into() }
    }
}

/// Runs the command. Exit code 0 when nothing fails; warnings do not count.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Doctor, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let mut findings = vec![versions()];
    let flags = Flags { data: args.serve.data.clone(), listen: args.serve.listen, policy: args.serve.policy.clone() };
    let settings = match reach::settings(args.serve.config.as_deref(), flags.clone()) {
        Ok(settings) => {
            findings.push(Finding::ok("configuration", "valid"));
            settings
        }
        Err(failure) => {
            findings.push(Finding::fail(
                "configuration",
                failure.message,
                "correct it; `lexecon config check` shows the effective one",
            ));
            defaults(flags)
        }
    };
    let data = &settings.data.directory;
    findings.extend(directory::findings(data));
    findings.push(machine::space(data));
    findings.push(machine::file_system(data));
    findings.push(machine::port(settings.http.listen));
    findings.push(machine::open_files(settings.http.connections_max));
    findings.push(machine::memory());
    findings.push(machine::clock(data));
    print(&findings, output)
}

/// What is looked at when the configuration cannot be read: the rest of the environment may be at fault too.
fn defaults(flags: Flags) -> Settings {
    let mut settings = Settings::default();
    if let Some(data) = flags.data {
        settings.data.directory = data;
    }
    if let Some(listen) = flags.listen {
        settings.http.listen = listen;
    }
    settings
}

fn versions() -> Finding {
    let version = env!("CARGO_PKG_VERSION");
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    Finding::ok("versions", format!("lexecon {version}, evaluator {}, {os} on {arch}", policy::EVALUATOR_VERSION))
}

fn print(findings: &[Finding], output: &mut Output<'_>) -> Result<Exit, Failure> {
    let fails = findings.iter().any(|finding| finding.state == State::Fail);
    if output.json {
        let rows: Vec<_> = findings
            .iter()
            .map(|f| json!({"name": f.name, "state": f.state.as_str(), "detail": f.detail, "remedy": f.remedy}))
            .collect();
        output.object(&json!({"ok": !fails, "findings": rows}))?;
    } else {
        for finding in findings {
            output.line(format!("{:4}  {:16}  {}", finding.state.as_str(), finding.name, finding.detail))?;
            if !finding.remedy.is_empty() {
                output.line(format!("{:24}{}", "", finding.remedy))?;
            }
        }
    }
    Ok(if fails { Exit::Failure } else { Exit::Ok })
}
