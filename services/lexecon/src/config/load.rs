//! Reading, layering and checking a configuration.
//!
//! Order: defaults, file, environment, flags; the later wins. Each layer is checked on its own, so that a fault names
//! the place that holds it; what concerns several keys is checked on the result and names the layer a value came from.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{Fault, Secret, Settings};

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--policy`
    pub policy: Option<String>,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`
    pub file: Option<PathBuf>,
    /// Environment variables; only those that begin with `LEXECON_` are looked at.
    pub environment: Vec<(String, String)>,
    /// The command line.
    pub flags: Flags,
}

impl Sources {
    /// The environment of this process, with these arguments.
    pub fn of_process(file: Option<PathBuf>, flags: Flags) -> Sources {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        Sources { file, environment, flags }
    }
}

const PREFIX: &str = "LEXECON_";
const FILE_VARIABLE: &str = "LEXECON_CONFIG";
/// A shorter token can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// The effective configuration.
///
/// # Errors
/// Every [`Fault`] that was found, at least one.
pub fn load(sources: &Sources) -> Result<Settings, Vec<Fault>> {
    let named = sources.environment.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    let path = sources.file.clone().or_else(|| named.map(|(_, value)| PathBuf::from(value)));
    let file = path.map(|path| File::read(&path)).transpose().map_err(|fault| vec![fault])?;

    let mut table = file.as_ref().map(|file| file.table.clone()).unwrap_or_default();
    let mut faults = Vec::new();
    for (name, value) in &sources.environment {
        match variable(name, value) {
            Ok(Some((section, key, value))) => put(&mut table, &section, &key, value),
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut settings =
        Settings::deserialize(table).map_err(|error| vec![fault("configuration", "", error.message())])?;
    if let Some(directory) = &sources.flags.data {
        settings.data.directory.clone_from(directory);
    }
    if let Some(listen) = sources.flags.listen {
        settings.http.listen = listen;
    }
    if let Some(policy) = &sources.flags.policy {
        settings.policy.first = Some(policy.clone());
    }
    let origins = Origins { file: file.as_ref(), sources };
    check(&mut settings, &origins, &mut faults);
    if faults.is_empty() { Ok(settings) } else { Err(faults) }
}

fn fault(origin: &str, key: &str, message: &str) -> Fault {
    Fault { origin: origin.to_owned(), line: None, key: key.to_owned(), message: message.to_owned() }
}

struct File {
    path: PathBuf,
    text: String,
    table: Table,
}

impl File {
    fn read(path: &Path) -> Result<File, Fault> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            fault(
                &origin,
                "",
                &format!("cannot be read: {error}; check the path that --config or {FILE_VARIABLE} names"),
            )
        })?;
        let broken = |key: String, error: &toml::de::Error| Fault {
            origin: origin.clone(),
            line: error.span().map(|span| line_at(&text, span.start)),
            message: without_secret(&key, error.message()),
            key,
        };
        let table: Table = toml::from_str(&text).map_err(|error| broken(String::new(), &error))?;
        let reading = toml::Deserializer::parse(&text).map_err(|error| broken(String::new(), &error))?;
        if let Err(error) = serde_path_to_error::deserialize::<_, Settings>(reading) {
            return Err(broken(key_of(error.path()), error.inner()));
        }
        Ok(File { path: path.to_owned(), text, table })
    }

    /// The line of `section.name`, or of `section[index].name` in a list of tables.
    fn line_of(&self, key: &str) -> Option<usize> {
        let document = toml::de::DeTable::parse(&self.text).ok()?;
        let (section, name) = key.split_once('.')?;
        let (section, index) = match section.strip_suffix(']').and_then(|section| section.split_once('[')) {
            Some((section, index)) => (section, Some(index.parse::<usize>().ok()?)),
            None => (section, None),
        };
        let (_, section) = document.get_ref().iter().find(|(known, _)| known.get_ref() == section)?;
        let table = match index {
            Some(index) => section.get_ref().as_array()?.get(index)?.get_ref().as_table()?,
            None => section.get_ref().as_table()?,
        };
        let (place, _) = table.iter().find(|(known, _)| known.get_ref() == name)?;
        Some(line_at(&self.text, place.span().start))
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn key_of(path: &serde_path_to_error::Path) -> String {
    let text = path.to_string();
    if text == "." { String::new() } else { text.trim_end_matches(".?").to_owned() }
}

fn without_secret(key: &str, message: &str) -> String {
    if key == "http.token" { "must be a text in quotes".to_owned() } else { message.to_owned() }
}

/// What one environment variable sets, if it is one of ours.
fn variable(name: &str, text: &str) -> Result<Option<(String, String, Value)>, Fault> {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Ok(None) };
    let Some((section, key)) = rest.split_once("__") else {
        // `LEXECON_HTTP_TOKEN` with one underscore too few must not mean "no token".
        return match rest.split_once('_') {
            Some((section, key)) if is_section(&section.to_ascii_lowercase()) => {
                Err(fault(name, "", &format!("is no setting; write {PREFIX}{section}__{key}")))
            }
            _ => Ok(None),
        };
    };
    let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
    let as_text = Value::String(text.to_owned());
    let as_literal = match text {
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        _ => text.parse().ok().map(Value::Integer),
    };
    // The setting's own type decides whether `12345` is a number or a text.
    let mut refused = None;
    for value in [Some(as_text), as_literal].into_iter().flatten() {
        let mut table = Table::new();
        put(&mut table, &section, &key, value.clone());
        match Settings::deserialize(table) {
            Ok(_) => return Ok(Some((section, key, value))),
            Err(error) => refused = Some(error),
        }
    }
    let full = format!("{section}.{key}");
    let message = refused.map_or_else(String::new, |error| without_secret(&full, error.message()));
    Err(fault(name, &full, &message))
}

