//! `mainstay probe`: asks one endpoint once, or again and again, and prints what it tells as standard signals.

mod table;
#[cfg(test)]
mod tests;

use std::{process::ExitCode, time::Duration};

use clap::ValueEnum;
use reqwest::Url;

use super::{CliError, FAMILIES, block_on, print};
use crate::{
    api::{
        Family,
        policy::{Exporter, PortName, Role},
    },
    policy::{Reference, Source, SourceKind, preset},
    signal::{Observatory, Signal, Unknown},
    telemetry::{AnySource, Client, Clock, Expected, Source as _, SystemClock, address::Reach},
};

/// Arguments of `mainstay probe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What lives there: FAMILY, FAMILY/ROLE, or metrics/EXPORTER for a page of metrics. Families: `CometBFT`,
    /// `EthereumExecution`, `EthereumConsensus`, `Substrate`, `Solana`; roles: `FullNode`, `Sentry`, `Validator`,
    /// `Signer`, `Relayer`, `Oracle`; exporters: a family's name, `Hermes`, `Rly`, `Hyperlane`, `Chainlink`, `Pyth`,
    /// `Machine`, `EthereumValidator`
    #[arg(value_name = "FAMILY[/ROLE]")]
    what: String,
    /// Its address, such as <http://10.0.0.7:26657>
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// The Cosmos REST API of the same node, such as <http://10.0.0.7:1317>
    #[arg(long, value_name = "ADDRESS")]
    rest: Option<String>,
    /// Refuse a node of any other chain than this
    #[arg(long, value_name = "ID")]
    chain: Option<String>,
    /// The vote account of a Solana validator
    #[arg(long, value_name = "ADDRESS")]
    vote_account: Option<String>,
    /// Ask again and again, this often in seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    watch: Option<u64>,
    /// How long an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table
    Table,
    /// JSON, one document per poll
    Json,
}

/// Why nothing could be probed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Not something that is known.
    #[error("{0}")]
    What(String),
    /// Not an address.
    #[error("\"{0}\" is no address: write http:// or https:// and a host, such as http://10.0.0.7:26657")]
    Address(String),
    /// The client could not be made.
    #[error(transparent)]
    Client(#[from] crate::telemetry::BuildError),
}

/// What is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Subject {
    family: Family,
    source: Source,
    /// Base address of the endpoint.
    base: String,
    /// Base address of the REST API.
    rest: Option<String>,
}

/// Asks and prints. Says with its exit code whether the endpoint was reached and answered for the right chain.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let subject = subject(args)?;
    // It runs with the caller's own rights, so it may go where those lead.
    let client = Client::new(Reach::Anywhere, &[]).map_err(ProbeError::from)?;
    block_on(watch(args, &subject, &client))?
}

async fn watch(args: &Args, subject: &Subject, client: &Client) -> Result<ExitCode, CliError> {
    let clock = SystemClock::start();
    let mut source = source(subject, client, args.chain.as_deref())
        .ok_or_else(|| ProbeError::What("this is not asked endpoint by endpoint".into()))?;
    // Kept from one poll to the next, so that what time derives can be shown too.
    let mut state = Observatory::default();
    loop {
        let poll = source.poll(&clock, &[]).await;
        let silent = poll.whole(Signal::Reachable) == Some(0);
        let answered = poll.values.iter().any(|(_, value)| value.is_ok()) && !silent;
        state.file(&poll, 0, u64::MAX);
        print(&match args.output {
            Output::Table => table::table(subject, &poll, &state, clock.mono(), args.watch.is_some()),
            Output::Json => table::json(subject, &poll, &state, clock.mono(), clock.wall()),
        })?;
        let Some(seconds) = args.watch else {
            return Ok(if answered { ExitCode::SUCCESS } else { ExitCode::from(1) });
        };
        tokio::time::sleep(Duration::from_secs(seconds.max(1))).await;
    }
}

