//! What must survive the process: two slots in one file, each with its number and a digest. The older of the two is
//! written over, in one write, and made durable before anything rests on it; a write that a crash has torn leaves the
//! other slot as it was.
//!
//! What is lost is lost: the protocol signs nothing on the word of this file alone. But what one process keeps, a latch for
//! instance, another one that had read the file before would write over. So one process has it at a time, and locks it for its
//! life; who only reads it needs no lock.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failover::gate::Disk;

/// Bytes of a slot: more than any state has, and a multiple of what disks write at once.
pub const SLOT: usize = 4096;
const MAGIC: &[u8; 8] = b"mstgate1";
/// Before the text of a slot: magic, number, length, and half of a SHA-256 over all the rest.
const HEADER: usize = 8 + 8 + 4 + 16;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// What the protocol has to remember.
    pub disk: Disk,
    /// The sign-bytes of the last signature: of a vote that is asked for again with another time, the time of then is signed.
    pub sign_bytes: Vec<u8>,
}

/// Where the slots are: a file, or what a test puts in its place.
pub trait Medium: Send {
    /// All that is there, at most two slots.
    fn read(&mut self) -> io::Result<Vec<u8>>;
    /// Writes at a place. It need not be durable yet.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns once all that was written is durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file of two slots, which no other process has.
#[derive(Debug)]
pub struct Slots(File);

/// Why the state cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened, read or written.
    #[error("failed to keep the gate's state in {}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process has it.
    #[error(
        "refused to use the gate's state {}: another process has it, and of two that write there each would undo what the \
         other keeps. It is a gate of an earlier container or pod on the same volume: it ends with that one, and if it does \
         not, end it. Each member has a volume of its own",
        path.display()
    )]
    Taken {
        /// Which file.
        path: PathBuf,
    },
}

/// What was found at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: this member has never run with this volume.
    Nothing,
    /// The state.
    Kept,
    /// Something that is no state any more.
    Lost,
}

/// Keeps the state of one gate.
#[derive(Debug)]
pub struct Store<M = Slots> {
    medium: M,
    kept: Kept,
    number: u64,
}

// === impl Slots ===

impl Slots {
    /// Opens the file of slots in `folder`, makes it if there is none, and keeps all other processes from doing so.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("slots");
        let failed = |error| StoreError::File { path: path.clone(), error };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Taken { path }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The file itself has to survive, not only what is in it.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Self(file))
    }
}

impl Medium for Slots {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.0.metadata()?.len()).unwrap_or(usize::MAX).min(2 * SLOT);
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

// === impl Store ===

impl<M: Medium> Store<M> {
    /// What is kept on `medium`.
    pub fn open(mut medium: M) -> io::Result<(Self, Found)> {
        let bytes = medium.read()?;
        let newest = newest(&bytes);
        let found = match (&newest, bytes.is_empty()) {
            (Some(_), _) => Found::Kept,
            (None, true) => Found::Nothing,
            (None, false) => Found::Lost,
        };
        let (number, kept) = newest.unwrap_or_default();
        Ok((Self { medium, kept, number }, found))
    }

    /// What is kept.
    #[must_use]
    pub const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Keeps this from now on. After an error nobody knows what is kept, and nothing may rest on it: the process ends.
    pub fn keep(&mut self, kept: Kept) -> io::Result<()> {
        let number =
            self.number.checked_add(1).ok_or_else(|| io::Error::other("the slots are numbered to their end"))?;
        let slot = write_slot(number, &kept)?;
        self.medium.write((number % 2) * SLOT as u64, &slot)?;
        self.medium.sync()?;
        (self.number, self.kept) = (number, kept);
        Ok(())
    }
}

/// The newest slot of a file, and its number.
#[must_use]
pub fn newest(bytes: &[u8]) -> Option<(u64, Kept)> {
    bytes.chunks(SLOT).filter_map(read_slot).max_by_key(|(number, _)| *number)
}

