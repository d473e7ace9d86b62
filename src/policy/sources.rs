//! From the sources that people wrote to those that are asked.

use std::collections::BTreeSet;

use super::{Pick, Problem, Source, SourceKind};
use crate::{
    api::{
        Duration, Family,
        policy::{Exporter, Role, SignalSource, TelemetrySource},
    },
    signal::Signal,
};

/// The preset's sources, with those of the policy added or in their place.
pub(super) fn compile(
    written: &[TelemetrySource],
    mut sources: Vec<Source>,
    family: Family,
    role: Role,
) -> Result<Vec<Source>, Problem> {
    let (every, timeout) = sources.first().map_or((5_000, 2_000), |base| (base.every, base.timeout));
    let mut seen = BTreeSet::new();
    for source in written {
        let place = format!("spec.telemetry[{}]", source.name);
        if !seen.insert(&source.name) {
            return Err(Problem::new(place, "two sources have this name: give each its own"));
        }
        let made = Source {
            name: source.name.clone(),
            kind: kind(source, family, role, &place)?,
            every: source.every.map_or(every, Duration::as_millis),
            timeout: source.timeout.map_or(timeout, Duration::as_millis),
        };
        if !(500..=300_000).contains(&made.every) {
            return Err(Problem::new(format!("{place}.every"), "write 500ms to 5m"));
        }
        if !(100..=30_000).contains(&made.timeout) {
            return Err(Problem::new(format!("{place}.timeout"), "write 100ms to 30s"));
        }
        match sources.iter().position(|known| known.name == source.name) {
            Some(index) => sources[index] = made,
            None => sources.push(made),
        }
    }
    Ok(sources)
}

fn kind(source: &TelemetrySource, family: Family, role: Role, place: &str) -> Result<SourceKind, Problem> {
    // Every kind is named here, so that a new one cannot be forgotten.
    let TelemetrySource {
        name: _,
        cometbft,
        execution,
        consensus,
        substrate,
        solana,
        web3signer,
        hermes,
        chainlink,
        feed,
        wallet,
        scrape,
        http_json,
        prometheus,
        signals,
        every: _,
        timeout: _,
    } = source;
    let picks = || picks(signals, place);
    let mut kinds = Vec::new();
    if let Some(of) = cometbft {
        kinds.push(SourceKind::CometBft { port: of.port.clone(), rest: of.rest.clone() });
    }
    kinds.extend(execution.as_ref().map(|of| SourceKind::Execution(of.port.clone())));
    kinds.extend(consensus.as_ref().map(|of| SourceKind::Consensus(of.port.clone())));
    kinds.extend(substrate.as_ref().map(|of| SourceKind::Substrate(of.port.clone())));
    if let Some(of) = solana {
        kinds.push(SourceKind::Solana { port: of.port.clone(), vote_account: of.vote_account.clone() });
    }
    kinds.extend(web3signer.as_ref().map(|of| SourceKind::Web3Signer(of.port.clone())));
    kinds.extend(hermes.as_ref().map(|of| SourceKind::Hermes(of.port.clone())));
    kinds.extend(chainlink.as_ref().map(|of| SourceKind::Chainlink(of.port.clone())));
    if let Some(of) = feed {
        let hex = of.contract.strip_prefix("0x").is_some_and(|digits| digits.len() == 40);
        if !hex || !of.contract.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Problem::new(format!("{place}.feed.contract"), "write 0x and 40 hexadecimal digits"));
        }
        kinds.push(SourceKind::Feed { contract: of.contract.clone(), heartbeat: of.heartbeat.as_millis() });
    }
    if let Some(of) = wallet {
        if of.address.is_empty() || !of.address.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Problem::new(format!("{place}.wallet.address"), "letters and digits only"));
        }
        if family == Family::CometBFT && of.denom.is_none() {
            return Err(Problem::new(format!("{place}.wallet.denom"), "name the coin, such as uatom"));
        }
        let decimals = of.decimals.map_or(Ok(decimals(family)), u32::try_from);
        kinds.push(SourceKind::Wallet {
            address: of.address.clone(),
            denom: of.denom.clone().unwrap_or_default(),
            decimals: decimals
                .ok()
                .filter(|decimals| *decimals <= 30)
                .ok_or_else(|| Problem::new(format!("{place}.wallet.decimals"), "write 0 to 30"))?,
        });
    }
    if let Some(of) = scrape {
        let picks = picks()?;
        kinds.push(SourceKind::Scrape {
            port: of.port.clone(),
            path: path(of.path.as_deref().unwrap_or("/metrics"), place)?,
            reads: of.reads.or_else(|| if picks.is_empty() { exporter(family, role) } else { None }),
            picks,
        });
    }
    if let Some(of) = http_json {
        let picks = picks()?;
        if picks.is_empty() {
            return Err(Problem::new(format!("{place}.signals"), "name at least one signal and its pointer"));
        }
        kinds.push(SourceKind::HttpJson { port: of.port.clone(), path: path(&of.path, place)?, picks });
    }
    if let Some(of) = prometheus {
        let [signal] = signals.as_slice() else {
            return Err(Problem::new(format!("{place}.signals"), "name the one signal that the query's value is"));
        };
        kinds.push(SourceKind::Prometheus {
            query: of.query.clone(),
            target_label: of.target_label.clone().unwrap_or_else(|| "pod".into()),
            signal: offered(signal, place)?,
        });
    }
    let mut kinds = kinds.into_iter();
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) => Ok(kind),
        _ => Err(Problem::new(place, "name exactly one source, such as cometbft: {port: rpc}")),
    }
}

