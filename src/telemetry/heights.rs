//! Blocks at heights that the network asks for: each is told once.

/// Heights of which a node's block was told, or is known not to be had.
#[derive(Clone, Debug, Default)]
pub(super) struct Heights(Vec<u64>);

impl Heights {
    /// Nothing was told yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The heights that are still to be told by a node with this head. Those that nobody asks for any more are forgotten.
    pub fn due(&mut self, asks: &[u64], head: u64) -> Vec<u64> {
        self.0.retain(|height| asks.contains(height));
        asks.iter().copied().filter(|height| *height <= head && !self.0.contains(height)).collect()
    }

    /// This one needs no asking any more.
    pub fn settle(&mut self, height: u64) {
        self.0.push(height);
    }

    /// The node was lost: another may have taken its place.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_height_is_due_until_it_is_settled() {
        let mut heights = Heights::new();
        assert_eq!(heights.due(&[10, 20, 30], 25), [10, 20]);
        heights.settle(10);
        assert_eq!(heights.due(&[10, 20, 30], 25), [20]);
        assert_eq!(heights.due(&[20], 25), [20]);
        assert_eq!(heights.due(&[10, 20], 25), [10, 20], "nobody asked for it in between");
    }
}
