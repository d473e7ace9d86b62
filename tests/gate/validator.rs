//! A fake Solana validator, built from the source of Agave's admin RPC, its towers and how its replay takes a new identity. No real
//! one is here.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use mainstay::gate::solana::base58::base58;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::container::Container;

/// A key pair, made of one byte.
pub struct Pair {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl Pair {
    pub fn of(byte: u8) -> Self {
        let seed = [byte; 32];
        Self { seed, pair: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap() }
    }

    pub fn public(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().unwrap()
    }

    /// As the validator calls it.
    pub fn name(&self) -> String {
        base58(&self.public())
    }

    /// Writes it as Solana's tools do.
    pub fn write(&self, path: &Path) {
        let bytes = [self.seed, self.public()].concat();
        fs::write(path, serde_json::to_string(&bytes).unwrap()).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A tower that has voted for these slots (`SavedTowerVersions::Current` of a `Tower1_14_11`, as far as anybody reads it).
    pub fn tower(&self, slots: &[u64]) -> Vec<u8> {
        let mut data = self.public().to_vec();
        data.extend(8_u64.to_le_bytes());
        data.extend((2.0_f64 / 3.0).to_le_bytes());
        // The vote state: its node, its withdrawer, its commission, its votes, its root.
        data.extend(self.public());
        data.extend([7; 32]);
        data.push(100);
        data.extend((slots.len() as u64).to_le_bytes());
        for (count, slot) in slots.iter().rev().enumerate().rev() {
            data.extend(slot.to_le_bytes());
            data.extend((u32::try_from(count).unwrap() + 1).to_le_bytes());
        }
        data.extend([1, 3, 0, 0, 0, 0, 0, 0, 0]);
        data.extend([9; 700]);
        self.saved(1, &data)
    }

    pub fn history(&self, text: &str) -> Vec<u8> {
        self.saved(0, text.as_bytes())
    }

    fn saved(&self, kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(self.pair.sign(data).as_ref());
        bytes.extend((data.len() as u64).to_le_bytes());
        bytes.extend(data);
        bytes
    }
}

/// The identity with stake, and the one of each validator without.
pub fn staked() -> Pair {
    Pair::of(1)
}

pub fn unstaked() -> Pair {
    Pair::of(2)
}

pub fn tower_of(ledger: &Path) -> PathBuf {
    ledger.join(format!("tower-1_9-{}.bin", staked().name()))
}

pub fn history_of(ledger: &Path) -> PathBuf {
    ledger.join(format!("vote_history-{}.bin", staked().name()))
}

/// The slots of a tower that is this identity's.
pub fn votes(tower: &Path) -> Result<Vec<u64>, String> {
    let bytes = fs::read(tower).map_err(|error| format!("IO Error: {error}"))?;
    let (signature, data) = (&bytes[4..68], &bytes[76..]);
    let key = UnparsedPublicKey::new(&ED25519, staked().public());
    key.verify(data, signature).map_err(|_| "The signature on the saved tower is invalid".to_owned())?;
    let number = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().unwrap());
    Ok((0..number(113)).map(|vote| number(121 + usize::try_from(vote).unwrap() * 12)).collect())
}

/// A validator.
#[derive(Default)]
pub struct Validator {
    pub ledger: PathBuf,
    /// What it is started with.
    pub starts_staked: bool,
    /// What it is now, in base 58.
    pub identity: String,
    /// Which of its processes it is; none runs at 0.
    pub born: u64,
    runs: bool,
    /// The tower in its memory.
    slots: Vec<u64>,
    /// All that it has voted for, whoever asked.
    pub voted: Vec<u64>,
    /// Whether it knows a third parameter.
    pub is_new: bool,
    /// It takes questions and answers none; what it was asked to become it becomes after so long.
    pub hangs: Option<Duration>,
    /// It takes so long over the next identity that votes.
    pub slow: Option<Duration>,
    /// Answers so instead.
    pub instead: Option<String>,
    /// It votes once more after it has answered: its replay was under way.
    pub once_more: Option<u64>,
    pub calls: Vec<String>,
}

pub type Shared = Arc<Mutex<Validator>>;

pub fn at(validator: &Shared) -> MutexGuard<'_, Validator> {
    validator.lock().unwrap()
}

impl Validator {
    fn start(&mut self) {
        let identity = if self.starts_staked { staked() } else { unstaked() };
        (self.identity, self.runs, self.born) = (identity.name(), true, self.born + 1);
        self.slots = votes(&tower_of(&self.ledger)).unwrap_or_default();
    }

