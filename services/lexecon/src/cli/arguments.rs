//! The command line: every command, every flag, and the help that people read. Names here are a contract with scripts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where a running system listens when nothing else is said.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8480";

/// Decides whether an AI system or a person may do a thing, and proves afterwards what was decided and why.
#[derive(Debug, Parser)]
#[command(name = "lexecon", version, max_term_width = 110, propagate_version = true)]
pub struct Cli {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in this process, on the embedded log.
    Serve(Serve),
    /// Have requests decided: files with one JSON request each, or `-` for standard input.
    Decide(Decide),
    /// Send realistic traffic, or the requests of a file, at a given rate.
    Load(Load),
    /// Look at the ledger, or take it out.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Decide the whole ledger again and require every event byte for byte.
    Replay(Replay),
    /// Fold state and read models from the ledger afresh and require the same digests, or replace them.
    Rebuild(Rebuild),
    /// Work on a policy bundle in a directory.
    #[command(subcommand)]
    Policy(Policy),
    /// Records that could not be decoded or processed.
    #[command(subcommand)]
    Dlq(Dlq),
    /// The configuration.
    #[command(subcommand)]
    Config(Config),
    /// Check the environment: configuration, directories, permissions, port, space, clock.
    Doctor(Doctor),
    /// Copy data and keys, as a pair, to a new directory.
    Backup(Backup),
    /// Outcomes, in the order of their numbers.
    Outcomes(Outcomes),
    /// Requests and what became of them.
    #[command(subcommand)]
    Requests(Requests),
    /// Decisions.
    #[command(subcommand)]
    Decisions(Decisions),
}

/// A running system or a directory.
#[derive(Clone, Debug, Default, Args)]
pub struct Source {
    /// Data directory that no process uses.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub data: Option<PathBuf>,
    /// Configuration file, for --data.
    #[arg(long, value_name = "FILE", env = "LEXECON_CONFIG")]
    pub config: Option<PathBuf>,
    /// A running system.
    #[command(flatten)]
    pub remote: Remote,
}

/// A running system.
#[derive(Clone, Debug, Default, Args)]
pub struct Remote {
    /// Address of a running system [default: http://127.0.0.1:8480].
    #[arg(long, env = "LEXECON_URL")]
    pub url: Option<String>,
    /// File that holds the bearer token of the running system; LEXECON_HTTP__TOKEN may hold the token itself.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// A directory that no process uses.
#[derive(Clone, Debug, Args)]
pub struct Offline {
    /// Data directory that no process uses.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
    /// Configuration file. What the data directory records of its deployment goes before it.
    #[arg(long, value_name = "FILE", env = "LEXECON_CONFIG")]
    pub config: Option<PathBuf>,
    /// Not possible on a running system, which says what to do instead.
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub url: Option<String>,
}

/// `replay`
#[derive(Clone, Debug, Args)]
pub struct Replay {
    /// Where the ledger is.
    #[command(flatten)]
    pub source: Offline,
}

/// `rebuild`
#[derive(Clone, Debug, Args)]
pub struct Rebuild {
    /// Put what was made in the place of state and read models, whatever state these are in.
    #[arg(long)]
    pub replace: bool,
    /// Where the ledger is.
    #[command(flatten)]
    pub source: Offline,
}

/// `serve`
#[derive(Clone, Debug, Default, Args)]
pub struct Serve {
    /// Data directory; created when it is missing [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8480].
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Policy bundle that must be in force: enterprise-general, eu-ai-act, or a directory. Another one than was in force
    /// is published and activated through the ledger [default: what is in force; on a new ledger enterprise-general].
    #[arg(long, value_name = "NAME|DIR")]
    pub policy: Option<String>,
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "LEXECON_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `decide`
#[derive(Clone, Debug, Args)]
pub struct Decide {
    /// Files with one request each; `-` is standard input.
    #[arg(required = true, value_name = "FILES")]
    pub files: Vec<PathBuf>,
    /// With --data: policy bundle that must be in force, as `serve` takes it.
    #[arg(long, value_name = "NAME|DIR", requires = "data")]
    pub policy: Option<String>,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: Source,
}

/// `load`
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Requests a second. With --file it may be left out: then the file is sent as fast as the connections allow.
    #[arg(long, required_unless_present = "file", value_parser = rate)]
    pub rate: Option<f64>,
    /// How long: 500ms, 30s, 2m, 1h. With --file the end of the file may come first.
    #[arg(long, required_unless_present = "file", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Connections at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub connections: u16,
    /// Requests in one call, at most 500.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub batch: u16,
    /// Send these requests, one JSON object a line, instead of generated ones. One connection keeps their order.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    pub file: Option<PathBuf>,
    /// Repeat a run: the same seed makes the same requests with the same ids.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Tenants that send; they must exist.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "default")]
    pub tenants: Vec<String>,
    /// How long one call may take.
    #[arg(long, default_value = "35s", value_parser = duration)]
    pub timeout: Duration,
    /// A running system.
    #[command(flatten)]
    pub remote: Remote,
}

/// `ledger`
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Write the ledger to a file that `ledger-verify` checks, or as JSON.
    Export(Export),
    /// Heads, positions and strays of each partition.
    Partitions(Source),
    /// Frames that every reader refused, by partition.
    Strays(Source),
    /// The head anchor: how far the log was acknowledged.
    #[command(subcommand)]
    Anchor(Anchor),
}

/// `ledger anchor`
#[derive(Debug, Subcommand)]
pub enum Anchor {
    /// Write a new one from what lies in the log. Whatever is missing there counts as never acknowledged.
    Rebuild(AnchorRebuild),
}

