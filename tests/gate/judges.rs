//! Judges for tests. None of them is fit for a real key.

use mainstay::gate::{
    Judge, ProposalRequest, Verdict, VoteRequest,
    privval::{Place, canonical::Signed},
};

/// Signs everything.
pub struct Yes;

impl Judge for Yes {
    fn vote(&mut self, _: &VoteRequest<'_>) -> Verdict {
        Verdict::Sign
    }

    fn proposal(&mut self, _: &ProposalRequest<'_>) -> Verdict {
        Verdict::Sign
    }
}

/// Signs nothing, and remembers what it was asked.
#[derive(Default)]
pub struct No {
    pub asked: Vec<Place>,
    pub sign_bytes: Vec<Vec<u8>>,
}

impl Judge for No {
    fn vote(&mut self, request: &VoteRequest<'_>) -> Verdict {
        self.asked.push(request.place);
        self.sign_bytes.push(request.sign_bytes.to_vec());
        Verdict::Refuse("no".into())
    }

    fn proposal(&mut self, request: &ProposalRequest<'_>) -> Verdict {
        self.asked.push(request.place);
        self.sign_bytes.push(request.sign_bytes.to_vec());
        Verdict::Refuse("no".into())
    }
}

/// Takes everything for what these sign-bytes were about.
pub struct Confused(pub Vec<u8>);

impl Judge for Confused {
    fn vote(&mut self, _: &VoteRequest<'_>) -> Verdict {
        Verdict::SignAgain(self.0.clone())
    }

    fn proposal(&mut self, _: &ProposalRequest<'_>) -> Verdict {
        Verdict::SignAgain(self.0.clone())
    }
}

/// Decides as `CometBFT`'s own file signer, in memory, and refuses with the words it is given.
#[derive(Default)]
pub struct LikeCometBft {
    pub words: String,
    last: Option<(Place, Vec<u8>)>,
}

impl LikeCometBft {
    fn decide(&mut self, place: Place, sign_bytes: &[u8]) -> Verdict {
        if let Some((last, content)) = &self.last {
            if place == *last {
                let (then, now) = (Signed::read(content).unwrap(), Signed::read(sign_bytes).unwrap());
                return match then.says_the_same(&now) {
                    true if then.time == now.time => Verdict::Sign,
                    true => Verdict::SignAgain(content.clone()),
                    false => Verdict::Refuse(self.words.clone()),
                };
            }
            if place < *last {
                return Verdict::Refuse(self.words.clone());
            }
        }
        self.last = Some((place, sign_bytes.to_vec()));
        Verdict::Sign
    }
}

impl Judge for LikeCometBft {
    fn vote(&mut self, request: &VoteRequest<'_>) -> Verdict {
        self.decide(request.place, request.sign_bytes)
    }

    fn proposal(&mut self, request: &ProposalRequest<'_>) -> Verdict {
        self.decide(request.place, request.sign_bytes)
    }
}
