//! Nodes: full nodes, sentries and validators of every family.

use super::{
    Preset,
    pieces::{Boldness, MINUTE, ONE, REROUTE, rule, source},
};
use crate::{
    api::{
        Family,
        policy::{PortName, Role},
    },
    policy::{Condition, Ladder, Rule, Source, SourceKind},
    signal::Signal,
};

/// What differs between families.
struct Numbers {
    sources: Vec<Source>,
    /// Blocks behind at which it is told, and where that comes from.
    lagging: (i64, &'static str),
    /// Blocks behind at which something is done, and where that comes from.
    behind: (i64, &'static str),
    /// Fewest peers, and where that comes from.
    peers: (i64, &'static str),
    /// Finality may be so far behind, for so long.
    finality: Option<(i64, u64, &'static str)>,
    least_grace: u64,
}

const SILENT: &str = "tenderduty and PANIC call a node down after 3 min";
const STALLED: &str = "PANIC warns after 180 s without a new height; only while the network's head rises";
const FORKED: &str = "one sample at a final height is proof; no restart mends it";
const FATAL: &str = "exit codes and messages of the clients themselves; a restart repeats them";

pub(super) fn preset(family: Family, role: Role) -> Preset {
    let numbers = numbers(family);
    let signs = role == Role::Validator;
    let boldness = if signs { Boldness::SIGNS } else { Boldness::PLAIN };
    let mut rules = vec![
        (rule("silent", Signal::Reachable, Condition::Below(ONE), 3 * MINUTE), SILENT),
        (rule("stalled", Signal::Head, Condition::Stalled, 3 * MINUTE), STALLED),
        (
            rule("behind", Signal::HeadLag, Condition::Above(numbers.behind.0 * ONE), 3 * MINUTE)
                .clear(numbers.lagging.0 * ONE),
            numbers.behind.1,
        ),
        (
            rule("lagging", Signal::HeadLag, Condition::Above(numbers.lagging.0 * ONE), MINUTE)
                .clear(numbers.lagging.0 / 3 * ONE)
                .warning(),
            numbers.lagging.1,
        ),
        (rule("lonely", Signal::Peers, fewest_peers(&numbers, family, signs), 3 * MINUTE).warning(), {
            if signs && family == Family::CometBFT {
                "PANIC: a validator behind sentries is in danger with 1 peer"
            } else {
                numbers.peers.1
            }
        }),
        (rule("fatal", Signal::FatalExit, Condition::Above(0), 0).quarantine(), FATAL),
    ];
    if family != Family::Other {
        rules.push((rule("forked", Signal::BlockHash, Condition::Diverged, 0).quarantine(), FORKED));
    }
    if family == Family::CometBFT {
        rules.push((
            rule("corrupt", Signal::AppHash, Condition::Diverged, 0).quarantine(),
            "wrong Block.Header.AppHash: the node's own state is not the chain's",
        ));
    }
    if let Some((lag, hold, origin)) = numbers.finality {
        let unfinal = rule("unfinal", Signal::FinalityLag, Condition::Above(lag * ONE), hold);
        rules.push((unfinal.warning(), origin));
    }
    if signs {
        rules.extend(identity(family));
    }
    Preset {
        sources: numbers.sources,
        rules,
        // Whoever signs serves nobody.
        ladder: Ladder { reroute: (!signs).then_some(REROUTE), ..boldness.ladder() },
        limits: boldness.limits(),
        least_grace: numbers.least_grace,
    }
}

fn fewest_peers(numbers: &Numbers, family: Family, signs: bool) -> Condition {
    let behind_sentries = signs && family == Family::CometBFT;
    Condition::Below(if behind_sentries { 2 } else { numbers.peers.0 } * ONE)
}

/// Facts about the key, whichever machine signs with it: a person is called, and nobody is restarted.
fn identity(family: Family) -> Vec<(Rule, &'static str)> {
    let jailed = rule("jailed", Signal::Jailed, Condition::Above(0), 0).quarantine();
    let tombstoned = rule("tombstoned", Signal::Tombstoned, Condition::Above(0), 0).quarantine();
    match family {
        Family::CometBFT => vec![
            (
                rule("missing", Signal::MissedRatio, Condition::Above(ONE / 2), 0).clear(ONE / 4).quarantine(),
                "half of the misses that the chain itself allows in its window",
            ),
            (jailed, "x/slashing: mend the cause, then unjail by hand"),
            (tombstoned, "x/slashing: the key is dead"),
        ],
        Family::EthereumConsensus => vec![(tombstoned, "slashed: no other signer may come near the key")],
        Family::Solana => vec![(jailed, "delinquent: 128 slots without a vote, as getVoteAccounts counts")],
        Family::EthereumExecution | Family::Substrate | Family::Other => Vec::new(),
    }
}

fn numbers(family: Family) -> Numbers {
    let rpc = |kind| vec![source("rpc", kind)];
    let three_peers = (3, "Substrate's alert rules, proxyd and dshackle: fewer than 3");
    match family {
        Family::CometBFT => Numbers {
            sources: rpc(SourceKind::CometBft { port: PortName::Number(26657), rest: None }),
            lagging: (10, "common CometBFT alert rules"),
            behind: (30, "three minutes of blocks at 6 s"),
            peers: three_peers,
            finality: None,
            least_grace: 120,
        },
        Family::EthereumExecution => Numbers {
            sources: rpc(SourceKind::Execution(PortName::Number(8545))),
            lagging: (8, "proxyd's max_block_lag"),
            behind: (16, "eRPC's block lag"),
            peers: three_peers,
            finality: Some((128, 10 * MINUTE, "four epochs: beyond them the inactivity leak begins")),
            least_grace: 300,
        },
        Family::EthereumConsensus => Numbers {
            sources: vec![source("rpc", SourceKind::Consensus(PortName::Number(5052)))],
            lagging: (4, "empty slots are legal: 1 to 3 are noise"),
            behind: (32, "one epoch"),
            peers: (10, "EthMonitor: fewer than 10"),
            finality: Some((4, 10 * MINUTE, "MIN_EPOCHS_TO_INACTIVITY_PENALTY")),
            least_grace: 60,
        },
        Family::Substrate => Numbers {
            sources: rpc(SourceKind::Substrate(PortName::Number(9944))),
            lagging: (10, "polkadot's alert rules: best minus finalized and sync target beyond 10"),
            behind: (100, "ten minutes of blocks at 6 s"),
            peers: three_peers,
            finality: Some((10, 8 * MINUTE, "polkadot's alert rules: 10 blocks for 8 min")),
            least_grace: 60,
        },
        Family::Solana => Numbers {
            sources: rpc(SourceKind::Solana { port: PortName::Number(8899), vote_account: None }),
            lagging: (64, "half of the distance at which getHealth says behind"),
            behind: (128, "getHealth's own distance, and that of delinquency"),
            peers: three_peers,
            finality: Some((150, 5 * MINUTE, "the root trails the tip by 32 slots; 150 is a minute")),
            least_grace: 60,
        },
        Family::Other => Numbers {
            sources: Vec::new(),
            lagging: (10, "ten blocks"),
            behind: (30, "thirty blocks"),
            peers: three_peers,
            finality: None,
            least_grace: 30,
        },
    }
}
