//! Nodes that have the key in a file, with nothing between: what they sign, from their own logs, which are kept outside their
//! pods, and from the blocks of the chain; and that there are never two processes with the key at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::chown,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    frozen::processes,
    group::Group,
    oracle::{Line, conflicts},
};
use crate::{
    rig::{apply, wait},
    stage::{LATER, ask},
};

/// The user of every pod.
const USER: Option<u32> = Some(65532);
/// Between two looks at who runs.
const LOOK: Duration = Duration::from_millis(50);
/// Programs that have the key, or are about to have it: a keeper puts it where its command looks for it.
const PROGRAMS: [&str; 4] = ["mainstay", "sh", "cometbft", "wasmd"];

/// What members share, and that their nodes look for the key and its signing state there.
pub fn furnish(homes: &Path, namespace: &str) {
    let shared = homes.join("shared");
    let state = shared.join("priv_validator_state.json");
    fs::create_dir_all(&shared).expect("a folder");
    fs::write(&state, "{\"height\": \"0\", \"round\": 0, \"step\": 0}\n").expect("a state");
    for path in [&shared, &state] {
        chown(path, USER, USER).expect("a file of the pods' user");
    }
    for member in ["a-0", "b-0"] {
        let config = homes.join(member).join("config");
        // Nobody is to take another key for this one.
        fs::remove_file(config.join("priv_validator_key.json")).expect("a key");
        let text = fs::read_to_string(config.join("config.toml")).expect("a configuration");
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some((name @ "priv_validator_key_file", _)) => format!("{name} = \"/key/key.json\""),
            Some((name @ "priv_validator_state_file", _)) => {
                format!("{name} = \"/shared/priv_validator_state.json\"")
            }
            _ => line.to_owned(),
        });
        fs::write(config.join("config.toml"), lines.collect::<Vec<_>>().join("\n")).expect("a configuration");
    }
    let scripts = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts", "namespace": namespace},
        "data": {
            "sign.sh": include_str!("handovers/sign.sh"),
            "wait.sh": include_str!("handovers/wait.sh"),
            "handover.sh": include_str!("handovers/handover.sh"),
        },
    });
    apply(&scripts.to_string()).expect("scripts");
}

/// What all nodes have signed, in the order of time.
pub fn signatures(shared: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(shared).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((member, epoch)) = name.strip_suffix(".log").and_then(|name| name.split_once('-')) else {
            continue;
        };
        let (text, epoch) = (fs::read_to_string(entry.path()).expect("a log"), epoch.parse().expect("an epoch"));
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        lines.extend(whole.lines().filter_map(|text| line(text, member, epoch)));
    }
    lines.sort_by_key(|line| line.at);
    lines
}

/// A signature that a node tells of in its log.
fn line(text: &str, member: &str, epoch: u64) -> Option<Line> {
    let within = |name: &str| text.split_once(name)?.1.split_once('}').map(|(words, _)| words);
    let (words, is_vote) = if text.contains("signed and pushed vote") {
        (within("Vote{")?, true)
    } else if text.contains("signed proposal") {
        (within("Proposal{")?, false)
    } else {
        return None;
    };
    let words: Vec<_> = words.split_whitespace().collect();
    let at: jiff::Timestamp = words.last()?.parse().ok()?;
    let mut place = words[usize::from(is_vote)].split('/');
    let (height, round) = (place.next()?.parse().ok()?, place.next()?.parse().ok()?);
    let (kind, block) = match (is_vote, place.next().unwrap_or_default()) {
        (true, kind) if kind.contains("(Prevote)") => ("prevote", words[2]),
        (true, _) => ("precommit", words[2]),
        (false, _) => ("proposal", words[1].trim_start_matches('(').split(':').next()?),
    };
    Some(Line {
        at: at.as_millisecond(),
        member: member.into(),
        pod_uid: String::new(),
        boot: format!("{member}-{epoch}"),
        epoch,
        activation: String::new(),
        height,
        round,
        kind: kind.into(),
        block: block.contains(|digit| digit != '0').then(|| block.into()),
        timestamp: at.as_nanosecond(),
    })
}

