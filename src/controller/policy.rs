//! From verdicts to journal entries and a status: observe, decide, write down, report.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    api::{
        LedgerSeat, NetworkLedgerSpec, NodeHealthPolicy, NodeRemediation, Phase, policy::NodeHealthPolicyStatus,
    },
    effect::{self, journal, ledger as ledgers},
    plan::{self, Decision, Guard, Held, Hours, Live, Place, PodFacts, Proposal, Refusal, Step, Vantage, propose},
    remedy::REJECTED,
    signal::{Mono, Now, Server},
    world::{PolicySnapshot, Round, TargetSnapshot},
};

use super::{
    context::Context,
    entry::{About, entry, step_of},
    remediation::Standing,
    report,
    vantage::Others,
    watch::Key,
};

/// A policy is looked at again after this, whatever happens (milliseconds).
const TICK: u64 = 30_000;
/// Sooner when something is waited for.
const SOON: u64 = 2_000;
/// Rest after an attempt on the same pod was withdrawn, doubled with each, and at most this (milliseconds).
const WITHDRAWN: u64 = 15_000;
const WITHDRAWN_AT_MOST: u64 = 600_000;
/// Rest after somebody has said no (milliseconds).
const REST_AFTER_NO: u64 = 3_600_000;

/// Nothing could be decided, because something could not be read or written.
#[derive(Debug, thiserror::Error)]
enum Undecided {
    #[error(transparent)]
    Read(#[from] effect::ReadError),
    #[error(transparent)]
    Failed(#[from] effect::Failed),
}

/// One target and what was decided about it.
pub struct Decided<'a> {
    /// The target.
    pub target: &'a TargetSnapshot,
    /// What was decided.
    pub decision: Decision,
    /// Whether a remediation is under way on its slot.
    pub acting: bool,
    /// Whether that waits for people to approve it.
    pub asked: bool,
}

/// Looks at one policy. Returns when it wants to be looked at again (milliseconds).
pub async fn reconcile(ctx: Arc<Context>, key: Key) -> Option<u64> {
    if !ctx.leads() {
        return None;
    }
    let now = ctx.now();
    let Some(object) = ctx.stores.policies.get(&key.namespace, &key.name) else {
        let invalid = ctx.stores.policies.unreadable(&key.namespace, &key.name)?;
        report::unreadable_policy(&ctx, &invalid, now).await;
        return Some(TICK);
    };
    let Some(mut snapshot) = ctx.snapshot(&key, now) else {
        report::invalid(&ctx, &object, now).await;
        return Some(TICK);
    };
    let journal = journal_of(&ctx, &snapshot);
    for target in &mut snapshot.targets {
        target.facts.stopped = stopped(&journal, target);
    }
    match decide(&ctx, &snapshot, &journal, now).await {
        Ok((status, again)) => {
            report::policy(&ctx, &object, &snapshot, status, now).await;
            Some(again)
        }
        Err(error) => {
            tracing::warn!(policy = %key.name, namespace = %key.namespace, %error, "could not decide");
            report::reconcile_error(&ctx.metrics, "policy", "read");
            Some(SOON)
        }
    }
}

/// Decides about every target in the order of their names, and writes down what is to be done.
async fn decide(
    ctx: &Context,
    snapshot: &PolicySnapshot,
    journal: &[Arc<NodeRemediation>],
    now: Now,
) -> Result<(NodeHealthPolicyStatus, u64), Undecided> {
    let out = |target: &TargetSnapshot| target.live.pod.place() == Place::Out;
    let unwell =
        snapshot.targets.iter().any(|target| target.facts.verdict.firing().next().is_some() || out(target));
    let mut ledger = if unwell {
        ledgers::get(&ctx.clients.actuator, &snapshot.network.name).await?
    } else {
        NetworkLedgerSpec::default()
    };
    seat_the_pending(&mut ledger, snapshot, journal);

    let hours = Hours::of(&snapshot.policy, now);
    let mut round = Round::new(snapshot, &ctx.installation, ledger, hours, ctx.own_facts(), now);
    let under_way = || journal.iter().filter(|entry| !entry.phase().is_final());
    let open: BTreeSet<&str> = under_way().map(|entry| entry.spec.target.slot.as_str()).collect();
    let asked: BTreeSet<&str> = under_way()
        .filter(|entry| entry.phase() == Phase::AwaitingApproval)
        .map(|entry| entry.spec.target.slot.as_str())
        .collect();
    let (mut decided, mut others) = (Vec::new(), Others::default());
    let mut again = TICK;
    for target in &snapshot.targets {
        let open = open.contains(target.facts.slot.as_str());
        let mut decision = if open { Decision::Nothing } else { propose(&round.facts(target, &target.live)) };
        if let Decision::Proposed(proposal) = &decision
            && let Some(refusal) = withdrawn(journal, target, proposal.step, now)
        {
            decision = Decision::Refused(refusal);
        }
        if let Decision::Proposed(proposal) = &decision {
            match begin(ctx, target, proposal, journal, &round, &mut others, now).await {
                // The others of this round must see it, though no seat was taken yet.
                Ok(Begun::Yes(seat)) => round.seat(seat),
                Ok(Begun::No(refusal)) => decision = Decision::Refused(refusal),
                // An object that cannot be read or written stops its own target and no other.
                Err(error) => {
                    tracing::warn!(pod = target.facts.pod, %error, "could not begin");
                    report::reconcile_error(&ctx.metrics, "policy", "begin");
                    decision = Decision::Refused(moved(&error.to_string()));
                }
            }
            again = SOON;
        }
        if let Decision::Refused(refusal) = &decision {
            report::refusal(&ctx.metrics, refusal.guard);
            if let Some(until) = refusal.held.until {
                again = again.min(until.since(now.mono).max(SOON));
            }
        }
        let acting = open || matches!(&decision, Decision::Proposed(_));
        let asked = asked.contains(target.facts.slot.as_str());
        decided.push(Decided { target, decision, acting, asked });
    }
    Ok((report::policy_status(snapshot, &decided, now), again))
}

enum Begun {
    Yes(Option<LedgerSeat>),
    No(Refusal),
}

/// Looks once more, live, and writes the journal entry. Its name says everything that makes it the same attempt, so
/// a second operator, or this one after a crash, finds it there.
async fn begin(
    ctx: &Context,
    target: &TargetSnapshot,
    proposal: &Proposal,
    journal: &[Arc<NodeRemediation>],
    round: &Round<'_>,
    others: &mut Others,
    now: Now,
) -> Result<Begun, Undecided> {
    let snapshot = round.snapshot();
    let policy = &snapshot.policy;
    let mut proposal = proposal.clone();
    let mut about = About::default();
    if proposal.step != Step::Page {
        let job = proposal.step == Step::Job;
        let vantage = if target.facts.verdict.is_a_silence() {
            others.say(ctx, &policy.id.uid, &target.facts.uid).await
        } else {
            Vantage::Unread
        };
        let live = effect::read_live(
            &ctx.clients.actuator,
            &policy.id.namespace,
            &target.facts.pod,
            &ctx.stop,
            now.server,
            effect::Also {
                services: proposal.step.is_a_rotation(),
                cron_job: policy.ladder.job.as_ref().filter(|_| job).map(|job| (job.cron_job.as_str(), "")),
                // Whichever step is next before the look: the one that the look finds to be next may be a failover.
                group: policy.ladder.failover.as_ref().map(|step| effect::GroupRef {
                    name: &step.group,
                    network: &policy.network,
                    pod: &target.facts.uid,
                    order: "",
                }),
            },
            &|pod| ctx.is_protected(pod),
        )
        .await?;
        let live = Live { vantage, ..live };
        about = About::of(&live);
        match propose(&round.facts(target, &live)) {
            // One that is only found to be next now is looked at with what belongs to it.
            Decision::Proposed(again) if again.step == Step::Job && !job => {
                return Ok(Begun::No(moved("the world changed while it was looked at")));
            }
            Decision::Proposed(again) => proposal = again,
            Decision::Refused(refusal) => return Ok(Begun::No(refusal)),
            Decision::Nothing => return Ok(Begun::No(moved("the world changed while it was looked at"))),
        }
        let within = policy.ladder.restart.map_or(0, |step| step.within);
        if proposal.step == Step::Restart
            && let PodFacts::Present(pod) = &live.pod
            && pod.grace.saturating_mul(1000) >= within
        {
            return Ok(Begun::No(too_slow(pod.grace, within)));
        }
    }
    let slot = &target.facts.slot;
    let record = plan::ledger::record(round.ledger(), &policy.id.uid, slot, false).attempt;
    let own = journal.iter().filter(|entry| entry.spec.target.slot == *slot && !entry.spec.by_hand());
    let known = own.map(|entry| entry.spec.attempt);
    let first = known.max().unwrap_or(0).max(record) + 1;
    // Entries that this cache has not seen are stepped over, one by one, and only when they are final.
    for attempt in first..first.saturating_add(8) {
        let object = entry(snapshot, target, &proposal, &about, attempt, now);
        match journal::create(&ctx.clients.actuator, &object).await? {
            journal::Created::New(object) => {
                report::proposed(ctx, &object, proposal.step);
                wake(ctx, &object);
                return Ok(Begun::Yes(expected_seat(snapshot, &object)));
            }
            journal::Created::Exists(object) if object.phase().is_final() => {}
            journal::Created::Exists(object) => {
                wake(ctx, &object);
                return Ok(Begun::Yes(expected_seat(snapshot, &object)));
            }
        }
    }
    Ok(Begun::No(moved("the world changed while it was looked at")))
}

fn moved(why: &str) -> Refusal {
    let held = Held { why: why.into(), until: None };
    Refusal { step: None, guard: Guard::Moved, held, results: Vec::new() }
}

fn too_slow(grace: u64, within: u64) -> Refusal {
    let why = format!(
        "restart.within ({} s) is not longer than the pod's grace period ({grace} s): it could never be verified",
        within / 1000
    );
    Refusal {
        step: Some(Step::Restart),
        guard: Guard::Evidence,
        held: Held { why, until: None },
        results: Vec::new(),
    }
}

/// The entries about this very pod that we wrote ourselves and that were withdrawn, the youngest first, up to one that was
/// not.
fn withdrawn_of<'a>(
    journal: &'a [Arc<NodeRemediation>],
    target: &TargetSnapshot,
    step: impl Fn(Step) -> bool,
) -> Vec<&'a NodeRemediation> {
    let ours = |entry: &&Arc<NodeRemediation>| {
        entry.spec.target.uid == target.facts.uid && !entry.spec.by_hand() && step(step_of(&entry.spec.action))
    };
    let mut entries: Vec<_> = journal.iter().filter(ours).map(AsRef::as_ref).collect();
    entries.sort_by_key(|entry: &&NodeRemediation| std::cmp::Reverse(entry.spec.attempt));
    entries.into_iter().take_while(|entry| entry.phase() == Phase::Withdrawn).collect()
}

