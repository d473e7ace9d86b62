//! Mainstay: a self-healing controller for blockchain infrastructure.

pub mod api;