/// A process with the key that began or ended, as its script wrote it down: `start`, the member, the epoch, the height that it
/// begins with or has signed at most, and the time since the machine was started (hundredths of a second).
#[derive(Debug)]
struct Entry {
    begins: bool,
    who: (String, u64),
    height: u64,
    at: u64,
}

fn journal(shared: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(shared.join("journal")).unwrap_or_default();
    let number = |word: &str| word.parse().expect("a number");
    let entry = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        Entry {
            begins: words[0] == "start",
            who: (words[1].into(), number(words[2])),
            height: number(words[3]),
            at: number(&words[4].replace('.', "")),
        }
    };
    text.lines().map(entry).collect()
}

/// What is wrong with it: who begins before the last one has ended, or at a height that was signed.
fn overlaps(journal: &[Entry]) -> Vec<String> {
    let begins = journal.iter().enumerate().filter(|(_, entry)| entry.begins);
    let wrong = begins.flat_map(|(index, entry)| {
        let before = journal.iter().enumerate().filter(move |(other, of)| {
            let late = of.at > entry.at && of.who != entry.who && of.who.1 < entry.who.1;
            *other != index && (late || (*other < index && of.height >= entry.height))
        });
        before.map(move |(_, of)| format!("{entry:?} begins before {of:?}"))
    });
    wrong.collect()
}

/// Who was seen with the key, by member and epoch, and whether two of them ever were at one instant.
#[derive(Clone, Default)]
pub struct Seen {
    pub looks: usize,
    pub alone: BTreeMap<(String, String), usize>,
    pub together: Vec<BTreeSet<(String, String)>>,
}

/// Looks at the machine's processes all along.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    end: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

// === impl Watch ===

impl Watch {
    /// Looks for processes of members of a chain.
    pub fn over(chain: &str) -> Self {
        let (seen, end) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (mine, ends, chain) = (Arc::clone(&seen), Arc::clone(&end), format!("CHAIN={chain}"));
        let task = thread::spawn(move || {
            while !ends.load(Relaxed) {
                let now: BTreeSet<_> = processes().filter_map(|pid| of(pid, &chain)).collect();
                let mut seen = mine.lock().expect("a lock");
                seen.looks += 1;
                if now.len() > 1 {
                    seen.together.push(now);
                } else if let Some(one) = now.into_iter().next() {
                    *seen.alone.entry(one).or_default() += 1;
                }
                drop(seen);
                thread::sleep(LOOK);
            }
        });
        Self { seen, end, task: Some(task) }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("a lock").clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
        drop(self.task.take().map(JoinHandle::join));
    }
}

/// Whose a process is, and of which epoch, if it is one that may have the key: by what it was told when it was started.
fn of(pid: u32, chain: &str) -> Option<(String, String)> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    PROGRAMS.contains(&name.trim()).then_some(())?;
    let told = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let told = String::from_utf8_lossy(&told);
    let mut words = told.split('\0');
    words.clone().any(|word| word == chain).then_some(())?;
    let value = |name: &str| words.clone().find_map(|word| word.strip_prefix(name)).map(str::to_owned);
    let who = (value("MEMBER=")?, value("MAINSTAY_EPOCH=")?);
    words.next().map(|_| who)
}

// === impl Group ===

impl Group {
    /// Heights above this one of which the chain's own blocks have a signature of the key.
    fn committed(&self, above: u64) -> BTreeSet<u64> {
        let key = fs::read_to_string(self.homes.join("signer/priv_validator_key.json")).expect("a key");
        let key: Value = serde_json::from_str(&key).expect("a key");
        let (validator, top) = (self.validator(), self.blocks(0));
        let signed = |height: &u64| {
            let text = ask((&validator, 26657), &format!("/commit?height={height}")).expect("an answer");
            let commit: Value = serde_json::from_str(&text).expect("a commit");
            let signatures = commit["result"]["signed_header"]["commit"]["signatures"].clone();
            let signatures = signatures.as_array().expect("signatures").clone();
            signatures.iter().any(|one| one["validator_address"] == key["address"])
        };
        (above + 1..top).filter(signed).collect()
    }

