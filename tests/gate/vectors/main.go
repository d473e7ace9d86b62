// Makes the vectors of this folder with CometBFT's own code: what it signs, what it sends and what it answers.
// See README.md. The same run gives the same files, byte for byte.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/protoio"
	"github.com/cometbft/cometbft/privval"
	pb "github.com/cometbft/cometbft/proto/tendermint/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

const chain = "mainstay-1"

// Made of a word, and so no secret.
var key = ed25519.GenPrivKeyFromSecret([]byte("a key that everybody knows"))

type object = map[string]any

func main() {
	write("canonical.json", canonical())
	write("exchanges.json", exchanges())
	write("files.json", files())
	write("mutants.json", mutants())
	must(os.RemoveAll(folder))
}

// canonical: votes and proposals as they travel, and what is signed of them.
func canonical() object {
	votes := []object{}
	for _, v := range someVotes() {
		votes = append(votes, object{
			"name": v.name, "chain": v.chain, "message": encoded(&v.vote),
			"sign_bytes":           text(types.VoteSignBytes(v.chain, &v.vote)),
			"extension_sign_bytes": text(types.VoteExtensionSignBytes(v.chain, &v.vote)),
		})
	}
	proposals := []object{}
	for _, p := range someProposals() {
		proposals = append(proposals, object{
			"name": p.name, "chain": p.chain, "message": encoded(&p.proposal),
			"sign_bytes": text(types.ProposalSignBytes(p.chain, &p.proposal)),
		})
	}
	// Messages that CometBFT reads and does not write: what it takes for absent fields is what it signs.
	for name, bare := range map[string]string{
		"nothing at all": "", "an empty time": "2a00", "an empty block": "2200", "an empty header of parts": "22021200",
		"a field of tomorrow": "0801" + "7a03010203" + "1005",
	} {
		var vote cmtproto.Vote
		must(vote.Unmarshal(unhex(bare)))
		votes = append(votes, object{
			"name": name, "chain": chain, "message": bare,
			"sign_bytes":           text(types.VoteSignBytes(chain, &vote)),
			"extension_sign_bytes": text(types.VoteExtensionSignBytes(chain, &vote)),
		})
	}
	sortByName(votes)
	return object{"votes": votes, "proposals": proposals}
}

