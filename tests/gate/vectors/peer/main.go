// A node's side of the signer's socket: CometBFT's own listener and client, on the socket that is named. It asks for the
// key, for signatures, and again, checks what it is answered as the consensus would, and says how long that took.
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

const (
	chain  = "mainstay-1"
	rounds = 2000
)

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	must(err)
	endpoint := privval.NewSignerListenerEndpoint(log.NewNopLogger(), privval.NewUnixListener(listener))
	client, err := privval.NewSignerClient(endpoint, chain)
	must(err)
	must(client.WaitForConnection(3 * time.Second))
	key, err := client.GetPubKey()
	must(err)
	must(client.Ping())

	begun := time.Now()
	for height := int64(1); height <= rounds; height++ {
		sign(client, key, height, nil)
	}
	each := time.Since(begun) / rounds

	// The largest extension that has been seen, and a proposal.
	sign(client, key, rounds+1, bytes.Repeat([]byte{7}, 900_000))
	proposal := types.NewProposal(rounds+2, 1, -1, block())
	sent := proposal.ToProto()
	must(client.SignProposal(chain, sent))
	proposal.Signature = sent.Signature
	must(proposal.ValidateBasic())
	if !key.VerifySignature(types.ProposalSignBytes(chain, sent), sent.Signature) {
		panic("the proposal's signature is wrong")
	}

	// A refusal, after which the next request is answered.
	old := vote(key, 1)
	_, err = types.SignAndCheckVote(old, client, chain, true)
	if err == nil {
		panic("an old vote was signed")
	}
	fmt.Println("refused:", err)
	must(client.Ping())
	sign(client, key, rounds+3, nil)

	// A connection that the node drops is dialled anew.
	endpoint.DropConnection()
	sign(client, key, rounds+4, nil)
	fmt.Println("each:", each)
}

func sign(client *privval.SignerClient, key crypto.PubKey, height int64, extension []byte) {
	vote := vote(key, height)
	vote.Extension = extension
	recoverable, err := types.SignAndCheckVote(vote, client, chain, true)
	if err != nil || !recoverable {
		panic(err)
	}
	must(vote.ValidateBasic())
	must(vote.EnsureExtension())
	must(vote.VerifyVoteAndExtension(chain, key))
}

func vote(key crypto.PubKey, height int64) *types.Vote {
	return &types.Vote{
		Type: cmtproto.PrecommitType, Height: height, BlockID: block(), Timestamp: time.Now(),
		ValidatorAddress: key.Address(),
	}
}

func block() types.BlockID {
	hash := bytes.Repeat([]byte{1}, 32)
	return types.BlockID{Hash: hash, PartSetHeader: types.PartSetHeader{Total: 1, Hash: hash}}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
