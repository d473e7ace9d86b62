//! How a key leaves its client: deleted, its history kept, the client ended, and the next one looked at.

use tracing::info;

use super::{
    api::{Deleted, Trouble},
    post::Post,
};
use crate::gate::{
    client::{Process, end, lives, processes},
    tenant::{Held, Stage},
};

/// A key on its way out.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Since when (milliseconds).
    since: u64,
    /// The processes that were there when the client said that it had deleted the key, once it has.
    before: Option<Vec<Process>>,
    /// The processes that came next.
    after: Vec<Process>,
    /// Since when they do not list the key (milliseconds).
    without: Option<u64>,
    /// A new process had the key again: nothing that it says is taken for an end.
    haunted: bool,
}

impl Leaving {
    /// It begins now.
    pub(super) fn since(now: u64) -> Self {
        Self { since: now, ..Self::default() }
    }
}

impl Post<'_> {
    /// Deletes the key, and keeps what the client knows of its signatures before anything else.
    pub(super) async fn take_out(&self) -> Result<(), String> {
        match self.manager.take_out(&self.key).await.map_err(|trouble| trouble.to_string())? {
            Deleted::Known(history) => self
                .exports
                .keep(&history)
                .map_err(|error| format!("the history of the key cannot be kept, so nothing has ended: {error}")),
            Deleted::NotFound => Ok(()),
        }
    }

    /// Takes the key from the client, ends the client, and looks at the one that comes next.
    pub(super) async fn take(&mut self, held: &mut Held, now: u64) -> Result<(), String> {
        let Stage::Leaving(mut leaving) = std::mem::replace(&mut self.stage, Stage::Out) else { return Ok(()) };
        let taken = self.leave(&mut leaving, now).await;
        if matches!(taken, Ok(true)) {
            info!("a new process of the client has no key: this epoch signs no more");
            held.launcher.runs = false;
            held.launcher = held.launcher.retired();
            return Ok(());
        }
        self.stage = Stage::Leaving(leaving);
        taken.map(drop)
    }

    /// Whether it is shown that the client has lost the key for good.
    async fn leave(&self, leaving: &mut Leaving, now: u64) -> Result<bool, String> {
        let late = now.saturating_sub(leaving.since) >= self.options.grace;
        let running = self.options.client.as_deref().map(processes).transpose();
        let running = running.map_err(|error| format!("failed to see the client's processes: {error}"))?;
        let Some(running) = running else {
            self.take_out().await?;
            return Err("the key is deleted, and nobody shows that the client has lost it for good: name its program with \
                        --client, or delete the pod"
                .into());
        };
        let Some(before) = leaving.before.clone() else {
            if let Err(why) = self.take_out().await {
                // It does not answer, or not well: it is ended all the same.
                if late {
                    for one in running {
                        let _ = end(one, true);
                    }
                }
                return Err(why);
            }
            // Those that answered, and whatever else is there: all of them may have the key in memory.
            leaving.before = Some(processes_or(self.options.client.as_deref(), running));
            return Ok(false);
        };
        if leaving.haunted {
            self.take_out().await?;
            return Err("the client finds the key again when it starts: take it out of its own folders. Nothing is sealed: \
                        delete the pod, so that its end can be proven"
                .into());
        }
        if before.is_empty() {
            return Err(
                "the client answers, and no process of its name is seen: share the process namespace of the pod \
                        (shareProcessNamespace), and name its program with --client"
                    .into(),
            );
        }
        let alive: Vec<_> = before.iter().copied().filter(|one| lives(*one)).collect();
        if !alive.is_empty() {
            for one in alive {
                end(one, late).map_err(|error| format!("failed to end the client: {error}"))?;
            }
            return Ok(false);
        }
        if running.is_empty() || running != leaving.after {
            // Another one has its own time to find the key again.
            (leaving.after, leaving.without) = (running, None);
            return Ok(false);
        }
        match self.manager.lists(&self.key).await {
            Ok(true) => {
                leaving.haunted = true;
                Ok(false)
            }
            Ok(false) => {
                let without = *leaving.without.get_or_insert(now);
                Ok(now.saturating_sub(without) >= self.options.settle)
            }
            Err(Trouble::Silent(_)) => {
                leaving.without = None;
                Ok(false)
            }
            Err(trouble) => Err(trouble.to_string()),
        }
    }
}

/// The processes of a client now, or as they were a moment ago.
fn processes_or(client: Option<&str>, before: Vec<Process>) -> Vec<Process> {
    let now = client.and_then(|name| processes(name).ok()).unwrap_or_default();
    let others = before.into_iter().filter(|one| !now.contains(one)).collect::<Vec<_>>();
    now.into_iter().chain(others).collect()
}
