//! One thing that is asked of one target, whatever its family.

use std::{future::Future, net::IpAddr, time::Duration};

use super::{
    address::{probe_url, resolve_port},
    ask::{Endpoint, Trouble},
    client::Client,
    clock::Clock,
    cometbft::{CometBft, Rest},
    consensus::Consensus,
    execution::Execution,
    http_json::HttpJson,
    onchain::{Matter, OnChain},
    scrape::Scrape,
    simple::{Api, Simple},
    solana::Solana,
    substrate::Substrate,
};
use crate::{
    api::{Family, policy::PortName},
    policy::{self, Reference, SourceKind},
    signal::{Poll, Signal, Unknown},
};

/// Something that can be asked.
pub trait Source: Send {
    /// What it tells about: a poll has a value or a reason for each of these.
    fn signals(&self) -> &[Signal];

    /// Asks once. Never fails, and ends by itself within the source's own timeout. `asks`: heights at which the
    /// network's nodes are compared; a source that follows a chain tells its block at each of them once.
    fn poll(&mut self, clock: &dyn Clock, asks: &[u64]) -> impl Future<Output = Poll> + Send;
}

/// The chain that must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected(Option<String>);

/// What the telemetry needs to know of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The pod's own address.
    pub ip: IpAddr,
    /// The container ports that it declares: name and number.
    pub ports: &'a [(Option<String>, u16)],
    /// What the chain of its network calls itself.
    pub chain_id: &'a str,
    /// The family of its network.
    pub family: Family,
    /// Nodes outside the cluster that know its chain.
    pub references: &'a [Reference],
}

/// A source of any family.
#[derive(Clone, Debug)]
pub enum AnySource {
    /// The RPC of a `CometBFT` node.
    CometBft(Box<CometBft>),
    /// The JSON-RPC of an execution client.
    Execution(Box<Execution>),
    /// The Beacon API of a consensus client.
    Consensus(Box<Consensus>),
    /// The JSON-RPC of a Substrate node.
    Substrate(Box<Substrate>),
    /// The JSON-RPC of a Solana validator.
    Solana(Box<Solana>),
    /// An endpoint with one question.
    Simple(Box<Simple>),
    /// What the chain itself says.
    OnChain(Box<OnChain>),
    /// A page of metrics.
    Scrape(Box<Scrape>),
    /// A JSON document.
    HttpJson(Box<HttpJson>),
}

// === impl Expected ===

impl Expected {
    /// Whatever chain there is.
    #[must_use]
    pub const fn any() -> Self {
        Self(None)
    }

    /// This one.
    #[must_use]
    pub fn exactly(chain: &str) -> Self {
        Self(Some(chain.to_owned()))
    }

    /// Whether a node that goes by these names is of it. The first is the one to show.
    pub(super) fn check(&self, names: &[&str]) -> Result<(), Trouble> {
        let fits = self.0.as_ref().is_none_or(|chain| names.contains(&chain.as_str()));
        if fits {
            return Ok(());
        }
        Err(Trouble::Unusable(Unknown::WrongChain(names.first().copied().unwrap_or_default().to_owned())))
    }
}

// === impl AnySource ===

impl AnySource {
    /// The source that a policy asks for, at this target; `None` for one that is not asked target by target. What may
    /// not be asked (a port that is not declared, an address on the deny list) becomes a source that tells why at every
    /// poll.
    #[must_use]
    pub fn at(target: Target<'_>, source: &policy::Source, client: &Client) -> Option<Self> {
        let base = |port: &PortName| {
            resolve_port(port, target.ports)
                .and_then(|port| probe_url(target.ip, port, client.reach(), client.denied()))
        };
        Self::with(source, client, target.family, target.references, Expected::exactly(target.chain_id), &base)
    }

