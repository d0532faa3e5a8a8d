package sip

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"
)

// Timers of RFC 3261 section 17 (table 4).
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
	t4 = 5 * time.Second
	// txLife is 64*T1: how long a request may stay unanswered (timers B, F, H) and how long an answered one is
	// remembered (timers D, J, L, M).
	txLife = 64 * t1
)

// txKey names a transaction (RFC 3261 sections 17.1.3 and 17.2.3).
type txKey struct{ branch, sentBy, method string }

const branchMagic = "z9hG4bK" // RFC 3261 section 8.1.1.7

// serverKey makes the key a request is matched by. ACK belongs to the INVITE it answers.
func serverKey(req *sipmsg.Request) txKey {
	method := string(req.Method)
	if req.Method == sipmsg.ACK {
		method = string(sipmsg.INVITE)
	}
	via := req.Via()
	branch, _ := via.Params.Get("branch")
	if len(branch) > len(branchMagic) && branch[:len(branchMagic)] == branchMagic {
		return txKey{branch, via.SentBy(), method}
	}
	// A peer of RFC 2543: its branch is not unique (RFC 3261 section 17.2.3).
	tag, _ := req.From().Params.Get("tag")
	id := "2543\x00" + req.CallID().Value() + "\x00" + tag + "\x00" + strconv.FormatUint(uint64(req.CSeq().SeqNo), 10) + "\x00" + branch
	return txKey{id, via.SentBy(), method}
}

// txState is the state of a transaction, of either side.
//
//	server INVITE:      proceeding ──2xx──► accepted ──L──► terminated          (RFC 6026 section 7.1)
//	                        └──3xx-6xx──► completed ──ACK──► confirmed ──I──► terminated
//	                                          └──H, no ACK──► terminated
//	server other:       proceeding ──final──► completed ──J──► terminated
//	client INVITE:      calling ──1xx──► proceeding ──2xx──► accepted ──M──► terminated
//	                        │                └──3xx-6xx, ACK──► completed ──D──► terminated
//	                        └──B, or the transport fails──► terminated
//	client other:       calling ──1xx──► proceeding ──final──► completed ──K──► terminated
//	                        └──F, or the transport fails──► terminated
type txState int

const (
	txCalling txState = iota
	txProceeding
	txCompleted
	txConfirmed
	txAccepted
	txTerminated
)

var (
	errTimeout     = errors.New("no answer in time")
	errTerminated  = errors.New("the transaction is over")
	errOverloaded  = errors.New("too many transactions")
	errServerClose = errors.New("the SIP server stops")
)

// transactions is the table of both sides. It is bounded: a request that finds it full is answered 503
// without state.
type transactions struct {
	clock quartz.Clock
	send  func(raw []byte, f flow) error
	max   int

	mu      sync.Mutex
	closed  bool
	servers map[txKey]*serverTx
	clients map[txKey]*clientTx
}

func (t *transactions) server(k txKey) *serverTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.servers[k]
}

func (t *transactions) client(k txKey) *clientTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.clients[k]
}

// close ends every transaction without telling anybody.
func (t *transactions) close() {
	t.mu.Lock()
	t.closed = true
	servers, clients := t.servers, t.clients
	t.servers, t.clients = map[txKey]*serverTx{}, map[txKey]*clientTx{}
	t.mu.Unlock()
	for _, tx := range servers {
		tx.mu.Lock()
		tx.terminate()
		tx.mu.Unlock()
	}
	for _, tx := range clients {
		tx.fail(errServerClose)
	}
}

// ladder takes every message of a call, for the record. raw is valid only during the call.
type ladder interface {
	signal(sent bool, raw []byte, f flow)
}

// serverTx is one request we were sent.
type serverTx struct {
	table *transactions
	key   txKey
	req   *sipmsg.Request
	flow  flow

	mu       sync.Mutex
	state    txState
	last     []byte // what a retransmission of the request is answered with
	interval time.Duration
	resend   *quartz.Timer
	life     *quartz.Timer
	ladder   ladder
}