/// `ledger anchor rebuild`
#[derive(Clone, Debug, Args)]
pub struct AnchorRebuild {
    /// Data directory that no process uses.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Do it without asking. Verify the ledger against an export or a signed checkpoint first.
    #[arg(long)]
    pub yes: bool,
}

/// Form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The bytes that are hashed, for `ledger-verify`.
    Ledger,
    /// What the events say, as far as it may be read; one JSON object a line.
    Json,
}

/// `ledger export`
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// Where to write; refused when it exists. `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Form of the export.
    #[arg(long, value_enum, default_value = "ledger")]
    pub format: Format,
    /// Only this partition.
    #[arg(long)]
    pub partition: Option<u32>,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: Source,
}

/// `policy`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Validate a bundle strictly: every fault with file, line and remedy.
    Check(Bundle),
    /// Validate a bundle and run the tests that it carries.
    Test(Bundle),
    /// Say how a bundle decides one request, policy by policy.
    Explain(Explain),
}

/// A bundle.
#[derive(Clone, Debug, Args)]
pub struct Bundle {
    /// Directory of the bundle.
    pub directory: PathBuf,
}

/// `policy explain`
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// Directory of the bundle.
    pub directory: PathBuf,
    /// File with one request; `-` is standard input.
    pub request: PathBuf,
}

/// `dlq`
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// List dead letters.
    List(Source),
    /// Show one with what can be read of it.
    Show(DeadLetter),
    /// Send one to be processed once more.
    Retry(DeadLetter),
    /// Mark one as dealt with. Its ledger event stays.
    Discard(DeadLetter),
}

/// One dead letter.
#[derive(Clone, Debug, Args)]
pub struct DeadLetter {
    /// Which, as `dlq list` names it: PARTITION:POSITION.
    #[arg(value_parser = place)]
    pub id: (u32, u64),
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: Source,
}

/// `config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check the configuration and print the effective one, secrets masked.
    Check(ConfigCheck),
}

/// `config check`
#[derive(Clone, Debug, Args)]
pub struct ConfigCheck {
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "LEXECON_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `doctor`
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// As `serve` takes them.
    #[command(flatten)]
    pub serve: Serve,
}

/// `backup`
#[derive(Clone, Debug, Args)]
pub struct Backup {
    /// Where to; must be new or empty.
    pub directory: PathBuf,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: Source,
}

/// `outcomes`
#[derive(Clone, Debug, Args)]
pub struct Outcomes {
    /// Only this partition.
    #[arg(long)]
    pub partition: Option<u32>,
    /// Only numbers above this one: they are counted by partition.
    #[arg(long, value_name = "NUMBER", requires = "partition")]
    pub after: Option<u64>,
    /// Keep on and print what comes, until interrupted.
    #[arg(long, conflicts_with = "data")]
    pub follow: bool,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: Source,
}

/// `requests`
#[derive(Debug, Subcommand)]
pub enum Requests {
    /// What became of a request.
    Get(RequestGet),
}

/// `requests get`
#[derive(Clone, Debug, Args)]
pub struct RequestGet {
    /// Id of the request.
    pub request_id: String,
    /// Actor that sent it.
    #[arg(long)]
    pub actor: String,
    /// Tenant that it belongs to.
    #[arg(long, default_value = "default")]
    pub tenant: String,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: Source,
}

/// `decisions`
#[derive(Debug, Subcommand)]
pub enum Decisions {
    /// List decisions, newest last.
    List(DecisionList),
    /// Show one.
    Get(DecisionGet),
}

/// `decisions list`
#[derive(Clone, Debug, Args)]
pub struct DecisionList {
    /// Only this tenant's.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this actor's.
    #[arg(long)]
    pub actor: Option<String>,
    /// Only about this action.
    #[arg(long)]
    pub action: Option<String>,
    /// Only with this outcome.
    #[arg(long, value_parser = ["permit", "deny", "escalate"])]
    pub outcome: Option<String>,
    /// Recorded at this time or later, for example 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Recorded before this time.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Go on where the last list ended.
    #[arg(long)]
    pub cursor: Option<String>,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: Source,
}

/// `decisions get`
#[derive(Clone, Debug, Args)]
pub struct DecisionGet {
    /// Id of the decision.
    pub decision_id: String,
    /// Where the answer comes from.
    #[command(flatten)]
    pub source: Source,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.01..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("give requests a second, from 0.01 to 10000000".into()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "give a number and a unit, for example 500ms, 30s, 2m or 1h".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    match number.checked_mul(millis) {
        Some(millis) if (1..=30 * 24 * 3_600_000).contains(&millis) => Ok(Duration::from_millis(millis)),
        _ => Err("must be at least 1ms and at most 30 days".into()),
    }
}

fn place(text: &str) -> Result<(u32, u64), String> {
    let parsed =
        text.split_once(':').and_then(|(partition, position)| Some((partition.parse().ok()?, position.parse().ok()?)));
    parsed.ok_or_else(|| "give PARTITION:POSITION, for example 3:17, as `lexecon dlq list` prints it".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_read_strictly() {
        let millis = |text| duration(text).ok().map(|d| d.as_millis());
        assert_eq!(
            [millis("500ms"), millis("30s"), millis("2m"), millis("1h")],
            [500, 30_000, 120_000, 3_600_000].map(Some)
        );
        for wrong in ["", "30", "s", "-1s", "1.5s", "0s", "9999999h", "18446744073709551615h", "1d"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
        assert_eq!(place("3:17"), Ok((3, 17)));
        for wrong in ["3", "3:", ":17", "-1:2", "a:b", "3:17:1"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(rate("2000").is_ok() && rate("0").is_err() && rate("NaN").is_err() && rate("x").is_err());
    }
}
