//! Follows the record: sees it again and again, and writes what the gate wants it to say. The node is answered beside, and
//! waits for none of this.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    counts::Counts,
    desk::{Desk, lock},
    registry::{Registry, Trouble},
    store::Medium,
};

/// Writes in a row after one reading. A claim and a raise are two; more is somebody else's turn.
const WRITES: usize = 4;
/// The node's requests may ask for a look before its time, but not for more looks than this.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a process that is to stop tries to give back what it holds.
const FAREWELL: Duration = Duration::from_secs(5);

/// Follows the record every `every` until `stop`, then gives the rest of the window back and returns.
pub async fn follow<M: Medium, R: Registry>(
    desk: &Arc<Mutex<Desk<M>>>,
    registry: &R,
    every: Duration,
    counts: &Counts,
    stop: &CancellationToken,
) {
    let hurry = lock(desk).hurry();
    let mut said = String::new();
    while !stop.is_cancelled() {
        // A write that is given up may arrive all the same: the next one has another version to fit.
        let Some(seen) = stop.run_until_cancelled(look(desk, registry)).await else { break };
        if let Err(trouble) = seen {
            counts.api_errors.inc();
            let words = trouble.to_string();
            if words != said {
                warn!("{words}; what was confirmed before is signed on, and no more");
            }
            said = words;
        } else if !said.is_empty() {
            info!("the record can be read again");
            said.clear();
        }
        stop.run_until_cancelled(rest(PAUSE, every, &hurry)).await;
    }
    lock(desk).stop();
    if give_back(desk, registry, FAREWELL).await {
        info!("nothing is held any more");
    } else {
        warn!("the rest of the window could not be given back: the next process waits for it");
    }
}

/// Waits for `every`, or for whoever is in a hurry, but no less than `least`.
pub(super) async fn rest(least: Duration, every: Duration, hurry: &Notify) {
    tokio::time::sleep(least).await;
    let _ = tokio::time::timeout(every.saturating_sub(least), hurry.notified()).await;
}

/// Writes what a process that is to stop wants the record to say, and tells whether it is said within that time.
pub async fn give_back<M: Medium, R: Registry>(
    desk: &Arc<Mutex<Desk<M>>>,
    registry: &R,
    within: Duration,
) -> bool {
    let written = async {
        loop {
            match settle(desk, registry).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(trouble) => warn!("{trouble}; trying to give back the rest of the window"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(within, written).await.is_ok()
}

/// Looks once, and writes what there is to be written, but not for ever: the next look goes on.
pub async fn look<M: Medium, R: Registry>(desk: &Arc<Mutex<Desk<M>>>, registry: &R) -> Result<(), Trouble> {
    settle(desk, registry).await.map(drop)
}

/// The same, and whether nothing is left to be written.
async fn settle<M: Medium, R: Registry>(desk: &Arc<Mutex<Desk<M>>>, registry: &R) -> Result<bool, Trouble> {
    let mut seen = registry.read().await?;
    for _ in 0..WRITES {
        // An identity that nobody has adopted says nothing; one that has lost its record says nothing new.
        let Some(record) = seen.record.clone() else { return Ok(true) };
        let Some(wanted) = lock(desk).seen(record, seen.window()) else { return Ok(true) };
        seen = match registry.write(&seen, &wanted).await {
            Ok(seen) => seen,
            Err(Trouble::Conflict) => registry.read().await?,
            Err(trouble) => return Err(trouble),
        };
    }
    Ok(false)
}
