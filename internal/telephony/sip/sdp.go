package sip

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// direction is which way media flows, seen from us (RFC 3264 section 5.1): bit 0 we send, bit 1 we receive.
type direction int

const (
	inactive direction = 0
	sendOnly direction = 1
	recvOnly direction = 2
	sendRecv direction = 3
)

var directionNames = map[direction]string{inactive: "inactive", sendOnly: "sendonly", recvOnly: "recvonly", sendRecv: "sendrecv"}

func (d direction) String() string { return directionNames[d] }

// mirror is the same flow seen from the other side.
func (d direction) mirror() direction { return d>>1&1 | d&1<<1 }

// codec is one payload format we speak.
type codec struct {
	name  string // as in rtpmap, lower case
	rate  int    // RTP clock
	fixed int    // static payload type of RFC 3551, -1 when dynamic
	fmtp  string
}

// sdpName is the name as SDP writes it.
func (c codec) sdpName() string {
	if c.name == "opus" {
		return c.name
	}
	return strings.ToUpper(c.name)
}

// rtpmap is the codec's a=rtpmap value after the payload type.
func (c codec) rtpmap() string {
	if c.name == "opus" {
		return "opus/48000/2" // RFC 7587 section 7: always so
	}
	return c.sdpName() + "/" + strconv.Itoa(c.rate)
}

// The codecs, by name. G722 says 8000 though it samples at 16000 (RFC 3551 section 4.5.2).
var codecs = map[string]codec{
	"pcmu": {name: "pcmu", rate: 8000, fixed: 0},
	"pcma": {name: "pcma", rate: 8000, fixed: 8},
	"g722": {name: "g722", rate: 8000, fixed: 9},
	"opus": {name: "opus", rate: 48000, fixed: -1, fmtp: "useinbandfec=1;stereo=0;sprop-stereo=0"},
}

// Limits of what an SDP may hold. They are far above what phones send.
const (
	maxSDP      = 16 << 10
	maxMedia    = 16
	maxFormats  = 64
	framePtime  = 20
	dynamicBase = 96
)

// capability is what we can offer or answer with in one call.
type capability struct {
	addr    netip.AddrPort // where we receive RTP; RTCP comes to the same port (RFC 5761) or the next
	codecs  []string       // in our order of preference
	srtp    srtpPolicy
	avp     bool   // srtpRequire in the profile RTP/AVP: what was agreed before (RFC 8643)
	session uint64 // o= line: id and version (RFC 3264 section 8)
	version uint64
	key     func(n int) string // fresh SDES master key and salt of n bytes, base64
}

// srtpPolicy says whether media is encrypted (RFC 4568).
type srtpPolicy int

const (
	srtpAccept  srtpPolicy = iota // offered keys are taken, we offer none
	srtpPrefer                    // we offer keys in RTP/AVP, and the peer may leave them (RFC 8643)
	srtpRequire                   // we offer RTP/SAVP, and take nothing without keys
)

// agreed is what both sides settled on for the one audio stream.
type agreed struct {
	codec       codec
	payload     uint8      // in what we send; recv in what we receive
	recv        uint8      //
	also        []numbered // further codecs the peer may send
	dtmf        uint8      // payload type of telephone-event, 0 when there is none; dtmfRecv in what we receive
	dtmfRecv    uint8
	dtmfRate    int
	remote      netip.AddrPort
	remoteRTCP  netip.AddrPort
	mux         bool
	dir         direction // seen from us
	held        bool      // the peer holds us (RFC 3264 section 8.4)
	suite       string    // SDES, "" without SRTP
	avp         bool      // SRTP in the profile RTP/AVP (RFC 8643)
	localKey    string
	remoteKey   string
	remoteOwner string // the peer's o= line; equal to the last one: nothing changed (RFC 3264 section 8)
}

// numbered is a codec with its payload types.
type numbered struct {
	codec         codec
	payload, recv uint8
}

// parseSDP reads a session description.
func parseSDP(body []byte) (*sdp.SessionDescription, error) {
	if len(body) > maxSDP {
		return nil, refuse(413, "an SDP of %d bytes is too large", len(body))
	}
	var s sdp.SessionDescription
	if err := s.Unmarshal(body); err != nil {
		return nil, refuse(400, "the SDP cannot be read: %v", err)
	}
	if len(s.MediaDescriptions) > maxMedia {
		return nil, refuse(488, "%d media are too many", len(s.MediaDescriptions))
	}
	return &s, nil
}

