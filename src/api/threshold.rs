//! Numbers as people write them in manifests: thresholds (`10`, `"0.95"`, `3s`) and shares (`1`, `51%`).

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Duration;

/// The value a signal is compared with: an integer, a decimal in quotes, or a duration for signals in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Threshold {
    /// A whole number in the signal's own unit.
    Whole(i64),
    /// A decimal in the signal's own unit, in millionths.
    Micros(i64),
    /// A length of time; only for signals whose unit is the second.
    Time(Duration),
}

/// Why a text is no threshold or share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {help}")]
pub struct ThresholdError {
    text: String,
    what: &'static str,
    help: &'static str,
}

const THRESHOLD_HELP: &str =
    "write a whole number (10), a decimal in quotes (\"0.95\") or, for signals in seconds, a duration (3s)";
const SHARE_HELP: &str = "write a whole number of targets (1) or a percentage from 0% to 100% (\"51%\")";

// === impl Threshold ===

impl Threshold {
    /// The threshold in millionths of the signal's unit (seconds for a duration); saturates.
    #[must_use]
    pub fn micros(&self) -> i64 {
        match self {
            Self::Whole(value) => value.saturating_mul(1_000_000),
            Self::Micros(value) => *value,
            Self::Time(duration) => i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).saturating_mul(1000),
        }
    }

    /// Whether it was written as a duration.
    #[must_use]
    pub fn is_time(&self) -> bool {
        matches!(self, Self::Time(_))
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse =
            || ThresholdError { text: text.chars().take(40).collect(), what: "threshold", help: THRESHOLD_HELP };
        if let Ok(duration) = text.parse() {
            return Ok(Self::Time(duration));
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(refuse()),
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        let number = |part: &str, most: usize| {
            (part.len() <= most && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
                .then(|| part.parse::<i64>().ok())
                .flatten()
        };
        let whole = number(whole, 12).ok_or_else(refuse)?;
        let sign = if negative { -1 } else { 1 };
        let Some(fraction) = fraction else {
            return Ok(Self::Whole(sign * whole));
        };
        let millionths = number(&format!("{fraction:0<6}"), 6).ok_or_else(refuse)?;
        Ok(Self::Micros(sign * (whole * 1_000_000 + millionths)))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Micros(value) => {
                let sign = if *value < 0 { "-" } else { "" };
                let fraction = format!("{:06}", value.unsigned_abs() % 1_000_000);
                let fraction = match fraction.trim_end_matches('0') {
                    "" => "0",
                    rest => rest,
                };
                write!(f, "{sign}{}.{fraction}", value.unsigned_abs() / 1_000_000)
            }
            Self::Time(duration) => write!(f, "{duration}"),
        }
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(value) => serializer.serialize_i64(*value),
            other => serializer.collect_str(other),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match IntOrText::deserialize(deserializer)? {
            IntOrText::Int(value) => Ok(Self::Whole(value)),
            IntOrText::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Threshold {
    fn schema_name() -> Cow<'static, str> {
        "Threshold".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 20,
            "pattern": "^(-?[0-9]{1,12}([.][0-9]{1,6})?|[1-9][0-9]{0,5}(ms|s|m|h))$",
            "x-kubernetes-validations": [{
                "rule": "string(self).matches('^(-?[0-9]{1,12}([.][0-9]{1,6})?|[1-9][0-9]{0,5}(ms|s|m|h))$')",
                "message": THRESHOLD_HELP,
            }],
        })
    }
}

/// How many of the other targets must be healthy: a whole number, or a percentage of all targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthyShare {
    /// So many targets; never capped.
    Count(u32),
    /// A percentage of all targets, 0 to 100.
    Percent(u8),
}

// === impl HealthyShare ===

impl FromStr for HealthyShare {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_suffix('%')
            .filter(|digits| digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u8>().ok())
            .filter(|percent| *percent <= 100)
            .map(Self::Percent)
            .ok_or_else(|| ThresholdError {
                text: text.chars().take(40).collect(),
                what: "share of the targets",
                help: SHARE_HELP,
            })
    }
}

impl fmt::Display for HealthyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for HealthyShare {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for HealthyShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match IntOrText::deserialize(deserializer)? {
            IntOrText::Int(value) => u32::try_from(value)
                .map(Self::Count)
                .map_err(|_| de::Error::custom(format!("{value} targets: {SHARE_HELP}"))),
            IntOrText::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for HealthyShare {
    fn schema_name() -> Cow<'static, str> {
        "HealthyShare".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 4,
            "pattern": "^(100|[1-9]?[0-9])%$",
            "x-kubernetes-validations": [{
                "rule": "string(self).matches('^([0-9]{1,5}|(100|[1-9]?[0-9])%)$')",
                "message": SHARE_HELP,
            }],
        })
    }
}

/// Kubernetes' int-or-string.
#[derive(Deserialize)]
#[serde(untagged)]
enum IntOrText {
    Int(i64),
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_keep_their_exact_value() {
        for (text, micros) in
            [("10", 10_000_000), ("-3", -3_000_000), ("0.95", 950_000), ("3s", 3_000_000), ("500ms", 500_000)]
        {
            let threshold: Threshold = text.parse().expect(text);
            assert_eq!(threshold.micros(), micros, "{text}");
            assert_eq!(threshold.to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_no_threshold() {
        for text in ["", "NaN", "inf", "1e9", "1.", ".5", "1.1234567", "--1", "0s", "1h1h", "9999999999999"] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_a_count_or_a_percentage() {
        assert_eq!("51%".parse(), Ok(HealthyShare::Percent(51)));
        assert_eq!("0%".parse(), Ok(HealthyShare::Percent(0)));
        for text in ["101%", "51", "-1%", "%", "5.5%"] {
            assert!(text.parse::<HealthyShare>().is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<HealthyShare>("2").unwrap(), HealthyShare::Count(2));
        assert!(serde_json::from_str::<HealthyShare>("-1").is_err());
    }
}
