//! Failing over a validator of a real chain: its key moves between two members, and no height is ever signed by both.
//!
//! `switch` and `ladder` move a validator of one's own, on a cluster of any kind. The rest needs two nodes: what fails here are
//! machines. The oracle is the union of the gates' logs, and every write of the record is played again. `handovers` has no gates:
//! there it is the nodes' own logs, and who had the key when.

mod conformance;
mod frozen;
mod group;
mod keys;
mod ladder;
mod members;
mod oracle;
mod shape;
mod switch;

mod everyday;
mod handovers;
mod machines;
mod naive;
mod picture;
mod records;
mod story;
mod times;
mod view;
