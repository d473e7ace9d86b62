//! A node's end of the whole gate: what it asks, in bytes, and what the signatures are for that it gets.

use std::collections::BTreeMap;

use mainstay::gate::{
    Arbiter,
    frame::Broken,
    privval::{
        Place, Proposal, Vote, canonical,
        message::{PRECOMMIT, PREVOTE, PROPOSAL},
        reply,
        wire::{Fields, put_bytes, put_delimited, put_int, put_message},
    },
};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::{CHAIN, key, messages, talk};

/// What a node asks to have signed.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub kind: i32,
    pub height: i64,
    pub round: i32,
    /// Every byte of the block's hash; a vote for nil without it.
    pub block: Option<u8>,
    pub seconds: i64,
}

/// A prevote for a block.
pub const fn prevote(height: i64, block: u8) -> Ask {
    Ask { kind: PREVOTE, height, round: 0, block: Some(block), seconds: 1_000 }
}

impl Ask {
    /// The request as it travels, with an extension of so many bytes.
    pub fn extended(&self, extension: usize) -> Vec<u8> {
        let (of_proposal, mut content, mut time) = (self.kind == PROPOSAL, Vec::new(), Vec::new());
        put_int(&mut time, 1, self.seconds);
        put_int(&mut content, 1, self.kind.into());
        put_int(&mut content, 2, self.height);
        put_int(&mut content, 3, self.round.into());
        if of_proposal {
            put_int(&mut content, 4, -1);
        }
        put_message(&mut content, if of_proposal { 5 } else { 4 }, &self.block.map_or_else(Vec::new, block));
        put_message(&mut content, if of_proposal { 6 } else { 5 }, &time);
        if !of_proposal {
            put_bytes(&mut content, 6, &[7; 20]);
            put_bytes(&mut content, 9, &vec![8; extension]);
        }
        let (mut body, mut message, mut frame) = (Vec::new(), Vec::new(), Vec::new());
        put_message(&mut body, 1, &content);
        put_bytes(&mut body, 2, CHAIN.as_bytes());
        put_message(&mut message, if of_proposal { 5 } else { 3 }, &body);
        put_delimited(&mut frame, &message);
        frame
    }

    /// The request as it travels.
    pub fn frame(&self) -> Vec<u8> {
        self.extended(0)
    }
}

fn block(byte: u8) -> Vec<u8> {
    let (mut parts, mut block) = (Vec::new(), Vec::new());
    put_int(&mut parts, 1, 1);
    put_bytes(&mut parts, 2, &[byte; 32]);
    put_bytes(&mut block, 1, &[byte; 32]);
    put_message(&mut block, 2, &parts);
    block
}

/// Every kind of thing that is signed, in the order in which it is.
pub const KINDS: [i32; 3] = [PROPOSAL, PREVOTE, PRECOMMIT];

/// All that a key has ever signed, seen from outside: the bytes, by place.
#[derive(Clone, Debug, Default)]
pub struct Signatures(BTreeMap<Place, Vec<u8>>);

impl Signatures {
    /// What the gate answers to all that is said to it, and how that ends. Every signature in it is looked at.
    pub fn hear(&mut self, said: &[u8], arbiter: &mut impl Arbiter) -> Result<(usize, usize), Broken> {
        let (answers, ended, _) = talk(said, arbiter);
        let (mut signed, mut others) = (0, 0);
        for message in messages(&answers) {
            assert!(message.len() <= reply::LONGEST);
            if self.read(message) {
                signed += 1;
            } else {
                others += 1;
            }
        }
        ended.map(|()| (signed, others))
    }

    /// Whether an answer is a signature; one that contradicts an earlier one is the end.
    pub fn read(&mut self, message: &[u8]) -> bool {
        let answer = Fields::of(message).read().unwrap().unwrap();
        let (mut content, mut refused) = (None, false);
        if matches!(answer.number, 4 | 6) {
            let mut body = Fields::of(answer.bytes().unwrap());
            while let Some(field) = body.read().unwrap() {
                match field.number {
                    1 => content = Some(field.bytes().unwrap()),
                    _ => refused = true,
                }
            }
        }
        let Some(content) = content.filter(|_| !refused) else { return false };
        let (sign_bytes, signature) = if answer.number == 4 {
            let vote = Vote::read(content).unwrap();
            (canonical::vote(CHAIN, &vote), vote.signature)
        } else {
            let proposal = Proposal::read(content).unwrap();
            (canonical::proposal(CHAIN, &proposal), proposal.signature)
        };
        UnparsedPublicKey::new(&ED25519, *key().public()).verify(&sign_bytes, signature).unwrap();
        let place = canonical::Signed::read(&sign_bytes).unwrap().place;
        let before = self.0.entry(place).or_insert_with(|| sign_bytes.clone());
        assert_eq!(*before, sign_bytes, "signed twice at {place:?}");
        true
    }

    /// Where something was signed, in order.
    pub fn places(&self) -> Vec<Place> {
        self.0.keys().copied().collect()
    }
}
