//! Frozen resources: watches that stay open and say nothing.

use std::collections::{BTreeMap, VecDeque};

use futures::stream::{self, Stream, StreamExt};
use hyper::body::Bytes;
use tokio::sync::watch;

use super::fault::Lists;

/// The resources that are frozen now.
pub(super) type Frozen = BTreeMap<String, Lists>;

type Chunk = reqwest::Result<Bytes>;

/// A watch's body as it comes, except while `resource` is frozen.
///
/// The API server is read on meanwhile, so that it never takes its client for a slow one and hangs up; what it said,
/// the end of the stream included, is handed on by the thaw.
pub(super) fn withhold(
    upstream: impl Stream<Item = Chunk> + Send + Unpin + 'static,
    resource: String,
    frozen: watch::Receiver<Frozen>,
) -> impl Stream<Item = Chunk> + Send + 'static {
    let body = Withheld { upstream: upstream.fuse(), resource, frozen, chunks: VecDeque::new(), ended: false };
    stream::unfold(body, |mut body| async move { body.next().await.map(|chunk| (chunk, body)) })
}

struct Withheld<S> {
    upstream: stream::Fuse<S>,
    resource: String,
    frozen: watch::Receiver<Frozen>,
    chunks: VecDeque<Chunk>,
    ended: bool,
}

impl<S: Stream<Item = Chunk> + Unpin> Withheld<S> {
    async fn next(&mut self) -> Option<Chunk> {
        loop {
            let frozen = self.frozen.borrow_and_update().contains_key(&self.resource);
            if !frozen {
                if let Some(chunk) = self.chunks.pop_front() {
                    return Some(chunk);
                }
                if self.ended {
                    return None;
                }
            }
            tokio::select! {
                // The freeze first: nothing that comes after it may slip through.
                biased;
                changed = self.frozen.changed() => changed.ok()?,
                chunk = self.upstream.next(), if !self.ended => match chunk {
                    Some(chunk) => self.chunks.push_back(chunk),
                    None => self.ended = true,
                },
            }
        }
    }
}
