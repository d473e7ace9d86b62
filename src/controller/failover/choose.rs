//! Who goes on: what is known of each member, and which of them it is.

use std::{net::IpAddr, sync::Arc};

use futures::future::join_all;
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};

use crate::{
    api::{FailoverGroup, FailoverMember},
    effect::{Failed, read_pod},
    failover::{Activation, Pod, Record, Share, split},
    judge::VerdictKind,
    signal::{Mono, Reading, Signal},
    telemetry::cometbft::{height, power},
    world::{PodView, TargetKey},
};

use super::{
    super::{context::Context, watch::Key},
    keys::Whereabouts,
};

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
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The first of these that can.
    pub wanted: Vec<String>,
    /// Whether anybody else, if none of them can.
    pub others: bool,
    /// Who held the place last: nobody is moved back or forth without need.
    pub former: Option<String>,
}

impl Choice {
    /// The best of the candidates, which are in the order of preference.
    pub fn among<'c>(&self, candidates: &'c [Candidate]) -> Result<&'c Candidate, String> {
        let mut why = Vec::new();
        for name in &self.wanted {
            match candidates.iter().find(|candidate| candidate.member == *name) {
                Some(candidate) => match &candidate.rank {
                    Ok(_) => return Ok(candidate),
                    Err(problem) => why.push(format!("{name} cannot go on: {problem}")),
                },
                None => why.push(format!("there is no member {name} with a pod")),
            }
        }
        if !self.others {
            return Err(why.join("; "));
        }
        let fit = candidates.iter().filter_map(|candidate| Some((*candidate.rank.as_ref().ok()?, candidate)));
        let best = fit.min_by_key(|(rank, candidate)| (*rank, Some(&candidate.member) != self.former.as_ref()));
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

/// The name of a member's pod.
pub fn pod_of(member: &FailoverMember) -> String {
    format!("{}-0", member.stateful_set)
}

/// The pod of a member, live.
pub async fn pod(ctx: &Context, namespace: &str, member: &FailoverMember) -> Result<Option<PodView>, Failed> {
    let read = read_pod(&ctx.clients.actuator, namespace, &pod_of(member)).await;
    read.map_err(|error| Failed { doing: "read the pod of a member", outcome: error.outcome })
}

