//! The rooms' promises as sentences.

mod guards;
mod ladder;
mod limits;
mod record;
mod rotation;
