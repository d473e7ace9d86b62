//! What is no node: signers, relayers, oracles.

use super::{
    Preset,
    pieces::{Boldness, HOUR, MINUTE, ONE, SECOND, rule, scrape, source},
};
use crate::{
    api::{
        Family,
        policy::{Exporter, PortName},
    },
    policy::{Condition, SourceKind},
    signal::Signal,
};

const DAY_SECONDS: i64 = 86_400;

/// A signer: a Web3Signer for Ethereum, elsewhere whatever the policy names.
pub(super) fn signer(family: Family) -> Preset {
    let sources = match family {
        Family::EthereumConsensus => {
            vec![source("api", SourceKind::Web3Signer(PortName::Number(9000)))]
        }
        _ => Vec::new(),
    };
    Preset {
        sources,
        rules: vec![
            (
                rule("silent", Signal::Reachable, Condition::Below(ONE), 3 * MINUTE),
                "tenderduty and PANIC call a node down after 3 min",
            ),
            (
                rule("mute", Signal::SignerAnswers, Condition::Below(ONE), 3 * MINUTE).quarantine(),
                "its own health check fails, such as its slashing database: a restart may make that worse",
            ),
            (
                rule("fatal", Signal::FatalExit, Condition::Above(0), 0).quarantine(),
                "a refusal to sign is not an illness",
            ),
        ],
        ladder: Boldness::SIGNS.ladder(),
        limits: Boldness::SIGNS.limits(),
        least_grace: 60,
    }
}

/// A relayer: Hermes between `CometBFT` chains, a Hyperlane agent elsewhere.
pub(super) fn relayer(family: Family) -> Preset {
    let hermes = family == Family::CometBFT;
    let metrics = if hermes {
        scrape(3001, "/metrics", Exporter::Hermes)
    } else {
        scrape(9090, "/metrics", Exporter::Hyperlane)
    };
    let boldness = Boldness { cooldown: 10 * MINUTE, warm_up: 3 * MINUTE, ..Boldness::PLAIN };
    let mut rules = vec![
        (
            rule("silent", Signal::Reachable, Condition::Below(ONE), 3 * MINUTE),
            "tenderduty and PANIC call a node down after 3 min",
        ),
        (
            rule("deaf", Signal::RelayEventsAge, Condition::Above(300 * ONE), 0).clear(60 * ONE),
            "a websocket that went silent (hermes pull request 4428); only while the network's head rises",
        ),
        (
            rule("backlog", Signal::RelayBacklogAge, Condition::Above(900 * ONE), 0).clear(300 * ONE).warning(),
            "packets that wait for 15 min; Hyperlane's own alert waits for 40",
        ),
        (
            rule("poor", Signal::WalletRunway, Condition::Below(DAY_SECONDS * ONE), HOUR).quarantine(),
            "fees for less than a day: fund the wallet, no restart does",
        ),
        (
            rule("expiring", Signal::ClientExpiry, Condition::Below(DAY_SECONDS * ONE), 0).quarantine(),
            "a light client that expires can only be revived by governance",
        ),
        (
            rule("fatal", Signal::FatalExit, Condition::Above(0), 0).quarantine(),
            "exit codes and messages of the software itself",
        ),
    ];
    if hermes {
        rules.push((
            rule("idle", Signal::RelayWorkers, Condition::Below(ONE), 5 * MINUTE).warning(),
            "Hermes' guide: no packet worker, no relaying; nor has it any before the first packet, so this only warns",
        ));
    }
    Preset { sources: vec![metrics], rules, ladder: boldness.ladder(), limits: boldness.limits(), least_grace: 30 }
}

/// An oracle: a Chainlink node on EVM chains, a Pyth price pusher elsewhere. What it publishes is watched by a `feed`
/// source that the policy adds.
pub(super) fn oracle(family: Family) -> Preset {
    let sources = match family {
        Family::EthereumExecution => vec![source("health", SourceKind::Chainlink(PortName::Number(6688)))],
        _ => vec![scrape(9090, "/metrics", Exporter::Pyth)],
    };
    let boldness =
        Boldness { attempts: 1, cooldown: 30 * MINUTE, hourly: 1, warm_up: 3 * MINUTE, ..Boldness::PLAIN };
    Preset {
        sources,
        rules: vec![
            (
                rule("silent", Signal::Reachable, Condition::Below(ONE), 3 * MINUTE),
                "tenderduty and PANIC call a node down after 3 min",
            ),
            (
                rule("overdue", Signal::FeedOverdue, Condition::Above(ONE * 11 / 10), 5 * MINUTE).clear(ONE),
                "the feed's own heartbeat and a tenth",
            ),
            (
                rule("unwell", crate::policy::FAILING_CHECKS, Condition::Above(0), 5 * MINUTE).warning(),
                "Chainlink's developers offer no liveness check: told, and nothing is done",
            ),
            (
                rule("poor", Signal::WalletRunway, Condition::Below(DAY_SECONDS * ONE), HOUR).quarantine(),
                "fees for less than a day: fund the wallet, no restart does",
            ),
            (
                rule("fatal", Signal::FatalExit, Condition::Above(0), 30 * SECOND).quarantine(),
                "exit codes and messages of the software itself",
            ),
        ],
        ladder: boldness.ladder(),
        limits: boldness.limits(),
        least_grace: 60,
    }
}