fn write_slot(number: u64, kept: &Kept) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(kept)?;
    let length = u32::try_from(text.len()).ok().filter(|_| text.len() <= SLOT - HEADER);
    let length = length.ok_or_else(|| io::Error::other("the state is larger than its slot"))?;
    let mut slot = Vec::with_capacity(SLOT);
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&number.to_be_bytes());
    slot.extend_from_slice(&length.to_be_bytes());
    slot.extend_from_slice(&digest(number, &text));
    slot.extend_from_slice(&text);
    slot.resize(SLOT, 0);
    Ok(slot)
}

fn read_slot(slot: &[u8]) -> Option<(u64, Kept)> {
    let (magic, rest) = slot.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<16>()?;
    let number = u64::from_be_bytes(*number);
    let text = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let whole = magic == MAGIC && *sum == digest(number, text);
    whole.then(|| serde_json::from_slice(text).ok()).flatten().map(|kept| (number, kept))
}

fn digest(number: u64, text: &[u8]) -> [u8; 16] {
    let whole = Sha256::new().chain_update(MAGIC).chain_update(number.to_be_bytes()).chain_update(text).finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{
        Activation, Boot, Epoch, Height, Tenure,
        gate::{Content, Entry, Hrs, Key, Step},
    };

    fn kept(height: u64) -> Kept {
        let tenure = Tenure { epoch: Epoch(3), activation: Activation(u128::MAX) };
        let entry = Entry {
            key: Key { tenure, boot: Boot(u128::MAX - 1) },
            at: Hrs { height: Height(height), round: 2, step: Step::Precommit },
            content: Content { what: [7; 32], when: -62_135_596_800_000_000_000 },
        };
        Kept { disk: Disk { last: Some(entry), ..Disk::default() }, sign_bytes: vec![1; 200] }
    }

    fn open(folder: &Path) -> (Store, Found) {
        Store::open(Slots::open(folder).unwrap()).unwrap()
    }

    #[test]
    fn what_is_kept_last_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, found) = open(folder.path());
        assert_eq!((store.kept(), found), (&Kept::default(), Found::Nothing));
        for height in 1..6 {
            store.keep(kept(height)).unwrap();
            drop(store);
            let found;
            (store, found) = open(folder.path());
            assert_eq!((store.kept(), found), (&kept(height), Found::Kept));
        }
    }

    #[test]
    fn a_file_that_a_process_has_is_no_other_process_s() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open(folder.path());
        store.keep(kept(1)).unwrap();
        let why = Slots::open(folder.path()).unwrap_err();
        assert!(matches!(why, StoreError::Taken { .. }));
        let words = why.to_string();
        assert!(words.contains(&folder.path().join("slots").display().to_string()), "{words}");
        assert!(words.contains("another process has it") && words.contains("end it"), "{words}");
        // Who reads asks nobody.
        let bytes = std::fs::read(folder.path().join("slots")).unwrap();
        assert_eq!(newest(&bytes).unwrap().1, kept(1));
        drop(store);
        assert_eq!(open(folder.path()).1, Found::Kept);
    }

    #[test]
    fn a_torn_write_leaves_what_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = open(folder.path());
        store.keep(kept(1)).unwrap();
        store.keep(kept(2)).unwrap();
        drop(store);
        let whole = std::fs::read(folder.path().join("slots")).unwrap();
        for torn in [0, 8, 16, 20, 36, 40] {
            let mut bytes = whole.clone();
            // The slot of the second write is the first of the file.
            bytes[torn] ^= 1;
            std::fs::write(folder.path().join("slots"), &bytes).unwrap();
            let (store, found) = open(folder.path());
            assert_eq!((store.kept(), found), (&kept(1), Found::Kept), "torn at {torn}");
        }
    }

    #[test]
    fn what_is_no_state_is_lost_and_never_guessed() {
        let folder = tempfile::tempdir().unwrap();
        for garbage in [vec![0; 10], vec![0xff; 2 * SLOT], b"mstgate1".repeat(2000)] {
            std::fs::write(folder.path().join("slots"), garbage).unwrap();
            let (store, found) = open(folder.path());
            assert_eq!((store.kept(), found), (&Kept::default(), Found::Lost));
        }
    }
}
