//! The rooms' promises as sentences.

mod approval;
mod causes;
mod failover;
mod guards;
mod job;
mod ladder;
mod limits;
mod record;
mod rotation;
mod vantage;
