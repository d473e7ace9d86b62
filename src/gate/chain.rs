//! The chain, as the member's own node tells it: where its head is, and whether this key signed what this gate did not. The
//! protocol needs none of it to be safe. It finds out when somebody else has the key, and keeps a node that is right about a
//! height far above the window from being taken for one that is not.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    commit::{self, Nothing},
    counts::Counts,
    desk::{Desk, lock},
    first::Look,
    follow::rest,
    store::Medium,
};
use crate::{
    failover::{Height, Tenure},
    telemetry::{BODY_CAP, Client, Deadline, Failure},
};

/// How long an answer may take. The node is on this machine.
const WITHIN: Duration = Duration::from_secs(3);
/// So many heights below the head are looked at after the place was gained.
const RECENT: u64 = 100;
/// Commits in one look: the node has other things to do.
const AT_ONCE: usize = 20;
/// The desk may ask for a look before its time, but not for more looks than this.
const PAUSE: Duration = Duration::from_millis(10);

/// The RPC of the member's own node.
pub struct Chain {
    client: Client,
    url: String,
    network: String,
    public: [u8; 32],
    /// What the next look begins with, and in which hold that was decided.
    next: (Tenure, u64),
}

/// Why there was nothing to see.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// No answer.
    #[error("failed to ask the node's RPC: {0}")]
    Failed(#[from] Failure),
    /// An answer that says nothing.
    #[error("the node's RPC says nothing that counts: {0}")]
    Nothing(#[from] Nothing),
}

// === impl Chain ===

impl Chain {
    /// The RPC at `url`, of a node of the chain `network`, and the key to look for.
    #[must_use]
    pub fn new(client: Client, url: &str, network: impl Into<String>, public: [u8; 32]) -> Self {
        let (url, network) = (url.trim_end_matches('/').to_owned(), network.into());
        Self { client, url, network, public, next: (Tenure::default(), 0) }
    }

    /// Looks every `every` until `stop`, and when the desk asks for it.
    pub async fn watch<M: Medium>(
        &mut self,
        desk: &Arc<Mutex<Desk<M>>>,
        every: Duration,
        counts: &Counts,
        stop: &CancellationToken,
    ) {
        let wanted = {
            let mut desk = lock(desk);
            desk.watched();
            desk.wanted()
        };
        let mut said = String::new();
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.look(desk)).await {
                Some(Err(unseen)) => {
                    lock(desk).looked(Look::Away);
                    counts.rpc_errors.inc();
                    let words = unseen.to_string();
                    if words != said {
                        warn!("{words}; signatures by somebody else are not noticed meanwhile");
                    }
                    said = words;
                }
                Some(Ok(())) if !said.is_empty() => {
                    info!("the node's RPC answers");
                    said.clear();
                }
                Some(Ok(())) | None => {}
            }
            stop.run_until_cancelled(rest(PAUSE, every, &wanted)).await;
        }
    }

    /// Looks once: at the head, and at the commits that are new in the window.
    pub async fn look<M: Medium>(&mut self, desk: &Arc<Mutex<Desk<M>>>) -> Result<(), Unseen> {
        let head = commit::head(&self.network, &self.ask("/status").await?)?;
        let hold = {
            let mut desk = lock(desk);
            desk.head(Height(head));
            desk.own()
        };
        let Some(hold) = hold else {
            lock(desk).looked(Look::Unread);
            return Ok(());
        };
        if self.next.0 != hold.tenure {
            self.next = (hold.tenure, hold.start.plus(1).0.max(head.saturating_sub(RECENT)));
        }
        // The first signature waits for them: the recent ones, all at once.
        let at_once = if lock(desk).is_read(hold.tenure) { AT_ONCE } else { usize::MAX };
        // The commit of the head itself is what this node saw, and not yet part of the chain.
        for height in (self.next.1..head.min(hold.ceiling.plus(1).0)).take(at_once) {
            match commit::precommit(
                &self.network,
                &self.public,
                &self.ask(&format!("/commit?height={height}")).await?,
            ) {
                Ok(Some(precommit)) => lock(desk).found(&precommit),
                Ok(None) => {}
                Err(nothing) => warn!(height, "no commit that counts: {nothing}"),
            }
            self.next.1 = height + 1;
        }
        let all = self.next.1 >= head;
        lock(desk).looked(if all { Look::Read(hold.tenure) } else { Look::Unread });
        Ok(())
    }

    async fn ask(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let url = format!("{}{path}", self.url);
        Ok(self.client.get(&url, Deadline::within(WITHIN), BODY_CAP).await?.body)
    }
}
