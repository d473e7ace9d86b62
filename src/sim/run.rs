//! One look after another: what the operator does in a cluster, with a stage in its place.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    LABEL, Pod, Stage, Story, What,
    life::{Life, Surroundings},
};
use crate::{
    api::{LedgerSeat, NetworkLedgerSpec, Phase},
    judge::VerdictKind,
    plan::{
        CronJobFacts, Decision, GroupFacts, Guard, Hours, Live, NodeFacts, OwnFacts, PodFacts, ServiceFacts,
        Services, Step, Stop, Vantage, WorkloadFacts, ledger, propose,
    },
    policy::{NetworkPlan, Policy, Selector},
    signal::{Mono, Now, Server, Wall},
    world::{Key, PodView, PolicySnapshot, Round, TargetKey, World},
};

/// The monotonic clock at the beginning: nothing that is remembered lies before it.
pub(super) const EPOCH: u64 = 1_000_000_000;
pub(super) const US: &str = "simulated/mainstay";
/// After a withdrawn attempt its pod rests for so long (milliseconds): the operator's shortest rest.
const WITHDRAWN: i64 = 15_000;
const OWN: OwnFacts = OwnFacts { cache_age: 0, schema_current: true, approvals_guarded: true };

/// Runs a policy on a stage. The policy's mode counts: in `DryRun` a step is only written down.
pub fn run<S: Stage>(stage: &mut S, policy: &Policy, network: &NetworkPlan) -> Story {
    let mut policy = policy.clone();
    policy.selector = Selector::label(LABEL.0, LABEL.1);
    let begins_at = stage.begins_at();
    let step = tick(&policy);
    let mut play = Play {
        key: Key { namespace: policy.id.namespace.clone(), name: policy.id.name.clone() },
        source: source(&policy),
        policy: Arc::new(policy),
        network: network.clone(),
        world: World::default(),
        ledger: NetworkLedgerSpec { installation: US.into(), ..NetworkLedgerSpec::default() },
        lives: Vec::new(),
        attempts: BTreeMap::new(),
        holds: BTreeMap::new(),
        story: Story { begins_at, until: stage.until(), ..Story::default() },
        at: 0,
        step,
    };
    while play.at <= stage.until() {
        stage.tick(play.at);
        if let Some(snapshot) = play.see(stage) {
            play.carry_on(stage, &snapshot);
            play.decide(stage, &snapshot);
        }
        play.at += step;
    }
    play.story
}

/// As often as the first source is asked, but at least every ten seconds.
fn tick(policy: &Policy) -> u64 {
    policy.sources.first().map_or(10_000, |source| source.every.clamp(1_000, 10_000))
}

/// The source that tells everything here: the one that votes on the head, or else the first.
fn source(policy: &Policy) -> String {
    let votes = policy.sources.iter().find(|source| policy.votes_with(&source.name));
    votes.or(policy.sources.first()).map(|source| source.name.clone()).unwrap_or_default()
}

struct Play {
    key: Key,
    source: String,
    policy: Arc<Policy>,
    network: NetworkPlan,
    world: World,
    ledger: NetworkLedgerSpec,
    lives: Vec<Life>,
    attempts: BTreeMap<String, i32>,
    /// What holds each slot now.
    holds: BTreeMap<String, Guard>,
    story: Story,
    at: u64,
    step: u64,
}

impl Play {
    fn now(&self) -> Now {
        let wall = self.story.begins_at.saturating_add_unsigned(self.at);
        Now { mono: Mono(EPOCH + self.at), wall: Wall(wall), server: Server(wall) }
    }

    /// Polls arrive and are judged. Returns what all that happens in this moment rests on.
    fn see<S: Stage>(&mut self, stage: &S) -> Option<PolicySnapshot> {
        let Now { mono, server, .. } = self.now();
        let pods = stage.pods();
        let views: Vec<Arc<PodView>> =
            pods.iter().map(|pod| pod.view(&self.key.namespace, &self.policy.id.uid)).collect();
        self.world.sync(vec![self.network.clone()], vec![Policy::clone(&self.policy)], &views, mono, mono);
        for (name, poll) in stage.references() {
            self.world.file_reference(&self.network.name, &name, &poll, mono);
        }
        for pod in &pods {
            if let Some(poll) = stage.poll(pod) {
                let target = TargetKey { policy: self.key.clone(), uid: pod.uid() };
                self.world.file(&target, &self.source, &poll, mono);
            }
        }
        self.world.tick(mono);
        let snapshot = self.world.snapshot(&self.key, mono, server)?;
        for target in &snapshot.targets {
            let verdict = &target.facts.verdict;
            let before = self.story.tracks.get(&target.facts.slot).and_then(|track| track.verdicts.last());
            if before.is_none_or(|(_, kind)| *kind != verdict.kind) {
                let why = match verdict.kind {
                    VerdictKind::Unknown => verdict.unknown.clone(),
                    VerdictKind::Healthy => String::new(),
                    VerdictKind::Suspect | VerdictKind::Unhealthy => verdict
                        .findings
                        .first()
                        .map(|finding| format!("{}: {}", finding.rule, finding.evidence))
                        .unwrap_or_default(),
                };
                self.story.note(self.at, &target.facts.slot, What::Verdict(verdict.kind, why));
            }
        }
        Some(snapshot)
    }

