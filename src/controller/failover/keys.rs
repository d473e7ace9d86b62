//! Where the key of a group is in use. A node tells which key it signs with; behind a gate that is the gate's. A pod outside of the
//! group that has the group's key may sign at any height, and no record holds it: a person is called, and nobody is moved
//! meanwhile. Keys of other chains are not asked about, and what does not answer tells nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::join_all;
use kube::Resource;

use crate::{
    api::FailoverGroup,
    effect::event,
    failover::{latch::LABEL, split},
    gate::encoding::to_hex,
    signal::Mono,
    telemetry::cometbft::{SigningKey, signing_key},
    world::PodView,
};

use super::{
    super::report::Told,
    Context,
    choose::{self, Candidate},
    memory::Watched,
};

/// Every signer is asked so often (milliseconds).
const EVERY: u64 = 15_000;
/// So many pods are named; more would say nothing new.
const NAMED: usize = 4;
/// The condition, and what is done about it.
pub const KIND: &str = "DuplicateKey";
const ELSEWHERE: &str = "Elsewhere";
const ADVICE: &str = "end what has this key outside of its group, and delete its pod; until then nobody goes on by itself, and no order \
     of a failover is taken";

/// What every signer has told last, by the uids of pods.
pub type Keys = Mutex<BTreeMap<String, Asked>>;

/// What is known of one pod.
#[derive(Clone, Debug)]
pub struct Asked {
    at: Mono,
    /// Kept while the pod says nothing: it may have the key still.
    told: Option<SigningKey>,
}

/// Where a key is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Whereabouts {
    /// No member has told.
    #[default]
    Unknown,
    /// With the members, as far as anybody has told.
    Here,
    /// With somebody else, too, or a member has another one.
    Astray {
        /// In one word.
        reason: &'static str,
        /// And in a sentence.
        why: String,
        /// The members that have another key: none of them can go on.
        unfit: Vec<String>,
    },
}

/// A pod that has told its key.
struct Signer<'a> {
    /// Its namespace and name.
    pod: String,
    /// The member of this group that it is.
    member: Option<&'a str>,
    /// The group that it is a member of.
    group: Option<String>,
    /// Whether the record names it.
    holds: bool,
    key: &'a SigningKey,
}

// === impl Whereabouts ===

impl Whereabouts {
    /// What is wrong, in a sentence.
    pub fn astray(&self) -> Option<&str> {
        match self {
            Self::Astray { why, .. } => Some(why),
            Self::Unknown | Self::Here => None,
        }
    }

    /// Who else has the key, in a sentence: nobody may go on beside them.
    pub fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Astray { reason, why, .. } if *reason == ELSEWHERE => Some(why),
            Self::Astray { .. } | Self::Unknown | Self::Here => None,
        }
    }

    /// Who has another key than the group's cannot sign for it.
    pub fn keep_to_the_key(&self, candidates: &mut [Candidate]) {
        let Self::Astray { unfit, .. } = self else { return };
        for candidate in candidates.iter_mut().filter(|one| one.rank.is_ok() && unfit.contains(&one.member)) {
            candidate.rank = Err("its node signs with another key than the group's".into());
        }
    }

    /// What a group says of it.
    pub fn told(&self) -> Told {
        let (holds, reason, message) = match self {
            Self::Unknown => (None, "NotTold", String::new()),
            Self::Here => (Some(false), "OnlyHere", String::new()),
            Self::Astray { reason, why, .. } => (Some(true), *reason, why.clone()),
        };
        Told { kind: KIND, holds, reason, message }
    }
}

/// Has every signer asked, now and then. Nobody waits for an answer but the first look of a process: before it, nothing is known.
pub async fn learn(ctx: &Arc<Context>, group: &FailoverGroup, memory: &mut Watched) {
    let now = ctx.clock.mono();
    let first = memory.keys_asked.is_none();
    if memory.keys_asked.is_none_or(|asked| now.since(asked) >= EVERY) {
        memory.keys_asked = Some(now);
        let asking = ask(Arc::clone(ctx), group.spec.network.clone(), first);
        if first {
            asking.await;
        } else {
            tokio::spawn(asking);
        }
    }
}

