//! `mainstay gate`: the signer of one member, beside its node.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::{CliError, keymanager, solana};
use crate::gate::{
    keymanager::post as post_of_key,
    launcher::{PAUSE, STOP, place::Placement, post},
    member::Member,
    process::{self, GateError, Options},
    solana::post as post_of_identity,
};

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
    #[arg(long, value_name = "FILE", required_unless_present_any = ["command", "keymanager", "solana"], conflicts_with_all = ["command", "keymanager", "solana"])]
    key: Option<PathBuf>,
    /// What must survive the pod: a folder on a persistent volume
    #[arg(long, value_name = "DIR", required_unless_present = "command", conflicts_with = "command")]
    state: Option<PathBuf>,
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
    /// Of a launcher: the key as a Secret has it, copied before the command starts
    #[arg(long, value_name = "FILE", requires = "command", requires = "key_to")]
    key_from: Option<PathBuf>,
    /// Of a launcher: where the command looks for the key, on a volume of medium Memory; wiped when the command has ended
    #[arg(long, value_name = "FILE", requires = "command", requires = "key_from")]
    key_to: Option<PathBuf>,
    /// Of a launcher: what the command has for an orderly stop (seconds); it is asked so long before its hold ends
    #[arg(long, value_name = "SECONDS", requires = "command", default_value_t = STOP / 1_000, value_parser = clap::value_parser!(u64).range(1..=300))]
    grace: u64,
    #[command(flatten)]
    keymanager: keymanager::Args,
    #[command(flatten)]
    solana: solana::Args,
    /// A launcher: run this command while this member holds the place, and only then. For signers without a socket
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["keymanager", "solana"])]
    command: Vec<OsString>,
}

/// Runs until it is told to end, or its command has ended.
pub fn run(args: Args) -> Result<ExitCode, CliError> {
    let filter = EnvFilter::try_from_env("MAINSTAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    if args.log_json {
        registry.with(fmt::layer().json()).init();
    } else {
        registry.with(fmt::layer().with_ansi(false)).init();
    }
    // One thread: the node asks one thing at a time, and every thread costs memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    crate::telemetry::tls::install();
    if args.keymanager.keymanager.is_some() {
        runtime.block_on(post_of_key::run(args.keymanager()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.solana.solana.is_some() {
        runtime.block_on(post_of_identity::run(args.solana()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.command.is_empty() {
        runtime.block_on(process::run(args.signer()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(runtime.block_on(post::run(args.launcher()))?))
}

impl Args {
    /// Who it is; it reads the record at least so often (milliseconds).
    fn member(&self, most: u64) -> Member {
        Member {
            identity: self.identity.clone(),
            name: self.member.clone(),
            pod_uid: self.pod_uid.clone(),
            node: self.node.clone(),
            listen: self.listen.clone(),
            every: Duration::from_millis(self.every.min(most)),
        }
    }

    fn signer(self) -> Result<Options, GateError> {
        // The parser wants both where there is no command.
        let state = self.lasting()?;
        let (member, key) = (self.member(u64::MAX), self.key.unwrap_or_default());
        Ok(Options { member, key, state, socket: self.socket, rpc: self.rpc })
    }

    /// The folder of what must survive, if it does.
    fn lasting(&self) -> Result<PathBuf, GateError> {
        let state = self.state.clone().unwrap_or_default();
        if !self.state_may_vanish && process::is_in_memory(&state) {
            let error = std::io::Error::other(
                "it goes with the pod or the container, and the signing state must not: mount a persistent volume there",
            );
            return Err(GateError::State { path: state, error });
        }
        Ok(state)
    }

    fn keymanager(self) -> Result<post_of_key::Options, GateError> {
        // What the shortest hold reckons with.
        let (member, state) = (self.member(PAUSE), self.lasting()?);
        Ok(self.keymanager.options(member, state))
    }

    fn solana(self) -> Result<post_of_identity::Options, GateError> {
        let (member, state) = (self.member(PAUSE), self.lasting()?);
        Ok(self.solana.options(member, state))
    }

    fn launcher(self) -> post::Options {
        post::Options {
            member: self.member(PAUSE),
            command: self.command,
            key: self.key_from.zip(self.key_to).map(|(from, to)| Placement { from, to }),
            grace: self.grace * 1_000,
        }
    }
}
