//! Mainstay: a self-healing controller for blockchain infrastructure.

pub mod config;
pub mod lead;
pub mod notify;
pub mod serve;
