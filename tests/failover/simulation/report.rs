//! What many runs come to.

use std::{collections::BTreeMap, fmt};

use mainstay::failover::{Missing, Share};

use super::{cluster::Cluster, ending::End, oracle::Kind};

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
    pub times: BTreeMap<Kind, Vec<(u64, u64)>>,
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
        for (kind, time, blocks) in &oracle.times {
            self.times.entry(*kind).or_default().push((*time, *blocks));
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
        for (kind, times) in other.times {
            self.times.entry(kind).or_default().extend(times);
        }
    }
}

/// The value that so many of a hundred do not exceed.
fn percentile(sorted: &[u64], hundredths: usize) -> u64 {
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted[rank - 1]
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
        writeln!(out, "from Wanted to the first signature of the next holder, faults included:")?;
        for (kind, times) in &self.times {
            let mut seconds: Vec<_> = times.iter().map(|(time, _)| *time).collect();
            let mut blocks: Vec<_> = times.iter().map(|(_, blocks)| *blocks).collect();
            seconds.sort_unstable();
            blocks.sort_unstable();
            write!(out, "  {:<8} {:>8} times:", format!("{kind:?}"), times.len())?;
            for (name, rank) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
                let (time, blocks) = (percentile(&seconds, rank), percentile(&blocks, rank));
                write!(out, "  {name} {}.{} s / {blocks} blocks", time / 1_000, time % 1_000 / 100)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}
