//! Failing over a validator of a real chain: its key moves between two members, and no height is ever signed by both.

mod members;
mod oracle;
mod switch;
