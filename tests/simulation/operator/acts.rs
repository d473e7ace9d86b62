//! What an operator does in the toy world, and what it finds when it looks.

use mainstay::{
    api::RemediationRef,
    plan::{
        Approval, Guard, Step, all,
        ledger::{self, Ask, Claim},
    },
    remedy::{Effect, Event, Observation, Outcome, SeatOutcome},
    signal::Server,
};

use super::{LOOK_MAX_AGE, Process, Run, US, WITHIN, forget, key};
use crate::toy::Journal;

impl Run {
    pub(super) fn perform(
        &mut self,
        name: &str,
        journal: &Journal,
        process: &Process,
        read: &mut u64,
    ) -> Option<Event> {
        let server = self.toy.clocks().server;
        let claim = Claim {
            remediation: name,
            policy: "p",
            slot: &journal.slot,
            attempt: journal.attempt,
            step: if journal.page { Step::Page } else { Step::Restart },
            acted_at: journal.acted_at.map(Server),
        };
        Some(match &process.effect {
            Effect::Look => self.look(journal, &claim),
            Effect::TakeSeat { simulated } => {
                let mut policy = self.policy_now();
                let mut network_max = self.network.max_concurrent;
                forget(&mut policy, &mut network_max, self.without);
                let snapshot = self.snapshot();
                let target =
                    snapshot.as_ref().and_then(|of| of.targets.iter().find(|of| of.facts.slot == journal.slot));
                let ask = Ask {
                    installation: US,
                    policy: &policy,
                    network_max,
                    network_budget: &[],
                    remediation: RemediationRef {
                        namespace: "cosmos".into(),
                        name: name.into(),
                        uid: name.into(),
                    },
                    slot: &journal.slot,
                    attempt: journal.attempt,
                    step: claim.step,
                    services: Vec::new(),
                    simulated: *simulated,
                    long_health: target.and_then(|of| of.facts.long_health(&policy, self.toy.clocks())),
                    deadline: server.plus(2 * WITHIN),
                    now: server,
                };
                match ledger::take(&self.toy.ledger, &ask) {
                    Ok(next) => {
                        self.toy.ledger = next;
                        Event::Seated(SeatOutcome::Taken)
                    }
                    Err(refused) => Event::Seated(SeatOutcome::Refused(refused.guard, refused.why)),
                }
            }
            Effect::Write(entry) => {
                let now = self.toy.now;
                let of = self.toy.journals.get_mut(name)?;
                if of.version != *read {
                    return Some(Event::Failed("409".into()));
                }
                of.version += 1;
                *read = of.version;
                of.phase = entry.phase;
                of.reason.clone_from(&entry.reason);
                of.acted_at = entry.acted_at.or(of.acted_at);
                of.deadline = entry.deadline.or(of.deadline);
                if entry.phase.is_final() {
                    of.ended = now;
                }
                let (phase, reason) = (entry.phase, entry.reason.clone());
                self.say(format!("{name}: {phase:?} {reason}"));
                Event::Written
            }
            Effect::Act { .. } if journal.page => {
                self.say(format!("{}: somebody is called", journal.slot));
                Event::Acted { outcome: Outcome::Done, now: server.0 }
            }
            Effect::Act { .. } if self.toy.now - process.looked_at.min(process.announced_at) > LOOK_MAX_AGE => {
                Event::Failed("too old".into())
            }
            Effect::Act { .. } => {
                let accepted = self.toy.evict(&journal.slot, &journal.uid);
                if accepted {
                    self.say(format!("{}: the pod is removed", journal.slot));
                }
                let outcome = if accepted { Outcome::Done } else { Outcome::Moved("x".into()) };
                Event::Acted { outcome, now: server.0 }
            }
            Effect::Observe { deadline } => {
                let observation = self.world.observe(&key(), &journal.slot, &journal.uid, false, self.toy.mono());
                let well = matches!(&observation, Observation::Healthy { lasted, .. } if *lasted >= 10_000);
                if !well && server < Server(*deadline) {
                    return None;
                }
                Event::Observed { observation, now: server.0 }
            }
            Effect::Release { acted, exhausted } => {
                self.toy.ledger = ledger::release(&self.toy.ledger, &claim, *acted, *exhausted);
                Event::Released
            }
            Effect::LetGo => {
                self.toy.journals.get_mut(name)?.held = false;
                Event::LetGo
            }
            Effect::Later(_) | Effect::Nothing => return None,
        })
    }

    fn look(&self, journal: &Journal, claim: &Claim<'_>) -> Event {
        let now = self.toy.clocks().server.0;
        let live = self.toy.live(&journal.slot);
        let looked = |refused: Option<(Guard, String)>, simulated| Event::Looked {
            pod: live.pod.clone(),
            refused,
            simulated,
            approval: Approval::NotNeeded,
            now,
        };
        let record = ledger::release(&self.toy.ledger, claim, false, false);
        let snapshot = self.snapshot();
        let target = snapshot.as_ref().and_then(|of| of.targets.iter().find(|of| of.facts.uid == journal.uid));
        let (Some(snapshot), Some(target)) = (&snapshot, target) else {
            return looked(Some((Guard::Moved, "x".into())), false);
        };
        let (refused, simulated) = self.ask_about(snapshot, target, &live, &record, |facts| {
            (self.held(all(facts, claim.step)), facts.simulated())
        });
        looked(refused, simulated)
    }
}
