//! The catalogue of standard signals: one name, one unit, one meaning, whatever the chain.

use serde::{Deserialize, Serialize};

use crate::api::policy::RuleSignal;

/// A named quantity with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// 1: the endpoint answered correctly within its timeout; 0: its own port refused or kept silent.
    Reachable,
    /// Round trip of the cheapest call.
    RpcLatency,
    /// 1: the kubelet says that the pod is ready.
    Ready,
    /// Container restarts, summed over the pod's containers.
    Restarts,
    /// Why a container waits, such as `CrashLoopBackOff`; empty when none waits.
    WaitingReason,
    /// How the last container that ended did so, such as `Error (exit 1)`; empty when none did.
    LastExit,
    /// Latest block of this node.
    Head,
    /// Time since `head` last rose, by our monotonic clock. Derived.
    HeadAge,
    /// Reference head minus `head`; negative: ahead. Derived.
    HeadLag,
    /// Now minus the latest block's own time.
    BlockTimeSkew,
    /// 1: the node says that it is catching up.
    Syncing,
    /// Connected peers.
    Peers,
    /// 1: the key this node runs with is in the active set.
    Signing,
}

/// The unit of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// 0 or 1.
    Flag,
    /// A count.
    Count,
    /// A block height.
    Height,
    /// A number of blocks.
    Blocks,
    /// Seconds.
    Seconds,
    /// Words.
    Text,
}

/// Every signal, in the order of its slot in the observatory.
pub const SIGNALS: [Signal; 13] = [
    Signal::Reachable,
    Signal::RpcLatency,
    Signal::Ready,
    Signal::Restarts,
    Signal::WaitingReason,
    Signal::LastExit,
    Signal::Head,
    Signal::HeadAge,
    Signal::HeadLag,
    Signal::BlockTimeSkew,
    Signal::Syncing,
    Signal::Peers,
    Signal::Signing,
];

impl Signal {
    /// Its name in manifests, metrics and documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::RpcLatency => "rpc_latency",
            Self::Ready => "ready",
            Self::Restarts => "restarts",
            Self::WaitingReason => "waiting_reason",
            Self::LastExit => "last_exit",
            Self::Head => "head",
            Self::HeadAge => "head_age",
            Self::HeadLag => "head_lag",
            Self::BlockTimeSkew => "block_time_skew",
            Self::Syncing => "syncing",
            Self::Peers => "peers",
            Self::Signing => "signing",
        }
    }

    /// Its unit.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Reachable | Self::Ready | Self::Syncing | Self::Signing => Unit::Flag,
            Self::Restarts | Self::Peers => Unit::Count,
            Self::Head => Unit::Height,
            Self::HeadLag => Unit::Blocks,
            Self::RpcLatency | Self::HeadAge | Self::BlockTimeSkew => Unit::Seconds,
            Self::WaitingReason | Self::LastExit => Unit::Text,
        }
    }

    /// Its slot in the observatory.
    #[must_use]
    pub const fn slot(self) -> usize {
        self as usize
    }
}

impl From<RuleSignal> for Signal {
    fn from(signal: RuleSignal) -> Self {
        match signal {
            RuleSignal::Reachable => Self::Reachable,
            RuleSignal::RpcLatency => Self::RpcLatency,
            RuleSignal::Ready => Self::Ready,
            RuleSignal::Restarts => Self::Restarts,
            RuleSignal::Head => Self::Head,
            RuleSignal::HeadAge => Self::HeadAge,
            RuleSignal::HeadLag => Self::HeadLag,
            RuleSignal::BlockTimeSkew => Self::BlockTimeSkew,
            RuleSignal::Syncing => Self::Syncing,
            RuleSignal::Peers => Self::Peers,
            RuleSignal::Signing => Self::Signing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_its_own_slot() {
        for (slot, signal) in SIGNALS.into_iter().enumerate() {
            assert_eq!(signal.slot(), slot, "{}", signal.name());
        }
    }
}
