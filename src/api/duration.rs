//! Durations as people write them in manifests: `500ms`, `30s`, `5m`, `4h`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A positive length of time, written as a whole number and one unit (`ms`, `s`, `m` or `h`).
///
/// One unit only: `1h1h` is what CEL's `duration()` would accept and nobody means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    millis: u64,
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: {HELP}")]
pub struct DurationError {
    text: String,
}

const HELP: &str = "write a whole number and one unit, such as 500ms, 30s, 5m or 4h; zero is not one";
const PATTERN: &str = "^[1-9][0-9]{0,5}(ms|s|m|h)$";

// === impl Duration ===

impl Duration {
    /// A duration of `millis` milliseconds; at least 1.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis: if millis == 0 { 1 } else { millis } }
    }

    /// A duration of `secs` seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs * 1000)
    }

    /// Its length in milliseconds; never 0.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    /// The same for the standard library's timers.
    #[must_use]
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis)
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || DurationError { text: text.chars().take(40).collect() };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 6 || text.starts_with('0') {
            return Err(refuse());
        }
        let number: u64 = text[..digits].parse().map_err(|_| refuse())?;
        let unit = match &text[digits..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(refuse()),
        };
        Ok(Self { millis: number * unit })
    }
}

impl TryFrom<String> for Duration {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.millis {
            ms if ms % 3_600_000 == 0 => (ms / 3_600_000, "h"),
            ms if ms % 60_000 == 0 => (ms / 60_000, "m"),
            ms if ms % 1000 == 0 => (ms / 1000, "s"),
            ms => (ms, "ms"),
        };
        write!(f, "{value}{unit}")
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A CEL rule instead of `pattern`: the API server quotes a pattern, but a rule speaks.
        json_schema!({
            "type": "string",
            "maxLength": 10,
            "x-kubernetes-validations": [{"rule": format!("self.matches('{PATTERN}')"), "message": HELP}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_the_same_text() {
        for text in ["500ms", "30s", "5m", "4h", "90s"] {
            let duration: Duration = text.parse().expect(text);
            assert_eq!(duration.to_string(), text);
        }
        assert_eq!("60s".parse::<Duration>().unwrap().to_string(), "1m");
    }

    #[test]
    fn nonsense_is_no_duration() {
        for text in ["", "0s", "05s", "-1s", "1h1h", "1d", "s", "1.5s", "NaN", "9999999h", "1 s", "１s"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
