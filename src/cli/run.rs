//! `mainstay run`: the operator itself.

use std::{path::PathBuf, process::ExitCode};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::{CliError, block_on};
use crate::controller::{Options, run as operate};

/// How the operator is started. The chart sets all of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; without it the default one is read if it exists
    #[arg(long, env = "MAINSTAY_CONFIG")]
    config: Option<PathBuf>,
    /// The namespaces to look after, separated by commas; without it all of them
    #[arg(long, value_delimiter = ',', env = "MAINSTAY_NAMESPACES")]
    namespaces: Vec<String>,
    /// Where health and metrics are served
    #[arg(long, default_value = "0.0.0.0:8080", env = "MAINSTAY_LISTEN")]
    listen: String,
    /// This installation, as namespace/name; it names the lease, the emergency stop and the ledgers' owner
    #[arg(long, default_value = "mainstay-system/mainstay", env = "MAINSTAY_INSTALLATION")]
    installation: String,
    /// This replica; unique per process
    #[arg(long, env = "POD_NAME", default_value = "mainstay")]
    identity: String,
    /// Look after failover groups: the chart grants the rights for it with failover.enabled
    #[arg(long, env = "MAINSTAY_FAILOVER")]
    failover: bool,
    /// Take the taint node.kubernetes.io/out-of-service for a word that a launcher's machine is off: failover.nodeOff
    #[arg(long, env = "MAINSTAY_NODE_OFF", requires = "failover")]
    node_off: bool,
    /// Log in JSON, one object a line
    #[arg(long, env = "MAINSTAY_LOG_JSON")]
    log_json: bool,
}

/// Runs until it is told to end.
pub fn run(args: Args) -> Result<ExitCode, CliError> {
    let filter = EnvFilter::try_from_env("MAINSTAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    if args.log_json {
        registry.with(fmt::layer().json()).init();
    } else {
        registry.with(fmt::layer().with_ansi(false)).init();
    }
    // Unique per process and not only per pod: a restarted container must not take the lease of its former self.
    let identity = format!("{}_{}", args.identity, std::process::id());
    let options = Options {
        config: args.config,
        namespaces: args.namespaces.into_iter().filter(|namespace| !namespace.is_empty()).collect(),
        listen: args.listen,
        installation: args.installation,
        identity,
        pod: args.identity,
        failover: args.failover,
        node_off: args.node_off,
    };
    block_on(operate(options))??;
    Ok(ExitCode::SUCCESS)
}
