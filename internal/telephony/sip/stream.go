package sip

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// stream is one m= line, read.
type stream struct {
	m       *sdp.MediaDescription
	secure  bool
	usable  bool
	addr    netip.AddrPort
	rtcp    netip.AddrPort
	mux     bool
	dir     direction // seen from its sender
	nulled  bool      // c= says 0.0.0.0: the old way to hold (RFC 3264 section 8.4)
	formats []format
}

// format is one payload type of an m= line.
type format struct {
	payload uint8
	name    string
	rate    int
	fmtp    string
}

// readStream understands an m= line as far as we can use it: unicast RTP audio.
func readStream(s *sdp.SessionDescription, m *sdp.MediaDescription) stream {
	st := stream{m: m, dir: sendRecv}
	proto := strings.Join(m.MediaName.Protos, "/")
	st.secure = proto == "RTP/SAVP"
	if m.MediaName.Media != "audio" || m.MediaName.Port.Value <= 0 || m.MediaName.Port.Value > 65535 ||
		(proto != "RTP/AVP" && !st.secure) || len(m.MediaName.Formats) > maxFormats {
		return st
	}
	c := m.ConnectionInformation
	if c == nil {
		c = s.ConnectionInformation
	}
	if c == nil || c.Address == nil || c.NetworkType != "IN" {
		return st
	}
	ip, err := netip.ParseAddr(c.Address.Address)
	if err != nil || ip.IsMulticast() {
		return st
	}
	ip = ip.Unmap()
	st.nulled = ip.IsUnspecified()
	st.addr = netip.AddrPortFrom(ip, uint16(m.MediaName.Port.Value))
	st.dir = readDirection(s.Attributes, st.dir)
	st.dir = readDirection(m.Attributes, st.dir)
	_, st.mux = m.Attribute("rtcp-mux")
	st.rtcp = rtcpAddr(m, st.addr, st.mux)
	st.formats = readFormats(m)
	st.usable = len(st.formats) > 0
	return st
}

func readDirection(attrs []sdp.Attribute, d direction) direction {
	for _, a := range attrs {
		for dir, name := range directionNames {
			if a.Key == name {
				d = dir
			}
		}
	}
	return d
}

// rtcpAddr is where the peer takes RTCP: a=rtcp (RFC 3605), the RTP port itself, or the next one.
func rtcpAddr(m *sdp.MediaDescription, rtp netip.AddrPort, mux bool) netip.AddrPort {
	if mux {
		return rtp
	}
	addr, port := rtp.Addr(), rtp.Port()+1
	if v, ok := m.Attribute("rtcp"); ok {
		f := strings.Fields(v)
		if len(f) > 0 {
			if p, err := strconv.ParseUint(f[0], 10, 16); err == nil && p > 0 {
				port = uint16(p)
			}
		}
		if len(f) == 4 {
			if a, err := netip.ParseAddr(f[3]); err == nil && !a.IsUnspecified() && !a.IsMulticast() {
				addr = a.Unmap()
			}
		}
	}
	if port == 0 {
		port = rtp.Port()
	}
	return netip.AddrPortFrom(addr, port)
}

// staticPayloads are the payload types that need no rtpmap (RFC 3551 section 6) and that we know.
var staticPayloads = map[uint8]string{0: "pcmu", 8: "pcma", 9: "g722"}

func readFormats(m *sdp.MediaDescription) []format {
	maps, params := map[string]string{}, map[string]string{}
	for _, a := range m.Attributes {
		pt, rest, _ := strings.Cut(a.Value, " ")
		switch a.Key {
		case "rtpmap":
			maps[pt] = strings.ToLower(strings.TrimSpace(rest))
		case "fmtp":
			params[pt] = strings.TrimSpace(rest)
		}
	}
	var out []format
	for _, pt := range m.MediaName.Formats {
		n, err := strconv.ParseUint(pt, 10, 7)
		if err != nil {
			continue
		}
		f := format{payload: uint8(n), fmtp: params[pt]}
		if v, ok := maps[pt]; ok {
			name, rest, _ := strings.Cut(v, "/")
			rate, channels, _ := strings.Cut(rest, "/")
			f.name = name
			f.rate, _ = strconv.Atoi(rate)
			if channels != "" && channels != "1" && name != "opus" {
				continue // stereo G.711 exists, and is not ours
			}
		} else if name, ok := staticPayloads[f.payload]; ok {
			f.name, f.rate = name, codecs[name].rate
		}
		if f.name != "" && f.rate > 0 {
			out = append(out, f)
		}
	}
	return out
}

// choose picks the first format of the list that we speak: the list is in its sender's order of
// preference (RFC 3264 section 6.1).
func (st *stream) choose(names []string) (codec, format, bool) {
	for _, f := range st.formats {
		c, known := codecs[f.name]
		if known && c.rate == f.rate && slices.Contains(names, f.name) {
			return c, f, true
		}
	}
	return codec{}, format{}, false
}

// event finds telephone-event: its clock is the codec's (RFC 4733 section 2.1), or else 8000.
func (st *stream) event(rate int) (format, bool) {
	best, found := format{}, false
	for _, f := range st.formats {
		if f.name != "telephone-event" || f.payload == 0 {
			continue
		}
		if f.rate == rate {
			return f, true
		}
		if f.rate == 8000 {
			best, found = f, true
		}
	}
	return best, found
}
