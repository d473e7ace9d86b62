//! Numbers as strangers write them. 64-bit integers never pass through a float.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

use super::ask::Trouble;
use crate::signal::{Unit, Unknown, Value, Wall};

/// A non-negative int64 the way Go's JSON writes it: decimal digits in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal(pub u64);

/// An unsigned integer the way Ethereum writes it: `0x` and hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hex(pub u64);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decimal(&text)
            .map(Self)
            .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &"a non-negative 64-bit integer"))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex(&text)
            .map(Self)
            .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &"0x and up to 16 digits"))
    }
}

/// A non-negative int64 in decimal digits.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse::<i64>().ok()).flatten().and_then(|value| u64::try_from(value).ok())
}

/// An unsigned integer of up to 64 bits in hexadecimal digits after `0x`.
pub(super) fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").filter(|digits| (1..=16).contains(&digits.len()))?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// An unsigned integer of up to 256 bits in hexadecimal digits after `0x`, as long as it fits into 128.
pub(super) fn wide_hex(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x").filter(|digits| (1..=64).contains(&digits.len()))?;
    let significant = digits.trim_start_matches('0');
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || significant.len() > 32 {
        return None;
    }
    if significant.is_empty() { Some(0) } else { u128::from_str_radix(significant, 16).ok() }
}

/// An amount in the smallest unit as whole coins with so many decimal places, in millionths.
pub(super) fn coins(smallest: u128, decimals: u32) -> Option<Value> {
    let micros = if decimals >= 6 {
        smallest / 10_u128.checked_pow(decimals - 6)?
    } else {
        smallest.checked_mul(10_u128.checked_pow(6 - decimals)?)?
    };
    i64::try_from(micros).ok().map(Value::Micros)
}

/// A number of a page of metrics or of a JSON document as a value of some unit. T05 to T07: what is no number, not
/// finite, or negative where that cannot be, is not known.
pub fn value(number: f64, unit: Unit) -> Result<Value, Unknown> {
    // The form with an exponent: the other writes all three hundred digits of 1e300.
    let refuse = |why: &str| Err(Unknown::Invalid(format!("{number:?} is {why}")));
    if number.is_nan() {
        return refuse("no number");
    }
    if number.is_infinite() {
        return refuse("not finite");
    }
    if unit.is_whole() {
        // Up to here a float counts exactly.
        const MOST: f64 = 9_007_199_254_740_992.0;
        if number < 0.0 {
            return refuse("negative");
        }
        if number.fract() != 0.0 || number > MOST {
            return refuse("not a whole number that is exact");
        }
        if unit == Unit::Flag && number > 1.0 {
            return refuse("neither 0 nor 1");
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        return Ok(Value::Whole(number as u64));
    }
    if matches!(unit, Unit::Ratio | Unit::PerSecond | Unit::Coins) && number < 0.0 {
        return refuse("negative");
    }
    let micros = (number * 1e6).round();
    if micros.abs() > 9e18 {
        return refuse("out of range");
    }
    #[expect(clippy::cast_possible_truncation)]
    Ok(Value::Micros(micros as i64))
}

/// A time as RFC 3339 writes it, in millionths of a second since the Unix epoch. A node without a block yet reports
/// year 1, Go's zero time: that is no time of a block.
pub(super) fn time(text: &str) -> Result<i64, Trouble> {
    let time: Timestamp = text.parse().map_err(|_| Trouble::invalid(&format!("not a time: {text}")))?;
    if time.as_second() <= 0 {
        return Err(Trouble::invalid(&format!("no time of a block: {text}")));
    }
    Ok(time.as_microsecond())
}

/// Now minus a time in millionths of a second since the Unix epoch; negative when it is from our future.
pub(super) fn since(micros: i64, wall: Wall) -> Result<Value, Unknown> {
    let now = wall.0.checked_mul(1000);
    let since = now.and_then(|now| now.checked_sub(micros));
    since.map(Value::Micros).ok_or_else(|| Unknown::Invalid("time out of range".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_or_nothing() {
        assert_eq!(decimal("9223372036854775807"), Some(9_223_372_036_854_775_807));
        assert_eq!(hex("0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(wide_hex(&format!("0x{:064x}", 7)), Some(7));
        for refused in ["", "-1", "+1", "1.0", " 1", "9223372036854775808", "1e3"] {
            assert_eq!(decimal(refused), None, "{refused}");
        }
        for refused in ["", "0x", "17", "0xg", "0x+1", "0x00000000000000001"] {
            assert_eq!(hex(refused), None, "{refused}");
        }
        assert_eq!(wide_hex(&format!("0x{}", "f".repeat(64))), None);
    }

    #[test]
    fn coins_have_their_decimals() {
        assert_eq!(coins(1_500_000, 6), Some(Value::Micros(1_500_000)));
        assert_eq!(coins(1_500_000_000_000_000_000, 18), Some(Value::Micros(1_500_000)));
        assert_eq!(coins(15, 1), Some(Value::Micros(1_500_000)));
        assert_eq!(coins(u128::MAX, 6), None);
    }

    /// T05, T06, T07
    #[test]
    fn what_is_no_number_is_not_known() {
        for (number, unit) in [
            (f64::NAN, Unit::Number),
            (f64::INFINITY, Unit::Seconds),
            (f64::NEG_INFINITY, Unit::Count),
            (-1.0, Unit::Count),
            (1.5, Unit::Height),
            (2.0, Unit::Flag),
            (-0.1, Unit::Ratio),
            (1e300, Unit::Number),
            (1e17, Unit::Height),
        ] {
            let Err(Unknown::Invalid(why)) = value(number, unit) else { panic!("{number} {unit:?}") };
            assert!(why.len() < 60, "{why}");
        }
        assert_eq!(value(-0.0, Unit::Count), Ok(Value::Whole(0)));
        assert_eq!(value(-2.5, Unit::Seconds), Ok(Value::Micros(-2_500_000)));
    }
}
