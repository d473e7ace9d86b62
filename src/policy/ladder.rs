//! The ladder as people wrote it, with every default filled in.

use crate::api::{
    Duration,
    policy::{Backoff, Failover, Job, Remediation, Reroute, Restart, Role},
};

use super::{
    FailoverStep, JobStep, Ladder, RerouteStep, RestartStep,
    validate::{Problem, count},
};

const HOUR: u64 = 3_600_000;
/// A job takes its time: the snapshot of a large chain is fetched and unpacked in about an hour. What one did not mend is
/// for a person.
const JOB: Defaults = Defaults { within: HOUR, attempts: 1, cooldown: HOUR, factor: 2, max: 4 * HOUR };
/// A gate has ten seconds to seal, and another looks twice a second: what takes minutes waits for a person.
const FAILOVER_WITHIN: u64 = 120_000;

/// What a job has when nobody says otherwise.
struct Defaults {
    within: u64,
    attempts: u32,
    cooldown: u64,
    factor: u32,
    max: u64,
}

/// The ladder of a policy: the preset's if none is written, else the steps that are written.
pub(super) fn ladder(written: Option<&Remediation>, base: Ladder, role: Role) -> Result<Ladder, Problem> {
    let Some(written) = written else {
        return Ok(base);
    };
    let signs = matches!(role, Role::Validator | Role::Signer);
    Ok(Ladder {
        reroute: written.reroute.as_ref().map(|step| reroute(step, base.reroute)).transpose()?,
        restart: written.restart.as_ref().map(|step| restart(step, base.restart)).transpose()?,
        job: written.job.as_ref().map(|step| job(step, signs)).transpose()?,
        failover: written.failover.as_ref().map(|step| failover(step, signs)).transpose()?,
        page: written.page.is_some(),
    })
}

fn reroute(written: &Reroute, base: Option<RerouteStep>) -> Result<RerouteStep, Problem> {
    let Some(base) = base else {
        let help = "this role has no Service that chooses between its pods";
        return Err(Problem::new("spec.remediation.reroute", help));
    };
    Ok(RerouteStep {
        within: written.within.map_or(base.within, Duration::as_millis),
        attempts: count(written.attempts, base.attempts, 1, "spec.remediation.reroute.attempts")?,
        stay: written.stay.map_or(base.stay, Duration::as_millis),
        quarantine_the_last: written.quarantine_the_last,
    })
}

fn restart(written: &Restart, base: Option<RestartStep>) -> Result<RestartStep, Problem> {
    let Some(base) = base else {
        return Err(Problem::new("spec.remediation.restart", "this role is never restarted"));
    };
    let (backoff_factor, backoff_max) = backoff(
        written.backoff.as_ref(),
        (base.backoff_factor, base.backoff_max),
        "spec.remediation.restart.backoff.factor",
    )?;
    Ok(RestartStep {
        method: base.method,
        within: written.within.map_or(base.within, Duration::as_millis),
        attempts: count(written.attempts, base.attempts, 1, "spec.remediation.restart.attempts")?,
        cooldown: written.cooldown.map_or(base.cooldown, Duration::as_millis),
        backoff_factor,
        backoff_max,
    })
}

fn job(written: &Job, signs: bool) -> Result<JobStep, Problem> {
    if signs {
        let help =
            "a job that brings back older data could bring back an older signing state, and that signs twice";
        return Err(Problem::new("spec.remediation.job", help));
    }
    let (backoff_factor, backoff_max) =
        backoff(written.backoff.as_ref(), (JOB.factor, JOB.max), "spec.remediation.job.backoff.factor")?;
    Ok(JobStep {
        cron_job: written.cron_job.clone(),
        within: written.within.map_or(JOB.within, Duration::as_millis),
        attempts: count(written.attempts, JOB.attempts, 1, "spec.remediation.job.attempts")?,
        cooldown: written.cooldown.map_or(JOB.cooldown, Duration::as_millis),
        backoff_factor,
        backoff_max,
    })
}

fn failover(written: &Failover, signs: bool) -> Result<FailoverStep, Problem> {
    if !signs {
        let help = "this role holds no key that only one may use: leave it out";
        return Err(Problem::new("spec.remediation.failover", help));
    }
    Ok(FailoverStep {
        group: written.group.clone(),
        within: written.within.map_or(FAILOVER_WITHIN, Duration::as_millis),
        attempts: count(written.attempts, 1, 1, "spec.remediation.failover.attempts")?,
        cooldown: written.cooldown.map_or(HOUR, Duration::as_millis),
    })
}

fn backoff(written: Option<&Backoff>, base: (u32, u64), place: &str) -> Result<(u32, u64), Problem> {
    let factor = count(written.map(|backoff| backoff.factor), base.0, 1, place)?;
    Ok((factor, written.map_or(base.1, |backoff| backoff.max.as_millis())))
}