/// An attempt at the same step that was withdrawn a moment ago: the world has hardly changed since.
fn withdrawn(journal: &[Arc<NodeRemediation>], target: &TargetSnapshot, step: Step, now: Now) -> Option<Refusal> {
    let trail = withdrawn_of(journal, target, |of| of == step);
    let status = trail.first()?.status.as_ref()?;
    let at = Server(status.timeline.last()?.at.0.as_millisecond());
    let doublings = u32::try_from(trail.len() - 1).unwrap_or(u32::MAX).min(16);
    let rest = (WITHDRAWN << doublings).min(WITHDRAWN_AT_MOST);
    let rest = if status.reason == REJECTED { REST_AFTER_NO } else { rest };
    let left = at.plus(rest).since(now.server);
    if left == 0 {
        return None;
    }
    let why =
        format!("the last attempt was withdrawn ({}: {}); {} s left", status.reason, status.message, left / 1000);
    let held = Held { why, until: Some(Mono(now.mono.0 + left)) };
    Some(Refusal { step: Some(step), guard: Guard::Withdrawn, held, results: Vec::new() })
}

/// What stopped the last attempt after its guards had let it pass, if a person may have to mend that.
fn stopped(journal: &[Arc<NodeRemediation>], target: &TargetSnapshot) -> Option<String> {
    let last = withdrawn_of(journal, target, |step| !matches!(step, Step::Page | Step::Rejoin));
    let status = last.first()?.status.as_ref()?;
    let by_cluster = [Guard::DisruptionBudget.name(), Guard::LedgerFull.name(), "Refused"];
    by_cluster.contains(&status.reason.as_str()).then(|| format!("{}: {}", status.reason, status.message))
}

