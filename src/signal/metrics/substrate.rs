//! Substrate (`substrate-prometheus`), under its usual prefix and under `polkadot`, which older chains chose.

use super::{Combine, How, Metric, Signal};

const BEST: &[(&str, &str)] = &[("status", "best")];
const FINALIZED: &[(&str, &str)] = &[("status", "finalized")];

pub(super) const METRICS: &[Metric] = &[
    Metric::new(Signal::Head, "substrate_block_height").with(BEST).by(Combine::Max),
    Metric::new(Signal::Head, "polkadot_block_height").with(BEST).by(Combine::Max),
    Metric::new(Signal::Finalized, "substrate_block_height").with(FINALIZED).by(Combine::Max),
    Metric::new(Signal::Finalized, "polkadot_block_height").with(FINALIZED).by(Combine::Max),
    Metric::new(Signal::Peers, "substrate_sub_libp2p_peers_count"),
    Metric::new(Signal::Peers, "polkadot_sub_libp2p_peers_count"),
    Metric::new(Signal::Syncing, "substrate_sub_libp2p_is_major_syncing").by(Combine::Max).how(How::IsNot(0)),
    Metric::new(Signal::Syncing, "polkadot_sub_libp2p_is_major_syncing").by(Combine::Max).how(How::IsNot(0)),
    Metric::new(Signal::Mempool, "substrate_ready_transactions_number"),
    Metric::new(Signal::Mempool, "polkadot_ready_transactions_number"),
    Metric::new(Signal::Signing, "polkadot_node_is_active_validator").by(Combine::Max).how(How::IsNot(0)),
];
