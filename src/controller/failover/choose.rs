//! Who goes on: what is known of each member, and which of them it is.

use std::{net::IpAddr, sync::Arc};

use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};

use crate::{
    api::{FailoverGroup, FailoverMember},
    effect::{Failed, read_pod},
    failover::{Activation, Pod, Share},
    judge::VerdictKind,
    signal::{Reading, Signal},
    telemetry::cometbft::power,
    world::{PodView, TargetKey},
};

use super::super::{context::Context, watch::Key};

/// Where `CometBFT` answers by default, for pods that name no port.
const RPC: u16 = 26657;

/// A member that may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The member.
    pub member: String,
    /// Its pod.
    pub pod: Arc<Pod>,
    /// How sure it is that it can: the lower the better; or why it cannot.
    pub rank: Result<u8, String>,
}

/// Whom to take.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// This one and no other.
    pub wanted: Option<&'a str>,
    /// Who held the place last: nobody is moved back or forth without need.
    pub former: Option<&'a str>,
    /// Whether another may be taken than the one that held it.
    pub others: bool,
}

impl Choice<'_> {
    /// The best of the candidates, which are in the order of preference.
    pub fn among<'c>(&self, candidates: &'c [Candidate]) -> Result<&'c Candidate, String> {
        let named = self.wanted.or(self.former.filter(|_| !self.others));
        if let Some(name) = named {
            let found = candidates.iter().find(|candidate| candidate.member == name);
            let found = found.ok_or_else(|| format!("there is no member {name} with a pod"))?;
            return match &found.rank {
                Ok(_) => Ok(found),
                Err(why) => Err(format!("{name} cannot go on: {why}")),
            };
        }
        let fit = candidates.iter().filter_map(|candidate| Some((*candidate.rank.as_ref().ok()?, candidate)));
        let best = fit.min_by_key(|(rank, candidate)| (*rank, Some(candidate.member.as_str()) != self.former));
        best.map(|(_, candidate)| candidate).ok_or_else(|| {
            let why: Vec<_> = candidates
                .iter()
                .filter_map(|candidate| Some(format!("{}: {}", candidate.member, candidate.rank.as_ref().err()?)))
                .collect();
            if why.is_empty() {
                "no other member has a pod".into()
            } else {
                format!("nobody can go on: {}", why.join("; "))
            }
        })
    }
}

/// The best but the former holder, for one that was chosen and cannot go on any more.
pub fn instead<'c>(candidates: &'c [Candidate], former: &str) -> Option<&'c Candidate> {
    let others = candidates.iter().filter(|candidate| candidate.member != former && candidate.rank.is_ok());
    others.min_by_key(|candidate| candidate.rank.clone().ok())
}

/// The pod of a member, live.
pub async fn pod(ctx: &Context, namespace: &str, member: &FailoverMember) -> Result<Option<PodView>, Failed> {
    let name = format!("{}-0", member.stateful_set);
    let read = read_pod(&ctx.clients.actuator, namespace, &name).await;
    read.map_err(|error| Failed { doing: "read the pod of a member", outcome: error.outcome })
}

/// Every member that has a pod, in the order of preference.
pub async fn candidates(ctx: &Context, namespace: &str, group: &FailoverGroup) -> Result<Vec<Candidate>, Failed> {
    let mut found = Vec::new();
    for member in &group.spec.members {
        let Some(pod) = pod(ctx, namespace, member).await? else { continue };
        let rank = rank(ctx, namespace, group, &pod);
        let node = pod.node.clone().unwrap_or_default();
        let of = Pod { member: member.name.clone(), uid: pod.uid.clone(), node };
        found.push(Candidate { member: member.name.clone(), pod: Arc::new(of), rank });
    }
    Ok(found)
}

/// How sure it is that a pod can go on. Safety does not rest on it: a wrong choice costs time.
fn rank(ctx: &Context, namespace: &str, group: &FailoverGroup, pod: &PodView) -> Result<u8, String> {
    if pod.terminating {
        return Err("its pod is being deleted".into());
    }
    if pod.phase != "Running" || pod.node.is_none() {
        return Err(format!("its pod is {}", if pod.phase.is_empty() { "Pending" } else { &pod.phase }));
    }
    if !pod.waiting_reason.is_empty() {
        return Err(format!("a container of its pod waits: {}", pod.waiting_reason));
    }
    let now = ctx.now();
    let mut rank = 1;
    for policy in ctx.stores.policies.list() {
        if policy.metadata.namespace.as_deref() != Some(namespace) {
            continue;
        }
        let Some(name) = policy.metadata.name.clone() else { continue };
        let key = Key { namespace: namespace.to_owned(), name };
        let Some(snapshot) = ctx.snapshot(&key, now) else { continue };
        let Some(target) = snapshot.targets.iter().find(|target| target.facts.uid == pod.uid) else { continue };
        match target.facts.verdict.kind {
            VerdictKind::Unhealthy => return Err(format!("policy {} finds it unhealthy", key.name)),
            VerdictKind::Unknown => continue,
            VerdictKind::Healthy | VerdictKind::Suspect => {}
        }
        if target.facts.syncing {
            return Err("it is catching up".into());
        }
        let of = TargetKey { policy: key, uid: pod.uid.clone() };
        let told = |signal| match ctx.world().read(&of, signal, now.mono) {
            Reading::Known(sample) => sample.value.micros().map(|micros| micros / 1_000_000),
            Reading::Unknown(_) => None,
        };
        let (most, fewest) = (i128::from(group.spec.standby.max_lag), i128::from(group.spec.standby.min_peers));
        // It need not have been silent for as long as it takes to be unhealthy.
        if told(Signal::Reachable) == Some(0) {
            return Err("it does not answer".into());
        }
        // Without the numbers: what is shown changes when something changes.
        if told(Signal::HeadLag).is_some_and(|lag| lag > most) {
            return Err(format!("it is more than {most} blocks behind"));
        }
        if told(Signal::Peers).is_some_and(|peers| peers < fewest) {
            return Err(format!("it has fewer than {fewest} peers"));
        }
        rank = 0;
    }
    Ok(rank)
}

