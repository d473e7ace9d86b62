//! What each guard looks at. Every function answers one question and returns why it holds, or nothing.

use crate::{
    api::policy::Mode,
    policy::required_healthy,
    signal::{Mono, Server, Signal},
};

use super::{
    Facts, Hours, NodeFacts, PodFacts, Stop, WorkloadFacts, budget::Reached, facts::GROWTH, guard::Held, ledger,
    ownership,
};

/// A cache older than this (milliseconds) is not believed: the watch renews itself every 25 s.
const CACHE_MAX_AGE: u64 = 60_000;

pub(super) fn emergency_stop(facts: &Facts<'_>) -> Option<Held> {
    match &facts.live.stop {
        Stop::Go => None,
        Stop::Stopped(why) => Held::because(format!("the emergency stop is pulled: {why}")),
    }
}

pub(super) fn old_schema(facts: &Facts<'_>) -> Option<Held> {
    if facts.own.schema_current {
        return None;
    }
    Held::because(
        "the cluster's CRDs are older than this operator: upgrade the chart; until then it only observes",
    )
}

pub(super) fn conflict(facts: &Facts<'_>) -> Option<Held> {
    if let Some(why) = ownership::owned_by_another(facts.ledger, facts.installation, facts.now.server) {
        return Held::because(why);
    }
    if facts.target.contested {
        return Held::because("another policy claims this pod with the same or a higher priority");
    }
    let namespace = &facts.policy.id.namespace;
    if !facts.network.allowed_namespaces.contains(namespace) {
        return Held::because(format!(
            "network {} does not admit namespace {namespace}: its administrator adds it to spec.allowedNamespaces",
            facts.network.name
        ));
    }
    None
}

pub(super) fn mode(facts: &Facts<'_>) -> Option<Held> {
    if facts.policy.mode != Mode::Observe || facts.target.by_hand {
        return None;
    }
    Held::because("mode Observe: verdicts only")
}

/// Where anybody may write anybody's name, an approval says nothing.
pub(super) fn approval(facts: &Facts<'_>) -> Option<Held> {
    if facts.policy.mode != Mode::Approve || facts.own.approvals_guarded {
        return None;
    }
    Held::because(
        "mode Approve, and nothing in the cluster holds an approver to his own name: install the chart with \
         admission.enabled=true",
    )
}

pub(super) fn paused(facts: &Facts<'_>) -> Option<Held> {
    let reasons = &facts.policy.limits.pause;
    if reasons.is_empty() {
        return None;
    }
    Held::because(format!("paused: {}", reasons.join("; ")))
}

pub(super) fn never_touched(facts: &Facts<'_>) -> Option<Held> {
    let PodFacts::Present(pod) = &facts.live.pod else {
        return None;
    };
    if pod.ignored {
        Held::because("the pod opted out with mainstay.dev/ignore")
    } else if pod.protected {
        Held::because("the pod belongs to Mainstay or to kube-system")
    } else if !pod.controlled {
        Held::because("a bare pod: no workload would make it anew")
    } else if pod.host_network {
        Held::because("the pod is on the host's network, where its probes cannot be told from the node's")
    } else {
        None
    }
}

pub(super) fn moved(facts: &Facts<'_>) -> Option<Held> {
    match &facts.live.pod {
        PodFacts::Gone => Held::because("the pod is gone"),
        PodFacts::Present(pod) if pod.uid != facts.target.uid => Held::because("another pod has taken its place"),
        PodFacts::Present(pod) if pod.terminating => Held::because("the pod is being deleted already"),
        PodFacts::Present(_) => None,
    }
}

pub(super) fn rollout(facts: &Facts<'_>) -> Option<Held> {
    match &facts.live.workload {
        WorkloadFacts::Settled => None,
        WorkloadFacts::RollingOut(what) => Held::because(format!("a rollout is under way: {what}")),
    }
}

pub(super) fn node_unfit(facts: &Facts<'_>) -> Option<Held> {
    match &facts.live.node {
        NodeFacts::Ready => None,
        NodeFacts::Unfit(why) => Held::because(format!("that is the node's affair: {why}")),
    }
}

pub(super) fn crash_loop(facts: &Facts<'_>) -> Option<Held> {
    match &facts.live.pod {
        PodFacts::Present(pod) if pod.crash_loop => {
            Held::because("the kubelet is restarting it in a loop already; one more restart helps nobody")
        }
        PodFacts::Present(_) | PodFacts::Gone => None,
    }
}

/// What no restart mends is not restarted, whatever else is wrong: it comes back as it was, and for some of it worse. A
/// full disk ends in a node that does not start; a clock that is off is the machine's; a wallet, a client of a relayer
/// and a key are facts of the chain; a node whose signer keeps silent ends when it is started without one; a fatal end
/// and a state that is not the chain's are repeated. A warning is enough: a person has said from where on it counts.
pub(super) fn cause(facts: &Facts<'_>) -> Option<Held> {
    let mut firing = facts.target.verdict.findings.iter().filter(|finding| finding.firing);
    let found = firing.find(|finding| finding.signal.is_some_and(|signal| !mends(signal)))?;
    Held::because(format!("{}: {}; no restart mends that", found.rule, found.evidence))
}