// newServer registers a transaction for req. found is the one that has it already: req is a
// retransmission then.
func (t *transactions) newServer(req *sipmsg.Request, f flow) (tx, found *serverTx, err error) {
	k := serverKey(req)
	t.mu.Lock()
	defer t.mu.Unlock()
	if tx, ok := t.servers[k]; ok {
		return nil, tx, nil
	}
	if t.closed || len(t.servers) >= t.max {
		return nil, nil, errOverloaded
	}
	tx = &serverTx{table: t, key: k, req: req, flow: f, state: txProceeding}
	t.servers[k] = tx
	return tx, nil, nil
}

func (tx *serverTx) setLadder(l ladder) {
	tx.mu.Lock()
	tx.ladder = l
	tx.mu.Unlock()
}

// retransmitted answers a request that came again.
func (tx *serverTx) retransmitted() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	// After a 2xx the dialog repeats it, not the transaction (RFC 6026 section 8.7).
	if tx.last != nil && (tx.state == txProceeding || tx.state == txCompleted) {
		tx.write(tx.last)
	}
}

// respond sends a response. Only the first final one counts.
func (tx *serverTx) respond(res *sipmsg.Response) error {
	raw := []byte(res.String())
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state != txProceeding {
		return errTerminated
	}
	tx.last = raw
	err := tx.write(raw)
	invite := tx.req.Method == sipmsg.INVITE
	switch {
	case res.StatusCode < 200:
		return err
	case invite && res.StatusCode < 300:
		tx.state = txAccepted
		tx.last = nil
		tx.expire(txLife) // timer L
	case invite:
		tx.state = txCompleted
		if !tx.flow.reliable() {
			tx.interval = t1
			tx.resend = tx.table.clock.AfterFunc(tx.interval, tx.again, "sip", "G")
		}
		tx.expire(txLife) // timer H
	case tx.flow.reliable():
		tx.terminate() // timer J is zero
	default:
		tx.state = txCompleted
		tx.expire(txLife) // timer J
	}
	return err
}

// again is timer G: a final answer to INVITE is repeated until it is acknowledged.
func (tx *serverTx) again() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state != txCompleted {
		return
	}
	tx.write(tx.last)
	tx.interval = min(2*tx.interval, t2)
	tx.resend = tx.table.clock.AfterFunc(tx.interval, tx.again, "sip", "G")
}

// acked takes the ACK of a final answer that was not 2xx.
func (tx *serverTx) acked() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state != txCompleted {
		return
	}
	tx.state = txConfirmed
	tx.stopTimers()
	if tx.flow.reliable() {
		tx.terminate()
		return
	}
	tx.expire(t4) // timer I
}

func (tx *serverTx) answered() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.state != txProceeding
}

func (tx *serverTx) write(raw []byte) error {
	if tx.ladder != nil {
		tx.ladder.signal(true, raw, tx.flow)
	}
	return tx.table.send(raw, tx.flow)
}

func (tx *serverTx) expire(d time.Duration) {
	tx.life = tx.table.clock.AfterFunc(d, func() {
		tx.mu.Lock()
		defer tx.mu.Unlock()
		tx.terminate()
	}, "sip", "tx")
}

func (tx *serverTx) stopTimers() {
	if tx.resend != nil {
		tx.resend.Stop()
	}
	if tx.life != nil {
		tx.life.Stop()
	}
}

// terminate forgets the transaction. tx.mu is held; the table's lock comes after it.
func (tx *serverTx) terminate() {
	if tx.state == txTerminated {
		return
	}
	tx.state = txTerminated
	tx.stopTimers()
	tx.last, tx.ladder = nil, nil
	tx.table.mu.Lock()
	delete(tx.table.servers, tx.key)
	tx.table.mu.Unlock()
}
