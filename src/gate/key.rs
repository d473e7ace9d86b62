//! The key: `priv_validator_key.json` of `CometBFT` 0.38 (`privval/file.go`, `crypto/ed25519`), and its signatures.
//!
//! The file's text and the bytes decoded from it are wiped before they are given back. The key pair that `ring` makes of them is
//! not: it is in the memory of the process for its whole life, and `ring` does not wipe it when it is dropped. Whoever reads that
//! memory, a core dump of it or what was swapped out has the key. It is in no error and in no `Debug`.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ring::signature::{Ed25519KeyPair, KeyPair};
use rustix::process::geteuid;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::encoding::{base64, to_hex};

/// A signature.
pub type Signature = [u8; 64];

/// Such a file has about 350 bytes.
const MOST: usize = 4096;

/// A consensus key.
pub struct Key {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("failed to read the key {}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The copy cannot be written.
    #[error("failed to write the key {}: {error}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others than its owner can read the file.
    #[error(
        "refused to use the key {}: its mode is {mode:04o}, so others than its owner can read or change it; \
         run `chmod 600` on it. A file of a Secret volume is such a one where the pod has an fsGroup: copy it in an init \
         container to a volume of medium Memory, a priv_validator_key.json with `mainstay copy-key`",
        path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Somebody else owns the file, and can read it and put another in its place, whatever its mode is.
    #[error(
        "refused to use the key {}: it belongs to the user {owner}, and this process runs as {user}; run `chown {user}` on it, or \
         copy it as this user to a volume of medium Memory, a priv_validator_key.json with `mainstay copy-key`. A file of \
         root, as those of a Secret volume are, is fine",
        path.display()
    )]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// What is in the file is no key.
    #[error("failed to use the key {}: {why}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: NotAKey,
    },
}

/// Why a text is no key. Nothing of the text is ever in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Too large, or a folder or a device.
    #[error("it is no file of at most {MOST} bytes")]
    File,
    /// Not the JSON that it should be.
    #[error("line {line}, column {column}: not the JSON of a priv_validator_key.json")]
    Json {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// A key of another kind.
    #[error("the key is of another kind than ed25519 (tendermint/PrivKeyEd25519)")]
    Kind,
    /// Not base 64 of as many bytes as such a key has.
    #[error("the private key is not 64 bytes in base 64")]
    Encoding,
    /// The second half of the private key is not the public key that belongs to the first.
    #[error("the halves of the private key do not belong together")]
    Halves,
    /// The file names another public key.
    #[error("pub_key is not that of priv_key")]
    PubKey,
    /// The file names another address.
    #[error("address is not that of priv_key")]
    Address,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    address: Option<&'a str>,
    #[serde(borrow)]
    pub_key: Option<Typed<'a>>,
    #[serde(borrow)]
    priv_key: Typed<'a>,
}

// Borrowed, so that no copy of the text is made on the way. Go escapes nothing in base 64.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    value: &'a str,
}

// === impl Key ===

