//! What every process of a member begins with, whatever form its gate has: who it is, the record in the API server, and a page
//! of metrics.

use std::{future::Future, io, sync::Arc, time::Duration};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    failover::{Boot, Pod, gate::Me},
    serve::{self, ServeError},
};

use super::{counts::Counts, page, registry::Identity};

/// What every process of a member is told.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name of the `SigningIdentity`: the chain's id, a dot, and the public key in hexadecimal digits.
    pub identity: String,
    /// Its name in the group.
    pub name: String,
    /// The uid of the pod.
    pub pod_uid: String,
    /// The node that it runs on.
    pub node: String,
    /// Where health and metrics are served.
    pub listen: String,
    /// How often the record is read.
    pub every: Duration,
}

/// Why a process of a member cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No cluster.
    #[error("failed to set up a client of the API server: {0}; a gate runs in a pod with a service account")]
    Cluster(#[from] kube::Error),
    /// No configuration of one.
    #[error("failed to find the API server: {0}; a gate runs in a pod with a service account")]
    Config(#[from] kube::config::InferConfigError),
    /// Nobody can ask.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system has no dice.
    #[error("failed to draw a random number")]
    Dice,
    /// What an operator sees of it is a container that does not stay up.
    #[error(
        "another process of this pod has the place and ended without a seal: delete the pod, never by force, so that its end can \
         be proven"
    )]
    Lost,
    /// Signals cannot be heard.
    #[error("failed to listen for signals: {0}")]
    Signals(io::Error),
}

impl Member {
    /// This process, by a number that no other has drawn.
    pub fn drawn(&self) -> Result<Me, StartError> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| StartError::Dice)?;
        Ok(self.me(Boot(u128::from_be_bytes(bytes))))
    }

    /// A process of it.
    #[must_use]
    pub fn me(&self, boot: Boot) -> Me {
        let (member, uid, node) = (self.name.clone(), self.pod_uid.clone(), self.node.clone());
        Me { pod: Arc::new(Pod { member, uid, node }), boot }
    }

    /// Its identity in the API server, and where others ask it.
    pub async fn connect(&self) -> Result<(Identity, TcpListener), StartError> {
        let config = kube::Config::infer().await?;
        let registry = Identity::new(kube::Client::try_from(config)?, &self.identity);
        Ok((registry, serve::listen(&self.listen).await?))
    }
}

/// Ends when this process is told to end.
pub fn told_to_end() -> Result<impl Future<Output = ()>, StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The page of metrics.
pub struct Pages(JoinHandle<Result<(), ServeError>>);

impl Pages {
    /// Serves it until then.
    #[must_use]
    pub fn serve(listener: TcpListener, counts: &Counts, over: &CancellationToken) -> Self {
        let ended = over.clone().cancelled_owned();
        Self(tokio::spawn(serve::serve(listener, page::router(counts), ended)))
    }

    /// Waits for its end.
    pub async fn ended(self) {
        if let Ok(Err(error)) = self.0.await {
            warn!(%error, "the page of metrics had ended before");
        }
    }
}
