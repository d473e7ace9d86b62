//! Ethereum clients. Execution: geth (`core/blockchain.go`, `p2p/metrics.go`), reth (`reth_*`), Besu and Nethermind
//! (`ethereum_*`, `nethermind_*`), Erigon (geth's names). Consensus: Lighthouse, Prysm, Teku, Nimbus and Lodestar, as
//! of 2024.

use super::{Combine, How, Metric, Signal, custom};

/// Execution clients. geth and Erigon export counters as gauges too, so the types on the page say nothing.
pub(super) const EXECUTION: &[Metric] = &[
    Metric::new(Signal::Head, "chain_head_block").by(Combine::Max),
    Metric::new(Signal::Head, "reth_blockchain_tree_canonical_chain_height").by(Combine::Max),
    Metric::new(Signal::Head, "ethereum_blockchain_height").by(Combine::Max),
    Metric::new(Signal::Head, "nethermind_blockchain_height").by(Combine::Max),
    Metric::new(Signal::Head, "nethermind_blocks").by(Combine::Max),
    Metric::new(Signal::Finalized, "chain_head_finalized").by(Combine::Max),
    Metric::new(Signal::Finalized, "reth_blockchain_tree_finalized_block_height").by(Combine::Max),
    Metric::new(Signal::Finalized, "ethereum_blockchain_finalized_block").by(Combine::Max),
    Metric::new(Signal::Peers, "p2p_peers"),
    Metric::new(Signal::Peers, "reth_network_connected_peers"),
    Metric::new(Signal::Peers, "ethereum_peer_count"),
    Metric::new(Signal::Peers, "nethermind_sync_peers"),
    Metric::new(Signal::Syncing, "besu_synchronizer_in_sync").by(Combine::Min).how(How::Is(0)),
    Metric::new(Signal::Mempool, "txpool_pending"),
    Metric::new(Signal::Mempool, "reth_transaction_pool_transactions"),
    Metric::new(Signal::Mempool, "nethermind_pending_transactions_count"),
];

/// Consensus clients. `head` is a slot, `finalized` an epoch: what the Beacon API calls them.
pub(super) const CONSENSUS: &[Metric] = &[
    Metric::new(Signal::Head, "beacon_head_slot").by(Combine::Max),
    Metric::new(Signal::Head, "beacon_head_state_slot").by(Combine::Max),
    Metric::new(Signal::Finalized, "beacon_finalized_epoch").by(Combine::Max),
    Metric::new(Signal::Finalized, "beacon_head_state_finalized_epoch").by(Combine::Max),
    Metric::new(Signal::Finalized, "head_finalized_epoch").by(Combine::Max),
    // Prysm counts per state, Teku by direction and transport in its newer versions.
    Metric::new(Signal::Peers, "p2p_peer_count").with(&[("state", "Connected")]),
    Metric::new(Signal::Peers, "beacon_peer_count"),
    Metric::new(Signal::Peers, "libp2p_peers"),
    Metric::new(Signal::Peers, "nbc_peers"),
    Metric::new(Signal::Syncing, "sync_eth2_synced").by(Combine::Min).how(How::Is(0)),
    Metric::new(Signal::Syncing, "beacon_node_syncing_active").by(Combine::Max).how(How::IsNot(0)),
    // Lodestar: 0 stalled, 1 syncing finalized, 2 syncing head, 3 synced.
    Metric::new(Signal::Syncing, "lodestar_sync_status").by(Combine::Min).how(How::IsNot(3)),
];

/// Validator clients, and Web3Signer's own page.
pub(super) const VALIDATOR: &[Metric] = &[
    Metric::new(Signal::MissedBlocks, "validator_failed_attestations"),
    Metric::new(Signal::MissedBlocks, "validator_monitor_prev_epoch_on_chain_head_attester_miss"),
    Metric::new(Signal::MissedBlocks, "validator_monitor_prev_epoch_on_chain_head_attester_miss_total"),
    Metric::new(Signal::Head, "validator_last_attested_slot").by(Combine::Max),
    // Prysm: 3 active, 5 slashing.
    Metric::new(Signal::Tombstoned, "validator_statuses").by(Combine::Max).how(How::Is(5)),
    // Lighthouse and Lodestar: beacon nodes that the client can use.
    Metric::new(Signal::Peers, "vc_beacon_nodes_available_count"),
    // An increase means that two signers race for one key; the signer held.
    Metric::new(custom("custom/prevented_signings"), "eth2_slashingprotection_prevented_signings_total"),
    Metric::new(custom("custom/prevented_signings"), "vc_slashing_protection_attestation_errors_total"),
];