/// The journal of a policy, as the cache knows it.
fn journal_of(ctx: &Context, snapshot: &PolicySnapshot) -> Vec<Arc<NodeRemediation>> {
    let id = &snapshot.policy.id;
    let all = ctx.stores.remediations.list();
    all.into_iter()
        .filter(|entry| entry.metadata.namespace.as_deref() == Some(&id.namespace) && entry.serves(id))
        .collect()
}

/// Entries that wait for their seat count as if they had it, so that 500 breaches do not become 500 entries.
fn seat_the_pending(ledger: &mut NetworkLedgerSpec, snapshot: &PolicySnapshot, journal: &[Arc<NodeRemediation>]) {
    let namespace = &snapshot.policy.id.namespace;
    for entry in journal {
        let slot = &entry.spec.target.slot;
        let known = ledger.seats.iter().any(|seat| seat.policy.namespace == *namespace && seat.slot == *slot);
        let waits = match entry.phase() {
            Phase::Pending => true,
            // A question about a rotation does not keep others from theirs.
            Phase::AwaitingApproval => !step_of(&entry.spec.action).is_a_rotation(),
            _ => false,
        };
        if waits
            && !known
            && let Some(seat) = expected_seat(snapshot, entry)
        {
            ledger.seats.push(seat);
        }
    }
}