fn subject(args: &Args) -> Result<Subject, ProbeError> {
    let (of, role) = args.what.split_once('/').unwrap_or((&args.what, ""));
    let mut base = address(&args.address)?;
    let (family, mut source) = if plain(of) == "metrics" {
        let reads = named(role, &EXPORTERS).ok_or_else(|| {
            let known: Vec<_> = EXPORTERS.iter().map(|(name, _)| *name).collect();
            ProbeError::What(format!("metrics of what? Write metrics/ and one of {}", known.join(", ")))
        })?;
        (Family::Other, page(&mut base, Some(reads)))
    } else {
        let family = super::family(of).map_err(|why| ProbeError::What(format!("{of}: {why}, or metrics")))?;
        let role = if role.is_empty() { Some(Role::FullNode) } else { named(role, &ROLES) };
        let role = role.ok_or_else(|| {
            let known: Vec<_> = ROLES.iter().map(|(name, _)| *name).collect();
            ProbeError::What(format!("no such role: write one of {}", known.join(", ")))
        })?;
        let preset = preset(family, role).sources.into_iter().next();
        let source = preset.ok_or_else(|| {
            ProbeError::What(format!("there is nothing to ask of {}: its preset names no source", args.what))
        })?;
        (family, source)
    };
    // A host alone means the port on which the software usually answers.
    if let Some(port) = usual_port(&source.kind)
        && is_a_host_alone(&args.address)
    {
        base = format!("{base}:{port}");
    }
    match source.kind {
        SourceKind::CometBft { ref mut rest, .. } => *rest = args.rest.as_ref().map(|_| REST),
        SourceKind::Solana { ref mut vote_account, .. } => vote_account.clone_from(&args.vote_account),
        SourceKind::Scrape { reads, .. } if plain(of) != "metrics" => source = page(&mut base, reads),
        _ => {}
    }
    source.timeout = args.timeout.clamp(1, 60) * 1000;
    Ok(Subject { family, source, base, rest: args.rest.as_deref().map(address).transpose()? })
}

/// A port that stands for the REST API; addresses come from the command line.
const REST: PortName = PortName::Number(1);

/// A page of metrics: the path of the address is its own, or the usual one.
fn page(base: &mut String, reads: Option<Exporter>) -> Source {
    let (origin, path) = match base.match_indices('/').nth(2) {
        Some((at, _)) => (base[..at].to_owned(), base[at..].to_owned()),
        None => (base.clone(), "/metrics".to_owned()),
    };
    *base = origin;
    let kind = SourceKind::Scrape { port: PortName::Number(0), path, reads, picks: Vec::new() };
    Source { name: "metrics".into(), kind, every: 5_000, timeout: 5_000 }
}

fn source(subject: &Subject, client: &Client, chain: Option<&str>) -> Option<AnySource> {
    let chain = chain.map_or_else(Expected::any, Expected::exactly);
    let base = |port: &PortName| {
        let of = if *port == REST { subject.rest.as_ref() } else { Some(&subject.base) };
        of.cloned().ok_or_else(|| Unknown::OurSide("no address was given".into()))
    };
    AnySource::with(&subject.source, client, subject.family, &[] as &[Reference], chain, &base)
}

fn usual_port(kind: &SourceKind) -> Option<u16> {
    let (SourceKind::CometBft { port, .. }
    | SourceKind::Solana { port, .. }
    | SourceKind::Scrape { port, .. }
    | SourceKind::Execution(port)
    | SourceKind::Consensus(port)
    | SourceKind::Substrate(port)
    | SourceKind::Web3Signer(port)
    | SourceKind::Hermes(port)
    | SourceKind::Chainlink(port)) = kind
    else {
        return None;
    };
    if let PortName::Number(number) = port { Some(*number).filter(|number| *number > 0) } else { None }
}

fn is_a_host_alone(address: &str) -> bool {
    let url = format!("http://{address}").parse::<Url>();
    let no_port = !address.ends_with(':') && url.is_ok_and(|url| url.port().is_none());
    no_port && !address.contains('/') && !address.ends_with(":80")
}

/// A base address without a final slash. Without a scheme it is plain HTTP.
fn address(text: &str) -> Result<String, ProbeError> {
    let refuse = || ProbeError::Address(text.to_owned());
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url: Url = text.parse().map_err(|_| refuse())?;
    let plain = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    if !plain || !url.username().is_empty() || url.password().is_some() {
        return Err(refuse());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn plain(text: &str) -> String {
    text.to_lowercase().replace(['-', '_'], "")
}

fn named<T: Copy>(text: &str, known: &[(&str, T)]) -> Option<T> {
    known.iter().find(|(name, _)| plain(name) == plain(text)).map(|(_, of)| *of)
}

const ROLES: [(&str, Role); 6] = [
    ("FullNode", Role::FullNode),
    ("Sentry", Role::Sentry),
    ("Validator", Role::Validator),
    ("Signer", Role::Signer),
    ("Relayer", Role::Relayer),
    ("Oracle", Role::Oracle),
];

const EXPORTERS: [(&str, Exporter); 12] = [
    ("CometBFT", Exporter::CometBFT),
    ("EthereumExecution", Exporter::EthereumExecution),
    ("EthereumConsensus", Exporter::EthereumConsensus),
    ("EthereumValidator", Exporter::EthereumValidator),
    ("Substrate", Exporter::Substrate),
    ("Solana", Exporter::Solana),
    ("Hermes", Exporter::Hermes),
    ("Rly", Exporter::Rly),
    ("Hyperlane", Exporter::Hyperlane),
    ("Chainlink", Exporter::Chainlink),
    ("Pyth", Exporter::Pyth),
    ("Machine", Exporter::Machine),
];