impl Key {
    /// Reads the key file at `path`, if nobody but its owner can, and that is this user or root.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        Self::parse(&private(path)?).map_err(|why| KeyError::Invalid { path: path.to_owned(), why })
    }

    /// Writes the key file at `from` to `to`, where nobody but its owner can read it, and says which key it is. What is no
    /// key is not written. A file that is there is replaced at once.
    pub fn copy(from: &Path, to: &Path) -> Result<Self, KeyError> {
        let failed = |error| KeyError::Read { path: from.to_owned(), error };
        let mut file = File::open(from).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(KeyError::Invalid { path: from.to_owned(), why: NotAKey::File });
        }
        of_ours(from, metadata.uid(), geteuid().as_raw())?;
        let text = content(&mut file, from)?;
        let key = Self::parse(&text).map_err(|why| KeyError::Invalid { path: from.to_owned(), why })?;
        replace(to, &text).map_err(|error| KeyError::Write { path: to.to_owned(), error })?;
        Ok(key)
    }

    /// Reads the text of a key file.
    pub fn parse(text: &[u8]) -> Result<Self, NotAKey> {
        // The reader's own words may quote the text.
        let stored: Stored<'_> = serde_json::from_slice(text)
            .map_err(|error| NotAKey::Json { line: error.line(), column: error.column() })?;
        if stored.priv_key.kind != "tendermint/PrivKeyEd25519" {
            return Err(NotAKey::Kind);
        }
        let mut bytes = Zeroizing::new([0; 64]);
        if !base64(stored.priv_key.value, &mut bytes) {
            return Err(NotAKey::Encoding);
        }
        let (seed, half) = bytes.split_at(32);
        // CometBFT signs with the second half as it stands: if it is wrong, so is every signature, and worse than useless.
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, half);
        wipe_stack();
        let pair = pair.map_err(|_| NotAKey::Halves)?;
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        let key = Self { pair, public };
        // CometBFT overlooks these two. Whoever changed one of three by hand has to say what was meant.
        if let Some(Typed { kind, value }) = stored.pub_key {
            let mut named = [0; 32];
            if kind != "tendermint/PubKeyEd25519" || !base64(value, &mut named) || named != key.public {
                return Err(NotAKey::PubKey);
            }
        }
        if stored.address.is_some_and(|address| !address.eq_ignore_ascii_case(&key.address())) {
            return Err(NotAKey::Address);
        }
        Ok(key)
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The validator's address: the beginning of the SHA-256 of the public half, in upper-case hexadecimal digits.
    #[must_use]
    pub fn address(&self) -> String {
        to_hex(&Sha256::digest(self.public)[..20])
    }

    /// The signature of `message`: one key and one message have one signature, RFC 8032.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

/// All of a file that nobody but its owner can read. It is wiped when it is given back.
pub(super) fn private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |error| KeyError::Read { path: path.to_owned(), error };
    let mut file = File::open(path).map_err(failed)?;
    // Of the open file and not of the path: it is the one that will be read.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyError::Invalid { path: path.to_owned(), why: NotAKey::File });
    }
    let permissions = metadata.mode() & 0o7777;
    if permissions & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode: permissions });
    }
    of_ours(path, metadata.uid(), geteuid().as_raw())?;
    content(&mut file, path)
}

/// Whether a file that `owner` owns is one that `user` may trust. Root reads and changes every file in any case, and owns those
/// of Secret and projected volumes.
fn of_ours(path: &Path, owner: u32, user: u32) -> Result<(), KeyError> {
    if owner == user || owner == 0 || user == 0 {
        return Ok(());
    }
    Err(KeyError::Foreign { path: path.to_owned(), owner, user })
}

/// All of a file, which is wiped when it is given back.
fn content(file: &mut File, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // As large as it will ever be: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(vec![0; MOST + 1]);
    let mut length = 0;
    loop {
        match file.read(&mut text[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(KeyError::Read { path: path.to_owned(), error }),
        }
    }
    if length > MOST {
        return Err(KeyError::Invalid { path: path.to_owned(), why: NotAKey::File });
    }
    text.truncate(length);
    Ok(text)
}

/// Nobody ever sees half of it, or sees it with another mode.
fn replace(to: &Path, text: &[u8]) -> io::Result<()> {
    let mut new = to.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, to)
}

/// Writes over what functions that have returned left on the stack: `ring` hashes the seed there, and does not wipe it.
#[inline(never)]
fn wipe_stack() {
    let mut left = [0_u8; 16 * 1024];
    left.zeroize();
    std::hint::black_box(&left);
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", to_hex(&self.public))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_user_s_or_root_s() {
        let path = Path::new("/key/priv_validator_key.json");
        for (owner, user) in [(65_532, 65_532), (0, 65_532), (0, 0), (65_532, 0)] {
            assert!(of_ours(path, owner, user).is_ok(), "{owner} {user}");
        }
        for (owner, user) in [(1_000, 65_532), (65_532, 1_000)] {
            let words = of_ours(path, owner, user).unwrap_err().to_string();
            assert!(words.contains("/key/priv_validator_key.json"), "{words}");
            let (whose, what) = (format!("the user {owner},"), format!("`chown {user}`"));
            assert!(
                words.contains(&whose) && words.contains(&what) && words.contains("mainstay copy-key"),
                "{words}"
            );
        }
    }
}
