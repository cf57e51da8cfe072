//! Configuration: one TOML file, then the environment, then the command line; validated whole before anything starts.
//!
//! Invariants: an unknown key, a wrong type and a value out of range are refused with key and line (or the variable's
//! or flag's name), never ignored; a secret is masked wherever a configuration is printed, and no message shows one.
//! Deliberately not here: what the settings are used for. The types are apart from the components that read them.
//!
//! Environment variables are `LEXECON_SECTION__KEY`, for example `LEXECON_HTTP__LISTEN`. `LEXECON_CONFIG` names the
//! file when `--config` does not. Nothing is read from a file that was not named.

mod bounds;
mod engine;
mod fault;
mod http;
mod load;
mod print;
mod secret;
mod settings;
mod storage;

pub use self::engine::{Engine, Follow};
pub use self::http::Http;
pub use fault::Fault;
pub use load::{Flags, Sources, load};
pub use print::effective;
pub use secret::Secret;
pub use settings::{Clock, Data, Dedup, Policy, Routing, Settings, Telemetry, TenantEntry, Topology};
pub use storage::{Compression, Log, LogKind, State};
