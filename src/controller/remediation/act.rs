//! One attempt of each step, and what its answer means.

use super::Life;
use crate::{
    api::{Action, JobAction, PageAction, RestartMethod},
    controller::report,
    effect,
    notify::{Delivery, Notice, Severity, State},
    plan::{Step, Switch},
    remedy::{Event, Kind, Outcome},
};

/// Nobody acts on a look or an announcement that is older than this (milliseconds).
const LOOK_MAX_AGE: u64 = 10_000;

impl Life<'_> {
    /// One attempt; the machine says what an unclear outcome means.
    pub(super) async fn act(&self, resource_version: &str) -> Event {
        // A process that was stopped in between, or a machine that slept, has seen another world; and another process may
        // have taken over meanwhile and be done. Nothing was tried, and the journal says how it goes on: whoever finds an
        // act announced there announces it again before anything else.
        let now = self.ctx.clock.mono();
        let unannounced = self.order.kind != Kind::Page && now.since(self.announced_at) > LOOK_MAX_AGE;
        if unannounced || now.since(self.looked_at) > LOOK_MAX_AGE {
            return Event::Failed("what was seen and announced before the act is too old".into());
        }
        let Action { reroute: _, rejoin: _, restart, job, failover: _, page } = &self.object.spec.action;
        let outcome = match (self.order.kind, restart, job) {
            (Kind::Restart { .. }, Some(restart), _) => self.restart(restart.method, resource_version).await,
            (Kind::Job { within, .. }, _, Some(job)) => self.job(job, within).await,
            (Kind::Failover { .. }, ..) => self.failover().await,
            (Kind::Reroute { .. } | Kind::Rejoin { .. }, ..) => self.rotate(resource_version, self.switch).await,
            _ => {
                let page = page.clone().unwrap_or(PageAction { sinks: Vec::new(), text: String::new() });
                self.page(&page.sinks, page.text).await
            }
        };
        Event::Acted { outcome, now: self.ctx.now().server.0 }
    }

    async fn restart(&self, method: RestartMethod, resource_version: &str) -> Outcome {
        let spec = &self.object.spec;
        let order = effect::RestartOrder {
            namespace: self.key.namespace.clone(),
            pod: spec.target.pod.clone(),
            uid: spec.target.uid.clone(),
            resource_version: resource_version.to_owned(),
            method,
        };
        let outcome = effect::restart(&self.ctx.clients.actuator, &order).await;
        self.answered(outcome)
    }

    async fn job(&self, job: &JobAction, within: u64) -> Outcome {
        let spec = &self.object.spec;
        let order = effect::JobOrder {
            namespace: self.key.namespace.clone(),
            cron_job: job.cron_job.clone(),
            revision: job.revision.clone(),
            within,
            name: self.key.name.clone(),
            purpose: effect::Purpose::Remediation {
                uid: self.uid.clone(),
                target: spec.target.pod.clone(),
                slot: spec.target.slot.clone(),
            },
        };
        let outcome = effect::run_job(&self.ctx.clients.actuator, &order).await;
        self.answered(outcome)
    }

    async fn failover(&self) -> Outcome {
        let Some(given) = self.given() else { return Outcome::Refused("it orders nothing".into()) };
        let outcome = effect::order_failover(&self.ctx.clients.actuator, &given).await;
        self.answered(outcome)
    }

    /// The order that it gives.
    pub(super) fn given(&self) -> Option<effect::Given<'_>> {
        let spec = &self.object.spec;
        Some(effect::Given {
            namespace: &self.key.namespace,
            name: &self.key.name,
            remediation: &self.uid,
            action: spec.action.failover.as_ref()?,
            pod: &spec.target.pod,
            rules: &spec.rules,
            requested_by: &spec.requested_by,
        })
    }

    async fn rotate(&self, resource_version: &str, switch: Switch) -> Outcome {
        let spec = &self.object.spec;
        let order = effect::RotationOrder {
            namespace: self.key.namespace.clone(),
            pod: spec.target.pod.clone(),
            uid: spec.target.uid.clone(),
            resource_version: resource_version.to_owned(),
            switch,
            serves: self.step() == Step::Rejoin,
            policy: spec.policy.uid.clone(),
            now: self.ctx.now().server,
        };
        let outcome = effect::rotate(&self.ctx.clients.actuator, &order).await;
        self.answered(outcome)
    }

    fn answered(&self, outcome: effect::Outcome) -> Outcome {
        let (step, pod) = (self.step().name(), &self.object.spec.target.pod);
        report::effect(&self.ctx.metrics, step, outcome.label());
        tracing::info!(remediation = self.key.name, pod, outcome = outcome.label(), "{step}");
        match outcome {
            effect::Outcome::Done => Outcome::Done,
            // Gone or changed: the next look tells which, and whose doing it may have been.
            effect::Outcome::Gone => Outcome::Moved("the pod is gone".into()),
            effect::Outcome::Moved(why) => Outcome::Moved(why),
            effect::Outcome::Blocked(why) | effect::Outcome::Misconfigured(why) => Outcome::Blocked(why),
            effect::Outcome::Throttled { retry_after_ms } => {
                Outcome::Blocked(format!("the API server asks to wait {retry_after_ms} ms"))
            }
            effect::Outcome::Refused(why) => Outcome::Refused(why),
            effect::Outcome::Unknown(why) => Outcome::Unknown(why),
        }
    }

    async fn page(&self, sinks: &[String], text: String) -> Outcome {
        let spec = &self.object.spec;
        let notice = Notice {
            // One page has one key, however often it is delivered.
            dedupe_key: format!("{}/{}/{}", spec.policy.uid, spec.target.slot, self.uid),
            severity: Severity::Page,
            state: State::Firing { expires_after: Notice::DAY },
            title: format!("{} needs a person", spec.target.pod),
            text,
            labels: report::labels(&self.object),
            starts_at: report::timestamp(self.ctx.now().wall),
        };
        match self.ctx.notifier.send(sinks, notice).await {
            Ok(Delivery::Delivered | Delivery::NoSink) => Outcome::Done,
            Ok(Delivery::GaveUp { why }) => Outcome::Refused(why),
            Err(_) => Outcome::Unknown("the notifier ended before it answered".into()),
        }
    }
}