    /// The source, where `base` says the address behind a port.
    #[must_use]
    pub fn with(
        source: &policy::Source,
        client: &Client,
        family: Family,
        references: &[Reference],
        chain: Expected,
        base: &dyn Fn(&PortName) -> Result<String, Unknown>,
    ) -> Option<Self> {
        let timeout = Duration::from_millis(source.timeout);
        let endpoint = |port: &PortName| Endpoint::new(client.clone(), base(port), timeout);
        let on_chain = |matter| {
            Self::OnChain(Box::new(OnChain::new(client, family, references, chain.clone(), matter, timeout)))
        };
        let simple = |port: &PortName, api| Self::Simple(Box::new(Simple::new(endpoint(port), api)));
        Some(match &source.kind {
            SourceKind::CometBft { port, rest } => {
                let others = references.iter().filter_map(|reference| reference.rest.clone());
                let others = others.map(|url| Endpoint::new(client.clone(), Ok(url), timeout));
                let asked: Vec<_> = rest.as_ref().map(&endpoint).into_iter().chain(others).collect();
                let rest = (!asked.is_empty()).then(|| Rest::new(asked, chain.clone()));
                Self::CometBft(Box::new(CometBft::new(endpoint(port), chain, rest)))
            }
            SourceKind::Execution(port) => Self::Execution(Box::new(Execution::new(endpoint(port), chain))),
            SourceKind::Consensus(port) => Self::Consensus(Box::new(Consensus::new(endpoint(port), chain))),
            SourceKind::Substrate(port) => Self::Substrate(Box::new(Substrate::new(endpoint(port), chain))),
            SourceKind::Solana { port, vote_account } => {
                Self::Solana(Box::new(Solana::new(endpoint(port), chain, vote_account.clone())))
            }
            SourceKind::Web3Signer(port) => simple(port, Api::Web3Signer),
            SourceKind::Hermes(port) => simple(port, Api::Hermes),
            SourceKind::Chainlink(port) => simple(port, Api::Chainlink),
            SourceKind::Feed { contract, heartbeat } => {
                on_chain(Matter::Feed { contract: contract.clone(), heartbeat: *heartbeat })
            }
            SourceKind::Wallet { address, denom, decimals } => {
                on_chain(Matter::Wallet { address: address.clone(), denom: denom.clone(), decimals: *decimals })
            }
            SourceKind::Scrape { port, path, reads, picks } => {
                let signals = source.kind.signals();
                let base = base(port);
                Self::Scrape(Box::new(Scrape::new(client.clone(), base, path, timeout, *reads, picks, signals)))
            }
            SourceKind::HttpJson { port, path, picks } => {
                let signals = source.kind.signals();
                Self::HttpJson(Box::new(HttpJson::new(endpoint(port), path, picks, signals)))
            }
            SourceKind::Prometheus { .. } => return None,
        })
    }

    /// The source that asks a reference of a network for the head; `None` for a family of which none is known.
    #[must_use]
    pub fn of_reference(
        family: Family,
        chain_id: &str,
        reference: &Reference,
        client: &Client,
        timeout: Duration,
    ) -> Option<Self> {
        let chain = Expected::exactly(chain_id);
        let endpoint = |url: &String| Endpoint::new(client.clone(), Ok(url.clone()), timeout);
        let rpc = endpoint(&reference.url);
        Some(match family {
            Family::CometBFT => {
                let rest = reference.rest.as_ref().map(|url| Rest::new(vec![endpoint(url)], chain.clone()));
                Self::CometBft(Box::new(CometBft::new(rpc, chain, rest)))
            }
            Family::EthereumExecution => Self::Execution(Box::new(Execution::new(rpc, chain))),
            Family::EthereumConsensus => Self::Consensus(Box::new(Consensus::new(rpc, chain))),
            Family::Substrate => Self::Substrate(Box::new(Substrate::new(rpc, chain))),
            Family::Solana => Self::Solana(Box::new(Solana::new(rpc, chain, None))),
            Family::Other => return None,
        })
    }
}

impl Source for AnySource {
    fn signals(&self) -> &[Signal] {
        match self {
            Self::CometBft(source) => source.signals(),
            Self::Execution(source) => source.signals(),
            Self::Consensus(source) => source.signals(),
            Self::Substrate(source) => source.signals(),
            Self::Solana(source) => source.signals(),
            Self::Simple(source) => source.signals(),
            Self::OnChain(source) => source.signals(),
            Self::Scrape(source) => source.signals(),
            Self::HttpJson(source) => source.signals(),
        }
    }

    async fn poll(&mut self, clock: &dyn Clock, asks: &[u64]) -> Poll {
        match self {
            Self::CometBft(source) => source.poll(clock, asks).await,
            Self::Execution(source) => source.poll(clock, asks).await,
            Self::Consensus(source) => source.poll(clock, asks).await,
            Self::Substrate(source) => source.poll(clock, asks).await,
            Self::Solana(source) => source.poll(clock, asks).await,
            Self::Simple(source) => source.poll(clock, asks).await,
            Self::OnChain(source) => source.poll(clock, asks).await,
            Self::Scrape(source) => source.poll(clock, asks).await,
            Self::HttpJson(source) => source.poll(clock, asks).await,
        }
    }
}
