//! The guards of a failover: whether it would help that another signs, and whether another may.

use serde::{Deserialize, Serialize};

use crate::signal::Signal;

use super::{Facts, NodeFacts, PodFacts, guard::Held, guards};

/// The `FailoverGroup` of the ladder, with the record of its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupFacts {
    /// Not asked for: a cache knows pods only, and few ladders have a group.
    #[default]
    Unread,
    /// There is none of its name.
    Absent,
    /// It may not be read.
    Forbidden,
    /// Group, identity and network are not each other's; says how.
    Foreign(String),
    /// The identity has no record: nobody has begun it.
    NoRecord,
    /// What stands in the identity is no record; says why.
    Unreadable(String),
    /// Nobody signs with the key any more; says why.
    Shut(String),
    /// The place is changing hands, or somebody has asked for it; says what.
    Moving(String),
    /// Another pod holds the place; of this member.
    NotHolder(String),
    /// The group has no other member.
    NoStandby,
    /// The target holds the place, and others could.
    #[serde(rename_all = "camelCase")]
    Ready {
        /// The identity.
        identity: String,
        /// The epoch of the target's hold.
        epoch: i64,
        /// Whether the place may change hands without a person.
        automatic: bool,
    },
}

/// A pod that ends in good order seals its epoch itself. One that does not end, because its node is lost, never will.
/// The cache knows no nodes: a look decides.
pub(super) fn moved(facts: &Facts<'_>) -> Option<Held> {
    let lost = facts.live.node != NodeFacts::Ready || facts.live.group == GroupFacts::Unread;
    match &facts.live.pod {
        PodFacts::Present(pod) if pod.uid == facts.target.uid && pod.terminating && lost => None,
        PodFacts::Present(_) | PodFacts::Gone => guards::moved(facts),
    }
}

/// What is wrong with the key or the chain is wrong with every member; a full disk, a clock and a process that ends
/// are the member's own.
pub(super) fn cause(facts: &Facts<'_>) -> Option<Held> {
    let mut firing = facts.target.verdict.findings.iter().filter(|finding| finding.firing);
    let found = firing.find(|finding| finding.signal.is_some_and(is_everybodys))?;
    Held::because(format!("{}: {}; it would be no better if another signed", found.rule, found.evidence))
}

const fn is_everybodys(signal: Signal) -> bool {
    matches!(
        signal,
        Signal::Jailed
            | Signal::Tombstoned
            | Signal::BlockHash
            | Signal::AppHash
            | Signal::WalletBalance
            | Signal::WalletRunway
            | Signal::ClientExpiry
    )
}

/// The target holds the place of a group, and another may take it.
pub(super) fn helps(facts: &Facts<'_>) -> Option<Held> {
    let group = facts.policy.ladder.failover.as_ref().map_or("that was asked for", |step| &step.group);
    Held::because(match &facts.live.group {
        GroupFacts::Unread => return None,
        GroupFacts::Ready { automatic, .. } if *automatic || facts.target.by_hand => return None,
        GroupFacts::Ready { .. } => format!(
            "FailoverGroup {group} is not automatic: a person decides, with `mainstay ask failover {}`",
            facts.target.pod
        ),
        GroupFacts::Absent => format!("there is no FailoverGroup {group} in this namespace"),
        GroupFacts::Forbidden => {
            format!("Mainstay may not read FailoverGroup {group}: install the chart with failover.enabled=true")
        }
        GroupFacts::Foreign(why) => format!("FailoverGroup {group}: {why}"),
        GroupFacts::NoRecord => {
            format!(
                "the identity of FailoverGroup {group} has no record: `mainstay init` or `mainstay adopt` begins one"
            )
        }
        GroupFacts::Unreadable(why) => format!("the identity of FailoverGroup {group}: {why}"),
        GroupFacts::Shut(why) => why.clone(),
        GroupFacts::Moving(what) => format!("the place changes hands already: {what}"),
        GroupFacts::NotHolder(member) => {
            format!(
                "{member} of FailoverGroup {group} signs, and not this pod: it would help nobody if another did"
            )
        }
        GroupFacts::NoStandby => format!("FailoverGroup {group} has no other member"),
    })
}
