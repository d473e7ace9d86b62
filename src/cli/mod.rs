//! The command line: one file per command. Exit code 0: fine; 1: findings; 2: wrong usage, or something unreadable.

mod approve;
mod ask;
pub mod check;
mod copy_key;
pub mod crds;
pub mod explain;
mod gate;
mod identity;
mod keep;
mod keymanager;
mod order;
mod probe;
mod replay;
pub mod retire;
pub mod run;
mod simulate;
mod solana;
pub mod stop;

use std::{fs, io, io::Read, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::api::Family;

/// Self-healing for blockchain nodes on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// In the order in which people meet them.
#[derive(Debug, Subcommand)]
enum Command {
    /// Print the custom resource definitions
    Crds(crds::Args),
    /// Check manifests as the API server would, without a cluster
    Check(check::Args),
    /// Ask a node what it tells, and show it as signals; the first thing to try
    Probe(probe::Args),
    /// Show a policy with every default filled in, in plain words; or one of the cluster, and why it does or does not act
    Explain(explain::Args),
    /// Approve a step that waits for people (mode Approve), with your own name
    Approve(approve::Args),
    /// Ask for one step on one target, whatever the mode of its policy; its guards hold all the same
    Ask(ask::Args),
    /// Make a decision of the journal once more, offline
    Replay(replay::Args),
    /// See what a policy would have done, on telemetry that was recorded or that is made up
    Simulate(simulate::Args),
    /// Run the operator
    Run(run::Args),
    /// Begin the record of a new key, which has never signed anything
    Init(order::InitArgs),
    /// Begin a new epoch of a key that has signed before, above all that it can have signed
    Adopt(order::AdoptArgs),
    /// Let another member of a `FailoverGroup` sign
    Failover(order::FailoverArgs),
    /// Vouch that a former signer has stopped for good, where nothing proves it
    Release(order::ReleaseArgs),
    /// Print the name of the `SigningIdentity` of a key
    Identity(identity::Args),
    /// Copy a key to where nobody but its owner can read it, as a gate wants it
    CopyKey(copy_key::Args),
    /// Sign for one member of a `FailoverGroup`, beside its node and inside its window only; or run a signer while it may
    Gate(Box<gate::Args>),
    /// Keep a command for a launcher, which starts this
    #[command(hide = true)]
    Keep(keep::Args),
    /// Pull the emergency stop: nothing is done to any pod until `go`
    Stop(stop::StopArgs),
    /// Release the emergency stop
    Go(stop::GoArgs),
    /// End what is under way before an uninstall; the chart runs this
    #[command(hide = true)]
    Retire(retire::Args),
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A file or stdin could not be read.
    #[error("failed to read {name}: {source}")]
    Read {
        /// What was read.
        name: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A file or stdout could not be written.
    #[error("failed to write {name}: {source}")]
    Write {
        /// What was written.
        name: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Something of ours could not be put into words.
    #[error("failed to write it as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// The operator could not start, or had to end.
    #[error(transparent)]
    Run(#[from] crate::controller::RunError),
    /// The emergency stop could not be reached.
    #[error(transparent)]
    Stop(#[from] stop::StopError),
    /// Something may be left.
    #[error(transparent)]
    Retire(#[from] retire::RetireError),
    /// Nothing could be probed.
    #[error(transparent)]
    Probe(#[from] probe::ProbeError),
    /// A policy of the cluster could not be explained.
    #[error(transparent)]
    Live(#[from] explain::LiveError),
    /// Nothing was asked.
    #[error(transparent)]
    Ask(#[from] ask::AskError),
    /// Nothing was approved.
    #[error(transparent)]
    Approve(#[from] approve::ApproveError),
    /// An order was not given.
    #[error(transparent)]
    Order(#[from] order::OrderError),
    /// A gate could not start.
    #[error(transparent)]
    Gate(#[from] crate::gate::process::GateError),
    /// A launcher could not start.
    #[error(transparent)]
    Launch(#[from] crate::gate::launcher::post::LaunchError),
    /// The key of a client could not be looked after.
    #[error(transparent)]
    Keymanager(#[from] crate::gate::keymanager::post::KeymanagerError),
    /// The identity of a validator cannot be looked after.
    #[error(transparent)]
    Solana(#[from] crate::gate::solana::post::SolanaError),
    /// A command could not be kept.
    #[error(transparent)]
    Keep(#[from] crate::gate::launcher::keeper::KeepError),
    /// No decision could be replayed.
    #[error(transparent)]
    Replay(#[from] replay::ReplayError),
    /// Nothing could be simulated.
    #[error(transparent)]
    Simulate(#[from] simulate::SimulateError),
    /// The asynchronous runtime could not start.
    #[error("failed to start the runtime: {0}")]
    Runtime(io::Error),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Crds(args) => crds::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Ask(args) => ask::run(&args),
        Command::Approve(args) => approve::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Run(args) => run::run(args),
        Command::Init(args) => order::init(&args),
        Command::Adopt(args) => order::adopt(&args),
        Command::Failover(args) => order::failover(&args),
        Command::Release(args) => order::release(&args),
        Command::Identity(args) => identity::run(&args),
        Command::CopyKey(args) => copy_key::run(&args),
        Command::Gate(args) => gate::run(*args),
        Command::Keep(args) => keep::run(args),
        Command::Stop(args) => stop::run_stop(&args),
        Command::Go(args) => stop::run_go(&args),
        Command::Retire(args) => retire::run(&args),
    };
    done.unwrap_or_else(|error| {
        // A reader that has seen enough, such as `head`, is no failure.
        if matches!(&error, CliError::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        eprintln!("mainstay: {error}");
        ExitCode::from(2)
    })
}

/// A family by its name, however it is spelled: `CometBFT`, `cometbft`, `ethereum-execution`.
fn family(text: &str) -> Result<Family, String> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let found = FAMILIES.iter().find(|(name, _)| plain(name) == plain(text));
    found.map(|(_, family)| *family).ok_or_else(|| {
        let names: Vec<_> = FAMILIES.iter().map(|(name, _)| *name).collect();
        format!("no such family: write one of {}", names.join(", "))
    })
}

/// The families by name.
const FAMILIES: [(&str, Family); 6] = [
    ("CometBFT", Family::CometBFT),
    ("EthereumExecution", Family::EthereumExecution),
    ("EthereumConsensus", Family::EthereumConsensus),
    ("Substrate", Family::Substrate),
    ("Solana", Family::Solana),
    ("Other", Family::Other),
];

/// The text of a file, or of stdin for `-`.
fn read(name: &str) -> Result<String, CliError> {
    let text = if name == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(name)
    };
    text.map_err(|source| CliError::Read { name: name.to_owned(), source })
}

/// Writes to stdout; unlike `print!`, a closed pipe is an error and not a panic.
fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let written = io::Write::write_all(&mut out, text.as_bytes()).and_then(|()| io::Write::flush(&mut out));
    written.map_err(|source| CliError::Write { name: "stdout".into(), source })
}

/// Runs an asynchronous command to its end.
fn block_on<T>(task: impl Future<Output = T>) -> Result<T, CliError> {
    crate::telemetry::tls::install();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    Ok(runtime.block_on(task))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    /// What is wrong with a command is found when it is first used, and not before: some are used in a pod only.
    #[test]
    fn every_command_is_sound() {
        super::Cli::command().debug_assert();
    }
}
