//! `CometBFT` v0.38 and v1.0 (`metrics.go` of its packages), and Tendermint v0.34 under its own prefix.
//!
//! The namespace is `cometbft` by default since 0.37 and `tendermint` before; both may be configured away, and then a
//! policy names the metrics itself.

use super::{Combine, How, Metric, Signal};

/// The table, for both prefixes. `consensus_validator_missed_blocks` counts since the process began, and only for the
/// validator that runs with the node's own key.
pub(super) const METRICS: &[Metric] = &[
    Metric::new(Signal::Head, "cometbft_consensus_latest_block_height").by(Combine::Max),
    Metric::new(Signal::Head, "tendermint_consensus_latest_block_height").by(Combine::Max),
    Metric::new(Signal::Head, "cometbft_consensus_height").by(Combine::Max),
    Metric::new(Signal::Head, "tendermint_consensus_height").by(Combine::Max),
    Metric::new(Signal::Round, "cometbft_consensus_rounds").by(Combine::Max),
    Metric::new(Signal::Round, "tendermint_consensus_rounds").by(Combine::Max),
    Metric::new(Signal::Peers, "cometbft_p2p_peers"),
    Metric::new(Signal::Peers, "tendermint_p2p_peers"),
    Metric::new(Signal::Mempool, "cometbft_mempool_size"),
    Metric::new(Signal::Mempool, "tendermint_mempool_size"),
    Metric::new(Signal::MissedBlocks, "cometbft_consensus_validator_missed_blocks"),
    Metric::new(Signal::MissedBlocks, "tendermint_consensus_validator_missed_blocks"),
    Metric::new(Signal::Syncing, "cometbft_blocksync_syncing").by(Combine::Max).how(How::IsNot(0)),
    Metric::new(Signal::Syncing, "cometbft_consensus_block_syncing").by(Combine::Max).how(How::IsNot(0)),
    Metric::new(Signal::Syncing, "tendermint_blocksync_syncing").by(Combine::Max).how(How::IsNot(0)),
    Metric::new(Signal::Syncing, "tendermint_consensus_fast_syncing").by(Combine::Max).how(How::IsNot(0)),
];
