//! What the metrics of known software mean: one table per exporter, from metric names to standard signals.
//!
//! Where several lines of a table name one signal, the first whose metric is on the page counts: versions and clients
//! differ in names, not in meanings.

mod cometbft;
mod ethereum;
mod machine;
mod oracles;
mod relayers;
mod solana;
mod substrate;

use crate::api::policy::{Combine, Exporter};

use super::Signal;

/// Checks of a Chainlink node that do not pass.
pub const FAILING_CHECKS: Signal = custom("custom/failing_checks");

/// A custom name in a constant.
const fn custom(name: &str) -> Signal {
    match super::CustomName::constant(name) {
        Some(name) => Signal::Custom(name),
        None => panic!("not the name of a custom signal"),
    }
}

/// One metric of known software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The signal that it tells.
    pub signal: Signal,
    /// Its name.
    pub name: &'static str,
    /// Labels that a series must carry.
    pub labels: &'static [(&'static str, &'static str)],
    /// What becomes of several series.
    pub combine: Combine,
    /// How a value becomes the signal's.
    pub how: How,
}

/// How the value of a metric becomes that of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// As it is.
    AsIs,
    /// 1 if it is this number, else 0.
    Is(u32),
    /// 0 if it is this number, else 1.
    IsNot(u32),
    /// It is a Unix time in seconds: how long ago that was.
    SinceUnix,
    /// It is a Unix time in seconds: how long until then.
    UntilUnix,
    /// For how long it has not changed, by our clock: a counter of events that stopped coming.
    Unchanged,
    /// For how long it has not been 0, by our clock.
    NotZero,
    /// The share that is used, where it is what is left and the named metric is the whole. Compared series by series.
    UsedOf(&'static str),
}

impl Metric {
    const fn new(signal: Signal, name: &'static str) -> Self {
        Self { signal, name, labels: &[], combine: Combine::Sum, how: How::AsIs }
    }

    const fn with(self, labels: &'static [(&'static str, &'static str)]) -> Self {
        Self { labels, ..self }
    }

    const fn by(self, combine: Combine) -> Self {
        Self { combine, ..self }
    }

    const fn how(self, how: How) -> Self {
        Self { how, ..self }
    }
}

/// The metrics of an exporter.
#[must_use]
pub const fn known(exporter: Exporter) -> &'static [Metric] {
    match exporter {
        Exporter::CometBFT => cometbft::METRICS,
        Exporter::EthereumExecution => ethereum::EXECUTION,
        Exporter::EthereumConsensus => ethereum::CONSENSUS,
        Exporter::EthereumValidator => ethereum::VALIDATOR,
        Exporter::Substrate => substrate::METRICS,
        Exporter::Solana => solana::METRICS,
        Exporter::Hermes => relayers::HERMES,
        Exporter::Rly => relayers::RLY,
        Exporter::Hyperlane => relayers::HYPERLANE,
        Exporter::Chainlink => oracles::CHAINLINK,
        Exporter::Pyth => oracles::PYTH,
        Exporter::Machine => machine::METRICS,
    }
}

/// Every exporter.
pub const EXPORTERS: [Exporter; 12] = [
    Exporter::CometBFT,
    Exporter::EthereumExecution,
    Exporter::EthereumConsensus,
    Exporter::EthereumValidator,
    Exporter::Substrate,
    Exporter::Solana,
    Exporter::Hermes,
    Exporter::Rly,
    Exporter::Hyperlane,
    Exporter::Chainlink,
    Exporter::Pyth,
    Exporter::Machine,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_one_of_a_kind_and_no_signal_is_derived() {
        for exporter in EXPORTERS {
            let table = known(exporter);
            assert!(!table.is_empty(), "{exporter:?}");
            for (index, metric) in table.iter().enumerate() {
                assert!(!metric.signal.is_derived(), "{exporter:?}: {}", metric.name);
                assert!(!table[..index].contains(metric), "{exporter:?}: {} twice", metric.name);
            }
        }
    }
}
