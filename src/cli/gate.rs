//! `mainstay gate`: the signer of one member, beside its node.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::CliError;
use crate::gate::process::{self, GateError, Options};

/// How a gate is started. It runs in the pod of its node, as a native sidecar.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the `SigningIdentity`: the chain's id, a dot, and the public key in hexadecimal digits
    #[arg(long)]
    identity: String,
    /// Name of this member in its `FailoverGroup`
    #[arg(long)]
    member: String,
    /// The key: a `priv_validator_key.json` that only its owner can read
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What must survive the pod: a folder on a persistent volume
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The socket that the node listens on, its `priv_validator_laddr`
    #[arg(long, value_name = "PATH", default_value = "/gate/privval.sock")]
    socket: PathBuf,
    /// The RPC of this member's own node: signatures of the key that this gate did not make are looked for there
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:26657")]
    rpc: String,
    /// Where health and metrics are served
    #[arg(long, default_value = "0.0.0.0:9464")]
    listen: String,
    /// How often the record is read (milliseconds)
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(100..=10_000))]
    every: u64,
    /// The uid of this pod, by the downward API
    #[arg(long, env = "POD_UID")]
    pod_uid: String,
    /// The node that this pod runs on, by the downward API
    #[arg(long, env = "NODE_NAME")]
    node: String,
    /// Keep the state in memory or in the container all the same: for tests, and for nothing else
    #[arg(long)]
    state_may_vanish: bool,
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
    if !args.state_may_vanish && process::is_in_memory(&args.state) {
        let error = std::io::Error::other(
            "it goes with the pod or the container, and the signing state must not: mount a persistent volume there",
        );
        return Err(GateError::State { path: args.state, error }.into());
    }
    let options = Options {
        identity: args.identity,
        member: args.member,
        pod_uid: args.pod_uid,
        node: args.node,
        key: args.key,
        state: args.state,
        socket: args.socket,
        rpc: args.rpc,
        listen: args.listen,
        every: Duration::from_millis(args.every),
    };
    // One thread: the node asks one thing at a time, and every thread costs memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    crate::telemetry::tls::install();
    runtime.block_on(process::run(options))?;
    Ok(ExitCode::SUCCESS)
}
