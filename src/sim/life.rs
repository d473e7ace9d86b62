//! Remediations in the simulation: performs what `remedy::step` asks for, as the controller does.

use crate::{
    api::{NetworkLedgerSpec, Phase, RemediationRef},
    plan::{
        Approval, ENDPOINTS, Guard, PodFacts, Step, all,
        ledger::{self, Ask, Claim},
    },
    policy::{NetworkPlan, Policy},
    remedy::{self, Effect, Event, Kind, Observation, Order, Outcome, SeatOutcome, State},
    signal::{Now, Server},
    world::{PolicySnapshot, Round},
};

/// One remediation on its way.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub slot: String,
    pub uid: String,
    pub attempt: i32,
    pub step: Step,
    pub phase: Phase,
    pub reason: String,
    pub message: String,
    pub ended_at: Option<i64>,
    order: Order,
    state: State,
    effect: Effect,
    acted_at: Option<i64>,
    services: Vec<String>,
}

/// What a life meets outside of itself.
pub(super) struct Surroundings<'a, Act, See> {
    pub policy: &'a Policy,
    pub network: &'a NetworkPlan,
    pub ledger: &'a mut NetworkLedgerSpec,
    pub snapshot: &'a PolicySnapshot,
    /// What a live read of the pod finds.
    pub live: crate::plan::Live,
    pub hours: &'a crate::plan::Hours,
    pub own: crate::plan::OwnFacts,
    pub now: Now,
    /// Takes the step.
    pub act: Act,
    /// Looks at what became of the target.
    pub see: See,
}

