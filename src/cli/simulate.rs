//! `mainstay simulate`: what a policy would have done, on telemetry that was recorded or that is made up.

mod picture;
mod read;
mod table;
#[cfg(test)]
mod tests;

use std::{fs, process::ExitCode};

use clap::{ValueEnum, builder::PossibleValuesParser};

pub use read::RecordingError;

use super::{CliError, check, explain, print};
use crate::{
    api::{
        Duration, Family, Network,
        policy::{Mode, Role},
    },
    policy::{self, NetworkPlan, Policy, Reference},
    sim::{self, Fault, Recording, Scenario, Story},
};

/// Arguments of `mainstay simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files with the policy, and its network if it is at hand; `-` for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Which of their policies; without it the first
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// What breaks in a toy chain
    #[arg(long, value_parser = PossibleValuesParser::new(Fault::ALL.map(|(name, _)| name)), conflicts_with = "recordings", required_unless_present = "recordings")]
    scenario: Option<String>,
    /// What was recorded: CSV (`time,target,signal,value`) or the answer of Prometheus' `query_range`; with `SIGNAL=` before
    /// it, every series of the file is that signal
    #[arg(long = "recording", value_name = "[SIGNAL=]FILE")]
    recordings: Vec<String>,
    /// The label of a recorded series that names its target; without it `pod`, or else `instance`
    #[arg(long)]
    label: Option<String>,
    /// Targets of a scenario
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    targets: u32,
    /// How long a scenario lasts, such as `2h`
    #[arg(long = "for", default_value = "4h")]
    lasts: Duration,
    /// The family of the policy's network, where no file holds that network
    #[arg(long, value_parser = super::family)]
    family: Option<Family>,
    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Draw it, too
    #[arg(long, value_name = "FILE")]
    svg: Option<String>,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A timeline and a table
    Text,
    /// JSON
    Json,
}

/// The longest time that is simulated (milliseconds): four weeks.
const LONGEST: u64 = 28 * 86_400_000;

/// Why nothing could be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The policy is wrong, or there is none.
    #[error("{0}: run mainstay check on it")]
    Policy(String),
    /// The role has no head that a toy chain could break.
    #[error(
        "a scenario breaks nodes that follow a chain, and the policy's role is {0:?}: give it a --recording instead"
    )]
    Role(Role),
    /// Too long.
    #[error("{0} is longer than four weeks: cut the recording, or write a shorter --for")]
    Long(Duration),
    /// A recording could not be used.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// Simulates one policy.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let texts = args.files.iter().map(|file| Ok((file.clone(), super::read(file)?)));
    let texts: Vec<(String, String)> = texts.collect::<Result<_, CliError>>()?;
    let report = check::check(&texts, args.family);
    if report.errors() > 0 {
        print(&report.to_string())?;
        return Ok(ExitCode::from(1));
    }
    let (mut policy, mut network) =
        subject(args, &texts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n---\n"))?;
    let story = if let Some(scenario) = &args.scenario {
        made_up(args, scenario, policy.clone(), &mut network)?
    } else {
        let recording = read::recording(&args.recordings, args.label.as_deref()).map_err(SimulateError::from)?;
        policy.mode = Mode::DryRun;
        recorded(recording, &policy, &mut network)?
    };
    if let Some(file) = &args.svg {
        let drawn = picture::draw(&policy.id.name, &story);
        fs::write(file, drawn).map_err(|source| CliError::Write { name: file.clone(), source })?;
    }
    print(&match args.output {
        Output::Text => table::text(&policy, &network, &story, args.scenario.as_deref()),
        Output::Json => table::json(&story),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The policy and its network. One that is not at hand is made up: only its name, family and block time would matter.
fn subject(args: &Args, text: &str) -> Result<(Policy, NetworkPlan), SimulateError> {
    let wanted = |name: Option<&str>| args.policy.is_none() || args.policy.as_deref() == name;
    let object = explain::policies(text).into_iter().find(|object| wanted(object.metadata.name.as_deref()));
    let object =
        object.ok_or_else(|| SimulateError::Policy(format!("no such policy in {}", args.files.join(", "))))?;
    let documents = check::documents(text).0.into_iter().map(|document| check::without_nulls(document.value));
    let networks = documents.filter(|value| value["kind"] == "Network");
    let mut networks = networks.filter_map(|value| serde_json::from_value::<Network>(value).ok());
    let network = networks.find(|network| network.metadata.name.as_deref() == Some(&object.spec.network));
    let family = network.as_ref().map(|network| network.spec.family).or(args.family).unwrap_or(Family::CometBFT);
    let problem = |problem: &dyn std::fmt::Display| SimulateError::Policy(problem.to_string());
    let policy = policy::validate(&object, family).map_err(|error| problem(&error))?;
    let mut plan = match network {
        Some(network) => policy::validate_network(&network).map_err(|error| problem(&error))?,
        None => made_up_network(&policy),
    };
    plan.allowed_namespaces = vec![policy.id.namespace.clone()];
    Ok((policy, plan))
}

fn made_up_network(policy: &Policy) -> NetworkPlan {
    let block_time = match policy.family {
        Family::EthereumExecution | Family::EthereumConsensus => 12_000,
        Family::Solana => 400,
        Family::CometBFT | Family::Substrate | Family::Other => 6_000,
    };
    NetworkPlan {
        name: policy.network.clone(),
        uid: "simulated".into(),
        family: policy.family,
        chain_id: "simulated".into(),
        block_time,
        allowed_namespaces: Vec::new(),
        references: Vec::new(),
        stalled_after: (20 * block_time).max(60_000),
        max_concurrent: 1,
        budget: Vec::new(),
        upgrades: false,
    }
}

fn made_up(args: &Args, name: &str, policy: Policy, network: &mut NetworkPlan) -> Result<Story, SimulateError> {
    if !policy.follows_the_chain() {
        return Err(SimulateError::Role(policy.role));
    }
    if args.lasts.as_millis() > LONGEST {
        return Err(SimulateError::Long(args.lasts));
    }
    let fault = Fault::ALL.into_iter().find(|(known, _)| *known == name).map_or(Fault::Hung, |(_, fault)| fault);
    network.references = vec![reference("reference")];
    let mut stage = Scenario::new(fault, args.targets, network.block_time, args.lasts.as_millis());
    Ok(sim::run(&mut stage, &Policy { mode: Mode::Enforce, ..policy }, network))
}

fn recorded(mut recording: Recording, policy: &Policy, network: &mut NetworkPlan) -> Result<Story, SimulateError> {
    let until = sim::Stage::until(&recording);
    if until > LONGEST {
        return Err(SimulateError::Long(Duration::from_millis(until)));
    }
    network.references = recording.references().map(reference).collect();
    Ok(sim::run(&mut recording, policy, network))
}

fn reference(name: &str) -> Reference {
    Reference { name: name.to_owned(), url: "recorded".into(), rest: None }
}
