//! Messages on a connection: each after its length, as `libs/protoio` of `CometBFT` writes them.

use std::{future::Future, io, time::Duration};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::privval::Malformed;

/// The longest request that is read: the longest message that votes travel in between nodes (`maxMsgSize` of
/// `consensus/reactor.go`). Seen were 900 kB, in a vote with an extension.
pub const LONGEST: usize = 1 << 20;

/// How long one message may take, from its first byte to its last, either way. A node gives up after as long
/// (`defaultTimeoutReadWriteSeconds` of `privval/signer_endpoint.go`).
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The system says so.
    #[error("failed to read or write: {0}")]
    Io(#[from] io::Error),
    /// It ended within a message.
    #[error("the connection ended within a message")]
    Truncated,
    /// A message longer than [`LONGEST`], or a length that is none. Nothing of it was read.
    #[error("a message of more than {LONGEST} bytes")]
    TooLong,
    /// A message that was begun and not ended within [`DEADLINE`], or an answer that was not taken.
    #[error("a message took longer than {DEADLINE:?}")]
    Slow,
    /// A message that is no request.
    #[error("not a request: {0}")]
    Malformed(#[from] Malformed),
}

/// Waits for a message and reads it into `message`, in place of what was there. `false` when there is none any more.
///
/// For its first byte it waits for ever. There is nothing between us and the node but the kernel: when the node dies the
/// connection ends, and as long as it does not the node may be asleep. Who gives up a quiet connection and dials again leaves
/// a dead one in the node's queue, and a node that wakes spends one of its attempts on each of them.
pub async fn read<R: AsyncBufRead + Unpin>(reader: &mut R, message: &mut Vec<u8>) -> Result<bool, Broken> {
    if reader.fill_buf().await?.is_empty() {
        return Ok(false);
    }
    in_time(async {
        let length = length(reader).await?;
        message.clear();
        message.resize(length, 0);
        reader.read_exact(message).await?;
        Ok(true)
    })
    .await
}

/// Writes bytes that begin with their length.
pub async fn write<W: AsyncWrite + Unpin>(writer: &mut W, frame: &[u8]) -> Result<(), Broken> {
    in_time(async {
        writer.write_all(frame).await?;
        Ok(writer.flush().await?)
    })
    .await
}

/// A length of at most [`LONGEST`], which takes at most three bytes; a longer way to write it is not in use.
async fn length<R: AsyncBufRead + Unpin>(reader: &mut R) -> Result<usize, Broken> {
    let mut length = 0;
    for shift in [0, 7, 14] {
        let byte = reader.read_u8().await?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return if length <= LONGEST { Ok(length) } else { Err(Broken::TooLong) };
        }
    }
    Err(Broken::TooLong)
}

async fn in_time<T>(work: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Err(Broken::Io(error))) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Broken::Truncated),
        Ok(done) => done,
        Err(_) => Err(Broken::Slow),
    }
}

// === impl Broken ===

impl Broken {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Io(_) => "io",
            Self::Truncated => "truncated",
            Self::TooLong => "too_long",
            Self::Slow => "slow",
            Self::Malformed(_) => "malformed",
        }
    }
}
