//! Relayers: Hermes 1.10 to 1.13 (`telemetry/src/state.rs`), the Go relayer v2 (`metrics.go`), Hyperlane agents.
//!
//! Hermes' `wallet_balance` has no time of its own and may stand still while relaying goes on (informalsystems/hermes
//! issue 4418): ask the chain itself with a `wallet` source.

use super::{Combine, How, Metric, Signal};

const PACKET: &[(&str, &str)] = &[("type", "packet")];

pub(super) const HERMES: &[Metric] = &[
    Metric::new(Signal::RelayWorkers, "workers").with(PACKET),
    Metric::new(Signal::RelayBacklog, "backlog_size"),
    Metric::new(Signal::RelayBacklogAge, "backlog_size").how(How::NotZero),
    // A silent websocket: no event of any chain.
    Metric::new(Signal::RelayEventsAge, "ws_events_total").how(How::Unchanged),
    Metric::new(Signal::RelayEventsAge, "ws_events").how(How::Unchanged),
    Metric::new(Signal::WalletBalance, "wallet_balance").by(Combine::Min),
];

pub(super) const RLY: &[Metric] = &[
    Metric::new(Signal::RelayBacklog, "cosmos_relayer_unrelayed_packets"),
    Metric::new(Signal::RelayBacklogAge, "cosmos_relayer_unrelayed_packets").how(How::NotZero),
    Metric::new(Signal::RelayEventsAge, "cosmos_relayer_chain_latest_height").how(How::Unchanged),
    Metric::new(Signal::ClientExpiry, "cosmos_relayer_client_expiration_seconds").by(Combine::Min),
    Metric::new(Signal::WalletBalance, "cosmos_relayer_wallet_balance").by(Combine::Min),
];

pub(super) const HYPERLANE: &[Metric] = &[
    Metric::new(Signal::RelayBacklog, "hyperlane_submitter_queue_length"),
    Metric::new(Signal::RelayBacklogAge, "hyperlane_submitter_queue_length").how(How::NotZero),
    // The oldest of the loops that read the chains.
    Metric::new(Signal::RelayEventsAge, "hyperlane_contract_sync_liveness").by(Combine::Min).how(How::SinceUnix),
    Metric::new(Signal::RelayEventsAge, "hyperlane_block_height").how(How::Unchanged),
    Metric::new(Signal::WalletBalance, "hyperlane_wallet_balance").by(Combine::Min),
];