// exchanges: whole frames. Each request is put to CometBFT's own file signer through its own handler.
func exchanges() object {
	all := []object{}
	ask := func(name string, pv types.PrivValidator, request pb.Message) {
		asked := frame(&request)
		answer, err := privval.DefaultValidationRequestHandler(pv, request, chain)
		refused := ""
		if err != nil {
			refused = err.Error()
		}
		// Our answers carry no extension: the node has it, and reads no more than 10 KiB.
		if signed := answer.GetSignedVoteResponse(); signed != nil {
			signed.Vote.Extension = nil
		}
		all = append(all, object{"name": name, "request": asked, "answer": frame(&answer), "refused": refused})
	}
	anew := func() types.PrivValidator {
		return privval.NewFilePV(key, scratch("key"), scratch("state"))
	}
	ask("the key", anew(), wrap(&pb.PubKeyRequest{ChainId: chain}))
	ask("the key of another chain", anew(), wrap(&pb.PubKeyRequest{ChainId: "another-1"}))
	ask("a ping", anew(), wrap(&pb.PingRequest{}))
	for _, v := range someVotes() {
		if v.chain == chain {
			vote := v.vote
			ask("vote: "+v.name, anew(), wrap(&pb.SignVoteRequest{Vote: &vote, ChainId: chain}))
		}
	}
	for _, p := range someProposals() {
		if p.chain == chain {
			proposal := p.proposal
			ask("proposal: "+p.name, anew(), wrap(&pb.SignProposalRequest{Proposal: &proposal, ChainId: chain}))
		}
	}
	vote := someVotes()[0].vote
	ask("a vote on another chain", anew(), wrap(&pb.SignVoteRequest{Vote: &vote, ChainId: "another-1"}))
	proposal := someProposals()[0].proposal
	ask("a proposal on another chain", anew(), wrap(&pb.SignProposalRequest{Proposal: &proposal, ChainId: "another-1"}))

	// A life of one signer: what is asked again, and what it answers then.
	pv := anew()
	all = append(all, object{"name": "", "life": true})
	at := func(height int64, kind cmtproto.SignedMsgType, seconds int64, block byte) pb.Message {
		vote := aVote(kind, height, 0, blockID(block))
		vote.Timestamp = time.Unix(1_700_000_000+seconds, 7).UTC()
		return wrap(&pb.SignVoteRequest{Vote: &vote, ChainId: chain})
	}
	ask("first", pv, at(10, cmtproto.PrevoteType, 0, 1))
	ask("the same again", pv, at(10, cmtproto.PrevoteType, 0, 1))
	ask("the same later", pv, at(10, cmtproto.PrevoteType, 5, 1))
	ask("the same earlier", pv, at(10, cmtproto.PrevoteType, -5, 1))
	ask("another block", pv, at(10, cmtproto.PrevoteType, 0, 2))
	ask("nil instead", pv, at(10, cmtproto.PrevoteType, 0, 0))
	ask("the next step", pv, at(10, cmtproto.PrecommitType, 6, 1))
	ask("the next step later", pv, at(10, cmtproto.PrecommitType, 9, 1))
	ask("the step before", pv, at(10, cmtproto.PrevoteType, 0, 1))
	ask("the height before", pv, at(9, cmtproto.PrecommitType, 0, 1))
	ask("the next height", pv, at(11, cmtproto.PrevoteType, 0, 1))
	return object{
		"chain": chain, "key": text(key.Bytes()), "public": text(key.PubKey().Bytes()), "exchanges": all,
	}
}

// files: the two files of a node, new and after a signature.
func files() object {
	keyFile, stateFile := scratch("priv_validator_key.json"), scratch("priv_validator_state.json")
	pv := privval.NewFilePV(key, keyFile, stateFile)
	pv.Save()
	found := object{"key": read(keyFile), "new_state": read(stateFile), "address": pv.GetAddress().String()}
	vote := aVote(cmtproto.PrecommitType, 36, 2, blockID(1))
	must(pv.SignVote(chain, &vote))
	found["state_after_precommit"] = read(stateFile)
	proposal := aProposal(37, 0, -1, blockID(2))
	must(pv.SignProposal(chain, &proposal))
	found["state_after_proposal"] = read(stateFile)
	return found
}

// mutants: broken votes and proposals, and what CometBFT would sign of those that it still takes.
func mutants() object {
	dice := rand.New(rand.NewSource(38))
	votes, proposals := [][]string{}, [][]string{}
	for len(votes) < 300 {
		vote := someVotes()[dice.Intn(8)].vote
		broken := mutate(dice, unhex(encoded(&vote)))
		votes = append(votes, []string{text(broken), signed(func() []byte {
			var vote cmtproto.Vote
			must(vote.Unmarshal(broken))
			return types.VoteSignBytes(chain, &vote)
		})})
	}
	for len(proposals) < 200 {
		proposal := someProposals()[dice.Intn(4)].proposal
		broken := mutate(dice, unhex(encoded(&proposal)))
		proposals = append(proposals, []string{text(broken), signed(func() []byte {
			var proposal cmtproto.Proposal
			must(proposal.Unmarshal(broken))
			return types.ProposalSignBytes(chain, &proposal)
		})})
	}
	return object{"chain": chain, "votes": votes, "proposals": proposals}
}

