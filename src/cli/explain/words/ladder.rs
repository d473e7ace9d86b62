//! The ladder in plain words.

use super::{Page, duration, times};
use crate::{
    api::{
        NodeHealthPolicy, RestartMethod,
        policy::{Failover, Job, Remediation, Reroute},
    },
    policy::{FailoverStep, JobStep, Policy, RerouteStep, preset},
};

impl Page {
    pub(super) fn ladder(&mut self, object: &NodeHealthPolicy, policy: &Policy) {
        self.title("What may be done, gentlest first");
        let ladder = object.spec.remediation.as_ref();
        if let Some(step) = &policy.ladder.reroute {
            self.reroute(ladder, step);
        }
        let written = ladder.and_then(|ladder| ladder.restart.as_ref());
        if let Some(step) = &policy.ladder.restart {
            let method = match step.method {
                RestartMethod::Eviction => "by eviction, so that disruption budgets hold",
                RestartMethod::Delete => "by a graceful delete with preconditions",
            };
            self.line(&format!("restart the pod {method}"), ladder.is_some());
            let own = |is: fn(&crate::api::policy::Restart) -> bool| written.is_some_and(is);
            let within = format!("  healthy again within {} or the step has failed", duration(step.within));
            self.line(&within, own(|restart| restart.within.is_some()));
            let attempts = format!("  at most {} in one incident", times(step.attempts));
            self.from(
                &attempts,
                own(|restart| restart.attempts.is_some()),
                "what two restarts did not mend, a third does not; what signs gets one",
            );
            let rest = format!("  rest of {} after the first", duration(step.cooldown));
            self.from(
                &rest,
                own(|restart| restart.cooldown.is_some()),
                "longer than a node needs to show whether it helped",
            );
            let grows = format!(
                "  each rest {} times the one before, at most {}",
                step.backoff_factor,
                duration(step.backoff_max)
            );
            self.from(
                &grows,
                own(|restart| restart.backoff.is_some()),
                "restarts must not become what keeps a node down",
            );
            let grace = preset(policy.family, policy.role).least_grace;
            self.origin(
                &format!("  its pods should have terminationGracePeriodSeconds of {grace} or more"),
                "preset: shorter, and databases of the family rewind or break",
            );
        }
        if let Some(step) = &policy.ladder.job {
            self.job(ladder, step);
        }
        if let Some(step) = &policy.ladder.failover {
            self.failover(ladder, step);
        }
        if policy.ladder.page {
            self.line(
                "page: call a person when nothing gentler is left, or when a step is held back too long",
                ladder.is_some(),
            );
        }
        if policy.ladder.is_empty() {
            self.line("nothing", true);
        }
    }

    fn reroute(&mut self, ladder: Option<&Remediation>, step: &RerouteStep) {
        let written = ladder.and_then(|ladder| ladder.reroute.as_ref());
        let own = |is: fn(&Reroute) -> bool| written.is_some_and(is);
        self.line(
            "re-route: take the pod out of its Services by mainstay.dev/in-rotation, a label or a gate",
            ladder.is_some(),
        );
        self.from(
            &format!("  {} out of rotation to get well by itself, before the next step", duration(step.within)),
            own(|reroute| reroute.within.is_some()),
            "a node that was only overloaded catches up in a minute",
        );
        self.line(
            &format!("  at most {} in one incident", times(step.attempts)),
            own(|reroute| reroute.attempts.is_some()),
        );
        self.from(
            &format!("  at least {} in, and at least {} out", duration(step.stay), duration(step.stay)),
            own(|reroute| reroute.stay.is_some()),
            "a label that goes to and fro is worse than either",
        );
        if step.quarantine_the_last {
            self.line("  a target of another chain even if it is the last that its Service has", true);
        } else {
            self.line("  never the last ready pod of a Service", false);
        }
    }

    fn failover(&mut self, ladder: Option<&Remediation>, step: &FailoverStep) {
        let written = ladder.and_then(|ladder| ladder.failover.as_ref());
        let own = |is: fn(&Failover) -> bool| written.is_some_and(is);
        let what = "fail over: let another member of FailoverGroup";
        self.line(&format!("{what} {} sign, when restarts are used up or of no use", step.group), true);
        self.from(
            &format!("  another holds the place within {} or the step has failed", duration(step.within)),
            own(|failover| failover.within.is_some()),
            "a gate has ten seconds to seal; what takes minutes waits for a person",
        );
        self.line(
            &format!("  at most {} in one incident", times(step.attempts)),
            own(|failover| failover.attempts.is_some()),
        );
        self.line(
            &format!("  rest of {} after each", duration(step.cooldown)),
            own(|failover| failover.cooldown.is_some()),
        );
    }

    fn job(&mut self, ladder: Option<&Remediation>, step: &JobStep) {
        let written = ladder.and_then(|ladder| ladder.job.as_ref());
        let own = |is: fn(&Job) -> bool| written.is_some_and(is);
        self.line(&format!("run CronJob {} once, when restarts are used up or of no use", step.cron_job), true);
        self.from(
            &format!("  healthy within {} or the step has failed", duration(step.within)),
            own(|job| job.within.is_some()),
            "the snapshot of a large chain takes about an hour",
        );
        self.line(
            &format!("  at most {} in one incident", times(step.attempts)),
            own(|job| job.attempts.is_some()),
        );
        self.line(
            &format!(
                "  rest of {} after the first, each {} times the one before, at most {}",
                duration(step.cooldown),
                step.backoff_factor,
                duration(step.backoff_max)
            ),
            own(|job| job.cooldown.is_some() || job.backoff.is_some()),
        );
    }
}