// answerSDP answers an offer (RFC 3264 section 6): the first audio stream we can speak is taken, every
// other m= line is refused with port 0. hold says that we want the peer held.
func answerSDP(body []byte, c capability, hold bool) ([]byte, agreed, error) {
	s, err := parseSDP(body)
	if err != nil {
		return nil, agreed{}, err
	}
	var out strings.Builder
	writeSession(&out, c)
	var a agreed
	found := false
	why := "there is no audio in it"
	for _, m := range s.MediaDescriptions {
		if !found {
			st := readStream(s, m)
			if got, lines, err := answerStream(&st, c, hold); err == nil {
				a, found = got, true
				out.WriteString(lines)
				continue
			} else if m.MediaName.Media == "audio" {
				why = err.Error()
			}
		}
		fmt.Fprintf(&out, "m=%s 0 %s %s\r\n", m.MediaName.Media, strings.Join(m.MediaName.Protos, "/"),
			cmp.Or(strings.Join(m.MediaName.Formats, " "), "0"))
	}
	if !found {
		return nil, agreed{}, refuse(488, "the offer cannot be taken: %s", why)
	}
	a.remoteOwner = s.Origin.String()
	return []byte(out.String()), a, nil
}

// answerStream settles one m= line and writes our side of it.
func answerStream(st *stream, c capability, hold bool) (agreed, string, error) {
	var a agreed
	crypto, keyed := pickCrypto(st.m)
	switch {
	case !st.usable:
		return a, "", fmt.Errorf("the audio is not unicast %s", "RTP/AVP or RTP/SAVP")
	case !st.secure && !keyed && c.srtp == srtpRequire:
		return a, "", fmt.Errorf("RTP/SAVP is required here")
	case st.secure && !keyed:
		return a, "", fmt.Errorf("no a=crypto line can be used")
	}
	co, f, ok := st.choose(c.codecs)
	if !ok {
		return a, "", fmt.Errorf("no codec is spoken by both sides, here: %s", strings.Join(c.codecs, ", "))
	}
	a = settle(st, co, f, hold)
	proto := "RTP/AVP"
	if st.secure {
		proto = "RTP/SAVP"
	}
	if keyed { // in RTP/AVP it is SRTP where both sides can (RFC 8643 section 3)
		a.avp = !st.secure
		a.suite, a.remoteKey, a.localKey = crypto.suite, crypto.key, c.key(suites[crypto.suite])
	}
	var b strings.Builder
	formats := strconv.Itoa(int(a.payload))
	if a.dtmf != 0 {
		formats += " " + strconv.Itoa(int(a.dtmf))
	}
	fmt.Fprintf(&b, "m=audio %d %s %s\r\n", c.addr.Port(), proto, formats)
	writeFormat(&b, a.payload, co)
	if a.dtmf != 0 {
		writeEvent(&b, a.dtmf, a.dtmfRate)
	}
	if keyed {
		fmt.Fprintf(&b, "a=crypto:%s %s inline:%s\r\n", crypto.tag, a.suite, a.localKey)
	}
	if st.mux {
		b.WriteString("a=rtcp-mux\r\n")
	}
	fmt.Fprintf(&b, "a=ptime:%d\r\na=%s\r\n", framePtime, a.dir)
	return a, b.String(), nil
}

// settle fills in what follows from a stream and the codec chosen of it.
func settle(st *stream, co codec, f format, hold bool) agreed {
	a := agreed{codec: co, payload: f.payload, recv: f.payload, remote: st.addr, remoteRTCP: st.rtcp, mux: st.mux}
	if ev, ok := st.event(co.rate); ok {
		a.dtmf, a.dtmfRecv, a.dtmfRate = ev.payload, ev.payload, ev.rate
	}
	a.dir = st.dir.mirror()
	a.held = st.dir&recvOnly == 0 || st.nulled
	if st.nulled {
		a.dir &^= sendOnly // there is nowhere to send to
	}
	if hold {
		a.dir &^= recvOnly
	}
	return a
}

