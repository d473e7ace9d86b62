//! The catalogue of standard signals: one name, one unit, one meaning, whatever the chain.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The unit of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// 0 or 1.
    Flag,
    /// A whole count.
    Count,
    /// A block height or slot.
    Height,
    /// A number of blocks or slots; may be negative.
    Blocks,
    /// Seconds; may be negative.
    Seconds,
    /// A share of a whole; 1 is all of it.
    Ratio,
    /// So many a second.
    PerSecond,
    /// Whole coins of the chain, such as ATOM or ETH.
    Coins,
    /// A number whose meaning only its author knows.
    Number,
    /// Words.
    Text,
}

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $unit:ident;)+) => {
        /// A named quantity with a unit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Signal {
            $($(#[doc = $doc])+ $variant,)+
            /// `custom/NAME`: whatever a policy reads beside the standard signals.
            Custom(CustomName),
        }

        /// Every standard signal.
        pub const SIGNALS: &[Signal] = &[$(Signal::$variant),+];

        impl Signal {
            /// Its name in manifests, metrics and documentation.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Custom(name) => name.as_str(),
                }
            }

            /// Its unit.
            #[must_use]
            pub const fn unit(self) -> Unit {
                match self {
                    $(Self::$variant => Unit::$unit,)+
                    Self::Custom(_) => Unit::Number,
                }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+),)+
                    Self::Custom(_) => "Whatever the policy reads under this name.",
                }
            }
        }
    };
}

catalogue! {
    /// 1: the endpoint answered correctly within its timeout; 0: its own port refused or kept silent.
    Reachable = "reachable", Flag;
    /// Round trip of the cheapest call.
    RpcLatency = "rpc_latency", Seconds;
    /// 1: the kubelet says that the pod is ready.
    Ready = "ready", Flag;
    /// Container restarts, summed over the pod's containers.
    Restarts = "restarts", Count;
    /// Why a container waits, such as `CrashLoopBackOff`; empty when none waits.
    WaitingReason = "waiting_reason", Text;
    /// How the last container that ended did so, such as `Error (exit 1)`; empty when none did.
    LastExit = "last_exit", Text;
    /// 1: the last exit was one that a restart cannot mend, such as a slashing refusal or a wrong application hash.
    FatalExit = "fatal_exit", Flag;
    /// Latest block or slot of this node.
    Head = "head", Height;
    /// Time since `head` last rose, by our monotonic clock. Derived.
    HeadAge = "head_age", Seconds;
    /// Reference head minus `head`; negative: ahead. Derived.
    HeadLag = "head_lag", Blocks;
    /// Now minus the latest block's own time.
    BlockTimeSkew = "block_time_skew", Seconds;
    /// Hash of this node's block at the height at which the network's nodes are compared.
    BlockHash = "block_hash", Text;
    /// The application's own hash after its latest block.
    AppHash = "app_hash", Text;
    /// Latest block that cannot be undone.
    Finalized = "finalized", Height;
    /// How far finality is behind: blocks, for the Ethereum consensus layer epochs.
    FinalityLag = "finality_lag", Blocks;
    /// 1: the node says that it is catching up.
    Syncing = "syncing", Flag;
    /// Blocks a second that `head` gained between the last two samples. Derived.
    SyncRate = "sync_rate", PerSecond;
    /// Connected peers.
    Peers = "peers", Count;
    /// Consensus round of the current height; 0 is usual.
    Round = "round", Count;
    /// Time since the consensus height, round or step last changed.
    RoundAge = "round_age", Seconds;
    /// Mean time between the last blocks.
    BlockInterval = "block_interval", Seconds;
    /// Transactions a second in the latest blocks.
    TxThroughput = "tx_throughput", PerSecond;
    /// Gas a second in the latest blocks.
    GasThroughput = "gas_throughput", PerSecond;
    /// Gas used in the latest block as a share of its limit.
    GasUtilisation = "gas_utilisation", Ratio;
    /// Pending transactions.
    Mempool = "mempool", Count;
    /// Missed signatures or attestations.
    MissedBlocks = "missed_blocks", Count;
    /// Share of the misses that the chain allows before it punishes, already used up.
    MissedRatio = "missed_ratio", Ratio;
    /// 1: the key this node runs with is in the active set.
    Signing = "signing", Flag;
    /// 1: the validator was put in jail, and may come back.
    Jailed = "jailed", Flag;
    /// 1: the key was punished for signing twice, and is dead.
    Tombstoned = "tombstoned", Flag;
    /// 1: the remote signer answers.
    SignerAnswers = "signer_answers", Flag;
    /// Time since the last signature, vote or attestation.
    LastSignedAge = "last_signed_age", Seconds;
    /// Used share of the disk.
    DiskUsedRatio = "disk_used_ratio", Ratio;
    /// Used share of the memory.
    MemoryUsedRatio = "memory_used_ratio", Ratio;
    /// How far the machine's clock is off.
    ClockOffset = "clock_offset", Seconds;
    /// Packets or messages that wait to be relayed.
    RelayBacklog = "relay_backlog", Count;
    /// For how long the backlog has not been empty.
    RelayBacklogAge = "relay_backlog_age", Seconds;
    /// Time since the relayer last heard an event of a chain.
    RelayEventsAge = "relay_events_age", Seconds;
    /// Packet workers that are running.
    RelayWorkers = "relay_workers", Count;
    /// Time until the first light client expires.
    ClientExpiry = "client_expiry", Seconds;
    /// Balance of the wallet that pays the fees.
    WalletBalance = "wallet_balance", Coins;
    /// For how long the balance lasts at the pace at which it falls.
    WalletRunway = "wallet_runway", Seconds;
    /// Age of the published value, by the time of the latest block.
    FeedAge = "feed_age", Seconds;
    /// That age as a share of the feed's heartbeat; above 1 it is late.
    FeedOverdue = "feed_overdue", Ratio;
}

