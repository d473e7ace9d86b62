//! How an identity leaves its validator: another is set, and its memory is read when it does not change any more.

use tracing::info;

use super::{memory::Files, post::Post};
use crate::gate::{
    client::{end, processes},
    tenant::{Held, Stage},
};

/// An identity on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    /// Since when (milliseconds).
    since: u64,
    /// The memory, and since when it is that (milliseconds).
    quiet: Option<(Files, u64)>,
}

impl Leaving {
    /// It begins now.
    pub(super) fn since(now: u64) -> Self {
        Self { since: now, quiet: None }
    }
}

impl Post<'_> {
    /// Takes the identity from the validator, and reads what it knows.
    pub(super) async fn take(&mut self, held: &mut Held, now: u64) -> Result<(), String> {
        let Stage::Leaving(mut leaving) = std::mem::replace(&mut self.stage, Stage::Out) else { return Ok(()) };
        match self.leave(&mut leaving, now).await {
            Ok(Some(files)) => {
                info!(last = self.last, "the validator votes no more with the staked identity");
                self.left = Some(files);
                held.launcher.runs = false;
                held.launcher = held.launcher.retired();
                Ok(())
            }
            other => {
                self.stage = Stage::Leaving(leaving);
                other.map(drop)
            }
        }
    }

    /// What it knew last, once it is shown that it votes no more.
    async fn leave(&mut self, leaving: &mut Leaving, now: u64) -> Result<Option<Files>, String> {
        let late = now.saturating_sub(leaving.since) >= self.options.grace;
        let seen = match self.admin.look().await {
            Ok(seen) if self.has_it(&seen) => self.admin.set_identity(&self.options.unstaked, false).await,
            other => other,
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(trouble) => {
                leaving.quiet = None;
                // Its next process comes up without the identity.
                return Err(if late { self.end(&trouble.to_string()) } else { trouble.to_string() });
            }
        };
        if self.has_it(&seen) {
            leaving.quiet = None;
            let still = "the validator has the staked identity still";
            return Err(if late { self.end(still) } else { still.into() });
        }
        if self.haunted {
            return Err(Self::HAUNTED.into());
        }
        if self.unanswered && self.asked.as_ref() == Some(&seen.born) {
            // It may still come round to taking the identity.
            return Err(self.end("the validator was asked to take the identity and has not answered"));
        }
        let files = self.memory.read()?.ok_or_else(|| format!("{} is gone", self.memory.tower().display()))?;
        let last = self.memory.last_vote(&files)?;
        if last < self.last {
            return Err(format!(
                "{} has voted for slot {last} last, and was at {} before: nothing is sealed with an older tower",
                self.memory.tower().display(),
                self.last
            ));
        }
        self.last = last;
        match &leaving.quiet {
            // A vote that was under way when the identity went is written before it leaves.
            Some((same, since)) if *same == files => {
                if now.saturating_sub(*since) < self.options.settle {
                    return Ok(None);
                }
            }
            _ => {
                leaving.quiet = Some((files, now));
                return Ok(None);
            }
        }
        let kept = self.memory.write_to(&self.options.state, &files);
        kept.map_err(|error| format!("the tower cannot be kept, so nothing has ended: {error}"))?;
        Ok(Some(files))
    }

    /// Ends the validator; why, and how.
    fn end(&self, why: &str) -> String {
        let program = &self.options.program;
        match processes(program) {
            Ok(running) if running.is_empty() => format!(
                "{why}, and no process of the name {program} is seen: share the process namespace of the pod \
                 (shareProcessNamespace), name its program with --validator, or delete the pod"
            ),
            Ok(running) => {
                let failed: Vec<_> = running.into_iter().filter_map(|one| end(one, true).err()).collect();
                failed.first().map_or_else(
                    || format!("{why}: it is ended"),
                    |error| format!("{why}, and failed to end it: {error}"),
                )
            }
            Err(error) => format!("{why}, and failed to see its processes: {error}"),
        }
    }
}
