//! `node_exporter` 1.x: the machine underneath. File systems of the kernel's own making are not on its page by default;
//! the fullest of the others counts.

use super::{Combine, How, Metric, Signal};

pub(super) const METRICS: &[Metric] = &[
    Metric::new(Signal::DiskUsedRatio, "node_filesystem_avail_bytes")
        .by(Combine::Max)
        .how(How::UsedOf("node_filesystem_size_bytes")),
    Metric::new(Signal::MemoryUsedRatio, "node_memory_MemAvailable_bytes")
        .by(Combine::Max)
        .how(How::UsedOf("node_memory_MemTotal_bytes")),
    Metric::new(Signal::ClockOffset, "node_timex_offset_seconds").by(Combine::Max),
];