fn is_section(name: &str) -> bool {
    Table::try_from(Settings::default()).is_ok_and(|table| table.contains_key(name))
}

fn put(table: &mut Table, section: &str, key: &str, value: Value) {
    let entry = table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = entry {
        section.insert(key.to_owned(), value);
    }
}

/// Finds the layer that a key's value came from.
struct Origins<'a> {
    file: Option<&'a File>,
    sources: &'a Sources,
}

impl Origins<'_> {
    fn fault(&self, key: &str, message: impl Into<String>) -> Fault {
        let message = message.into();
        let key_owned = key.to_owned();
        let flag = match key {
            "http.listen" if self.sources.flags.listen.is_some() => Some("--listen"),
            "data.directory" if self.sources.flags.data.is_some() => Some("--data"),
            "policy.first" if self.sources.flags.policy.is_some() => Some("--policy"),
            _ => None,
        };
        if let Some(flag) = flag {
            return Fault { origin: flag.to_owned(), line: None, key: key_owned, message };
        }
        let variable = format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"));
        if self.sources.environment.iter().any(|(name, _)| *name == variable) {
            return Fault { origin: variable, line: None, key: key_owned, message };
        }
        match self.file {
            Some(file) => {
                Fault { origin: file.path.display().to_string(), line: file.line_of(key), key: key_owned, message }
            }
            None => Fault { origin: "configuration".to_owned(), line: None, key: key_owned, message },
        }
    }
}

fn check(settings: &mut Settings, origins: &Origins<'_>, faults: &mut Vec<Fault>) {
    match token(settings) {
        Ok(token) => settings.http.token = token,
        Err((key, message)) => faults.push(origins.fault(key, message)),
    }
    let http = &settings.http;
    if http.token.is_none() && !http.listen.ip().is_loopback() && faults.is_empty() {
        let message = "is not a loopback address, and no token is set: anybody who reaches the port could decide and read; \
                       set http.token_file (or LEXECON_HTTP__TOKEN), or listen on 127.0.0.1";
        faults.push(origins.fault("http.listen", message));
    }
    for (key, other) in contradictions(settings) {
        faults.push(origins.fault(key, other));
    }
    if let Some(choice) = &settings.policy.first
        && let Err(why) = crate::bundles::exists(choice)
    {
        faults.push(origins.fault("policy.first", why.to_string()));
    }
    if let Err(why) = crate::telemetry::check_level(&settings.telemetry.level) {
        faults.push(origins.fault("telemetry.level", why));
    }
    if settings.data.directory.as_os_str().is_empty() {
        faults.push(origins.fault("data.directory", "must not be empty; name a directory"));
    }
    let mut names = BTreeSet::new();
    for (index, tenant) in settings.tenants.iter().enumerate() {
        let key = format!("tenants[{index}].name");
        if let Err(why) = domain::ids::Tenant::new(tenant.name.as_str()) {
            faults.push(origins.fault(&key, why.to_string()));
        } else if !names.insert(&tenant.name) {
            faults.push(origins.fault(&key, "stands in the list already; remove one of the two"));
        }
    }
}

/// Limits that cannot both hold: the key to change, and what it must not be.
fn contradictions(settings: &Settings) -> impl Iterator<Item = (&'static str, &'static str)> {
    let Settings { http, log, engine, state, follow, .. } = settings;
    [
        (http.wait_default_ms > http.wait_max_ms, "http.wait_default_ms", "must not be above http.wait_max_ms"),
        (http.batch_bytes_max < http.body_bytes_max, "http.batch_bytes_max", "must not be below http.body_bytes_max"),
        (
            log.memory_bytes_max / 2 < log.write_buffer_bytes,
            "log.memory_bytes_max",
            "must be at least twice log.write_buffer_bytes",
        ),
        (log.reopen_max_ms < log.reopen_first_ms, "log.reopen_max_ms", "must not be below log.reopen_first_ms"),
        (
            engine.backoff_max_ms < engine.backoff_first_ms,
            "engine.backoff_max_ms",
            "must not be below engine.backoff_first_ms",
        ),
        (
            state.block_cache_bytes < state.write_buffer_bytes,
            "state.block_cache_bytes",
            "must not be below state.write_buffer_bytes, which is part of it",
        ),
        (follow.retry_max_ms < follow.retry_first_ms, "follow.retry_max_ms", "must not be below follow.retry_first_ms"),
    ]
    .into_iter()
    .filter_map(|(broken, key, rule)| broken.then_some((key, rule)))
}

/// The token that is in force, from the setting or from its file.
fn token(settings: &Settings) -> Result<Option<Secret>, (&'static str, String)> {
    let (key, secret) = match (&settings.http.token, &settings.http.token_file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(("http.token_file", "stands beside http.token; set only one of the two".to_owned()));
        }
        (Some(token), None) => ("http.token", token.clone()),
        (None, Some(path)) => ("http.token_file", read_token(path).map_err(|why| ("http.token_file", why))?),
    };
    let text = secret.reveal();
    if text.len() < TOKEN_BYTES_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why =
            format!("must be at least {TOKEN_BYTES_MIN} visible ASCII characters; `openssl rand -hex 32` makes one");
        return Err((key, why));
    }
    Ok(Some(secret))
}

fn read_token(path: &Path) -> Result<Secret, String> {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let mode = std::fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("{shown} can be read by others; run `chmod 600 {shown}`"));
    }
    Ok(Secret::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
