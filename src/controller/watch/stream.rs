//! One stream: list, watch, and again, for ever.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use futures::{StreamExt, pin_mut};
use kube::{
    Resource,
    api::{ListParams, ObjectList, WatchEvent, WatchParams},
    core::{Request, Status},
};

use super::{Happening, Key, Kind, Store, WatchEnv, WatchState, guarded::Guarded, kind, table::is_newer};
use crate::{
    controller::clients::{CallError, Pulse, deadline},
    signal::Mono,
};

/// How long the API server keeps a watch open (seconds): what an idle cache is old at most.
const WATCH_SECONDS: u32 = 25;
/// Silence after which a stream is taken for dead: the server would have ended it by then.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);
/// How long one page of a list may take.
const PAGE_DEADLINE: Duration = Duration::from_secs(30);
/// Objects per page.
const PAGE: u32 = 500;

/// A stream that went on for so long (milliseconds) is well again: the next failure is the first.
const WELL: u64 = 20_000;
/// A watch that the server ended sooner than this (milliseconds) counts as a failure, or the loop would run hot.
const SHORT: u64 = 1_000;
/// A list is read again after so long (milliseconds), and up to half of that more by chance, even if all went well:
/// an event that was lost on the way is lost for no longer than this.
const LIST_AGAIN: u64 = 600_000;
/// The longest that the API server may ask to wait (milliseconds).
const LONGEST_RETRY_AFTER: u64 = 60_000;
/// The first pause after a failure, and the longest (milliseconds).
const FIRST_PAUSE: u64 = 500;
const LONGEST_PAUSE: u64 = 30_000;

pub(super) struct Stream<K> {
    env: WatchEnv,
    store: Store<K>,
    index: usize,
    kind: String,
    request: Request,
    pulse: Pulse,
}

/// A turn that came to nothing.
struct Trouble {
    why: String,
    /// What the API server asks for (milliseconds).
    retry_after: u64,
    /// From where to go on; else everything is listed again.
    resume: Option<String>,
}

impl<K: Kind> Stream<K> {
    pub fn new(env: &WatchEnv, store: &Store<K>, index: usize, namespace: Option<&str>) -> Self {
        let kind = kind::<K>();
        Self {
            pulse: env.cache_age.stream(&kind, namespace),
            request: Request::new(K::Served::url_path(&(), namespace)),
            env: env.clone(),
            store: store.clone(),
            index,
            kind,
        }
    }