    /// Remediations go on.
    fn carry_on<S: Stage>(&mut self, stage: &mut S, snapshot: &PolicySnapshot) {
        let now = self.now();
        let hours = Hours::of(&self.policy, now);
        let mut lives = std::mem::take(&mut self.lives);
        for life in &mut lives {
            if life.is_over() {
                continue;
            }
            let live = live(snapshot, &stage.pods(), &life.slot);
            let (world, key) = (&self.world, &self.key);
            let mut around = Surroundings {
                policy: &self.policy,
                network: &self.network,
                ledger: &mut self.ledger,
                snapshot,
                live,
                hours: &hours,
                own: OWN,
                now,
                act: |pod: &str, step: Step| stage.act(pod, step),
                see: |slot: &str, former: &str| world.observe(key, slot, former, false, now.mono),
            };
            let before = life.phase;
            life.go_on(&mut around);
            if before != life.phase && life.phase.is_final() {
                let what = What::Ended(life.step, life.attempt, life.phase, life.message.clone());
                self.story.note(self.at, &life.slot, what);
            }
        }
        let recent = |life: &Life| life.ended_at.is_none_or(|at| now.server.0 - at < WITHDRAWN);
        lives.retain(|life| !life.is_over() || recent(life));
        self.lives = lives;
    }

    /// Proposals become remediations, as long as a seat looks free.
    fn decide<S: Stage>(&mut self, stage: &mut S, snapshot: &PolicySnapshot) {
        let now = self.now();
        let hours = Hours::of(&self.policy, now);
        let mut record = self.ledger.clone();
        let pending = self.lives.iter().filter(|life| life.phase == Phase::Pending);
        record.seats.extend(pending.filter_map(|life| self.expected_seat(life)));
        let mut round = Round::new(snapshot, US, record, hours, OWN, now);
        let pods = stage.pods();
        let mut begun = false;
        for target in &snapshot.targets {
            let slot = &target.facts.slot;
            let busy = |life: &Life| life.slot == *slot && (!life.is_over() || life.phase == Phase::Withdrawn);
            if self.lives.iter().any(busy) {
                continue;
            }
            let live = live(snapshot, &pods, slot);
            match propose(&round.facts(target, &live)) {
                Decision::Nothing => drop(self.holds.remove(slot)),
                Decision::Refused(refusal) => {
                    let track = self.story.tracks.entry(slot.clone()).or_default();
                    *track.held.entry(refusal.guard).or_default() += self.step;
                    if self.holds.insert(slot.clone(), refusal.guard) != Some(refusal.guard) {
                        self.story.note(self.at, slot, What::Held(refusal.guard, refusal.held.why));
                    }
                }
                Decision::Proposed(proposal) => {
                    self.holds.remove(slot);
                    let attempt = self.attempts.entry(slot.clone()).or_default();
                    *attempt += 1;
                    let begins = Life::new(&self.policy, (slot, &target.facts.uid), *attempt, proposal.step, now);
                    self.story.note(self.at, slot, What::Begun(begins.step, begins.attempt));
                    round.seat(self.expected_seat(&begins));
                    self.lives.push(begins);
                    begun = true;
                }
            }
        }
        if begun {
            self.carry_on(stage, snapshot);
        }
    }

    fn expected_seat(&self, life: &Life) -> Option<LedgerSeat> {
        ledger::expected(&self.policy, &life.slot, life.step, life.reference(&self.policy))
    }
}

/// What a live read would find: what the cache says, and the Service that all pods of the stage stand behind.
fn live(snapshot: &PolicySnapshot, pods: &[Pod], slot: &str) -> Live {
    let serving = |pod: &&Pod| pod.serves && !pod.terminating;
    let others = pods.iter().filter(|pod| pod.name != slot).filter(serving).count();
    let service = ServiceFacts {
        name: "simulated".into(),
        serves: pods.iter().any(|pod| pod.name == slot && pod.serves),
        others: u32::try_from(others).unwrap_or(u32::MAX),
    };
    let known = snapshot.targets.iter().find(|target| target.facts.slot == slot);
    let mut live = known.map_or_else(
        || Live {
            stop: Stop::Go,
            pod: PodFacts::Gone,
            workload: WorkloadFacts::Settled,
            node: NodeFacts::Ready,
            cron_job: CronJobFacts::Unread,
            group: GroupFacts::Unread,
            vantage: Vantage::Unread,
        },
        |target| target.live.clone(),
    );
    if let PodFacts::Present(pod) = &mut live.pod {
        pod.rotation.services = Services::Read(vec![service]);
    }
    // No signer is simulated, and so nobody else who could sign.
    live.group = GroupFacts::Absent;
    live
}