// offerSDP makes our offer.
func offerSDP(c capability, dir direction) (body []byte, localKey string) {
	var b strings.Builder
	writeSession(&b, c)
	proto := "RTP/AVP"
	if c.srtp == srtpRequire && !c.avp {
		proto = "RTP/SAVP"
	}
	var formats []string
	var lines strings.Builder
	next := uint8(dynamicBase)
	rates := map[int]bool{}
	for _, name := range c.codecs {
		co := codecs[name]
		pt := next
		if co.fixed >= 0 {
			pt = uint8(co.fixed)
		} else {
			next++
		}
		formats = append(formats, strconv.Itoa(int(pt)))
		writeFormat(&lines, pt, co)
		rates[co.rate] = true
	}
	for _, rate := range []int{8000, 48000} {
		if rates[rate] {
			pt := eventPayloads[rate]
			formats = append(formats, strconv.Itoa(int(pt)))
			writeEvent(&lines, pt, rate)
		}
	}
	fmt.Fprintf(&b, "m=audio %d %s %s\r\n%s", c.addr.Port(), proto, strings.Join(formats, " "), lines.String())
	if c.srtp != srtpAccept {
		localKey = c.key(suites[offeredSuite])
		fmt.Fprintf(&b, "a=crypto:1 %s inline:%s\r\n", offeredSuite, localKey)
	}
	fmt.Fprintf(&b, "a=rtcp-mux\r\na=ptime:%d\r\na=%s\r\n", framePtime, dir)
	return []byte(b.String()), localKey
}

// acceptSDP reads the answer to our offer.
func acceptSDP(body []byte, c capability, localKey string, hold bool) (agreed, error) {
	s, err := parseSDP(body)
	if err != nil {
		return agreed{}, err
	}
	if len(s.MediaDescriptions) == 0 {
		return agreed{}, refuse(488, "the answer has no media")
	}
	st := readStream(s, s.MediaDescriptions[0])
	switch {
	case !st.usable:
		return agreed{}, refuse(488, "the answer refuses the audio")
	case st.secure != (c.srtp == srtpRequire && !c.avp):
		return agreed{}, refuse(488, "the answer changes the profile to %s", strings.Join(st.m.MediaName.Protos, "/"))
	}
	co, f, ok := st.choose(c.codecs)
	if !ok {
		return agreed{}, refuse(488, "the answer names no codec of the offer")
	}
	a := settle(&st, co, f, hold)
	a.number(&st, c.codecs)
	crypto, keyed := pickCrypto(st.m)
	keyed = keyed && crypto.suite == offeredSuite && c.srtp != srtpAccept
	if !keyed && c.srtp == srtpRequire {
		return agreed{}, refuse(488, "the answer has no usable a=crypto line")
	}
	if keyed {
		a.avp = !st.secure
		a.suite, a.remoteKey, a.localKey = crypto.suite, crypto.key, localKey
	}
	a.remoteOwner = s.Origin.String()
	return a, nil
}

// number finds the payload types of our offer, which the peer sends with, and which other codecs of it the
// peer kept: it may change among them at any time (RFC 3264 section 7).
func (a *agreed) number(st *stream, names []string) {
	ours, next := map[string]uint8{}, uint8(dynamicBase)
	for _, name := range names {
		if co := codecs[name]; co.fixed >= 0 {
			ours[name] = uint8(co.fixed)
		} else {
			ours[name] = next
			next++
		}
	}
	a.recv = ours[a.codec.name]
	a.dtmfRecv = eventPayloads[a.dtmfRate]
	for _, f := range st.formats {
		co, known := codecs[f.name]
		pt, offered := ours[f.name]
		if known && offered && co.rate == f.rate && f.name != a.codec.name {
			a.also = append(a.also, numbered{co, f.payload, pt})
			delete(ours, f.name)
		}
	}
}

// eventPayloads are the payload types we offer telephone-event with, by clock. 101 is what nearly everybody
// uses for 8 kHz; some old phones insist.
var eventPayloads = map[int]uint8{8000: 101, 48000: 102}

func writeSession(b *strings.Builder, c capability) {
	family := "IP4"
	if c.addr.Addr().Is6() {
		family = "IP6"
	}
	fmt.Fprintf(b, "v=0\r\no=parley %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n",
		c.session, c.version, family, c.addr.Addr(), family, c.addr.Addr())
}

func writeFormat(b *strings.Builder, pt uint8, co codec) {
	fmt.Fprintf(b, "a=rtpmap:%d %s\r\n", pt, co.rtpmap())
	if co.fmtp != "" {
		fmt.Fprintf(b, "a=fmtp:%d %s\r\n", pt, co.fmtp)
	}
}

func writeEvent(b *strings.Builder, pt uint8, rate int) {
	fmt.Fprintf(b, "a=rtpmap:%d telephone-event/%d\r\na=fmtp:%d 0-16\r\n", pt, rate, pt)
}
