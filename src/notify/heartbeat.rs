//! The dead man's signal.

use std::{collections::BTreeMap, future::Future};

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Delivery, Notice, Notifier, Severity, State};
use crate::config::Heartbeat;

/// Receivers with a notion of expiry miss the signal after so many of its periods.
const MISSED: u32 = 3;

/// Sends a heartbeat from `sender` (the installation) every period for as long as `alive` says that Mainstay sees,
/// and never ends. A blind operator falls silent: that, not an error, is what wakes people.
///
/// `alive` has one period to answer; no answer is a no. Each beat that arrives at a sink sets
/// `mainstay_heartbeat_timestamp_seconds`.
pub async fn heartbeat<F>(notifier: Notifier, config: Heartbeat, sender: String, mut alive: impl FnMut() -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let Heartbeat { every, sinks } = config;
    let started = Timestamp::now();
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = false;
    loop {
        tick.tick().await;
        let sight =
            timeout(every, alive()).await.unwrap_or_else(|_| Err("no answer within the period".to_owned()));
        if let Err(why) = &sight
            && !silent
        {
            tracing::error!(%why, "the heartbeat falls silent: Mainstay does not see");
        } else if sight.is_ok() && silent {
            tracing::info!("the heartbeat is back");
        }
        silent = sight.is_err();
        if silent {
            continue;
        }
        let notice = Notice {
            dedupe_key: format!("heartbeat/{sender}"),
            severity: Severity::Heartbeat,
            state: State::Firing { expires_after: every.saturating_mul(MISSED) },
            title: "Mainstay sees".to_owned(),
            text: "Its absence means that nobody watches.".to_owned(),
            labels: BTreeMap::from([("installation".to_owned(), sender.clone())]),
            starts_at: started,
        };
        // No longer than a period: a beat that arrives late speaks of a past that may be over.
        let delivery = notifier.send_within(&sinks, notice, every).await;
        if delivery == Ok(Delivery::Delivered) {
            notifier.metrics.heartbeat.set(Timestamp::now().as_duration().as_secs_f64());
        }
    }
}
