//! The floor of an epoch that a person begins without the state of whoever signed before.

use super::{Height, Record};

/// Above all that any gate can own while the chain's head is here. `window` is the identity's.
///
/// A gate whose node works on the height after the head owns a window above that. A window that was wider once is in the
/// ceiling of the record, which is let go of in no case.
#[must_use]
pub fn above_head(head: Height, window: u64, record: Option<&Record>) -> Height {
    head.plus(1).plus(window).max(record.map_or(Height(0), Record::bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::{Activation, Epoch};

    #[test]
    fn a_floor_is_above_what_a_gate_owns_and_what_the_record_lets_anybody_sign() {
        assert_eq!(above_head(Height(490), 20, None), Height(511));
        let record = |floor| Record::adopted(Epoch(1), Activation(1), Height(floor));
        assert_eq!(above_head(Height(490), 20, Some(&record(510))), Height(511));
        assert_eq!(above_head(Height(490), 20, Some(&record(700))), Height(700), "a window that was wider");
        assert_eq!(above_head(Height(u64::MAX), 20, None), Height(u64::MAX));
    }
}