/// Tells whoever looks at a group that its key has gone astray since `before`.
pub async fn tell(ctx: &Context, group: &FailoverGroup, before: &Whereabouts, now: &Whereabouts) {
    if let (None, Some(why)) = (before.astray(), now.astray())
        && !is_shown(group)
    {
        let note = why.to_owned();
        let told = event::Told { warning: true, reason: KIND.into(), action: "NoFailover".into(), note };
        ctx.events.tell(&group.object_ref(&()), told).await;
    }
}

/// Whether a process before this one has said so.
fn is_shown(group: &FailoverGroup) -> bool {
    let known = group.status.iter().flat_map(|status| &status.conditions);
    known.into_iter().any(|known| known.type_ == KIND && known.status == "True")
}

fn all(ctx: &Context) -> MutexGuard<'_, BTreeMap<String, Asked>> {
    // Plain data, whole whatever panicked elsewhere.
    ctx.known.keys.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pods of all groups by namespace and name, each with its group and member.
fn members(ctx: &Context) -> BTreeMap<(String, String), (String, String)> {
    let Some(stores) = &ctx.stores.failover else { return BTreeMap::new() };
    let mut groups = stores.groups.list();
    // Of two groups that name one member the one counts whose identity names it.
    groups.sort_by_key(|group| {
        let identity = stores.identities.get("", &group.spec.identity);
        identity.is_some_and(|of| Some(&of.spec.group) == group.metadata.name.as_ref())
    });
    let pods = groups.iter().flat_map(|group| {
        let namespace = group.metadata.namespace.clone().unwrap_or_default();
        let name = group.metadata.name.clone().unwrap_or_default();
        let of = |member| ((namespace.clone(), choose::pod_of(member)), (name.clone(), member.name.clone()));
        group.spec.members.iter().map(of).collect::<Vec<_>>()
    });
    pods.collect()
}

/// Asks every pod that may sign on this network, of groups and of none; those that another group has just asked, only if they have
/// never told anything and the answer is waited for.
async fn ask(ctx: Arc<Context>, network: String, waits: bool) {
    let (now, validators) = (ctx.clock.mono(), ctx.world().validators(&network));
    let (members, pods) = (members(&ctx), ctx.stores.pods.list());
    // Whoever runs pods elsewhere in the cluster has no say in this network's failovers.
    let admitted =
        ctx.stores.networks.get("", &network).map(|of| of.spec.allowed_namespaces.clone()).unwrap_or_default();
    let mut due = Vec::new();
    {
        let mut known = all(&ctx);
        // What has ended signs nothing, and its address may be another's.
        let running = || pods.iter().filter(|pod| !pod.finished);
        let here: BTreeSet<&str> = running().map(|pod| pod.uid.as_str()).collect();
        known.retain(|uid, _| here.contains(uid.as_str()));
        for pod in running() {
            let signs = pod.labels.contains_key(LABEL) && admitted.contains(&pod.namespace)
                || validators.contains(&pod.uid)
                || members.contains_key(&(pod.namespace.clone(), pod.name.clone()));
            let is_late = |asked: &Asked| now.since(asked.at) >= EVERY || (waits && asked.told.is_none());
            let late = known.get(&pod.uid).is_none_or(is_late);
            if let Some(at) = choose::rpc(pod).filter(|_| signs && late) {
                known.entry(pod.uid.clone()).or_insert(Asked { at: now, told: None }).at = now;
                due.push((pod.uid.clone(), at));
            }
        }
    }
    let asking = due.iter().map(|(_, (ip, port))| signing_key(&ctx.probes, *ip, *port));
    let told = join_all(asking).await;
    let mut known = all(&ctx);
    for ((uid, _), key) in due.into_iter().zip(told) {
        if let (Some(asked), Some(key)) = (known.get_mut(&uid), key) {
            asked.told = Some(key);
        }
    }
}

