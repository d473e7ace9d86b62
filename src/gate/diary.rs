//! What was signed, line by line, for people and for whoever checks afterwards: `signatures.log`. Only ever added to, and
//! written before the signature leaves. No decision rests on it.
//!
//! It is not made durable line by line, as the slots are: that would double what a signature costs. So a machine that loses
//! power may lose the last lines; a process that is killed loses none. The last signature of all is in the slots.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// A file that has grown to this (bytes) makes room for a new one. Two votes of some 340 bytes are written for a block: that is 14
/// hours of blocks of half a second, and 7 days of blocks of 6.
const MOST: u64 = 64 * 1024 * 1024;
/// So many of the files before are kept, and the oldest goes: 4 days and a half, and 54 days. With the one that is written they
/// are 576 MiB, and a volume has 1 GiB (`examples/validator-failover`).
pub const KEPT: usize = 8;

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When (milliseconds since the epoch, this machine's clock).
    pub at: i64,
    /// The member that signed.
    pub member: String,
    /// Its pod.
    pub pod_uid: String,
    /// The process in it, 32 hexadecimal digits.
    pub boot: String,
    /// In which epoch.
    pub epoch: u64,
    /// And which activation of it, 32 hexadecimal digits.
    pub activation: String,
    /// Height.
    pub height: u64,
    /// Round.
    pub round: u32,
    /// `proposal`, `prevote` or `precommit`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The block, in hexadecimal digits; none of a vote for nil.
    pub block: Option<String>,
    /// The time that was signed (nanoseconds since the epoch).
    pub timestamp: i128,
}

/// The file, open for adding.
#[derive(Debug)]
pub struct Diary {
    path: PathBuf,
    file: File,
    length: u64,
    most: u64,
}

// === impl Diary ===

impl Diary {
    /// Opens the file in `folder`.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("signatures.log");
        let (file, length) = append(&path)?;
        Ok(Self { path, file, length, most: MOST })
    }

    /// Adds a line, in one write. On a volume that is full the oldest file makes room for it.
    pub fn add(&mut self, line: &Line) -> io::Result<()> {
        if self.length >= self.most {
            self.turn()?;
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        while let Err(error) = self.file.write_all(&text) {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            if !full || !self.forget_oldest() {
                return Err(error);
            }
            // Some of it may be there: what comes now is a line of its own.
            if text.first() != Some(&b'\n') {
                text.insert(0, b'\n');
            }
        }
        self.length += text.len() as u64;
        Ok(())
    }

    /// Every file is one older, and a new one is begun.
    fn turn(&mut self) -> io::Result<()> {
        for age in (0..KEPT).rev() {
            match fs::rename(aged(&self.path, age), aged(&self.path, age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        (self.file, self.length) = append(&self.path)?;
        Ok(())
    }

    /// Whether there was a file to give up.
    fn forget_oldest(&self) -> bool {
        (1..=KEPT).rev().any(|age| fs::remove_file(aged(&self.path, age)).is_ok())
    }
}

/// All files of signatures that there can be in `folder`, the newest first.
pub fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let path = folder.join("signatures.log");
    (0..=KEPT).map(move |age| aged(&path, age))
}

/// The file of that age; of age 0 it is the one that is written.
fn aged(path: &Path, age: usize) -> PathBuf {
    if age == 0 { path.to_owned() } else { path.with_extension(format!("log.{age}")) }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if let Some(at) = length.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    // A crash may have torn the last line: what comes after it is a line of its own.
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(height: u64) -> Line {
        Line {
            at: 1,
            member: "a".into(),
            pod_uid: "u".into(),
            boot: "b".into(),
            epoch: 1,
            activation: "c".into(),
            height,
            round: 0,
            kind: "prevote".into(),
            block: None,
            timestamp: 2,
        }
    }

    /// The heights in each file, the newest file first.
    fn heights(folder: &Path) -> Vec<Vec<u64>> {
        let read = files(folder).filter_map(|path| fs::read_to_string(path).ok());
        let lines = |text: String| {
            text.lines()
                .filter_map(|line| serde_json::from_str::<Line>(line).ok())
                .map(|line| line.height)
                .collect()
        };
        read.map(lines).collect()
    }

    #[test]
    fn so_many_files_are_kept_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut diary = Diary::open(folder.path()).unwrap();
        diary.most = 2 * serde_json::to_vec(&line(10)).unwrap().len() as u64;
        for height in 10..30 {
            diary.add(&line(height)).unwrap();
        }
        let newest: Vec<Vec<u64>> = (0..=8).map(|age| vec![28 - 2 * age, 29 - 2 * age]).collect();
        assert_eq!(heights(folder.path()), newest);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + KEPT);
        // One that somebody took away is missed by nobody.
        fs::remove_file(folder.path().join("signatures.log.3")).unwrap();
        diary.add(&line(30)).unwrap();
        assert_eq!(heights(folder.path())[..2], [vec![30], vec![28, 29]]);
    }

    #[test]
    fn the_files_fit_into_the_volume_of_the_example() {
        let members = include_str!("../../examples/validator-failover/members.yaml");
        assert!(members.contains("resources: {requests: {storage: 1Gi}}"));
        assert!((1 + KEPT as u64) * MOST < 3 * (1 << 30) / 4, "three quarters of 1 GiB");
    }

    #[test]
    fn a_line_is_as_long_as_it_is_said_to_be() {
        let digits = |of: usize| "0".repeat(of);
        let real = Line {
            at: 1_790_000_000_000,
            member: "val-a".into(),
            pod_uid: digits(36),
            boot: digits(32),
            epoch: 12,
            activation: digits(32),
            height: 25_000_000,
            round: 0,
            kind: "precommit".into(),
            block: Some(digits(64)),
            timestamp: 1_790_000_000_000_000_000,
        };
        let votes = MOST / (serde_json::to_vec(&real).unwrap().len() as u64 + 1);
        let hours_of_half_a_second = votes / 2 / 2 / 3_600;
        let days_of_six_seconds = votes / 2 * 6 / 86_400;
        assert_eq!((hours_of_half_a_second, days_of_six_seconds), (13, 6));
        assert_eq!(8 * (votes / 2) * 6 / 86_400, 54);
    }

    #[test]
    fn a_full_volume_gives_up_the_oldest_before_anything_fails() {
        let folder = tempfile::tempdir().unwrap();
        for age in [1, 2] {
            fs::write(folder.path().join(format!("signatures.log.{age}")), "old").unwrap();
        }
        let mut diary = Diary::open(folder.path()).unwrap();
        diary.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(diary.add(&line(1)).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(files(folder.path()).filter(|path| path.exists()).count(), 1, "all it had was given up before");
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        Diary::open(folder.path()).unwrap().add(&line(1)).unwrap();
        let path = folder.path().join("signatures.log");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], &whole[..30]].concat()).unwrap();
        Diary::open(folder.path()).unwrap().add(&line(2)).unwrap();
        Diary::open(folder.path()).unwrap().add(&line(3)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let read: Vec<Option<Line>> = text.lines().map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(read, [Some(line(1)), None, Some(line(2)), Some(line(3))]);
    }
}
