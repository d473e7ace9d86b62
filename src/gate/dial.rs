//! The way to the node: it listens on a Unix socket, and the signer dials.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    net::UnixStream,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    answer::Signer,
    arbiter::Arbiter,
    counts::Counts,
    frame::{self, Broken},
};

/// The pause between two attempts. A node that starts waits three seconds for its signer and then exits
/// (`defaultTimeoutAcceptSeconds` of `privval/signer_listener_endpoint.go`).
pub const EVERY: Duration = Duration::from_millis(100);

/// Answers the node that listens on `socket`, one connection at a time, until `stop`.
///
/// The socket's file is the node's and is never touched: who unlinks it may unlink that of a node which has just bound it.
pub async fn dial<A: Arbiter>(
    socket: &Path,
    signer: &Signer,
    arbiter: &mut A,
    counts: &Counts,
    stop: &CancellationToken,
) {
    let mut said = None;
    while !stop.is_cancelled() {
        match UnixStream::connect(socket).await {
            Ok(stream) => {
                said = None;
                info!(socket = %socket.display(), "connected to the node");
                match converse(stream, signer, arbiter, counts, stop).await {
                    Ok(()) => info!("the connection to the node ended"),
                    Err(broken) => warn!(%broken, "gave up the connection to the node"),
                }
            }
            // A node that is not there yet is nothing to talk about ten times a second.
            Err(error) => {
                if said != Some(error.kind()) {
                    unreachable(socket, &error);
                }
                said = Some(error.kind());
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
}

/// Answers what is asked on `stream`, in order, until it ends or `stop`. An answer that was begun is finished before that.
pub async fn converse<S, A>(
    stream: S,
    signer: &Signer,
    arbiter: &mut A,
    counts: &Counts,
    stop: &CancellationToken,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Arbiter,
{
    counts.connections.inc();
    let ended = exchange(BufReader::new(stream), signer, arbiter, counts, stop).await;
    if let Err(broken) = &ended {
        counts.gave_up(broken);
    }
    ended
}

async fn exchange<S, A>(
    mut stream: BufReader<S>,
    signer: &Signer,
    arbiter: &mut A,
    counts: &Counts,
    stop: &CancellationToken,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Arbiter,
{
    let (mut message, mut answer) = (Vec::new(), Vec::new());
    while let Some(read) = stop.run_until_cancelled(frame::read(&mut stream, &mut message)).await {
        if !read? {
            break;
        }
        answer.clear();
        counts.answered(signer.answer(&message, arbiter, &mut answer)?);
        frame::write(&mut stream, &answer).await?;
    }
    Ok(())
}

fn unreachable(socket: &Path, error: &io::Error) {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    match error.kind() {
        // It has not bound its socket yet, or left it behind when it went.
        ConnectionRefused | NotFound => debug!(socket = %socket.display(), "no node listens"),
        _ => warn!(socket = %socket.display(), %error, "failed to reach the node"),
    }
}