func mutate(dice *rand.Rand, message []byte) []byte {
	message = bytes.Clone(message)
	for range 1 + dice.Intn(2) {
		at := dice.Intn(len(message))
		switch dice.Intn(6) {
		case 0:
			message[at] ^= 1 << dice.Intn(8)
		case 1:
			message[at] = byte(dice.Intn(256))
		case 2:
			message = append(message[:at], append([]byte{byte(dice.Intn(256))}, message[at:]...)...)
		case 3:
			message = append(message[:at], message[at+1:]...)
		case 4:
			// Tags are small, and near the beginning most of them are.
			message[dice.Intn(min(len(message), 20))] = byte(dice.Intn(96))
		case 5:
			// A field of the end, again or new.
			field := [][]byte{{0x08, 1}, {0x10, 9}, {0x18, 4}, {0x2a, 2, 0x10, 5}, {0x7a, 1, 0}, {0x18, 0xff, 0xff, 0xff, 0xff, 0x1f}}
			message = append(message, field[dice.Intn(len(field))]...)
		}
	}
	return message
}

// signed is what sign gives, or nothing if it fails.
func signed(sign func() []byte) (found string) {
	defer func() {
		if recover() != nil {
			found = ""
		}
	}()
	return text(sign())
}

type namedVote struct {
	name, chain string
	vote        cmtproto.Vote
}

func someVotes() []namedVote {
	const prevote, precommit = cmtproto.PrevoteType, cmtproto.PrecommitType
	extended := aVote(precommit, 81_204, 0, blockID(1))
	extended.Extension = []byte("an extension")
	longer := aVote(precommit, 81_204, 0, blockID(1))
	longer.Extension = bytes.Repeat([]byte{0xa5}, 300)
	atTime := func(when time.Time) cmtproto.Vote {
		vote := aVote(prevote, 81_204, 0, blockID(1))
		vote.Timestamp = when
		return vote
	}
	noTime := aVote(prevote, 81_204, 0, blockID(1))
	noTime.Timestamp = time.Time{}
	return []namedVote{
		{"a prevote", chain, aVote(prevote, 81_204, 0, blockID(1))},
		{"a prevote for nil", chain, aVote(prevote, 81_204, 0, cmtproto.BlockID{})},
		{"a precommit", chain, aVote(precommit, 81_204, 0, blockID(1))},
		{"a precommit for nil", chain, aVote(precommit, 81_204, 0, cmtproto.BlockID{})},
		{"a precommit with an extension", chain, extended},
		{"a later round", chain, aVote(precommit, 81_204, 3, blockID(2))},
		{"the last round", chain, aVote(prevote, 81_204, math.MaxInt32, blockID(2))},
		{"a high height", chain, aVote(precommit, 1<<62, 1, blockID(3))},
		{"the last height", chain, aVote(precommit, math.MaxInt64, 1, blockID(3))},
		{"the first height", chain, aVote(prevote, 1, 0, blockID(3))},
		{"a precommit with a longer extension", chain, longer},
		{"whole seconds", chain, atTime(time.Unix(1_700_000_000, 0).UTC())},
		{"one nanosecond", chain, atTime(time.Unix(0, 1).UTC())},
		{"the beginning of 1970", chain, atTime(time.Unix(0, 0).UTC())},
		{"before 1970", chain, atTime(time.Unix(-1, 999_999_999).UTC())},
		{"the last moment", chain, atTime(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC))},
		{"Go's zero", chain, noTime},
		// What nobody signs has sign-bytes, too. Only they are compared.
		{"height zero", "x", aVote(prevote, 0, 0, blockID(3))},
		{"a negative height", "x", aVote(prevote, -1, -1, blockID(3))},
		{"no type", "x", aVote(0, 5, 0, blockID(3))},
		{"a long name of a chain", strings.Repeat("c", 50), aVote(prevote, 5, 0, blockID(3))},
		{"a name that is not ASCII", "kette-größer-1", aVote(prevote, 5, 0, blockID(3))},
		{"no chain", "", aVote(prevote, 5, 0, blockID(3))},
		{"half a block", "x", aVote(prevote, 5, 0, cmtproto.BlockID{Hash: bytes.Repeat([]byte{4}, 32)})},
		{"only parts", "x", aVote(prevote, 5, 0, cmtproto.BlockID{PartSetHeader: blockID(4).PartSetHeader})},
	}
}

type namedProposal struct {
	name, chain string
	proposal    cmtproto.Proposal
}