/// Whether a restart can mend what is wrong with this signal.
pub(super) const fn mends(signal: Signal) -> bool {
    !matches!(
        signal,
        Signal::DiskUsedRatio
            | Signal::ClockOffset
            | Signal::WalletBalance
            | Signal::WalletRunway
            | Signal::ClientExpiry
            | Signal::Jailed
            | Signal::Tombstoned
            | Signal::SignerAnswers
            | Signal::FatalExit
            | Signal::BlockHash
            | Signal::AppHash
    )
}

/// Everything broken at once is more likely one broken observer, network or release than so many broken nodes. Half
/// of something small says little: three targets are needed.
pub(super) fn telemetry_lost(facts: &Facts<'_>) -> Option<Held> {
    let fleet = facts.fleet;
    if fleet.targets < 3 {
        return None;
    }
    if fleet.unhealthy >= fleet.targets {
        return Held::because(format!(
            "all {} targets are unhealthy at once: suspect what they share, not each of them",
            fleet.targets
        ));
    }
    // One that cannot be judged, or whose hold is not over yet, does not speak for the others: what hits all of them at
    // once is found out target by target, up to a poll apart.
    if fleet.unhealthy.saturating_add(fleet.unknown).saturating_add(fleet.suspect) >= fleet.targets {
        return Held::because(format!(
            "none of {} targets is known to be well: {} are unhealthy, {} suspect and {} unknown; suspect what they \
             share",
            fleet.targets, fleet.unhealthy, fleet.suspect, fleet.unknown
        ));
    }
    if fleet.unknown > fleet.targets / 2 {
        return Held::because(format!(
            "{} of {} targets are unknown: suspect the telemetry",
            fleet.unknown, fleet.targets
        ));
    }
    None
}

/// Passes only when the network's head rose after this breach began, and is rising still. The second half is for a
/// chain that stops with its node: the last blocks arrive after the first silent poll.
pub(super) fn network_stalled(facts: &Facts<'_>) -> Option<Held> {
    let chain = facts.chain;
    if !chain.known {
        return Held::because("the network's head is not known: nobody can say whether the chain moves");
    }
    // Without a breach there is nothing that the chain must have outrun: that is for the evidence to say.
    let breaches = facts.target.verdict.firing().next().is_some();
    if breaches && chain.risen_at <= facts.breach_since() {
        return Held::because("the network's head has not risen since this began: the chain may have halted");
    }
    let rest = facts.now.mono.since(chain.risen_at);
    if rest > chain.patience {
        return Held::because(format!("the network's head has rested for {} s", rest / 1000));
    }
    // A relayer that is restarted while one of its chains is away gives that chain up, or ends at once.
    let away = facts.joined.iter().find(|joined| !joined.known || !joined.moves)?;
    let what = if away.known { "stands still" } else { "is not known to move" };
    Held::because(format!("network {}, which it needs, {what}", away.network))
}

/// Nodes halt at the height of an upgrade on purpose, and wait for their new software: no restart brings that.
pub(super) fn upgrading(facts: &Facts<'_>) -> Option<Held> {
    let (name, height) = facts.chain.upgrade.as_ref()?;
    Held::because(format!("the chain upgrades to {name} at height {height}: nodes halt there until they run it"))
}

/// Two chains under one name: which of them is the network's is for a person to say.
pub(super) fn diverged(facts: &Facts<'_>) -> Option<Held> {
    if !facts.chain.split {
        return None;
    }
    Held::because("the network's nodes disagree about the chain, and none of the sides has a majority")
}

/// The target is unhealthy, and the newest sample of a firing rule is fresh.
pub(super) fn evidence(facts: &Facts<'_>) -> Option<Held> {
    let Some(newest) = facts.target.verdict.firing().map(|finding| finding.observed_at).max() else {
        return Held::because(format!("the target is {} now", facts.target.verdict.kind.name()));
    };
    let age = facts.now.mono.since(newest);
    if age > facts.policy.limits.evidence_max_age {
        return Held::because(format!("the newest evidence is {} s old", age / 1000));
    }
    None
}

pub(super) fn stale_cache(facts: &Facts<'_>) -> Option<Held> {
    let age = facts.own.cache_age;
    if age <= CACHE_MAX_AGE {
        return None;
    }
    Held::because(format!("nothing was heard of the pods for {} s", age / 1000))
}

pub(super) fn warm_up(facts: &Facts<'_>) -> Option<Held> {
    let PodFacts::Present(pod) = &facts.live.pod else {
        return None;
    };
    let warm_up = facts.policy.limits.warm_up;
    if pod.age >= warm_up {
        return None;
    }
    let left = warm_up - pod.age;
    Held::until(facts.now.mono.plus(left), format!("the pod started {} s ago", pod.age / 1000))
}

