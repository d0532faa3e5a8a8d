package sip

import (
	"context"
	"sync"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"
)

// clientTx is one request we send. Its callbacks run on a dispatcher's or a timer's goroutine, without
// locks held: onResponse for each provisional response, the first final one, and every 2xx to INVITE;
// onFail once, when no final response will come.
type clientTx struct {
	table      *transactions
	key        txKey
	req        *sipmsg.Request
	raw        []byte
	flow       flow
	ladder     ladder
	onResponse func(*sipmsg.Response)
	onFail     func(error)

	mu       sync.Mutex
	state    txState
	ack      []byte // repeated when the final answer comes again
	interval time.Duration
	resend   *quartz.Timer
	life     *quartz.Timer
}

// request sends req, whose Via names the branch, and tells tx's callbacks what becomes of it.
func (t *transactions) request(tx *clientTx) error {
	branch, _ := tx.req.Via().Params.Get("branch")
	tx.table, tx.key = t, txKey{branch: branch, method: string(tx.req.Method)}
	tx.raw = []byte(tx.req.String())
	t.mu.Lock()
	if t.closed || len(t.clients) >= t.max {
		t.mu.Unlock()
		return errOverloaded
	}
	t.clients[tx.key] = tx
	t.mu.Unlock()

	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := tx.write(tx.raw); err != nil {
		tx.terminate()
		return err
	}
	tx.life = t.clock.AfterFunc(txLife, tx.expired, "sip", "BF")
	if !tx.flow.reliable() {
		tx.interval = t1
		tx.resend = t.clock.AfterFunc(tx.interval, tx.again, "sip", "AE")
	}
	return nil
}

// again is timer A (INVITE: doubles without end, until answered) or E (others: up to T2).
func (tx *clientTx) again() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	invite := tx.req.Method == sipmsg.INVITE
	if tx.state != txCalling && (invite || tx.state != txProceeding) {
		return
	}
	_ = tx.write(tx.raw) // a lost datagram is what the timer is for
	tx.interval *= 2
	if !invite {
		tx.interval = min(tx.interval, t2)
	}
	if tx.state == txProceeding {
		tx.interval = t2
	}
	tx.resend = tx.table.clock.AfterFunc(tx.interval, tx.again, "sip", "AE")
}

// expired is timer B, F, D, K or M.
func (tx *clientTx) expired() {
	tx.mu.Lock()
	waiting := tx.state == txCalling || (tx.state == txProceeding && tx.req.Method != sipmsg.INVITE)
	if !waiting {
		if tx.state != txProceeding {
			tx.terminate()
		}
		tx.mu.Unlock()
		return
	}
	tx.mu.Unlock()
	tx.fail(errTimeout)
}

// fail ends a transaction that has no final answer.
func (tx *clientTx) fail(err error) {
	tx.mu.Lock()
	waiting := tx.state == txCalling || tx.state == txProceeding
	tx.terminate()
	tx.mu.Unlock()
	if waiting && tx.onFail != nil {
		tx.onFail(err)
	}
}

// received takes a response.
func (tx *clientTx) received(res *sipmsg.Response, raw []byte, f flow) {
	if tx.take(res, raw, f) && tx.onResponse != nil {
		tx.onResponse(res)
	}
}

// take moves the state machine and reports whether the response is news.
func (tx *clientTx) take(res *sipmsg.Response, raw []byte, f flow) bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state == txTerminated {
		return false
	}
	if tx.ladder != nil {
		tx.ladder.signal(false, raw, f)
	}
	invite := tx.req.Method == sipmsg.INVITE
	switch {
	case tx.state == txCompleted:
		if tx.ack != nil {
			_ = tx.write(tx.ack) // the peer did not get our ACK
		}
		return false
	case res.StatusCode < 200:
		if tx.state == txCalling {
			tx.state = txProceeding
			if invite {
				tx.stopTimers()
			}
		}
		return tx.state == txProceeding
	case invite && res.StatusCode < 300:
		if tx.state != txAccepted {
			tx.stopTimers()
			tx.state = txAccepted
			tx.raw = nil
			tx.life = tx.table.clock.AfterFunc(txLife, tx.expired, "sip", "M")
		}
		return true
	case tx.state == txAccepted:
		return false
	case invite:
		tx.stopTimers()
		tx.state = txCompleted
		tx.raw = nil
		tx.ack = []byte(ackOf(tx.req, res).String())
		_ = tx.write(tx.ack)
		tx.end(txLife) // timer D
	default:
		tx.stopTimers()
		tx.state = txCompleted
		tx.raw = nil
		tx.end(t4) // timer K
	}
	return true
}

// end forgets the transaction after d, at once when no retransmission can come.
func (tx *clientTx) end(d time.Duration) {
	if tx.flow.reliable() {
		tx.terminate()
		return
	}
	tx.life = tx.table.clock.AfterFunc(d, tx.expired, "sip", "DK")
}

func (tx *clientTx) write(raw []byte) error {
	if tx.ladder != nil {
		tx.ladder.signal(true, raw, tx.flow)
	}
	return tx.table.send(raw, tx.flow)
}

func (tx *clientTx) stopTimers() {
	if tx.resend != nil {
		tx.resend.Stop()
	}
	if tx.life != nil {
		tx.life.Stop()
	}
}

// terminate forgets the transaction. tx.mu is held; the table's lock comes after it.
func (tx *clientTx) terminate() {
	if tx.state == txTerminated {
		return
	}
	tx.state = txTerminated
	tx.stopTimers()
	tx.raw, tx.ack, tx.ladder = nil, nil, nil
	tx.table.mu.Lock()
	if tx.table.clients[tx.key] == tx {
		delete(tx.table.clients, tx.key)
	}
	tx.table.mu.Unlock()
}

// ackOf makes the ACK of a final answer that is not 2xx (RFC 3261 section 17.1.1.3): it belongs to the
// transaction, so it has the branch of the INVITE.
func ackOf(invite *sipmsg.Request, res *sipmsg.Response) *sipmsg.Request {
	ack := sipmsg.NewRequest(sipmsg.ACK, *invite.Recipient.Clone())
	ack.AppendHeader(sipmsg.HeaderClone(invite.Via()))
	sipmsg.CopyHeaders("Route", invite, ack)
	hops := sipmsg.MaxForwardsHeader(70)
	ack.AppendHeader(&hops)
	ack.AppendHeader(sipmsg.HeaderClone(invite.From()))
	ack.AppendHeader(sipmsg.HeaderClone(res.To()))
	ack.AppendHeader(sipmsg.HeaderClone(invite.CallID()))
	ack.AppendHeader(&sipmsg.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sipmsg.ACK})
	ack.SetBody(nil)
	return ack
}

// do sends a request and waits for its final response, on the caller's goroutine.
func (t *transactions) do(ctx context.Context, tx *clientTx) (*sipmsg.Response, error) {
	type outcome struct {
		res *sipmsg.Response
		err error
	}
	done := make(chan outcome, 1)
	tx.onResponse = func(res *sipmsg.Response) {
		if res.StatusCode >= 200 {
			select {
			case done <- outcome{res: res}:
			default:
			}
		}
	}
	tx.onFail = func(err error) {
		select {
		case done <- outcome{err: err}:
		default:
		}
	}
	if err := t.request(tx); err != nil {
		return nil, err
	}
	select {
	case o := <-done:
		return o.res, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
