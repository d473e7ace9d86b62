//! One look at the world before anything is done: what is true now, what the guards say to it, and what people do.

use super::Life;
use crate::{
    controller::vantage::Others,
    effect::{self, approvals, ledger as ledgers},
    plan::{self, Approval, Asked, Facts, Guard, GuardResult, Hours, Live, PodFacts, Vantage, all, ledger},
    remedy::Event,
    world::Round,
};

impl Life<'_> {
    /// Reads the world live and asks the guards.
    pub(super) async fn look(&mut self) -> Event {
        self.looked_at = self.ctx.clock.mono();
        let (ctx, spec) = (self.ctx, &self.object.spec);
        let record = match ledgers::get(&ctx.clients.actuator, &spec.network).await {
            // What this remediation took itself is no reason against it.
            Ok(record) => ledger::release(&record, &self.claim(), false, false),
            Err(error) => return Event::Failed(error.to_string()),
        };
        // Whatever it is about: the last word on whether it is a silence comes with the snapshot below.
        let vantage = if plan::guards_of(self.step()).contains(&Guard::Unconfirmed) {
            Others::default().say(ctx, &spec.policy.uid, &spec.target.uid).await
        } else {
            Vantage::Unread
        };
        let live = effect::read_live(
            &ctx.clients.actuator,
            &self.key.namespace,
            &spec.target.pod,
            &ctx.stop,
            ctx.now().server,
            self.also(),
            &|pod| ctx.is_protected(pod),
        )
        .await;
        let live = match live {
            Ok(live) => Live { vantage, ..live },
            Err(error) => return Event::Failed(error.to_string()),
        };
        let now = ctx.now();
        let at = now.server.0;
        let looked = |pod: PodFacts, refused, simulated| Event::Looked {
            pod,
            refused,
            simulated,
            approval: Approval::NotNeeded,
            now: at,
        };
        let pod = live.pod.clone();
        if let PodFacts::Present(pod) = &pod {
            self.services = pod.rotation.services();
        }
        let Some(snapshot) = self.snapshot() else {
            return looked(
                pod,
                Some((Guard::Conflict, "the policy or its network is gone or invalid".into())),
                false,
            );
        };
        let Some(target) = snapshot.targets.iter().find(|target| target.facts.uid == spec.target.uid) else {
            return looked(pod, Some((Guard::Moved, "the pod is no target of the policy any more".into())), false);
        };
        let mut target = target.clone();
        target.facts.by_hand = spec.requested_by != "mainstay";
        let hours = Hours::of(&snapshot.policy, now);
        let round = Round::new(&snapshot, &ctx.installation, record, hours, ctx.own_facts(), now);
        let facts = round.facts(&target, &live);
        let refused = first_held(all(&facts, self.step()));
        let approval = match self.approval(&facts).await {
            Ok(approval) => approval,
            Err(error) => return Event::Failed(error.to_string()),
        };
        Event::Looked { pod, refused, simulated: facts.simulated(), approval, now: at }
    }

    /// What people have said about it, where they are to be asked.
    async fn approval(&self, facts: &Facts<'_>) -> Result<Approval, effect::Failed> {
        let spec = &self.object.spec;
        let asked = Asked {
            step: self.step(),
            generation: spec.policy.generation,
            rules: &spec.rules,
            requested_by: &spec.requested_by,
        };
        match plan::approval(facts, &asked, &[]) {
            Approval::Wanted(_) => {
                let given = approvals::given(&self.ctx.clients.actuator, &self.key.namespace, &self.uid).await?;
                Ok(plan::approval(facts, &asked, &given))
            }
            approval => Ok(approval),
        }
    }

    /// What a look is about beside the pod.
    fn also(&self) -> effect::Also<'_> {
        let cron_job = self.object.spec.action.job.as_ref().map(|job| job.cron_job.as_str());
        effect::Also { services: self.step().is_a_rotation(), cron_job }
    }
}

fn first_held(results: Vec<GuardResult>) -> Option<(Guard, String)> {
    results.into_iter().find_map(|result| Some((result.guard, result.held?.why)))
}
