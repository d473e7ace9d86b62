//! What many runs come to.

use std::{collections::BTreeMap, fmt};

use mainstay::failover::{Missing, Share};

use super::{
    cluster::Cluster,
    ending::End,
    oracle::{Cause, Failover},
};

/// How long failovers of one kind took: milliseconds, and blocks.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<(u64, u64)>);

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub runs: u64,
    pub launched: u64,
    pub needed: u64,
    pub failovers: u64,
    pub signatures: u64,
    pub conflicts: u64,
    pub overtaken: u64,
    pub helped: u64,
    pub blocked: BTreeMap<Missing, u64>,
    pub ends: BTreeMap<End, u64>,
    pub causes: BTreeMap<Cause, Times>,
    pub proofs: BTreeMap<&'static str, Times>,
}

impl Report {
    pub fn add(&mut self, run: &Cluster, end: Option<End>) {
        self.runs += 1;
        self.launched += u64::from(run.setting.launcher.is_some());
        self.needed += u64::from(run.setting.share != Share::Small);
        let oracle = &run.oracle;
        self.failovers += oracle.failovers;
        self.signatures += oracle.signatures;
        self.conflicts += oracle.conflicts;
        self.overtaken += oracle.overtaken;
        self.helped += run.helped;
        for (why, count) in &oracle.blocked {
            *self.blocked.entry(*why).or_default() += count;
        }
        if let Some(end) = end {
            *self.ends.entry(end).or_default() += 1;
        }
        for Failover { cause, proof, time, blocks } in &oracle.done {
            self.causes.entry(*cause).or_default().0.push((*time, *blocks));
            self.proofs.entry(proof).or_default().0.push((*time, *blocks));
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.launched += other.launched;
        self.needed += other.needed;
        self.failovers += other.failovers;
        self.signatures += other.signatures;
        self.conflicts += other.conflicts;
        self.overtaken += other.overtaken;
        self.helped += other.helped;
        for (why, count) in other.blocked {
            *self.blocked.entry(why).or_default() += count;
        }
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        for (cause, times) in other.causes {
            self.causes.entry(cause).or_default().0.extend(times.0);
        }
        for (proof, times) in other.proofs {
            self.proofs.entry(proof).or_default().0.extend(times.0);
        }
    }

    /// All of them.
    pub fn times(&self) -> Times {
        Times(self.proofs.values().flat_map(|times| &times.0).copied().collect())
    }
}

impl Times {
    /// What so many of a hundred do not exceed.
    fn percentile(&self, hundredths: usize, of: fn(&(u64, u64)) -> u64) -> u64 {
        let mut sorted: Vec<_> = self.0.iter().map(of).collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
        sorted[rank - 1]
    }

    /// How long, in milliseconds.
    pub fn time(&self, hundredths: usize) -> u64 {
        self.percentile(hundredths, |(time, _)| *time)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(out, "{:>8}", 0);
        }
        write!(out, "{:>8}", self.0.len())?;
        for hundredths in [0, 50, 90, 99, 100] {
            let time = self.time(hundredths);
            write!(out, "{:>8}.{}", time / 1_000, time % 1_000 / 100)?;
        }
        for hundredths in [50, 99, 100] {
            write!(out, "{:>8}", self.percentile(hundredths, |(_, blocks)| *blocks))?;
        }
        Ok(())
    }
}

/// A table of times; each row has a name.
pub fn table(title: &str, rows: impl IntoIterator<Item = (String, Times)>) -> String {
    let head = ["times", "min s", "p50", "p90", "p99", "max", "p50", "p99", "max"];
    let widths = [8, 10, 10, 10, 10, 10, 8, 8, 8];
    let head: Vec<_> = head.iter().zip(widths).map(|(word, width)| format!("{word:>width$}")).collect();
    let rows: Vec<_> = rows.into_iter().map(|(name, times)| format!("  {name:<18}{times}\n")).collect();
    format!("  {title:<18}{} blocks\n{}", head.concat(), rows.concat())
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, launched, needed, failovers, signatures, conflicts, overtaken, helped, .. } = self;
        writeln!(
            out,
            "{runs} runs ({launched} with launchers, {needed} where the chain needs the key), {failovers} failovers, \
             {signatures} signatures, {conflicts} conflicts"
        )?;
        writeln!(
            out,
            "{overtaken} failovers were overtaken by another or by a person; blocked {:?}; people helped {helped} times",
            self.blocked
        )?;
        writeln!(out, "after faults stopped: {:?}", self.ends)?;
        writeln!(out, "from Revoking to the first signature of the next holder, all faults included:")?;
        let causes = self.causes.iter().map(|(cause, times)| (format!("{cause:?}"), times.clone()));
        write!(out, "{}", table("what failed", causes))?;
        let proofs = self.proofs.iter().map(|(proof, times)| ((*proof).to_owned(), times.clone()));
        write!(out, "{}", table("what proved it", proofs))?;
        writeln!(out, "  {:<18}{}", "all", self.times())
    }
}