/// The seat that an entry will take.
fn expected_seat(snapshot: &PolicySnapshot, entry: &NodeRemediation) -> Option<LedgerSeat> {
    let step = step_of(&entry.spec.action);
    plan::ledger::expected(&snapshot.policy, &entry.spec.target.slot, step, report::reference(entry))
}

fn wake(ctx: &Context, object: &NodeRemediation) {
    let meta = &object.metadata;
    if let (Some(namespace), Some(name)) = (meta.namespace.clone(), meta.name.clone()) {
        ctx.queues.remediations.push(Key { namespace, name }, ctx.clock.mono());
    }
}

/// Forgets old entries: the last 10 of each slot are kept, and everything younger than 7 days.
pub async fn sweep(ctx: &Context) {
    const KEPT: usize = 10;
    const AGE: u64 = 7 * 24 * 3_600_000;
    let now = ctx.now().server;
    let mut entries = ctx.stores.remediations.list();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.metadata.creation_timestamp.as_ref().map(|at| at.0)));
    let mut seen = std::collections::BTreeMap::<(Option<String>, String, String), usize>::new();
    for entry in entries {
        let spec = &entry.spec;
        let slot = (entry.metadata.namespace.clone(), spec.policy.uid.clone(), spec.target.slot.clone());
        let place = seen.entry(slot).or_default();
        *place += 1;
        let born = entry.metadata.creation_timestamp.as_ref().map_or(now.0, |time| time.0.as_millisecond());
        let old = now.since(Server(born)) > AGE;
        if *place > KEPT
            && old
            && entry.phase().is_final()
            && !journal::is_held(&entry)
            && let Err(error) = journal::delete(&ctx.clients.actuator, &entry).await
        {
            tracing::debug!(%error, "could not forget an old journal entry");
        }
    }
}

/// The policies that are stored but cannot be run, and why.
#[must_use]
pub fn problem(object: &NodeHealthPolicy, network: Option<crate::api::Family>) -> Option<String> {
    let Some(family) = network else {
        return Some(format!(
            "network {} does not exist or is invalid: create it, or write the name of one that does",
            object.spec.network
        ));
    };
    crate::policy::validate(object, family).err().map(|problem| problem.to_string())
}
