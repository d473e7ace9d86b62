//! Elections: by hand, at random, and through the real client against a small API server.

mod random;
mod server;
mod transitions;
