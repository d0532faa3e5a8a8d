package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// What media processes ask of and send to each other (docs/decisions/0021-phones.md). Names are those of the bus.
const (
	peerPhones  = "phones"  // who asks gives a user name and gets the phones that are registered here
	peerMessage = "message" // a SIP message that is passed on
	peerWait    = time.Second
	maxAsked    = 8 // processes that are asked for one phone's registrations
)

// peers implements sip.Peers by the bus.
type peers struct {
	node string
	bus  *bus.Bus
	// registered gives the other processes that a phone is registered with, as it is stored.
	registered func(ctx context.Context, username, node string) ([]string, error)
	log        *slog.Logger
}

// Where implements sip.Peers. What is stored says whom to ask; they know whether the phone is still there.
func (p *peers) Where(ctx context.Context, username string) ([]sip.Elsewhere, error) {
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	nodes, err := p.registered(ctx, username, p.node)
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	nodes = nodes[:min(len(nodes), maxAsked)]
	answers, failed := make([][]sip.Elsewhere, len(nodes)), make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() {
			var b []byte
			if b, failed[i] = p.bus.AskPeer(ctx, sip.Mark(node), peerPhones, []byte(username)); failed[i] == nil {
				failed[i] = json.Unmarshal(b, &answers[i])
			}
			if fault.Is(failed[i], fault.NotFound) { // it is gone, and with it the way to the phone
				failed[i] = nil
			}
		})
	}
	wg.Wait()
	var out []sip.Elsewhere
	for i, node := range nodes {
		for _, e := range answers[i] {
			if e.Mark == sip.Mark(node) {
				out = append(out, e)
			}
		}
	}
	if len(out) > 0 {
		if err := errors.Join(failed...); err != nil {
			p.log.Warn("a media process does not say which phones it has", "user", username, "error", err)
		}
		return out, nil
	}
	return nil, errors.Join(failed...)
}

// Send implements sip.Peers.
func (p *peers) Send(mark string, message []byte) error {
	return p.bus.ToPeer(mark, peerMessage, message)
}

// answer serves the other processes.
func (p *peers) answer(ctx context.Context, s *sip.Server) error {
	self := sip.Mark(p.node)
	err := p.bus.ServePeer(ctx, self, peerPhones, func(username []byte) []byte {
		b, err := json.Marshal(s.Here(string(username)))
		if err != nil { // strings, numbers and times
			panic(err)
		}
		return b
	})
	return errors.Join(err, p.bus.ServePeer(ctx, self, peerMessage, func(message []byte) []byte {
		s.Passed(message)
		return nil
	}))
}

var _ sip.Peers = (*peers)(nil)
