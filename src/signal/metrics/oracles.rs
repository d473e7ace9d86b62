//! Oracles: Chainlink nodes and the Pyth price pusher.

use super::{Combine, How, Metric, Signal};

pub(super) const CHAINLINK: &[Metric] = &[
    Metric::new(Signal::Head, "head_tracker_current_head").by(Combine::Max),
    Metric::new(Signal::WalletBalance, "eth_balance").by(Combine::Min),
    Metric::new(Signal::Mempool, "unconfirmed_transactions"),
];

pub(super) const PYTH: &[Metric] = &[
    // The feed that was published longest ago.
    Metric::new(Signal::FeedAge, "pyth_price_last_published_time").by(Combine::Min).how(How::SinceUnix),
    Metric::new(Signal::WalletBalance, "pyth_wallet_balance").by(Combine::Min),
];
