pub mod clients;
pub mod observe;
pub mod watch;
