//! Heights at which the nodes of each network are compared, on their way from the world to the probes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::telemetry::Asks;

/// One channel per network.
#[derive(Debug, Default)]
pub struct AskBoard(Mutex<BTreeMap<String, watch::Sender<Arc<[u64]>>>>);

impl AskBoard {
    /// What the nodes of a network are asked for, now and later.
    #[must_use]
    pub fn of(&self, network: &str) -> Asks {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = || watch::Sender::new(Arc::from([]));
        board.entry(network.to_owned()).or_insert_with(nothing).subscribe()
    }

    /// Tells what each network asks for now.
    pub fn publish(&self, asks: Vec<(String, Arc<[u64]>)>) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (network, heights) in asks {
            if let Some(sender) = board.get(&network) {
                sender.send_if_modified(|known| {
                    let news = *known != heights;
                    *known = heights;
                    news
                });
            }
        }
        // Nobody listens any more: its last probe is gone.
        board.retain(|_, sender| sender.receiver_count() > 0);
    }
}