/// The longest name after `custom/`.
const LONGEST: usize = 24;
const PREFIX: &str = "custom/";

/// The name of a signal that is not standard, `custom/` included. Small enough to be copied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomName {
    bytes: [u8; PREFIX.len() + LONGEST],
    length: u8,
}

impl CustomName {
    /// `custom/` and 1 to 24 of `a-z`, `0-9` and `_`. A loop, so that tables may hold such names as constants.
    pub(super) const fn constant(name: &str) -> Option<Self> {
        let (from, prefix) = (name.as_bytes(), PREFIX.as_bytes());
        if from.len() <= prefix.len() || from.len() > prefix.len() + LONGEST {
            return None;
        }
        let mut bytes = [0; PREFIX.len() + LONGEST];
        let mut index = 0;
        while index < from.len() {
            let fits = if index < prefix.len() {
                from[index] == prefix[index]
            } else {
                matches!(from[index], b'a'..=b'z' | b'0'..=b'9' | b'_')
            };
            if !fits {
                return None;
            }
            bytes[index] = from[index];
            index += 1;
        }
        // At most 31.
        #[expect(clippy::cast_possible_truncation)]
        let length = from.len() as u8;
        Some(Self { bytes, length })
    }

    fn as_str(&self) -> &str {
        // Made of ASCII only; an empty name could not be made.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for CustomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Signal {
    /// The signal of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let standard = SIGNALS.iter().copied().find(|signal| signal.name() == name);
        standard.or_else(|| CustomName::constant(name).map(Self::Custom))
    }

    /// Whether it is computed from others and from time, and so offered by no source.
    #[must_use]
    pub const fn is_derived(self) -> bool {
        matches!(self, Self::HeadAge | Self::HeadLag | Self::SyncRate)
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name)
            .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&name), &"the name of a signal"))
    }
}

impl Unit {
    /// How it is written after a number.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Flag | Self::Count | Self::Height | Self::Number | Self::Text | Self::Ratio => "",
            Self::Blocks => "blocks",
            Self::Seconds => "s",
            Self::PerSecond => "/s",
            Self::Coins => "coins",
        }
    }

    /// Whether its values are whole numbers that cannot be negative.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Flag | Self::Count | Self::Height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_own_and_leads_back() {
        for signal in SIGNALS {
            assert_eq!(Signal::named(signal.name()), Some(*signal));
            assert!(!signal.meaning().is_empty());
        }
    }

    #[test]
    fn the_definitions_know_every_signal_that_is_judged_and_which_are_times() {
        use crate::api::policy::{SIGNAL_NAMES, TIME_SIGNALS};
        let judged = |signal: &&Signal| {
            signal.unit() != Unit::Text || matches!(signal, Signal::BlockHash | Signal::AppHash)
        };
        let names: Vec<_> = SIGNALS.iter().filter(judged).map(Signal::name).collect();
        assert_eq!(names, SIGNAL_NAMES);
        let times: Vec<_> =
            SIGNALS.iter().filter(|signal| signal.unit() == Unit::Seconds).map(Signal::name).collect();
        assert_eq!(times, TIME_SIGNALS);
    }

    #[test]
    fn a_custom_name_is_short_and_plain() {
        let signal = Signal::named("custom/txs_24h").unwrap();
        assert_eq!((signal.name(), signal.unit()), ("custom/txs_24h", Unit::Number));
        assert_eq!(serde_json::from_str::<Signal>("\"custom/txs_24h\"").unwrap(), signal);
        let long = format!("custom/{}", "a".repeat(25));
        for refused in ["custom/", "custom/Big", "custom/a-b", "custom", "txs", long.as_str()] {
            assert_eq!(Signal::named(refused), None, "{refused}");
        }
    }
}
