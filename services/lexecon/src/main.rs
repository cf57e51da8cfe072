//! Scratch.
use clap::Parser;
#[derive(Parser)] enum C { Serve { #[arg(long)] data: Option<std::path::PathBuf>, #[arg(long)] listen: Option<std::net::SocketAddr>, #[arg(long)] config: Option<std::path::PathBuf>, #[arg(long)] json: bool } }
fn main() -> std::process::ExitCode { let C::Serve { data, listen, config, json } = C::parse(); lexecon::serve::run(&lexecon::serve::Options { config, data, listen, json }).into() }