/// Every member that has a pod, in the order of preference, and whether it can go on; also by where the group's key is in use.
pub async fn candidates(
    ctx: &Context,
    namespace: &str,
    group: &FailoverGroup,
    key: &Whereabouts,
) -> Result<Vec<Candidate>, Failed> {
    let mut found = Vec::new();
    for member in &group.spec.members {
        let Some(pod) = pod(ctx, namespace, member).await? else { continue };
        let rank = rank(ctx, namespace, group, &pod);
        let node = pod.node.clone().unwrap_or_default();
        let of = Pod { member: member.name.clone(), uid: pod.uid.clone(), node };
        found.push(Candidate { member: member.name.clone(), pod: Arc::new(of), rank });
    }
    key.keep_to_the_key(&mut found);
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
    for key in policies(ctx, namespace) {
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

/// Where what a signer knows travels with its key and has not: only the member that has it can go on.
pub fn keep_to_the_memory(record: &Record, candidates: &mut [Candidate]) {
    let Some(last) = record.carried.as_deref().filter(|carried| carried.files.is_empty()) else { return };
    for candidate in candidates.iter_mut().filter(|one| one.member != last.member && one.rank.is_ok()) {
        candidate.rank = Err(format!(
            "epoch {} has ended without a seal, so the tower of {} did not travel: bring that one back, or begin an epoch with \
             `mainstay adopt` and put a tower there by hand",
            last.epoch.0, last.member
        ));
    }
}

/// The policies of a namespace.
fn policies(ctx: &Context, namespace: &str) -> impl Iterator<Item = Key> {
    let all = ctx.stores.policies.list().into_iter();
    let names = all.filter(move |policy| policy.metadata.namespace.as_deref() == Some(namespace));
    names.filter_map(move |policy| {
        Some(Key { namespace: namespace.to_owned(), name: policy.metadata.name.clone()? })
    })
}

/// When a member's node last told that the chain will never let its key sign again.
pub fn punished(ctx: &Context, namespace: &str, group: &FailoverGroup) -> Option<Mono> {
    let now = ctx.clock.mono();
    let pod = |member| Some(ctx.stores.pods.get(namespace, &pod_of(member))?.uid.clone());
    let uids: Vec<String> = group.spec.members.iter().filter_map(pod).collect();
    let told = policies(ctx, namespace).flat_map(|policy| {
        let of = |uid: &String| TargetKey { policy: policy.clone(), uid: uid.clone() };
        uids.iter().filter_map(|uid| ctx.world().punished(&group.spec.network, &of(uid), now)).collect::<Vec<_>>()
    });
    told.max()
}

/// How much of the voting power the key of an identity has, as the members' nodes tell it: the largest that any of them
/// says, for too small a share is the mistake that hurts.
pub async fn share(ctx: &Context, namespace: &str, group: &FailoverGroup, identity: &str) -> Share {
    let Some(address) = address(identity) else { return Share::Unknown };
    let Ok(nodes) = nodes(ctx, namespace, group).await else { return Share::Unknown };
    let told = join_all(nodes.into_iter().map(|(ip, port)| power(&ctx.probes, ip, port, &address))).await;
    let told: Vec<_> = told.into_iter().flatten().collect();
    if told.iter().any(|power| power.own * 3 >= power.total) {
        Share::Third
    } else if told.is_empty() {
        Share::Unknown
    } else {
        Share::Small
    }
}

/// How far the chain is, as the members' nodes tell it: whoever is furthest. Without a member that answers, nobody knows.
pub async fn head(ctx: &Context, namespace: &str, group: &FailoverGroup) -> Option<u64> {
    let nodes = nodes(ctx, namespace, group).await.ok()?;
    let told = join_all(nodes.into_iter().map(|(ip, port)| height(&ctx.probes, ip, port))).await;
    told.into_iter().flatten().max()
}

/// Where the RPC of every member's node answers.
pub async fn nodes(ctx: &Context, namespace: &str, group: &FailoverGroup) -> Result<Vec<(IpAddr, u16)>, Failed> {
    let mut nodes = Vec::new();
    for member in &group.spec.members {
        nodes.extend(pod(ctx, namespace, member).await?.as_ref().and_then(rpc));
    }
    Ok(nodes)
}

/// Where the RPC of the node in a pod answers. What answers at a machine's address need not be the pod.
pub fn rpc(pod: &PodView) -> Option<(IpAddr, u16)> {
    let ip = pod.ip.as_deref().filter(|_| !pod.host_network)?.parse().ok()?;
    let named = pod.ports.iter().find(|(name, _)| name.as_deref() == Some("rpc"));
    Some((ip, named.map_or(RPC, |(_, port)| *port)))
}

/// The validator's address: the beginning of the SHA-256 of the public key, in hexadecimal digits.
fn address(identity: &str) -> Option<String> {
    let (_, key) = split(identity)?;
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
    use crate::failover::{Carried, Epoch, Height};

    fn candidate(member: &str, rank: Result<u8, &str>) -> Candidate {
        let pod = Pod { member: member.into(), uid: format!("uid-{member}"), node: "n".into() };
        Candidate { member: member.into(), pod: Arc::new(pod), rank: rank.map_err(Into::into) }
    }

    fn taken(choice: &Choice, candidates: &[Candidate]) -> Result<String, String> {
        choice.among(candidates).map(|chosen| chosen.member.clone())
    }

    fn choice(wanted: &[&str], others: bool, former: Option<&str>) -> Choice {
        let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
        Choice { wanted, others, former: former.map(Into::into) }
    }

    #[test]
    fn the_known_go_before_the_unknown_and_the_former_before_its_equals() {
        let all = [candidate("a", Ok(1)), candidate("b", Ok(0)), candidate("c", Ok(0))];
        assert_eq!(taken(&choice(&[], true, None), &all).unwrap(), "b");
        assert_eq!(taken(&choice(&[], true, Some("c")), &all).unwrap(), "c");
        assert_eq!(taken(&choice(&[], true, Some("a")), &all).unwrap(), "b");
    }

    #[test]
    fn nobody_else_is_taken_where_one_is_named_or_others_are_not_wished_for() {
        let all = [candidate("a", Err("its pod is Pending")), candidate("b", Ok(0))];
        let named = choice(&["a"], false, None);
        assert_eq!(taken(&named, &all).unwrap_err(), "a cannot go on: its pod is Pending");
        assert_eq!(taken(&choice(&["a", "b"], false, None), &all).unwrap(), "b", "a later order has its way");
        assert_eq!(taken(&choice(&["a"], true, None), &all).unwrap(), "b");
        assert!(taken(&named, &all[1..]).unwrap_err().contains("no member a"));
        assert_eq!(taken(&choice(&[], true, None), &[]).unwrap_err(), "no other member has a pod");
    }

    #[test]
    fn a_memory_that_did_not_travel_keeps_the_place_with_its_member() {
        let mut record = Record::adopted(Epoch(3), Activation(0), Height(1));
        let mut all = [candidate("a", Ok(0)), candidate("b", Ok(0))];
        keep_to_the_memory(&record, &mut all);
        assert!(all.iter().all(|one| one.rank.is_ok()), "a person has begun it");
        let mut carried = Carried { epoch: Epoch(3), member: "b".into(), files: vec![("t".into(), vec![1])] };
        record.carried = Some(Arc::new(carried.clone()));
        keep_to_the_memory(&record, &mut all);
        assert!(all.iter().all(|one| one.rank.is_ok()), "it travels");
        carried.files.clear();
        record.carried = Some(Arc::new(carried));
        keep_to_the_memory(&record, &mut all);
        assert_eq!(taken(&choice(&[], true, None), &all).unwrap(), "b");
        assert!(all[0].rank.clone().unwrap_err().contains("the tower of b"));
    }

    #[test]
    fn an_address_is_that_of_the_key() {
        let key = "0".repeat(64);
        assert_eq!(address(&format!("hub-1.{key}")).unwrap().len(), 40);
        assert_eq!(address("hub-1.zz"), None);
    }
}