    /// Votes, if it is the one whose account this is: the tower is written first.
    pub fn vote(&mut self, slot: u64) -> bool {
        let votes = self.runs && self.identity == staked().name();
        if votes {
            self.cast(slot);
        }
        votes
    }

    fn cast(&mut self, slot: u64) {
        self.slots.push(slot);
        let new = self.ledger.join("tower.bin.new");
        fs::write(&new, staked().tower(&self.slots)).unwrap();
        fs::rename(&new, tower_of(&self.ledger)).unwrap();
        self.voted.push(slot);
    }

    fn set_identity(&mut self, keypair: &str, require_tower: bool) -> Result<(), String> {
        let text = fs::read_to_string(keypair);
        let text = text.map_err(|error| format!("Failed to read identity keypair from {keypair}: {error}"))?;
        let bytes: Vec<u8> = serde_json::from_str(&text).unwrap();
        let name = base58(&bytes[32..]);
        let tower = votes(&self.ledger.join(format!("tower-1_9-{name}.bin")));
        if require_tower {
            tower.as_ref().map_err(|why| format!("Unable to load tower file for identity {name}: {why}"))?;
        }
        self.slots = tower.unwrap_or_default();
        self.identity = name;
        Ok(())
    }

    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, (i64, String)> {
        match method {
            "contactInfo" => Ok(json!({"id": self.identity, "gossip": "127.0.0.1:8001", "shred_version": 1})),
            "startTime" => Ok(json!({"secs_since_epoch": self.born, "nanos_since_epoch": 0})),
            "setIdentity" => {
                let params = params.as_array().unwrap();
                let wanted = if self.is_new { 3 } else { 2 };
                if params.len() != wanted {
                    let why =
                        format!("Invalid params: invalid length {}, expected {wanted} elements.", params.len());
                    return Err((-32602, why));
                }
                let (keypair, tower) = (params[0].as_str().unwrap().to_owned(), params[1].as_bool().unwrap());
                if self.is_new {
                    assert_eq!(params[2], true, "the vote history is always required");
                }
                self.calls.push(format!("{}, {tower}", Path::new(&keypair).file_name().unwrap().display()));
                self.set_identity(&keypair, tower).map_err(|why| (-32602, why))?;
                Ok(Value::Null)
            }
            _ => Err((-32601, "Method not found".into())),
        }
    }
}

fn converse(validator: &Shared, stream: UnixStream) {
    let born = at(validator).born;
    let mut writer = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let question: Value = serde_json::from_str(&line).unwrap();
        let (method, params) = (question["method"].as_str().unwrap().to_owned(), question["params"].clone());
        let hangs = at(validator).hangs;
        let slow = if params[1] == true { at(validator).slow.take() } else { None };
        if let Some(after) = hangs.or(slow) {
            thread::sleep(after);
        }
        let answer = {
            let mut it = at(validator);
            if !it.runs || it.born != born {
                return;
            }
            let was = it.identity.clone();
            let answer = it.answer(&method, &params);
            if was == staked().name() && it.identity != was {
                // Replay looks at its identity once in a turn, and a turn may be under way.
                if let Some(slot) = it.once_more.take() {
                    let validator = Arc::clone(validator);
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(150));
                        let mut it = at(&validator);
                        it.slots = votes(&tower_of(&it.ledger)).unwrap();
                        it.cast(slot);
                    });
                }
            }
            it.instead.clone().unwrap_or_else(|| {
                let mut all = json!({"jsonrpc": "2.0", "id": question["id"]});
                match answer {
                    Ok(result) => all["result"] = result,
                    Err((code, message)) => all["error"] = json!({"code": code, "message": message}),
                }
                all.to_string()
            })
        };
        if hangs.is_some() || writer.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
    }
}

/// Runs it in this ledger.
pub fn begin(folder: &TempDir, ledger: &Path) -> (Shared, Container) {
    let validator = Shared::default();
    ledger.clone_into(&mut at(&validator).ledger);
    let listener = UnixListener::bind(ledger.join("admin.rpc")).unwrap();
    let serving = Arc::clone(&validator);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let validator = Arc::clone(&serving);
            thread::spawn(move || converse(&validator, stream));
        }
    });
    let (started, ended) = (Arc::clone(&validator), Arc::clone(&validator));
    let container = Container::start(
        folder,
        move || at(&started).start(),
        move || {
            let mut it = at(&ended);
            (it.runs, it.hangs) = (false, None);
        },
    );
    (validator, container)
}
