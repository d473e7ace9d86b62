//! What a validator knows of its own votes: its tower, and from Alpenglow on its vote history. Files of its ledger, signed with the
//! identity's own key (Agave's `core/src/consensus/tower_storage.rs`).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use ring::signature::{ED25519, UnparsedPublicKey};

use super::base58::base58;

/// A tower has a few thousand bytes, a vote history some ten thousand.
const MOST: u64 = 64 * 1024;
/// Where the votes begin in a tower: behind the node's key, depth and size of the threshold, and the vote state's own node, withdrawer
/// and commission.
const VOTES: usize = 32 + 8 + 8 + 32 + 32 + 1;
/// A vote: its slot, and how often it was confirmed.
const VOTE: usize = 8 + 4;

/// Files, by their names.
pub type Files = Vec<(String, Vec<u8>)>;

/// The memory of one identity, in one ledger.
#[derive(Clone, Debug)]
pub struct Memory {
    ledger: PathBuf,
    public: [u8; 32],
    tower: String,
    history: String,
}

// === impl Memory ===

impl Memory {
    /// That of the identity with this public key.
    #[must_use]
    pub fn new(ledger: &Path, public: [u8; 32]) -> Self {
        let key = base58(&public);
        Self {
            ledger: ledger.to_owned(),
            public,
            tower: format!("tower-1_9-{key}.bin"),
            history: format!("vote_history-{key}.bin"),
        }
    }

    /// Where the tower is.
    #[must_use]
    pub fn tower(&self) -> PathBuf {
        self.ledger.join(&self.tower)
    }

    /// Where a person puts the tower that they vouch for: good for this epoch, and for no other.
    #[must_use]
    pub fn vouched(&self, epoch: u64) -> PathBuf {
        self.ledger.join(vouched(&self.tower, epoch))
    }

    /// All of it, as the ledger has it; `None` without a tower.
    pub fn read(&self) -> Result<Option<Files>, String> {
        self.read_as(str::to_owned)
    }

    /// What a person has put there for this epoch.
    pub fn read_vouched(&self, epoch: u64) -> Result<Option<Files>, String> {
        self.read_as(|name| vouched(name, epoch))
    }

    fn read_as(&self, called: impl Fn(&str) -> String) -> Result<Option<Files>, String> {
        let one = |name: &str| {
            let path = self.ledger.join(called(name));
            bounded(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))
        };
        let Some(tower) = one(&self.tower)? else { return Ok(None) };
        let mut files = vec![(self.tower.clone(), tower)];
        files.extend(one(&self.history)?.map(|history| (self.history.clone(), history)));
        self.last_vote(&files)?;
        Ok(Some(files))
    }

    /// The last slot that was voted for, if all of it is this identity's own.
    pub fn last_vote(&self, files: &Files) -> Result<u64, String> {
        let mut last = None;
        for (name, bytes) in files {
            let odd = |why: &str| format!("{name} is no memory of this identity: {why}");
            let data = self.signed(bytes).ok_or_else(|| odd("it is not whole, or signed with another key"))?;
            if *name == self.tower {
                let own = data.get(..32) == Some(&self.public[..]);
                last = Some(slot(data).filter(|_| own).ok_or_else(|| odd("it is no tower"))?);
            } else if *name != self.history {
                return Err(odd("it has another name"));
            }
        }
        last.ok_or_else(|| format!("there is no {}", self.tower))
    }

    /// What is in a file that the identity has signed: its kind, the signature, the length and the rest.
    fn signed<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let (kind, rest) = bytes.split_first_chunk::<4>()?;
        let (signature, rest) = rest.split_first_chunk::<64>()?;
        let (length, data) = rest.split_first_chunk::<8>()?;
        let fits = u32::from_le_bytes(*kind) <= 1 && u64::from_le_bytes(*length) == data.len() as u64;
        let by = UnparsedPublicKey::new(&ED25519, self.public);
        (fits && by.verify(data, signature).is_ok()).then_some(data)
    }

    /// Puts it into the ledger in the place of what is there, and takes away what is not of it: a vote history of before.
    pub fn write(&self, files: &Files) -> io::Result<()> {
        self.write_to(&self.ledger, files)
    }

    /// Makes it durable in a folder.
    pub fn write_to(&self, folder: &Path, files: &Files) -> io::Result<()> {
        for name in [&self.tower, &self.history] {
            match files.iter().find(|(one, _)| one == name) {
                Some((_, bytes)) => replace(folder, name, bytes)?,
                None => match fs::remove_file(folder.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
        }
        File::open(folder)?.sync_all()
    }
}

fn vouched(name: &str, epoch: u64) -> String {
    format!("{name}.for-epoch-{epoch}")
}

fn bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other(format!("it has more than {MOST} bytes, and is not carried")));
    }
    Ok(Some(bytes))
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!("{name}.mainstay"));
    // As the validator writes it: it may run as another user of the same group.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o664).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))
}

/// The last vote of a tower; where there is none, the root.
fn slot(tower: &[u8]) -> Option<u64> {
    let number = |at: usize| Some(u64::from_le_bytes(*tower.get(at..)?.first_chunk::<8>()?));
    let count = usize::try_from(number(VOTES)?).ok().filter(|count| *count <= 64)?;
    let first = VOTES + 8;
    match count.checked_sub(1) {
        Some(last) => number(first + last * VOTE),
        None if tower.get(first) == Some(&1) => number(first + 1),
        None => Some(0),
    }
}
