//! solana-exporter (asymmetric-research, v3), beside a validator's RPC.

use super::{Combine, How, Metric, Signal};

pub(super) const METRICS: &[Metric] = &[
    Metric::new(Signal::Head, "solana_node_slot_height").by(Combine::Max),
    Metric::new(Signal::Finalized, "solana_validator_root_slot").by(Combine::Max),
    Metric::new(Signal::Syncing, "solana_node_is_healthy").by(Combine::Min).how(How::Is(0)),
    Metric::new(Signal::Jailed, "solana_validator_delinquent").by(Combine::Max).how(How::IsNot(0)),
    Metric::new(Signal::MissedBlocks, "solana_validator_leader_slots_total").with(&[("status", "skipped")]),
    Metric::new(Signal::WalletBalance, "solana_account_balance").by(Combine::Min),
];
