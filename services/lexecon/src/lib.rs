//! The one shipped binary as a library: edges only, no rules.
//!
//! [`config`] says how, [`assembly`] hands it to the engine, [`bundles`] chooses the policies, [`serve`] runs every role in one process, [`http`] is its interface, [`telemetry`] what it says
//! about itself, [`client`] the other end of the interface, [`cli`] the commands, [`load`] traffic at a given rate, [`exit`] how every command ends.

pub mod assembly;
pub mod bundles;
pub mod cli;
pub mod client;
pub mod config;
pub mod exit;
pub mod http;
pub mod load;
pub mod serve;
pub mod telemetry;
