//! A directory that no process uses, read without starting anything: the same questions, the same JSON.
//!
//! Nothing is added to the ledger. State and read models, which are a fold of it, may be brought up to it first.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use domain::ids::{ActorId, BadName, RequestId, Tenant};
use engine::datadir;
use engine::offline::{Offline, RebuildReport, ReplaceReport};
use engine::reader::Reader;
use engine::replay::ReplayReport;
use engine::system::StartError;
use engine::view::DecisionView;
use eventlog::Position;
use indicatif::ProgressBar;
use ledger::EventId;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::arguments::Format;
use super::export::Counted;
use super::failure::Failure;
use super::question::{Filter, Question};
use super::reach;
use crate::config::Flags;
use crate::exit::Exit;
use crate::http::answer::EntryBody;
use crate::http::dead_letters::{self, LetterBody, LettersBody};
use crate::http::export as json_export;
use crate::http::ledger::PartitionsBody;
use crate::http::lookups::{self, DecisionsQuery};
use crate::http::outcomes::OutcomesBody;
use crate::http::position;
use crate::serve;

/// Items of one page of outcomes or dead letters.
const PAGE: usize = 500;

/// A data directory, held by this command.
pub struct Directory {
    offline: Offline,
}

impl Directory {
    /// Opens it. Says where the configuration, if there is one, contradicts what the directory records.
    ///
    /// # Errors
    /// The configuration has faults; the directory is not there, in use, another's, or damaged.
    pub fn open(path: &Path, config: Option<&Path>) -> Result<Directory, Failure> {
        let settings = reach::settings(config, Flags { data: Some(path.to_owned()), listen: None, policy: None })?;
        let offline = Offline::open(path).map_err(|error| {
            let in_use = matches!(error, StartError::DataDir(datadir::Error::Locked { .. }));
            Failure::new(serve::exit_of(&error), if in_use { "in_use" } else { "data" }, error.to_string())
        })?;
        reach::say_differences(path, config.is_some(), &settings, offline.deployment(), offline.terms());
        Ok(Directory { offline })
    }

    /// Answers as a running system would.
    ///
    /// # Errors
    /// There is no such thing, the question is not valid, or the ledger does not hold together.
    pub fn answer(&self, question: &Question) -> Result<Value, Failure> {
        let reader = self.offline.reader().map_err(broken)?;
        match question {
            Question::Partitions => value(&PartitionsBody::of(&reader.partitions().map_err(broken)?)),
            Question::Decisions(filter) => page(&reader, filter),
            Question::Decision { id } => {
                let id: EventId = id.parse().map_err(|_| invalid("the id of a decision is a UUID"))?;
                found(reader.decision(&id).map_err(broken)?.as_ref(), "decision")
            }
            Question::Request { tenant, actor, request_id } => {
                let named = |name: &'static str| move |fault: BadName| invalid(format!("{name}: {fault}"));
                let tenant = Tenant::new(tenant.as_str()).map_err(named("tenant"))?;
                let actor = ActorId::new(actor.as_str()).map_err(named("actor"))?;
                let id = RequestId::new(request_id.as_str()).map_err(named("request_id"))?;
                found(reader.request(&tenant, &actor, &id).map_err(broken)?.as_ref(), "request")
            }
            Question::Outcomes { partition, after } => outcomes(&reader, *partition, *after),
            Question::DeadLetters { cursor } => {
                let from = dead_letters::place(cursor.as_deref()).map_err(|problem| invalid(problem.detail))?;
                let (views, next) = self.offline.letters().map_err(broken)?.page(from, PAGE).map_err(broken)?;
                value(&LettersBody::of(&views, next))
            }
            Question::DeadLetter { partition, position } => {
                let one = self.offline.letters().map_err(broken)?.one(*partition, Position(*position));
                value(&LetterBody::of(&one.map_err(|error| not_found(error.to_string()))?))
            }
        }
    }

    /// Writes an export.
    ///
    /// # Errors
    /// The ledger does not hold together, or `to` cannot be written.
    pub fn export(
        &self,
        format: Format,
        partition: Option<u32>,
        to: &mut Counted<'_>,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let (log, deployment) = (self.offline.log().as_ref(), self.offline.deployment());
        match format {
            Format::Ledger => {
                let mut shown = Shown { to, bar };
                engine::export::export(log, deployment, partition, &mut |bytes| shown.write_all(bytes))
                    .map_err(broken)?;
            }
            Format::Json => {
                let mut lines = Shown { to, bar };
                json_export::lines(log, deployment, partition, &mut lines).map_err(broken)?;
            }
        }
        Ok(())
    }

    /// Decides everything again.
    ///
    /// # Errors
    /// The ledger does not hold together.
    pub fn replay(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<ReplayReport, Failure> {
        self.offline.replay(progress).map_err(broken)
    }

    /// Folds everything afresh.
    ///
    /// # Errors
    /// The ledger does not hold together.
    pub fn rebuild(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<RebuildReport, Failure> {
        self.offline.rebuild(progress).map_err(broken)
    }

    /// Folds everything afresh and puts it in the place of what is there.
    ///
    /// # Errors
    /// The ledger does not hold together.
    pub fn replace(self, progress: &mut dyn FnMut(u64)) -> Result<ReplaceReport, Failure> {
        self.offline.replace(progress).map_err(broken)
    }
}

fn broken(error: impl fmt::Display) -> Failure {
    Failure::new(Exit::Data, "data", error.to_string())
}

fn invalid(what: impl Into<String>) -> Failure {
    Failure::new(Exit::Failure, "invalid_query", what)
}

fn not_found(what: impl Into<String>) -> Failure {
    Failure::new(Exit::Failure, "not_found", what)
}

fn value(body: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(body).map_err(|error| Failure::new(Exit::Failure, "output", error.to_string()))
}

fn found(view: Option<&DecisionView>, what: &str) -> Result<Value, Failure> {
    match view {
        Some(view) => value(&EntryBody::of(view)),
        None => Err(not_found(format!("there is no such {what}"))),
    }
}

/// Read by the same rules as a query over HTTP.
fn page(reader: &Reader, filter: &Filter) -> Result<Value, Failure> {
    let (_, query) = Question::Decisions(filter.clone()).address();
    let mut members: Map<String, Value> =
        query.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    members.remove("limit");
    let query: DecisionsQuery =
        serde_json::from_value(Value::Object(members)).map_err(|error| invalid(error.to_string()))?;
    let (filter_of_reader, cursor, _) = lookups::understood(query).map_err(|problem| invalid(problem.detail))?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let page =
        reader.decisions(&filter_of_reader, cursor.as_deref(), limit).map_err(|error| invalid(error.to_string()))?;
    let items = page.items.iter().map(|view| value(&EntryBody::of(view))).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"items": items, "next": page.next, "position": position::format(&page.positions)}))
}

fn outcomes(reader: &Reader, partition: u32, after: Option<u64>) -> Result<Value, Failure> {
    let views = reader.outcomes(partition, after, PAGE).map_err(|error| invalid(error.to_string()))?;
    value(&OutcomesBody::of(&views, PAGE))
}

/// A writer that moves a bar.
struct Shown<'a, 'b> {
    to: &'a mut Counted<'b>,
    bar: &'a ProgressBar,
}

impl Write for Shown<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bar.inc(u64::try_from(written).unwrap_or(0));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