/// A node that gets somewhere is never touched: a restart would throw its progress away. One that says it is
/// catching up has `progress.within` to show something; one that does not say so must have risen since it was found
/// wanting.
pub(super) fn progress(facts: &Facts<'_>) -> Option<Held> {
    let target = facts.target;
    let since = if target.syncing {
        target.head_risen_at.max(target.first_seen)
    } else if target.head_risen_at > facts.breach_since() {
        target.head_risen_at
    } else {
        return None;
    };
    let end = since.plus(facts.policy.limits.progress_within);
    if facts.now.mono >= end {
        return None;
    }
    let what = if target.syncing { "it is catching up" } else { "its head rises" };
    Held::until(end, format!("{what}, and last rose {} s ago", facts.now.mono.since(target.head_risen_at) / 1000))
}

pub(super) fn budget(facts: &Facts<'_>) -> Option<Held> {
    reached(facts, facts.spending().used_up(facts.now.server)?)
}

pub(super) fn storm(facts: &Facts<'_>) -> Option<Held> {
    reached(facts, facts.spending().storm(facts.now.server)?)
}

fn reached(facts: &Facts<'_>, limit: Reached) -> Option<Held> {
    match limit.until {
        Some(end) => held_until(facts, end, |_| limit.why.clone()),
        None => Held::because(limit.why),
    }
}

/// A time that somebody set apart, in which nothing is begun.
pub(super) fn window(facts: &Facts<'_>) -> Option<Held> {
    let Hours { closed, until } = facts.hours;
    let why = closed.as_ref()?;
    Some(Held { why: why.clone(), until: *until })
}

/// A relayer or an oracle that cannot reach its node is not ill: the node is being healed.
pub(super) fn dependency(facts: &Facts<'_>) -> Option<Held> {
    if facts.policy.follows_the_chain() {
        return None;
    }
    let own = facts
        .ledger
        .seats
        .iter()
        .find(|seat| seat.step.disrupts() && seat.policy.uid != facts.policy.id.uid && !seat.slot.is_empty());
    if let Some(seat) = own {
        return Held::because(format!("{} of its network is being healed, and it may depend on that", seat.slot));
    }
    let joined = facts.joined.iter().find(|joined| joined.healing)?;
    Held::because(format!("a node of network {}, which it needs, is being healed", joined.network))
}

/// What is ill on one node alone is that node's affair: a restart would put the pod back on it. Where all targets are on
/// one node this says nothing. A zone is large, so that two of its targets may be ill by chance: it is the zone's affair
/// when none of them is well.
pub(super) fn correlated(facts: &Facts<'_>) -> Option<Held> {
    let fleet = facts.fleet;
    let in_zone = fleet.unhealthy_in_zone;
    if in_zone >= 2 && in_zone == fleet.unhealthy && fleet.well_in_zone == 0 && fleet.healthy_others > 0 {
        return Held::because(format!(
            "all {in_zone} unhealthy targets are in one zone, where none is well: suspect the zone"
        ));
    }
    let here_alone = fleet.unhealthy_here >= 2 && fleet.unhealthy_here == fleet.unhealthy;
    if !here_alone || fleet.well_elsewhere == 0 {
        return None;
    }
    Held::because(format!(
        "all {} unhealthy targets are on one node, and {} elsewhere are well: suspect the node",
        fleet.unhealthy, fleet.well_elsewhere
    ))
}

/// A selector that suddenly matches far more pods than before was hardly meant to.
pub(super) fn growth(facts: &Facts<'_>) -> Option<Held> {
    let fleet = facts.fleet;
    if fleet.new_targets < 3 || fleet.new_targets <= fleet.targets / 2 {
        return None;
    }
    Held::because(format!(
        "{} of {} targets are new within {} min: look whether the selector means them",
        fleet.new_targets,
        fleet.targets,
        GROWTH / 60_000
    ))
}

pub(super) fn min_healthy(facts: &Facts<'_>) -> Option<Held> {
    let share = facts.policy.limits.min_healthy;
    let required = required_healthy(share, facts.fleet.targets);
    if facts.fleet.healthy_others >= required {
        return None;
    }
    Held::because(format!(
        "{} of the other targets are healthy, and minHealthy {share} of {} requires {required}",
        facts.fleet.healthy_others, facts.fleet.targets
    ))
}

pub(super) fn max_concurrent(facts: &Facts<'_>) -> Option<Held> {
    ledger::seat_refused(facts.ledger, facts.policy, facts.network.max_concurrent, &facts.target.slot)
        .and_then(Held::because)
}

/// Turns an instant of the API server's clock into one of ours.
pub(super) fn held_until(facts: &Facts<'_>, end: Server, why: impl Fn(u64) -> String) -> Option<Held> {
    let left = end.since(facts.now.server);
    if left == 0 {
        return None;
    }
    Held::until(Mono(facts.now.mono.0 + left), why(left / 1000))
}