/// Where the key of a group is, as far as signers have told. The holder may be no member any more, and its window holds it.
pub fn whereabouts(ctx: &Context, namespace: &str, group: &FailoverGroup, holder: Option<&str>) -> Whereabouts {
    let (known, members) = (all(ctx).clone(), members(ctx));
    let own = group.metadata.name.as_deref().unwrap_or_default();
    let pods = ctx.stores.pods.list();
    let of = |pod: &PodView| members.get(&(pod.namespace.clone(), pod.name.clone()));
    let signers = pods.iter().filter_map(|pod| {
        let key = known.get(&pod.uid)?.told.as_ref()?;
        let of = of(pod);
        let ours = of.filter(|(group, _)| group == own && pod.namespace == namespace);
        Some(Signer {
            pod: format!("{}/{}", pod.namespace, pod.name),
            member: ours.map(|(_, member)| member.as_str()),
            group: of.map(|(group, _)| format!("{}/{group}", pod.namespace)),
            holds: holder == Some(pod.uid.as_str()),
            key,
        })
    });
    judge(&group.spec.identity, group.spec.handover.gate.is_some(), &signers.collect::<Vec<_>>())
}

/// Where the key of an identity is, by what all signers have told.
fn judge(identity: &str, gated: bool, signers: &[Signer<'_>]) -> Whereabouts {
    let Some((chain, key)) = split(identity) else { return Whereabouts::Unknown };
    let here: Vec<_> = signers.iter().filter(|signer| signer.key.chain == chain).collect();
    let has_it = |signer: &Signer<'_>| to_hex(&signer.key.public).eq_ignore_ascii_case(key);
    let astray = |signer: &Signer<'_>| signer.member.is_none() && !signer.holds && has_it(signer);
    let outside = here.iter().filter(|signer| astray(signer)).map(|signer| {
        let whose = signer.group.as_ref().map_or("of no group".into(), |group| format!("of the group {group}"));
        format!("the pod {}, {whose}, signs with the key of this group", signer.pod)
    });
    let outside: Vec<String> = outside.collect();
    // Another way of signing may leave a standby a key of its own.
    let others = here.iter().filter(|signer| gated && !has_it(signer)).filter_map(|signer| {
        let (member, key) = (signer.member?, to_hex(&signer.key.public).to_lowercase());
        let why = format!(
            "the member {member}, the pod {}, signs with the key {key}, and not with that of this group: its node does not listen \
             for its gate, or its gate has another --identity",
            signer.pod
        );
        Some((member.to_owned(), why))
    });
    let (unfit, others): (Vec<String>, Vec<String>) = others.unzip();
    let reason = if outside.is_empty() { "OtherKey" } else { ELSEWHERE };
    let advice = if outside.is_empty() { "mend that; until then it cannot go on" } else { ADVICE };
    let mut wrong = [outside, others].concat();
    if wrong.is_empty() {
        let told = here.iter().any(|signer| signer.member.is_some());
        return if told { Whereabouts::Here } else { Whereabouts::Unknown };
    }
    let more = wrong.len().saturating_sub(NAMED);
    wrong.truncate(NAMED);
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    Whereabouts::Astray { reason, why: format!("{}: {advice}", wrong.join("; ")), unfit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::Pod;

    const CHAIN: &str = "hub-4";

    fn key(chain: &str, byte: u8) -> SigningKey {
        SigningKey { chain: chain.into(), public: vec![byte; 32] }
    }

    fn signer<'a>(
        pod: &str,
        member: Option<&'static str>,
        group: Option<&str>,
        key: &'a SigningKey,
    ) -> Signer<'a> {
        Signer { pod: format!("cosmos/{pod}"), member, group: group.map(Into::into), holds: false, key }
    }

    /// The condition and its reason, and the message.
    fn says(gated: bool, signers: &[Signer<'_>]) -> (String, String) {
        let told = judge(&format!("{CHAIN}.{}", "0a".repeat(32)), gated, signers).told();
        (format!("{:?} {}", told.holds, told.reason), told.message)
    }

    #[test]
    fn a_key_is_in_its_own_group_alone() {
        let (own, other, elsewhere) = (key(CHAIN, 10), key(CHAIN, 11), key("hub-5", 10));
        let a = || signer("val-a-0", Some("a"), Some("cosmos/val"), &own);
        let b = || signer("val-b-0", Some("b"), Some("cosmos/val"), &own);
        assert_eq!(says(true, &[]).0, "None NotTold");
        assert_eq!(says(true, &[a(), b()]).0, "Some(false) OnlyHere");
        // A stranger with a key of its own, and the same key on another chain.
        let (stranger, fork) = (signer("x", None, None, &other), signer("y", None, None, &elsewhere));
        assert_eq!(says(true, &[a(), stranger, fork]).0, "Some(false) OnlyHere");

        let (held, why) = says(true, &[a(), b(), signer("old-0", None, None, &own)]);
        assert_eq!(held, "Some(true) Elsewhere");
        assert!(why.contains("the pod cosmos/old-0, of no group, signs with the key of this group"), "{why}");
        assert!(why.contains("delete its pod") && !why.contains("val-a-0"), "{why}");
        // The members need not have told anything.
        let (held, why) = says(false, &[signer("val-c-0", None, Some("cosmos/twin"), &own)]);
        assert_eq!(held, "Some(true) Elsewhere");
        assert!(why.contains("the pod cosmos/val-c-0, of the group cosmos/twin,"), "{why}");
    }

    #[test]
    fn a_gate_signs_with_the_key_of_its_identity() {
        let (own, other) = (key(CHAIN, 10), key(CHAIN, 11));
        let all = || {
            [
                signer("val-a-0", Some("a"), Some("cosmos/val"), &own),
                signer("val-b-0", Some("b"), Some("cosmos/val"), &other),
            ]
        };
        let (held, why) = says(true, &all());
        assert_eq!(held, "Some(true) OtherKey");
        assert!(
            why.contains(&format!("the member b, the pod cosmos/val-b-0, signs with the key {}", "0b".repeat(32)))
        );
        assert_eq!(says(false, &all()).0, "Some(false) OnlyHere", "a standby of a job may have a key of its own");
    }

    #[test]
    fn who_has_another_key_cannot_go_on_and_the_others_can() {
        let (own, other) = (key(CHAIN, 10), key(CHAIN, 11));
        let all = [signer("val-a-0", Some("a"), None, &own), signer("val-b-0", Some("b"), None, &other)];
        let astray = judge(&format!("{CHAIN}.{}", "0a".repeat(32)), true, &all);
        let pod = |member: &str| Pod { member: member.into(), uid: member.into(), node: "n".into() };
        let candidate = |member: &str| Candidate { member: member.into(), pod: pod(member).into(), rank: Ok(0) };
        let mut candidates = ["a", "b"].map(candidate);
        astray.keep_to_the_key(&mut candidates);
        assert!(candidates[0].rank.is_ok() && candidates[1].rank.as_ref().unwrap_err().contains("another key"));
        assert_eq!(astray.elsewhere(), None, "nobody outside has it");
    }

    /// Somebody took it out of the group, and its window holds it still.
    #[test]
    fn a_holder_that_is_no_member_any_more_is_no_stranger() {
        let own = key(CHAIN, 10);
        let left = signer("val-a-0", None, None, &own);
        assert_eq!(says(true, &[Signer { holds: true, ..left }]).0, "None NotTold");
    }

    #[test]
    fn not_every_pod_is_named() {
        let own = key(CHAIN, 10);
        let pods: Vec<_> = (0..9).map(|pod| signer(&format!("old-{pod}"), None, None, &own)).collect();
        let (_, why) = says(true, &pods);
        assert!(why.contains("old-3") && !why.contains("old-4") && why.contains("and 5 more"), "{why}");
    }
}
