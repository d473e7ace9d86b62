//! How many of the other targets must be healthy.

use crate::api::HealthyShare;

/// Required healthy targets among the *other* ones of `targets` in all.
///
/// A percentage p of n targets means min(ceil(p·n), n−1): a small set can always be helped while its others are
/// well. A count is taken as it is.
#[must_use]
pub fn required_healthy(share: HealthyShare, targets: u32) -> u32 {
    match share {
        HealthyShare::Count(count) => count,
        HealthyShare::Percent(percent) => {
            let wanted = (u64::from(percent) * u64::from(targets)).div_ceil(100);
            u32::try_from(wanted).unwrap_or(u32::MAX).min(targets.saturating_sub(1))
        }
    }
}
