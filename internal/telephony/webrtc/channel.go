package webrtc

import (
	"encoding/json"
	"sync/atomic"

	pion "github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"github.com/parley-voice/parley/internal/media"
)

const (
	// ChannelLabel is the label of the data channel that a client may open.
	ChannelLabel = "parley"

	maxChannelMessage = 4 << 10   // from the client
	maxText           = 2000      // characters typed
	maxSendMessage    = 64 << 10  // to the client
	maxBuffered       = 256 << 10 // waiting in SCTP
	sendQueue         = 128
	messagesPerSecond = 20
	messageBurst      = 40
)

// channel is the data channel of a leg. What is sent waits in a bounded queue until the channel is open; when
// the queue or SCTP's buffer is full the message is dropped and counted.
type channel struct {
	queue   chan []byte
	taken   atomic.Bool
	limit   *rate.Limiter
	dropped atomic.Uint64
}

func newChannel() *channel {
	return &channel{queue: make(chan []byte, sendQueue), limit: rate.NewLimiter(messagesPerSecond, messageBurst)}
}

func (c *channel) send(msg []byte) bool {
	if len(msg) > maxSendMessage {
		c.dropped.Add(1)
		return false
	}
	select {
	case c.queue <- append([]byte(nil), msg...):
		return true
	default:
		c.dropped.Add(1)
		return false
	}
}

// pump sends what is queued until the leg is over.
func (c *channel) pump(dc *pion.DataChannel, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case msg := <-c.queue:
			if dc.BufferedAmount() > maxBuffered || dc.SendText(string(msg)) != nil {
				c.dropped.Add(1)
			}
		}
	}
}

// fromClient is a message on the data channel.
type fromClient struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Digit string `json:"digit"`
}

// parseClient reads a client's message.
func parseClient(b []byte) (ev media.LegEvent, ok bool) {
	var m fromClient
	if len(b) > maxChannelMessage || json.Unmarshal(b, &m) != nil {
		return ev, false
	}
	switch m.Type {
	case "text":
		if m.Text == "" || len([]rune(m.Text)) > maxText {
			return ev, false
		}
		return media.LegEvent{Kind: media.LegText, Text: m.Text}, true
	case "dtmf":
		if len(m.Digit) != 1 {
			return ev, false
		}
		d := m.Digit[0]
		if d >= 'a' && d <= 'd' {
			d -= 'a' - 'A'
		}
		if d >= '0' && d <= '9' || d >= 'A' && d <= 'D' || d == '*' || d == '#' {
			return media.LegEvent{Kind: media.LegDTMF, Digit: d}, true
		}
	}
	return ev, false
}