/// How much of the voting power the key of an identity has, as the members' nodes tell it: the largest that any of them
/// says, for too small a share is the mistake that hurts.
pub async fn share(ctx: &Context, namespace: &str, group: &FailoverGroup, identity: &str) -> Share {
    let Some(address) = address(identity) else { return Share::Unknown };
    let mut share = Share::Unknown;
    for member in &group.spec.members {
        let Ok(Some(pod)) = pod(ctx, namespace, member).await else { continue };
        let Some(ip) = pod.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()) else { continue };
        let port =
            pod.ports.iter().find(|(name, _)| name.as_deref() == Some("rpc")).map_or(RPC, |(_, port)| *port);
        let Some(power) = power(&ctx.probes, ip, port, &address).await else { continue };
        if power.own * 3 >= power.total {
            return Share::Third;
        }
        share = Share::Small;
    }
    share
}

/// The validator's address: the beginning of the SHA-256 of the public key, in hexadecimal digits.
fn address(identity: &str) -> Option<String> {
    let (_, key) = crate::gate::process::split(identity)?;
    let bytes = crate::gate::encoding::hex(key)?;
    Some(crate::gate::encoding::to_hex(&digest(&SHA256, &bytes).as_ref()[..20]))
}

/// A number that nobody has drawn.
pub fn draw() -> Result<Activation, String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "failed to draw a random number".to_owned())?;
    Ok(Activation(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(member: &str, rank: Result<u8, &str>) -> Candidate {
        let pod = Pod { member: member.into(), uid: format!("uid-{member}"), node: "n".into() };
        Candidate { member: member.into(), pod: Arc::new(pod), rank: rank.map_err(Into::into) }
    }

    fn taken(choice: Choice<'_>, candidates: &[Candidate]) -> Result<String, String> {
        choice.among(candidates).map(|chosen| chosen.member.clone())
    }

    #[test]
    fn the_known_go_before_the_unknown_and_the_former_before_its_equals() {
        let all = [candidate("a", Ok(1)), candidate("b", Ok(0)), candidate("c", Ok(0))];
        let anybody = Choice { wanted: None, former: None, others: true };
        assert_eq!(taken(anybody, &all).unwrap(), "b");
        assert_eq!(taken(Choice { former: Some("c"), ..anybody }, &all).unwrap(), "c");
        assert_eq!(taken(Choice { former: Some("a"), ..anybody }, &all).unwrap(), "b");
    }

    #[test]
    fn nobody_else_is_taken_where_one_is_named_or_others_are_not_wished_for() {
        let all = [candidate("a", Err("its pod is Pending")), candidate("b", Ok(0))];
        let named = Choice { wanted: Some("a"), former: None, others: true };
        assert_eq!(taken(named, &all).unwrap_err(), "a cannot go on: its pod is Pending");
        let by_hand = Choice { wanted: None, former: Some("a"), others: false };
        assert!(taken(by_hand, &all).is_err());
        assert_eq!(taken(Choice { others: true, ..by_hand }, &all).unwrap(), "b");
        assert!(taken(named, &all[1..]).unwrap_err().contains("no member a"));
    }

    #[test]
    fn whoever_was_chosen_and_falls_ill_is_not_waited_for() {
        let all = [candidate("a", Ok(0)), candidate("b", Err("its pod is Pending")), candidate("c", Ok(1))];
        let chosen = Choice { wanted: Some("b"), former: Some("a"), others: true };
        assert!(taken(chosen, &all).is_err());
        assert_eq!(instead(&all, "a").map(|one| one.member.as_str()), Some("c"), "never back to the former");
        assert_eq!(instead(&all[..2], "a"), None);
    }

    #[test]
    fn an_address_is_that_of_the_key() {
        let key = "0".repeat(64);
        assert_eq!(address(&format!("hub-1.{key}")).unwrap().len(), 40);
        assert_eq!(address("hub-1.zz"), None);
    }
}
