package webrtc

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxSDP = 64 << 10
	// maxMedia bounds the media sections of an offer: a browser's has audio, data, and perhaps video.
	maxMedia = 8
)

// chosen is what of an offer will be used.
type chosen struct {
	codec  string
	pt     uint8
	fmtp   string
	events int  // payload type of telephone-event at the codec's clock, -1 when it is not offered
	sends  bool // the peer sends audio
}

// offered is a line of the offer's codec list.
type offered struct {
	pt    uint8
	name  string
	clock int
	fmtp  string
}

// clocks are the RTP clock rates: G.722's is 8000 by a historical error (RFC 3551 section 4.5.2).
var clocks = map[string]int{audio.PCMU: 8000, audio.G722: 8000, audio.Opus: 48000}

// choose reads an offer and picks the first codec of prefer that it has.
func choose(offer string, prefer []string) (chosen, error) {
	if len(offer) > maxSDP {
		return chosen{}, fault.Field("sdp", "the offer has %d bytes; at most %d are taken", len(offer), maxSDP)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(offer); err != nil {
		return chosen{}, fault.Field("sdp", "the offer is not a session description (RFC 8866): %v", err)
	}
	if len(d.MediaDescriptions) > maxMedia {
		return chosen{}, fault.Field("sdp", "the offer has %d media sections; at most %d are taken", len(d.MediaDescriptions), maxMedia)
	}
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media == "audio" && m.MediaName.Port.Value != 0 {
			return chooseCodec(m, prefer)
		}
	}
	return chosen{}, fault.Field("sdp", "the offer has no audio; add an audio transceiver before createOffer")
}

func chooseCodec(m *sdp.MediaDescription, prefer []string) (chosen, error) {
	list := codecs(m)
	for _, want := range prefer {
		i := slices.IndexFunc(list, func(o offered) bool { return strings.EqualFold(o.name, want) && o.clock == clocks[want] })
		if i < 0 {
			continue
		}
		c := chosen{codec: want, pt: list[i].pt, fmtp: list[i].fmtp, events: -1, sends: true}
		for _, o := range list {
			if strings.EqualFold(o.name, "telephone-event") && o.clock == clocks[want] {
				c.events = int(o.pt)
			}
		}
		for _, a := range m.Attributes {
			if a.Key == "recvonly" || a.Key == "inactive" {
				c.sends = false
			}
		}
		return c, nil
	}
	var have []string
	for _, o := range list {
		have = append(have, o.name)
	}
	return chosen{}, fault.Field("sdp", "the offer has the codecs %s; one of %s is needed", strings.Join(have, ", "), strings.Join(prefer, ", "))
}

// codecs lists what an audio section offers, in its order. 0 and 9 need no rtpmap (RFC 3551 section 6).
func codecs(m *sdp.MediaDescription) []offered {
	var list []offered
	for _, f := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		o := offered{pt: uint8(pt)}
		switch pt {
		case 0:
			o.name, o.clock = audio.PCMU, 8000
		case 9:
			o.name, o.clock = audio.G722, 8000
		}
		for _, a := range m.Attributes {
			head, rest, ok := strings.Cut(a.Value, " ")
			if !ok || head != f {
				continue
			}
			switch a.Key {
			case "rtpmap":
				parts := strings.Split(rest, "/")
				if len(parts) < 2 {
					continue
				}
				clock, err := strconv.Atoi(parts[1])
				if err != nil {
					continue
				}
				o.name, o.clock = parts[0], clock
			case "fmtp":
				o.fmtp = rest
			}
		}
		if o.name != "" {
			list = append(list, o)
		}
	}
	return list
}

// preference is the order of codecs for a request: what it asks for, or the server's.
func preference(asked, ours []string) ([]string, error) {
	if len(asked) == 0 {
		return ours, nil
	}
	var out []string
	for _, name := range asked {
		i := slices.IndexFunc(allCodecs, func(c string) bool { return strings.EqualFold(c, name) })
		if i < 0 {
			return nil, fault.Field("codecs", "%q is not a codec we have; use %s", name, strings.Join(allCodecs, ", "))
		}
		if !slices.Contains(out, allCodecs[i]) {
			out = append(out, allCodecs[i])
		}
	}
	return out, nil
}

// allCodecs in our order: G.722 is wideband at a twentieth of Opus's cost, Opus needs a third of its bandwidth
// and mends losses, PCMU is always there.
var allCodecs = []string{audio.G722, audio.Opus, audio.PCMU}