    pub async fn run(self) {
        let mut version = None;
        let mut failures = 0;
        let mut list_at = Mono(0);
        loop {
            let began = (self.env.clock)();
            if version.is_none() || began >= list_at {
                version = None;
                list_at = began.plus(LIST_AGAIN + chance() % (LIST_AGAIN / 2));
            }
            let turn = self.turn(version.take()).await;
            let lasted = (self.env.clock)().since(began);
            if lasted >= WELL {
                failures = 0;
            }
            let mut pause = 0;
            match turn {
                Ok(seen) => {
                    version = Some(seen);
                    if lasted < SHORT {
                        failures += 1;
                        pause = pause_after(failures, chance());
                    }
                }
                Err(Trouble { why, retry_after, resume }) => {
                    version = resume;
                    failures += 1;
                    pause = pause_after(failures, chance()).max(retry_after);
                    self.count(Happening::Failed);
                    tracing::debug!(kind = self.kind, why, pause, "a watch failed");
                    // A connection that broke is no news as long as going on from there succeeds.
                    if version.is_none() && self.store.set_state(self.index, WatchState::Waiting(why.clone())) {
                        tracing::warn!(kind = self.kind, why, "the cache does not follow the API server");
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Lists unless there is a version to go on from, and watches until the server ends the watch. Returns the
    /// version to go on from.
    async fn turn(&self, version: Option<String>) -> Result<String, Trouble> {
        let from = match version {
            Some(version) => version,
            None => self.list().await?,
        };
        self.watch(from).await
    }

    async fn list(&self) -> Result<String, Trouble> {
        let asked = (self.env.clock)();
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        let version = loop {
            let request = self.request.list(&params).map_err(|error| Trouble::again(error.to_string()))?;
            // Not `Client::request`: it would log a whole list that it cannot read.
            let page = deadline(PAGE_DEADLINE, self.env.client.request_text(request)).await;
            let page = page.map_err(|error| Trouble::of("list", &error))?;
            let page: ObjectList<Guarded<K>> = serde_json::from_str(&page)
                .map_err(|error| Trouble::again(format!("failed to read a list: {error}")))?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break page.metadata.resource_version.unwrap_or_default(),
            }
        };
        if version.is_empty() {
            return Err(Trouble::again("failed to list: the answer has no resourceVersion".into()));
        }
        for object in &all {
            self.look_at(object);
        }
        self.store.replace(self.index, all);
        self.count(Happening::Listed);
        // What the list says was true some time after it was asked for.
        self.pulse.beat(asked);
        Ok(version)
    }

    async fn watch(&self, from: String) -> Result<String, Trouble> {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let request = self.request.watch(&params, &from).map_err(|error| Trouble::again(error.to_string()))?;
        // However the start is refused, a list tells what is the matter: 410 and 504 "too large resource version"
        // would be the answers for ever.
        let events = deadline(SILENCE, self.env.client.request_events::<Guarded<K>>(request)).await;
        let events = events.map_err(|error| Trouble::of("watch", &error))?;
        self.count(Happening::Started);
        self.alive();
        pin_mut!(events);
        let mut seen = from;
        loop {
            let Ok(event) = tokio::time::timeout(SILENCE, events.next()).await else {
                self.count(Happening::Frozen);
                return Err(Trouble::again(format!("nothing was heard for {} s", SILENCE.as_secs())));
            };
            match event {
                None => return Ok(seen),
                Some(Ok(WatchEvent::Error(status))) => return Err(Trouble::of_status("watch", &status)),
                Some(Ok(event)) => {
                    self.alive();
                    let version = self.take(event);
                    if !version.is_empty() && is_newer(&version, &seen) {
                        seen = version;
                    }
                }
                // The connection broke in the middle, which says nothing against the version.
                Some(Err(error @ kube::Error::ReadEvents(_))) => {
                    return Err(Trouble { resume: Some(seen), ..Trouble::again(error.to_string()) });
                }
                Some(Err(error)) => return Err(Trouble::of("watch", &error.into())),
            }
        }
    }

    /// Takes an event over and returns its version.
    fn take(&self, event: WatchEvent<Guarded<K>>) -> String {
        let (version, news) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                self.look_at(&object);
                (object.head.version.clone(), self.store.apply(object))
            }
            WatchEvent::Deleted(object) => (object.head.version.clone(), self.store.remove(&object.head)),
            WatchEvent::Bookmark(bookmark) => return bookmark.metadata.resource_version,
            WatchEvent::Error(_) => return String::new(),
        };
        self.count(if news { Happening::Applied } else { Happening::Stale });
        version
    }

    fn look_at(&self, object: &Guarded<K>) {
        if let Err(invalid) = &object.object {
            let (key, why): (&Key, _) = (&invalid.key, invalid.why.as_str());
            tracing::warn!(kind = self.kind, %key, why, "an object cannot be read");
            self.count(Happening::Invalid);
        }
    }

    fn alive(&self) {
        self.pulse.beat((self.env.clock)());
        if self.store.set_state(self.index, WatchState::Live) {
            tracing::info!(kind = self.kind, "the cache follows the API server");
        }
    }

    fn count(&self, what: Happening) {
        self.env.counters.count(&self.kind, what);
    }
}

/// A number that nobody foresees, so that replicas and streams that failed together do not come back together.
fn chance() -> u64 {
    RandomState::new().hash_one(())
}

/// Doubles from failure to failure up to its limit; between half of that and all of it, by chance.
fn pause_after(failures: u32, chance: u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    let full = (FIRST_PAUSE << doublings).min(LONGEST_PAUSE);
    full / 2 + chance % (full / 2 + 1)
}

impl Trouble {
    fn again(why: String) -> Self {
        Self { why, retry_after: 0, resume: None }
    }

    fn of(what: &str, error: &CallError) -> Self {
        match error {
            CallError::Kube(kube::Error::Api(status)) => Self::of_status(what, status),
            CallError::Kube(_) | CallError::Deadline(_) => Self::again(format!("failed to {what}: {error}")),
        }
    }

    fn of_status(what: &str, status: &Status) -> Self {
        let hint = match status.code {
            403 => " (the operator lacks the permission)",
            404 => " (is the CRD installed?)",
            _ => "",
        };
        let why = format!("failed to {what}: {} {}{hint}", status.code, status.message);
        let retry_after = status.details.as_ref().map_or(0, |details| u64::from(details.retry_after_seconds));
        Self { retry_after: retry_after.saturating_mul(1_000).min(LONGEST_RETRY_AFTER), ..Self::again(why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_scatter() {
        let longest: Vec<_> = (1..9).map(|failures| (0..60_000).map(|n| pause_after(failures, n)).max()).collect();
        let expected = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].map(Some);
        assert_eq!(longest, expected);
        assert_eq!((pause_after(1, 0), pause_after(u32::MAX, 0)), (250, 15_000));
    }
}