fn picks(written: &[SignalSource], place: &str) -> Result<Vec<Pick>, Problem> {
    written
        .iter()
        .map(|of| {
            let at = of.metric.as_ref().or(of.pointer.as_ref());
            let at = at.ok_or_else(|| {
                let help = "say where it stands: a metric for scrape, a pointer for httpJson";
                Problem::new(format!("{place}.signals[{}]", of.signal.0), help)
            })?;
            Ok(Pick {
                signal: offered(of, place)?,
                at: at.clone(),
                labels: of.labels.clone().into_iter().collect(),
                combine: of.combine,
            })
        })
        .collect()
}

/// The signal of this name, if a source can offer it.
fn offered(of: &SignalSource, place: &str) -> Result<Signal, Problem> {
    Signal::named(&of.signal.0).filter(|signal| !signal.is_derived()).ok_or_else(|| {
        let help = "name a standard signal that is not derived from others, or custom/ and a name of your own";
        Problem::new(format!("{place}.signals[{}]", of.signal.0), help)
    })
}

fn path(path: &str, place: &str) -> Result<String, Problem> {
    if path.starts_with('/') && !path.contains(['#', ' ']) && !path.contains(char::is_control) {
        return Ok(path.to_owned());
    }
    Err(Problem::new(format!("{place}.path"), "a path begins with a slash, such as /metrics"))
}

/// Decimal places of a family's own coin: uatom, wei, lamports.
const fn decimals(family: Family) -> u32 {
    match family {
        Family::CometBFT | Family::Other => 6,
        Family::EthereumExecution | Family::EthereumConsensus => 18,
        Family::Substrate => 10,
        Family::Solana => 9,
    }
}

/// Whose metrics a page has when nobody says.
const fn exporter(family: Family, role: Role) -> Option<Exporter> {
    Some(match (role, family) {
        (Role::Relayer, Family::CometBFT) => Exporter::Hermes,
        (Role::Relayer, _) => Exporter::Hyperlane,
        (Role::Oracle, Family::EthereumExecution) => Exporter::Chainlink,
        (Role::Oracle, _) => Exporter::Pyth,
        (Role::Signer, Family::EthereumConsensus) => Exporter::EthereumValidator,
        (_, Family::CometBFT) => Exporter::CometBFT,
        (_, Family::EthereumExecution) => Exporter::EthereumExecution,
        (_, Family::EthereumConsensus) => Exporter::EthereumConsensus,
        (_, Family::Substrate) => Exporter::Substrate,
        (_, Family::Solana) => Exporter::Solana,
        (_, Family::Other) => return None,
    })
}
