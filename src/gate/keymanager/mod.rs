//! `mainstay gate --keymanager URL`: for Ethereum validator clients. The client runs all the time; its key is in it only while
//! this member holds the place. The protocol is that of a launcher (`failover::gate::launch`): what is started and ended is not
//! a command but the key's stay in the client.
//!
//! [`api`] is the Eth2 Keymanager API, [`export`] what it knows of its signatures, kept
//! on a disk, [`leave`] how the key is taken away, and [`post`] all of it together.
//!
//! A key that was deleted comes back when the client finds it in its own folders at the next start, which has cost others a
//! slashing. So a deletion alone is no end: the client is ended as well, and only a new process that lists the key no more is
//! taken for proof. Without that the pod itself has to end.

pub mod api;
pub mod export;
mod leave;
mod options;
pub mod post;