func someProposals() []namedProposal {
	return []namedProposal{
		{"a proposal", chain, aProposal(81_204, 0, -1, blockID(1))},
		{"locked in round 0", chain, aProposal(81_204, 1, 0, blockID(1))},
		{"locked in round 3", chain, aProposal(81_204, 5, 3, blockID(1))},
		{"a high height", chain, aProposal(1<<62, 0, -1, blockID(2))},
		{"the last height", chain, aProposal(math.MaxInt64, math.MaxInt32, math.MaxInt32, blockID(2))},
		{"the first height", chain, aProposal(1, 0, -1, blockID(2))},
		{"no block", "x", aProposal(81_204, 0, -1, cmtproto.BlockID{})},
		{"height zero", "x", aProposal(0, 0, -1, blockID(2))},
		{"a negative height", "x", aProposal(math.MinInt64, math.MinInt32, math.MinInt32, blockID(2))},
		{"a long name of a chain", strings.Repeat("c", 50), aProposal(5, 0, -1, blockID(2))},
	}
}

func aVote(kind cmtproto.SignedMsgType, height int64, round int32, block cmtproto.BlockID) cmtproto.Vote {
	return cmtproto.Vote{
		Type: kind, Height: height, Round: round, BlockID: block,
		Timestamp:        time.Unix(1_700_000_000, 123_456_789).UTC(),
		ValidatorAddress: key.PubKey().Address(), ValidatorIndex: 3,
	}
}

func aProposal(height int64, round, polRound int32, block cmtproto.BlockID) cmtproto.Proposal {
	return cmtproto.Proposal{
		Type: cmtproto.ProposalType, Height: height, Round: round, PolRound: polRound, BlockID: block,
		Timestamp: time.Unix(1_700_000_000, 123_456_789).UTC(),
	}
}

// blockID is a block of no content; the one with number 0 is nil.
func blockID(number byte) cmtproto.BlockID {
	if number == 0 {
		return cmtproto.BlockID{}
	}
	return cmtproto.BlockID{
		Hash:          bytes.Repeat([]byte{number}, 32),
		PartSetHeader: cmtproto.PartSetHeader{Total: 256 * uint32(number), Hash: bytes.Repeat([]byte{0x80 + number}, 32)},
	}
}

func wrap(content any) (message pb.Message) {
	switch content := content.(type) {
	case *pb.PubKeyRequest:
		message.Sum = &pb.Message_PubKeyRequest{PubKeyRequest: content}
	case *pb.PingRequest:
		message.Sum = &pb.Message_PingRequest{PingRequest: content}
	case *pb.SignVoteRequest:
		message.Sum = &pb.Message_SignVoteRequest{SignVoteRequest: content}
	case *pb.SignProposalRequest:
		message.Sum = &pb.Message_SignProposalRequest{SignProposalRequest: content}
	}
	return message
}

func frame(message *pb.Message) string {
	framed, err := protoio.MarshalDelimited(message)
	must(err)
	return text(framed)
}

func encoded(message interface{ Marshal() ([]byte, error) }) string {
	plain, err := message.Marshal()
	must(err)
	return text(plain)
}

func sortByName(all []object) {
	for i := range all {
		for j := i; j > 0 && all[j]["name"].(string) < all[j-1]["name"].(string); j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
}

var folder = func() string {
	made, err := os.MkdirTemp("", "vectors")
	must(err)
	return made
}()

func scratch(name string) string {
	made, err := os.MkdirTemp(folder, "")
	must(err)
	return filepath.Join(made, name)
}

func read(file string) string {
	content, err := os.ReadFile(file)
	must(err)
	return string(content)
}

func write(name string, content object) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	must(encoder.Encode(content))
	must(os.WriteFile(name, out.Bytes(), 0o644))
	fmt.Println(name, out.Len())
}

func text(content []byte) string { return hex.EncodeToString(content) }

func unhex(content string) []byte {
	plain, err := hex.DecodeString(content)
	must(err)
	return plain
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