impl Life {
    pub fn new(policy: &Policy, target: (&str, &str), attempt: i32, step: Step, now: Now) -> Self {
        let kind = match step {
            Step::Reroute => Kind::Reroute { within: ENDPOINTS },
            Step::Rejoin => Kind::Rejoin { within: ENDPOINTS },
            Step::Restart => Kind::Restart {
                within: policy.ladder.restart.map_or(0, |step| step.within),
                clear: policy.clear_for(),
            },
            Step::Job => Kind::Job {
                within: policy.ladder.job.as_ref().map_or(0, |step| step.within),
                clear: policy.clear_for(),
            },
            Step::Failover => {
                Kind::Failover { within: policy.ladder.failover.as_ref().map_or(0, |step| step.within) }
            }
            Step::Page => Kind::Page,
        };
        let (slot, uid) = target;
        Self {
            slot: slot.into(),
            uid: uid.into(),
            attempt,
            step,
            phase: Phase::Pending,
            reason: String::new(),
            message: String::new(),
            ended_at: None,
            order: Order { uid: uid.into(), kind, created_at: now.server.0 },
            state: State::Looking { asked: false },
            effect: Effect::Look,
            acted_at: None,
            services: Vec::new(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// What stands in the ledger for it.
    pub fn reference(&self, policy: &Policy) -> RemediationRef {
        let name = format!("{}-{}", self.slot, self.attempt);
        RemediationRef { namespace: policy.id.namespace.clone(), uid: name.clone(), name }
    }

    /// Goes on as far as it can now.
    pub fn go_on<Act, See>(&mut self, around: &mut Surroundings<'_, Act, See>)
    where
        Act: FnMut(&str, Step) -> bool,
        See: FnMut(&str, &str) -> Observation,
    {
        // A life is a handful of effects; more than this in one moment would be a circle.
        for _ in 0..32 {
            let Some(event) = self.perform(around) else { return };
            (self.state, self.effect) = remedy::step(&self.order, &self.state, event);
            if matches!(self.effect, Effect::Later(_)) {
                (self.state, self.effect) =
                    remedy::resume(self.phase, None, &remedy::End::of(self.phase, &self.reason, self.acted_at));
                return;
            }
        }
    }

    fn perform<Act, See>(&mut self, around: &mut Surroundings<'_, Act, See>) -> Option<Event>
    where
        Act: FnMut(&str, Step) -> bool,
        See: FnMut(&str, &str) -> Observation,
    {
        let now = around.now.server.0;
        let reference = self.reference(around.policy);
        let policy = around.policy.id.uid.clone();
        let acted_at = self.acted_at.map(Server);
        let (slot, attempt, step) = (self.slot.clone(), self.attempt, self.step);
        let claim = Claim { remediation: &reference.uid, policy: &policy, slot: &slot, attempt, step, acted_at };
        Some(match self.effect.clone() {
            Effect::Look => self.look(around, &claim),
            Effect::TakeSeat { simulated } => {
                Self::seat(around, reference.clone(), &claim, self.services.clone(), simulated)
            }
            Effect::Write(entry) => {
                self.phase = entry.phase;
                self.reason = entry.reason;
                self.message = entry.message;
                self.acted_at = entry.acted_at.or(self.acted_at);
                if self.phase.is_final() {
                    self.ended_at = Some(now);
                }
                Event::Written
            }
            Effect::Act { .. } => {
                let accepted = (around.act)(&self.slot, self.step);
                let outcome = if accepted { Outcome::Done } else { Outcome::Moved("the pod changed".into()) };
                Event::Acted { outcome, now }
            }
            Effect::Observe { deadline } => {
                let observation = match self.step {
                    Step::Reroute | Step::Rejoin => Observation::Healthy { pod: self.slot.clone(), lasted: 0 },
                    Step::Restart | Step::Job | Step::Failover | Step::Page => (around.see)(&self.slot, &self.uid),
                };
                let clear = around.policy.clear_for();
                let settled = self.step.is_a_rotation()
                    || matches!(&observation, Observation::Healthy { lasted, .. } if *lasted >= clear);
                if !settled && now < deadline {
                    return None;
                }
                Event::Observed { observation, now }
            }
            Effect::Release { acted, exhausted } => {
                *around.ledger = ledger::release(around.ledger, &claim, acted, exhausted);
                Event::Released
            }
            Effect::LetGo => Event::LetGo,
            Effect::Later(_) | Effect::Nothing => return None,
        })
    }

    fn look<Act, See>(&mut self, around: &Surroundings<'_, Act, See>, claim: &Claim<'_>) -> Event {
        let now = around.now.server.0;
        let pod = around.live.pod.clone();
        if let PodFacts::Present(pod) = &pod {
            self.services = pod.rotation.services();
        }
        let target = around.snapshot.targets.iter().find(|target| target.facts.uid == self.uid);
        let Some(target) = target else {
            return Event::Looked {
                pod,
                refused: Some((Guard::Moved, "the pod is gone".into())),
                simulated: false,
                approval: Approval::NotNeeded,
                now,
            };
        };
        let record = ledger::release(around.ledger, claim, false, false);
        let round =
            Round::new(around.snapshot, super::run::US, record, around.hours.clone(), around.own, around.now);
        let facts = round.facts(target, &around.live);
        let mut held = all(&facts, self.step).into_iter().filter_map(|said| Some((said.guard, said.held?.why)));
        // Whoever is to approve a step is taken to do so at once.
        let approval = Approval::Given;
        Event::Looked { pod, refused: held.next(), simulated: facts.simulated(), approval, now }
    }

    fn seat<Act, See>(
        around: &mut Surroundings<'_, Act, See>,
        remediation: RemediationRef,
        claim: &Claim<'_>,
        services: Vec<String>,
        simulated: bool,
    ) -> Event {
        let target = around.snapshot.targets.iter().find(|target| target.facts.slot == claim.slot);
        let ask = Ask {
            installation: super::run::US,
            policy: around.policy,
            network_max: around.network.max_concurrent,
            network_budget: &around.network.budget,
            remediation,
            slot: claim.slot,
            attempt: claim.attempt,
            step: claim.step,
            services,
            simulated,
            long_health: target.and_then(|target| target.facts.long_health(around.policy, around.now)),
            deadline: around.now.server.plus(3_600_000),
            now: around.now.server,
        };
        match ledger::take(around.ledger, &ask) {
            Ok(next) => {
                *around.ledger = next;
                Event::Seated(SeatOutcome::Taken)
            }
            Err(refused) => Event::Seated(SeatOutcome::Refused(refused.guard, refused.why)),
        }
    }
}
