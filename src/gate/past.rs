//! What was signed by whoever signed before, as its files tell: for a person who adopts an identity.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{
    diary::{Line, files},
    state::{State, StateError},
    store::{SLOT, newest},
};

/// The highest height that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// By a plain validator, when its file was copied.
    Plain(u64),
    /// By a gate, in whatever epoch.
    Gate(u64),
}

/// Why that is not known.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The file of a plain validator is none.
    #[error(transparent)]
    Plain(#[from] StateError),
    /// A file of a gate cannot be read.
    #[error("failed to read the state of a gate, {}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is there, and does not tell.
    #[error("failed to use the state of a gate, {}: {why}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
}

/// A folder is the state volume of a gate, `slots` and `*.log` are files of one, and all else is a plain validator's.
pub fn read(path: &Path) -> Result<Past, PastError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if path.is_dir() {
        return folder(path).map(Past::Gate);
    }
    if name == "slots" {
        return slots(path).map(Past::Gate);
    }
    if name.contains(".log") {
        let signed =
            log(path, true)?.ok_or(PastError::Unusable { path: path.into(), why: "it has no signature" })?;
        return Ok(Past::Gate(signed));
    }
    Ok(Past::Plain(State::read(path)?.height))
}

/// The slots have the last signature for sure; a twin of the pod may have written over them, and has its line in the log.
fn folder(path: &Path) -> Result<u64, PastError> {
    let mut signed = slots(&path.join("slots"))?;
    for file in files(path) {
        if file.exists() {
            signed = signed.max(log(&file, false)?.unwrap_or(0));
        }
    }
    Ok(signed)
}

fn slots(path: &Path) -> Result<u64, PastError> {
    let unusable = |why| PastError::Unusable { path: path.into(), why };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(2 * SLOT as u64).read_to_end(&mut bytes));
    read.map_err(|error| PastError::Read { path: path.into(), error })?;
    let (_, kept) = newest(&bytes).ok_or_else(|| unusable("it is no state any more"))?;
    let last = kept.disk.last.ok_or_else(|| unusable("nothing was signed with it, or its state was lost"))?;
    Ok(last.at.height.0)
}

/// The highest height of a log. Its last line may be torn, which is told only if nothing else tells what was in it.
fn log(path: &Path, alone: bool) -> Result<Option<u64>, PastError> {
    let failed = |error| PastError::Read { path: path.into(), error };
    let (mut highest, mut torn) = (None, false);
    for line in BufReader::new(File::open(path).map_err(failed)?).split(b'\n') {
        let line = line.map_err(failed)?;
        let read = serde_json::from_slice::<Line>(&line);
        torn = read.is_err() && !line.is_empty();
        highest = highest.max(read.ok().map(|line| line.height));
    }
    if torn && alone {
        return Err(PastError::Unusable {
            path: path.into(),
            why: "its last line is torn: give the folder with the slots",
        });
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        failover::{
            Activation, Boot, Epoch, Height, Tenure,
            gate::{Content, Disk, Entry, Hrs, Key, Step},
        },
        gate::{
            diary::Diary,
            store::{Kept, Slots, Store},
        },
    };

    fn line(epoch: u64, height: u64) -> Line {
        Line {
            at: 1,
            member: "a".into(),
            pod_uid: "u".into(),
            boot: "b".into(),
            epoch,
            activation: "c".into(),
            height,
            round: 0,
            kind: "prevote".into(),
            block: None,
            timestamp: 2,
        }
    }

    fn keep(folder: &Path, height: u64) {
        let tenure = Tenure { epoch: Epoch(3), activation: Activation(1) };
        let key = Key { tenure, boot: Boot(1) };
        let at = Hrs { height: Height(height), round: 0, step: Step::Prevote };
        let entry = Entry { key, at, content: Content { what: [7; 32], when: 0 } };
        let (mut store, _) = Store::open(Slots::open(folder).unwrap()).unwrap();
        store.keep(Kept { disk: Disk { last: Some(entry), ..Disk::default() }, sign_bytes: Vec::new() }).unwrap();
    }

    #[test]
    fn the_highest_height_of_any_epoch_and_of_any_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path(), 105);
        assert_eq!(read(folder.path()).unwrap(), Past::Gate(105));
        let mut diary = Diary::open(folder.path()).unwrap();
        for (epoch, height) in [(3, 103), (9, 107), (4, 104)] {
            diary.add(&line(epoch, height)).unwrap();
        }
        assert_eq!(read(folder.path()).unwrap(), Past::Gate(107));
        assert_eq!(read(&folder.path().join("slots")).unwrap(), Past::Gate(105));
        let log = folder.path().join("signatures.log");
        assert_eq!(read(&log).unwrap(), Past::Gate(107));
        fs::rename(&log, folder.path().join("signatures.log.1")).unwrap();
        Diary::open(folder.path()).unwrap().add(&line(4, 106)).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Past::Gate(107), "an older file");
        keep(folder.path(), 108);
        assert_eq!(read(folder.path()).unwrap(), Past::Gate(108), "a line that never reached the disk");
    }

    /// Nothing is guessed: a floor that is too low costs the key.
    #[test]
    fn what_does_not_tell_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path, words: &str| {
            let why = read(path).unwrap_err().to_string();
            assert!(why.contains(words), "{why}");
        };
        refused(folder.path(), "No such file");
        Diary::open(folder.path()).unwrap();
        let log = folder.path().join("signatures.log");
        refused(&log, "no signature");
        refused(folder.path(), "No such file");
        Diary::open(folder.path()).unwrap().add(&line(1, 100)).unwrap();
        let whole = fs::read(&log).unwrap();
        fs::write(&log, [&whole[..], &whole[..30]].concat()).unwrap();
        refused(&log, "torn");
        keep(folder.path(), 101);
        assert_eq!(read(folder.path()).unwrap(), Past::Gate(101));
        let slots = folder.path().join("slots");
        fs::write(&slots, [0xff; 100]).unwrap();
        refused(folder.path(), "no state any more");
        fs::remove_file(&slots).unwrap();
        let (mut store, _) = Store::open(Slots::open(folder.path()).unwrap()).unwrap();
        store.keep(Kept::default()).unwrap();
        refused(folder.path(), "nothing was signed");
        let plain = folder.path().join("priv_validator_state.json");
        fs::write(&plain, r#"{"height":"500","round":0,"step":3}"#).unwrap();
        assert_eq!(read(&plain).unwrap(), Past::Plain(500));
    }
}
