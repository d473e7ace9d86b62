//! Numbers with units, for people.

use crate::signal::{Signal, Unit, Value};

/// A length of time in milliseconds, as coarse as it is long.
pub(super) fn span(millis: u64) -> String {
    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{} s", millis / 1000),
        120_000..7_200_000 => format!("{} min", millis / MINUTE),
        _ => format!("{} h", millis / HOUR),
    }
}

/// A value with its signal's unit, where that needs saying.
pub(super) fn amount(signal: Signal, value: &Value) -> String {
    match signal.unit() {
        Unit::Seconds => format!("{value} s"),
        Unit::PerSecond => format!("{value}/s"),
        Unit::Coins => format!("{value} coins"),
        Unit::Flag | Unit::Count | Unit::Height | Unit::Blocks | Unit::Ratio | Unit::Number | Unit::Text => {
            value.to_string()
        }
    }
}
