//! Arbiters for tests. None of them is fit for a real key.

use mainstay::gate::{
    Arbiter, ProposalRequest, Ruling, VoteRequest,
    privval::{Place, canonical::Signed},
};

/// Signs everything.
pub struct Yes;

impl Arbiter for Yes {
    fn vote(&mut self, _: &VoteRequest<'_>) -> Ruling {
        Ruling::Sign
    }

    fn proposal(&mut self, _: &ProposalRequest<'_>) -> Ruling {
        Ruling::Sign
    }
}

/// Signs nothing, and remembers what it was asked.
#[derive(Default)]
pub struct No {
    pub asked: Vec<Place>,
    pub sign_bytes: Vec<Vec<u8>>,
}

impl Arbiter for No {
    fn vote(&mut self, request: &VoteRequest<'_>) -> Ruling {
        self.asked.push(request.place);
        self.sign_bytes.push(request.sign_bytes.to_vec());
        Ruling::Refuse("no".into())
    }

    fn proposal(&mut self, request: &ProposalRequest<'_>) -> Ruling {
        self.asked.push(request.place);
        self.sign_bytes.push(request.sign_bytes.to_vec());
        Ruling::Refuse("no".into())
    }
}

/// Takes everything for what these sign-bytes were about.
pub struct Confused(pub Vec<u8>);

impl Arbiter for Confused {
    fn vote(&mut self, _: &VoteRequest<'_>) -> Ruling {
        Ruling::SignAgain(self.0.clone())
    }

    fn proposal(&mut self, _: &ProposalRequest<'_>) -> Ruling {
        Ruling::SignAgain(self.0.clone())
    }
}

/// Decides as `CometBFT`'s own file signer, in memory, and refuses with the words it is given.
#[derive(Default)]
pub struct LikeCometBft {
    pub words: String,
    last: Option<(Place, Vec<u8>)>,
}

impl LikeCometBft {
    fn decide(&mut self, place: Place, sign_bytes: &[u8]) -> Ruling {
        if let Some((last, content)) = &self.last {
            if place == *last {
                let (then, now) = (Signed::read(content).unwrap(), Signed::read(sign_bytes).unwrap());
                return match then.says_the_same(&now) {
                    true if then.time == now.time => Ruling::Sign,
                    true => Ruling::SignAgain(content.clone()),
                    false => Ruling::Refuse(self.words.clone()),
                };
            }
            if place < *last {
                return Ruling::Refuse(self.words.clone());
            }
        }
        self.last = Some((place, sign_bytes.to_vec()));
        Ruling::Sign
    }
}

impl Arbiter for LikeCometBft {
    fn vote(&mut self, request: &VoteRequest<'_>) -> Ruling {
        self.decide(request.place, request.sign_bytes)
    }

    fn proposal(&mut self, request: &ProposalRequest<'_>) -> Ruling {
        self.decide(request.place, request.sign_bytes)
    }
}
