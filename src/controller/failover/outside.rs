//! Hand-overs whose signer is not started by us: the endpoint of a remote signer, and the owner's own job. No process of
//! ours claims such a place, so the record says here that the holder is at work.

use std::sync::Arc;

use ring::digest::{SHA256, digest};

use crate::{
    api::{Handover, JobHandover},
    effect::{
        self, Failed, JobOrder, JobState, Outcome, Purpose,
        signing_label::{Wearer, service_trouble, wear, wearers},
    },
    failover::{Event, HandOver, Holder, Phase, Pod, Proof, Record, step},
    world::PodView,
};

use super::{Next, RETRY, Rest, Round, SOON, Trouble, order};

/// What a job is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The former holder is to sign no more, for ever.
    Revoke,
    /// The next one begins.
    Activate,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Activate => "activate",
        }
    }
}

/// How far a run of it has come.
enum Run {
    Succeeded,
    /// It is not over, or has not begun yet; says which.
    Lasts(String),
    /// It never will; says why.
    Failed(String),
}

impl Round<'_> {
    /// Sees that the holder is at work, and says so in the record.
    pub(super) async fn set_to_work(
        &self,
        record: &Record,
        holder: &Holder,
        pod: &PodView,
    ) -> Result<Option<Next>, Trouble> {
        let begun = || {
            let (next, _) = step(record, Event::Begun { epoch: record.tenure.epoch });
            (next != *record).then_some(Next::Write(next))
        };
        match (record.hand_over, &self.group.spec.handover) {
            (HandOver::Label, handover) => {
                if let Some(label) = &handover.label
                    && let Some(why) =
                        service_trouble(&self.ctx.clients.actuator, self.namespace, &label.service).await?
                {
                    return Err(Trouble::Invalid(why));
                }
                self.lead_to(&holder.pod, pod).await?;
                Ok(begun())
            }
            (HandOver::Job, Handover { job: Some(job), .. }) if holder.boot.is_none() => {
                match self.run(record, &holder.pod, job, Part::Activate, true).await? {
                    Run::Succeeded => Ok(begun()),
                    Run::Lasts(why) => {
                        let why = format!("waiting for the job that activates {}: {why}", holder.pod.member);
                        Ok(Some(Next::Rest(Rest::new(SOON, "Activating", why))))
                    }
                    Run::Failed(why) => {
                        let why = format!(
                            "{} was not activated: {why}; `mainstay failover` has another member tried",
                            holder.pod.member
                        );
                        Ok(Some(Next::Rest(Rest::new(RETRY, "NotActivated", why))))
                    }
                }
            }
            (HandOver::Gate | HandOver::Launcher(..) | HandOver::Job, _) => Ok(None),
        }
    }

    /// What ends an epoch that no process of ours has claimed; what is missing, where it has not ended.
    pub(super) async fn ended_outside(
        &self,
        record: &Record,
        holder: &Holder,
        waited: u64,
    ) -> Result<(Event, String), Trouble> {
        let found = |proof| Event::Found { proof, share: crate::failover::Share::Unknown, waited };
        if record.hand_over == HandOver::Label {
            self.lead_to_nobody(&holder.pod).await?;
            return Ok((found(Some(Proof::SignerRefuses)), String::new()));
        }
        let epoch = record.tenure.epoch;
        let Some(job) = &self.group.spec.handover.job else {
            let why = " (handover.job was taken out of the group, and its job alone can say that the former holder has stopped)";
            return Ok((Event::Unproven { epoch }, why.into()));
        };
        let late = waited >= job.within.as_millis();
        // A run that is over and cleared away is not begun again after a person was called.
        let may_begin = !late && matches!(record.phase, Phase::Revoking { blocked: None, .. });
        Ok(match self.run(record, &holder.pod, job, Part::Revoke, may_begin).await? {
            Run::Succeeded => (found(Some(Proof::JobSucceeded)), String::new()),
            Run::Lasts(why) if late => (Event::Unproven { epoch }, format!(" (the owner's job is late: {why})")),
            Run::Lasts(why) => (found(None), format!(" (by the owner's job: {why})")),
            Run::Failed(why) => (Event::Unproven { epoch }, format!(" (the owner's job does not say so: {why})")),
        })
    }

    /// Takes the label from everybody else before the holder gets it: two nodes never ask the signer at once by our doing.
    async fn lead_to(&self, holder: &Pod, pod: &PodView) -> Result<(), Trouble> {
        let wear_it = wearers(&self.ctx.clients.actuator, self.namespace).await?;
        self.take_from(&wear_it, |one| one.uid != holder.uid && self.is_a_members(one)).await?;
        if wear_it.iter().any(|one| one.uid == holder.uid) {
            return Ok(());
        }
        let pod = Wearer { name: pod.name.clone(), uid: pod.uid.clone(), version: pod.resource_version.clone() };
        self.turn(&pod, true).await
    }

    async fn lead_to_nobody(&self, former: &Pod) -> Result<(), Trouble> {
        let wear_it = wearers(&self.ctx.clients.actuator, self.namespace).await?;
        self.take_from(&wear_it, |one| one.uid == former.uid || self.is_a_members(one)).await
    }

    async fn take_from(&self, wear_it: &[Wearer], whose: impl Fn(&Wearer) -> bool) -> Result<(), Trouble> {
        for one in wear_it.iter().filter(|one| whose(one)) {
            self.turn(one, false).await?;
        }
        Ok(())
    }

    async fn turn(&self, pod: &Wearer, signs: bool) -> Result<(), Trouble> {
        match wear(&self.ctx.clients.actuator, self.namespace, pod, signs).await {
            Outcome::Done => {
                tracing::info!(pod = pod.name, uid = pod.uid, signs, "the endpoint of the signer has moved");
                Ok(())
            }
            // A pod that is no more takes no requests.
            Outcome::Gone if !signs => Ok(()),
            outcome => Err(Failed { doing: "turn the label mainstay.dev/signing of a pod", outcome }.into()),
        }
    }

    fn is_a_members(&self, pod: &Wearer) -> bool {
        self.group.spec.members.iter().any(|member| format!("{}-0", member.stateful_set) == pod.name)
    }

    /// Has the owner's job run once.
    async fn run(
        &self,
        record: &Record,
        holder: &Arc<Pod>,
        job: &JobHandover,
        part: Part,
        may_begin: bool,
    ) -> Result<Run, Trouble> {
        let actuator = &self.ctx.clients.actuator;
        let order = self.order(record, holder, job, part);
        let Purpose::Handover { mark, .. } = &order.purpose else { return Ok(Run::Lasts(String::new())) };
        let failed =
            |error: effect::ReadError| Failed { doing: "read the job of a hand-over", outcome: error.outcome };
        match effect::read_job(actuator, self.namespace, &order.name, mark).await.map_err(failed)? {
            JobState::Complete => return Ok(Run::Succeeded),
            JobState::Failed(why) => return Ok(Run::Failed(why)),
            JobState::Running => return Ok(Run::Lasts(format!("Job {} is running", order.name))),
            JobState::Absent if effect::namespace::is_leaving(actuator, self.namespace).await? => {
                return Ok(Run::Failed("the namespace is being deleted, and nothing is made there".into()));
            }
            JobState::Absent if may_begin => {}
            JobState::Absent => {
                return Ok(Run::Failed(format!("Job {} was not made, or is not there any more", order.name)));
            }
        }
        let facts = effect::read_cron_job(actuator, self.namespace, &job.cron_job, mark).await.map_err(failed)?;
        let crate::plan::CronJobFacts::Ready(revision) = facts else {
            // It may still be mended: it is late in the end.
            return Ok(Run::Lasts(facts.trouble(&job.cron_job).unwrap_or_default()));
        };
        let name = order.name.clone();
        match effect::run_job(actuator, &JobOrder { revision, ..order }).await {
            Outcome::Done => Ok(Run::Lasts(format!("Job {name} is made"))),
            outcome => Err(Failed { doing: "run the job of a hand-over", outcome }.into()),
        }
    }

    fn order(&self, record: &Record, holder: &Pod, job: &JobHandover, part: Part) -> JobOrder {
        let (identity, epoch) = (&self.group.spec.identity, record.tenure.epoch.0);
        let mark = format!("{identity}/{epoch}/{:032x}/{}", record.tenure.activation.0, part.name());
        let (from, to) = match part {
            Part::Revoke => {
                let wanted = order::wanted(&self.orders, record.tenure.epoch);
                (Some(holder.member.clone()), wanted.and_then(|wanted| wanted.named.into_iter().next()))
            }
            Part::Activate => (self.memory.before.clone(), Some(holder.member.clone())),
        };
        let env = vec![
            ("MAINSTAY_PHASE", part.name().to_owned()),
            ("MAINSTAY_FROM", from.unwrap_or_default()),
            ("MAINSTAY_TO", to.unwrap_or_default()),
            ("MAINSTAY_EPOCH", epoch.to_string()),
            ("MAINSTAY_IDENTITY", identity.clone()),
        ];
        JobOrder {
            namespace: self.namespace.to_owned(),
            cron_job: job.cron_job.clone(),
            revision: String::new(),
            name: name_of(&job.cron_job, part, &mark),
            purpose: Purpose::Handover { mark, env },
            within: job.within.as_millis(),
        }
    }
}

/// The name of a job: one for each epoch and part.
fn name_of(cron_job: &str, part: Part, mark: &str) -> String {
    let digest = digest(&SHA256, mark.as_bytes());
    let hash = crate::gate::encoding::to_hex(&digest.as_ref()[..5]).to_lowercase();
    let room: String = cron_job.chars().take(43).collect();
    format!("{room}-{}-{hash}", part.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_epoch_has_a_job_of_its_own() {
        let long = "c".repeat(52);
        let names = [
            name_of("handover", Part::Revoke, "hub-1.k/1/0/revoke"),
            name_of("handover", Part::Revoke, "hub-1.k/2/0/revoke"),
            name_of("handover", Part::Activate, "hub-1.k/1/0/activate"),
            name_of(&long, Part::Activate, "hub-1.k/1/0/activate"),
        ];
        assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
        assert!((1..names.len()).all(|at| !names[..at].contains(&names[at])), "{names:?}");
        assert!(names[0].starts_with("handover-revoke-"));
    }
}
