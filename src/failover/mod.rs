//! PURE. Failing over a signer: the life of one signing identity, and what its gate signs.
//!
//! For one consensus key, every signature at a height is made by the one epoch that owns the height. The [`Record`] says
//! which epoch owns what, and is only ever written with the resourceVersion that its writer read. [`step`] moves it from
//! holder to holder; [`gate`] is the signer's side of it. Two processes may be alive, paused, cut off or restored from
//! a backup: they cannot own the same height.
//!
//! What is missing is waited for. Waiting costs little and late, a second signature costs the key.
//!
//! `tests/failover` has a model checker try every order of what can happen over these very functions, and shows for
//! each sentence here that begins with "only", "never" or "first" what happens without it.

mod floor;
pub mod gate;
mod group;
mod hold;
pub mod latch;
mod machine;
mod name;
pub mod off;
pub mod orders;
mod record;
mod wire;

pub use floor::above_head;
pub use group::mismatch;
pub use hold::{ANSWER, LONGEST, PAUSE, SHORTEST, STOP, Timing};
pub use machine::{Effect, Event, PATIENCE, Share, step};
pub use name::{identity_name, plain_name, split};
pub use record::{
    Activation, Boot, Carried, Epoch, HandOver, Height, Held, Holder, Missing, Phase, Pod, Progress, Proof,
    Record, Shut, Tenure,
};
pub use wire::Unreadable;

#[cfg(test)]
mod tests;