    /// Waits until a block above this height has a signature of the key: a node that was not there signs heights that are past
    /// before. Returns which.
    pub fn signed_block(&self, above: u64) -> u64 {
        wait("a block with a signature", LATER, || self.committed(above).pop_first()).expect("a block")
    }

    /// Nothing happened that must never happen, where nodes have the key themselves.
    pub fn is_innocent_with(&self, watch: &Watch) {
        self.blocks(3);
        // The chain before the logs: what a block has was written down by then, and the next one may come meanwhile.
        let committed = self.committed(0);
        let (lines, journal) = (self.signatures(), journal(&self.shared()));
        assert_eq!(conflicts(&lines), [], "two blocks at one place, or two processes at one height");
        let known: BTreeSet<_> = lines.iter().map(|line| line.height).collect();
        let unknown: Vec<_> = committed.difference(&known).collect();
        assert!(unknown.is_empty(), "blocks have signatures at {unknown:?} of which no log tells");
        assert_eq!(overlaps(&journal), Vec::<String>::new(), "{journal:#?}");
        let seen = watch.seen();
        assert_eq!(seen.together, [], "two with the key at once, of {} looks", seen.looks);
        let began = journal.iter().filter(|entry| entry.begins).count();
        assert!(began > 0 && seen.alone.len() == began, "{:?} of {began}", seen.alone);
        let writes = self.is_lawful(0);
        println!(
            "{}: {} signatures at {} heights, {} of them in blocks; {began} processes had the key, one at a time in {} looks; \
             {writes} writes of the record",
            self.said,
            lines.len(),
            known.len(),
            committed.len(),
            seen.looks,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_of_its_signatures_is_read() {
        let vote = |kind: &str, block: &str| {
            format!(
                "D[2026-11-26|19:00:00.123] signed and pushed vote module=consensus height=12 round=0 \
                 vote=\"Vote{{4:0A1B2C3D4E5F 12/01/SIGNED_MSG_TYPE_{}({kind}) {block} 56789ABCDEF0 000000000000 @ \
                 2026-11-26T19:00:00.123456789Z}}\"",
                kind.to_uppercase()
            )
        };
        let read = line(&vote("Prevote", "00AA00000000"), "a", 3).expect("a line");
        assert_eq!((read.height, read.round, read.kind.as_str(), read.epoch), (12, 1, "prevote", 3));
        assert_eq!((read.block.as_deref(), read.timestamp % 1_000_000_000), (Some("00AA00000000"), 123_456_789));
        let nil = line(&vote("Precommit", "000000000000"), "a", 3).expect("a line");
        assert_eq!((nil.kind.as_str(), nil.block), ("precommit", None));
        let proposal = "D[x] signed proposal module=consensus height=7 round=0 proposal=\"Proposal{7/0 (AB12:1:CD34, -1) \
                        56789ABCDEF0 @ 2026-11-26T19:00:00Z}\"";
        let read = line(proposal, "b", 1).expect("a line");
        assert_eq!((read.height, read.kind.as_str(), read.block.as_deref()), (7, "proposal", Some("AB12")));
        assert_eq!(line("I[x] received proposal Proposal{7/0 (AB12:1:CD34, -1) 5 @ x}", "b", 1), None);
    }

    #[test]
    fn two_with_the_key_at_once_are_seen_in_the_journal() {
        let folder = tempfile::tempdir().expect("a folder");
        let judged = |text: &str| {
            fs::write(folder.path().join("journal"), text).expect("a journal");
            overlaps(&journal(folder.path())).len()
        };
        assert_eq!(judged("start a 1 1 10.00\nstop a 1 9 12.50\nstart b 2 10 12.60\n"), 0);
        assert_eq!(judged("start a 1 1 10.00\nstart b 2 10 12.60\n"), 0, "one that was killed says nothing");
        assert_eq!(judged("start a 1 1 10.00\nstart b 2 10 12.60\nstop a 1 9 12.70\n"), 1, "it ended later");
        assert_eq!(
            judged("start a 1 1 10.00\nstop a 1 9 12.50\nstart b 2 9 12.60\n"),
            1,
            "a height that was signed"
        );
    }
}
