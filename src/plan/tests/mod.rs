//! The rooms' promises as sentences.

mod causes;
mod guards;
mod ladder;
mod limits;
mod record;
mod rotation;
