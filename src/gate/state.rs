//! What a `CometBFT` signed last: its `priv_validator_state.json` (`FilePVLastSignState` of `privval/file.go`).
//!
//! Read to take over a key that signed elsewhere before. So it is read strictly: a height that is not there is no zero, and
//! a file that contradicts itself is nobody's word.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    encoding::{base64, hex},
    key::Signature,
    privval::{Place, Step, canonical::Signed},
};

/// Such a file has about 500 bytes.
const MOST: u64 = 64 * 1024;

/// Where a signer stands: it has signed nothing later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Height; zero if it never signed.
    pub height: u64,
    /// Round.
    pub round: u32,
    /// Step; none if it signed nothing in this round, as in a file that somebody raised by hand.
    pub step: Option<Step>,
    /// What it signed there, if the file says so.
    pub content: Option<Content>,
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The canonical bytes.
    pub sign_bytes: Vec<u8>,
    /// Their signature.
    pub signature: Signature,
}

/// Why it is not known where a signer stands.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read.
    #[error("failed to read the signing state {}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What is in the file is no state.
    #[error("failed to use the signing state {}: {why}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: NotAState,
    },
}

/// Why a text is no state.
#[derive(Debug, thiserror::Error)]
pub enum NotAState {
    /// Too large, or a folder or a device.
    #[error("it is no file of at most {MOST} bytes")]
    File,
    /// Not the JSON that it should be.
    #[error("not the JSON of a priv_validator_state.json: {0}")]
    Json(#[from] serde_json::Error),
    /// A number that cannot be.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// Not the bytes that it should be.
    #[error("{0} is broken")]
    Encoding(&'static str),
    /// One of signature and sign-bytes without the other.
    #[error("signature and signbytes are there together or not at all")]
    Half,
    /// The sign-bytes are about another place than the rest of the file.
    #[error("signbytes are not of height, round and step")]
    Contradiction,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Go's JSON of `CometBFT` puts 64-bit numbers into strings, and others not.
    height: String,
    round: i32,
    step: i8,
    signature: Option<String>,
    signbytes: Option<String>,
}

// === impl State ===

impl State {
    /// Reads the state file at `path`.
    pub fn read(path: &Path) -> Result<Self, StateError> {
        let failed = |error| StateError::Read { path: path.to_owned(), error };
        let invalid = |why| StateError::Invalid { path: path.to_owned(), why };
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(invalid(NotAState::File));
        }
        let mut text = Vec::new();
        file.take(MOST + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > MOST {
            return Err(invalid(NotAState::File));
        }
        Self::parse(&text).map_err(invalid)
    }

    /// Reads the text of a state file.
    pub fn parse(text: &[u8]) -> Result<Self, NotAState> {
        let Stored { height, round, step, signature, signbytes } = serde_json::from_slice(text)?;
        let height = Some(height).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let height = height.and_then(|text| text.parse::<i64>().ok()).and_then(|height| height.try_into().ok());
        let height = height.ok_or(NotAState::Range("height"))?;
        let round = round.try_into().map_err(|_| NotAState::Range("round"))?;
        let step = match step {
            0 => None,
            1 => Some(Step::Propose),
            2 => Some(Step::Prevote),
            3 => Some(Step::Precommit),
            _ => return Err(NotAState::Range("step")),
        };
        let content = match (signature, signbytes) {
            (None, None) => None,
            (Some(signature), Some(sign_bytes)) => Some(Content::parse(&signature, &sign_bytes)?),
            _ => return Err(NotAState::Half),
        };
        if let Some(Content { sign_bytes, .. }) = &content {
            let signed = Signed::read(sign_bytes).map_err(|_| NotAState::Encoding("signbytes"))?;
            if step.map(|step| Place { height, round, step }) != Some(signed.place) {
                return Err(NotAState::Contradiction);
            }
        }
        Ok(Self { height, round, step, content })
    }
}

impl Content {
    fn parse(signature: &str, sign_bytes: &str) -> Result<Self, NotAState> {
        let mut content =
            Self { sign_bytes: hex(sign_bytes).ok_or(NotAState::Encoding("signbytes"))?, signature: [0; 64] };
        if !base64(signature, &mut content.signature) {
            return Err(NotAState::Encoding("signature"));
        }
        Ok(content)
    }
}
