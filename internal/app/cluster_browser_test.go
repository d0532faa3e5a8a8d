package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/parley-voice/parley/internal/telephony/webrtc"
)

// browsed calls an agent as a browser does: the offer goes to the gateway, sound and what is typed to the media process.
func browsed(t *testing.T, api *client) {
	t.Helper()
	var e pion.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4})
	var m pion.MediaEngine
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := pion.NewAPI(pion.WithSettingEngine(e), pion.WithMediaEngine(&m)).NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.GracefulClose() }()
	mic, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypePCMU, ClockRate: 8000}, "mic", "mic")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pc.AddTrack(mic); err != nil {
		t.Fatal(err)
	}
	dc, err := pc.CreateDataChannel(webrtc.ChannelLabel, nil)
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	dc.OnOpen(func() { close(opened) })
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	var made struct{ SDP, CallID string }
	api.want(201, "POST", "/api/v1/agents/sim/talk", map[string]any{"sdp": pc.LocalDescription().SDP, "codecs": []string{"PCMU"}}, &made)
	if got := api.call(made.CallID); got.Channel != "webrtc" || got.From != email {
		t.Errorf("the call is %+v", got)
	}
	if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: made.SDP}); err != nil {
		t.Fatalf("%v\n%s", err, made.SDP)
	}
	select {
	case <-opened:
	case <-time.After(within):
		t.Fatal("the data channel does not open")
	}
	if err := dc.SendText(`{"type":"text","text":"good day from the keyboard"}`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was typed", func() bool {
		return slices.ContainsFunc(api.transcript(made.CallID), func(i item) bool {
			return i.Speaker == "caller" && strings.Contains(i.Text, "from the keyboard")
		})
	})
	if res, b := api.ask("POST", "/api/v1/calls/"+made.CallID+"/hangup", nil); res.StatusCode != 202 {
		t.Errorf("hang up: %d %s", res.StatusCode, b)
	}
	if got := api.kept(made.CallID); got.EndedBy != "operator" {
		t.Errorf("the call is %+v", got)
	}
}
