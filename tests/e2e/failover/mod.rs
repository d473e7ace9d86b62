//! Failing over a signer on two nodes, with real gates on a real chain. The oracle is the union of the gates' logs,
//! and every write of the record is played again.

mod conformance;
mod group;
mod oracle;

mod planned;
