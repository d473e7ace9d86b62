//! The rooms' promises as sentences.

mod guards;
mod ladder;
mod record;
mod rotation;
