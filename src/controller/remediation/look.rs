//! One look at the world before anything is done: what is true now, what the guards say to it, and what people do.

use super::{
    super::entry::{late, unlawful},
    Life,
};
use crate::{
    api::{NodeHealthPolicy, NodeRemediation, Phase},
    controller::{report, vantage::Others},
    effect::{self, approvals, journal, ledger as ledgers},
    plan::{
        self, Approval, Asked, Facts, Guard, GuardResult, Hours, Live, PodFacts, Step, Vantage, all, ledger,
        ownership,
    },
    policy::Policy,
    remedy::Event,
    world::{PolicySnapshot, Round, TargetSnapshot},
};

impl Life<'_> {
    /// Reads the world live and asks the guards.
    pub(super) async fn look(&mut self) -> Event {
        self.looked_at = self.ctx.clock.mono();
        self.look_around().await.unwrap_or_else(Event::Failed)
    }

    async fn look_around(&mut self) -> Result<Event, String> {
        let (ctx, spec) = (self.ctx, &self.object.spec);
        let actuator = &ctx.clients.actuator;
        let record = ledgers::get(actuator, &spec.network).await.map_err(|error| error.to_string())?;
        if let Some(why) = ownership::owned_by_another(&record, &ctx.installation, ctx.now().server) {
            return Err(why);
        }
        // What this remediation took itself is no reason against it.
        let record = ledger::release(&record, &self.claim(), false, false);
        let protected = |pod: &crate::world::PodView| ctx.is_protected(pod);
        // Whatever it is about: the last word on whether it is a silence comes with the snapshot below.
        let vantage = if plan::guards_of(self.step()).contains(&Guard::Unconfirmed) {
            Others::default().say(ctx, &spec.policy.uid, &spec.target.uid).await
        } else {
            Vantage::Unread
        };
        let live = effect::read_live(
            actuator,
            &self.key.namespace,
            &spec.target.pod,
            &ctx.stop,
            ctx.now().server,
            self.also(),
            &protected,
        );
        let live = Live { vantage, ..live.await.map_err(|error| error.to_string())? };
        if let PodFacts::Present(pod) = &live.pod {
            self.services = pod.rotation.services();
            self.switch = pod.rotation.switch;
        }
        let now = ctx.now();
        let event = |refused, simulated, approval| Event::Looked {
            pod: live.pod.clone(),
            refused,
            simulated,
            approval,
            now: now.server.0,
        };
        let refuse = |guard, why: String| Ok(event(Some((guard, why)), false, Approval::NotNeeded));
        if self.object.metadata.deletion_timestamp.is_some() {
            return refuse(Guard::Request, "somebody has deleted this entry".into());
        }
        let Some(snapshot) = self.snapshot() else {
            return refuse(Guard::Conflict, "the policy or its network is gone or invalid".into());
        };
        self.is_current(&snapshot.policy).await?;
        let Some(target) = self.target(&snapshot) else {
            return refuse(Guard::Moved, "the pod is no target of the policy any more".into());
        };
        if let Some(why) = unlawful(&self.object.spec, &snapshot.policy, &target.facts) {
            return refuse(Guard::Request, why);
        }
        if let Some(why) = late(&self.object.spec.action, &live.group) {
            return refuse(Guard::Failover, why);
        }
        let hours = Hours::of(&snapshot.policy, now);
        let round = Round::new(&snapshot, &ctx.installation, record, hours, ctx.own_facts(), now);
        let facts = round.facts(&target, &live);
        let refused = first_held(all(&facts, self.step()));
        if self.phase() == Phase::AwaitingApproval && refused.is_none() {
            report::ask(ctx, &self.object, now);
        }
        let approval = self.approval(&facts).await.map_err(|error| error.to_string())?;
        Ok(event(refused, facts.simulated(), approval))
    }

    /// The target as it is now. Who asks by hand on behalf of a policy that does nothing itself must not pass by another
    /// that does.
    fn target(&self, snapshot: &PolicySnapshot) -> Option<TargetSnapshot> {
        let spec = &self.object.spec;
        let mut target = snapshot.targets.iter().find(|target| target.facts.uid == spec.target.uid)?.clone();
        target.facts.by_hand = spec.by_hand();
        target.facts.contested |= spec.by_hand() && !snapshot.policy.mode.acts() && target.claimed;
        Some(target)
    }

    /// A mode, a pause or a limit that was written a moment ago counts: the cache must know the policy as it is.
    async fn is_current(&self, policy: &Policy) -> Result<(), String> {
        if self.step() == Step::Page {
            return Ok(());
        }
        let id = &policy.id;
        let live = effect::read_metadata::<NodeHealthPolicy>(&self.ctx.clients.actuator, &id.namespace, &id.name);
        let live = live.await.map_err(|error| error.to_string())?;
        let same = |live: &kube::api::ObjectMeta| {
            live.uid.as_ref() == Some(&id.uid) && live.generation == Some(policy.generation)
        };
        match live {
            Some(live) if same(&live) => Ok(()),
            _ => Err(format!("policy {} has changed, and the cache does not know it yet", id.name)),
        }
    }

    /// What people have said about it, where they are to be asked.
    async fn approval(&self, facts: &Facts<'_>) -> Result<Approval, effect::Failed> {
        let NodeRemediation { spec, .. } = &self.object;
        let asked = Asked {
            step: self.step(),
            generation: spec.policy.generation,
            rules: &spec.rules,
            requested_by: &spec.requested_by,
        };
        match plan::approval(facts, &asked, &[]) {
            Approval::Wanted(_) => {
                let ctx = self.ctx;
                let which = (self.key.name.as_str(), self.uid.as_str());
                let given =
                    approvals::given(&ctx.clients.actuator, &ctx.guard, &self.key.namespace, which).await?;
                Ok(plan::approval(facts, &asked, &given))
            }
            approval => Ok(approval),
        }
    }

    /// What a look is about beside the pod.
    fn also(&self) -> effect::Also<'_> {
        let spec = &self.object.spec;
        let group = spec.action.failover.as_ref().map(|failover| effect::GroupRef {
            name: &failover.group,
            network: &spec.network,
            pod: &spec.target.uid,
            order: &self.key.name,
        });
        let cron_job = spec.action.job.as_ref().map(|job| (job.cron_job.as_str(), self.uid.as_str()));
        effect::Also { services: self.step().is_a_rotation(), cron_job, group }
    }

    /// A person's entry has no finalizer, and could be deleted in the middle: it gets one before anything else.
    pub(super) async fn hold(&mut self) -> Result<(), effect::Failed> {
        if !journal::is_held(&self.object) {
            self.object = journal::hold(&self.ctx.clients.actuator, &self.object).await?;
        }
        Ok(())
    }
}

fn first_held(results: Vec<GuardResult>) -> Option<(Guard, String)> {
    results.into_iter().find_map(|result| Some((result.guard, result.held?.why)))
}
