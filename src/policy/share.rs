//! How many of the others must be healthy before one target may be helped.

use crate::api::HealthyShare;

/// How many of the *other* targets must be healthy, when a policy has `targets` targets in all.
///
/// A percentage p means min(ceil(p·n), n−1): a small set can always be helped while its others are well. A number
/// is taken as it is, so it can also forbid every action. `targets` counts unknown and opted-out ones too.
#[must_use]
pub fn required_healthy(share: HealthyShare, targets: u32) -> u32 {
    match share {
        HealthyShare::Count(count) => count,
        HealthyShare::Percent(percent) => {
            let exact = (u64::from(percent) * u64::from(targets)).div_ceil(100);
            u32::try_from(exact).unwrap_or(u32::MAX).min(targets.saturating_sub(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(share: &str) -> [u32; 7] {
        let share = serde_json::from_value(serde_json::json!(share)).unwrap();
        std::array::from_fn(|index| required_healthy(share, u32::try_from(index).unwrap() + 1))
    }

    #[test]
    fn a_small_set_can_be_helped_while_its_others_are_well() {
        assert_eq!(table("51%"), [0, 1, 2, 3, 3, 4, 4]);
        assert_eq!(table("100%"), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(table("0%"), [0; 7]);
        assert_eq!(table("1%"), [0, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_number_is_never_capped() {
        for targets in 0..8 {
            assert_eq!(required_healthy(HealthyShare::Count(5), targets), 5);
        }
    }

    #[test]
    fn the_ends_do_not_overflow() {
        assert_eq!(required_healthy(HealthyShare::Percent(51), 0), 0);
        assert_eq!(required_healthy(HealthyShare::Percent(255), u32::MAX), u32::MAX - 1);
    }
}
