package app_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"
)

// reached registers a phone with one media process, and calls it through the other. That the two understand each other with a
// phone that others wrote is shown by TestBaresipOfAnotherServer (telephony/sip).
func reached(t *testing.T, api *client, at, through *process) {
	t.Helper()
	var made struct{ ID, Password string }
	api.want(201, "POST", "/api/v1/phones", map[string]any{"username": "desk"}, &made)
	desk(t, at.SIP, made.Password)
	eventually(t, "the phone to be registered", func() bool {
		var p struct{ Registered bool }
		api.want(200, "GET", "/api/v1/phones/"+made.ID, nil, &p)
		return p.Registered
	})
	quiet(t, api)
	before := ids(api)
	p := ring(t, through.SIP, "desk", question(t))
	p.answered(t)
	got := api.newest(before...)
	if got.AgentSlug != "" || got.To != "desk" {
		t.Errorf("the call is %+v", got)
	}
	eventually(t, "both legs in the record", func() bool { return len(api.call(got.ID).Legs) == 2 })
	api.want(202, "POST", "/api/v1/calls/"+got.ID+"/hangup", nil, nil)
	if end := api.kept(got.ID); end.EndReason != "normal" || slices.Contains(before, end.ID) {
		t.Errorf("the call is %+v", end)
	}
	p.over(t)
	quiet(t, api) // one call has one record
	if n := len(ids(api)) - len(before); n != 1 {
		t.Errorf("%d calls are recorded", n)
	}
}

// desk is the phone of that name. It answers every call, and is silent.
func desk(t *testing.T, server, password string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", server)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	register := func(more string) string {
		t.Helper()
		if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		here := conn.LocalAddr()
		_, err := fmt.Fprintf(conn, "REGISTER sip:parley SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:desk@parley>;tag=d\r\n"+
			"To: <sip:desk@parley>\r\nCall-ID: desk\r\nCSeq: %d REGISTER\r\nContact: <sip:desk@%s>\r\nExpires: 600\r\n%sContent-Length: 0\r\n\r\n",
			here, len(more), 1+len(more), here, more)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 64<<10)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	challenge := regexp.MustCompile(`(?m)^WWW-Authenticate: (.*algorithm="?MD5.*?)\r$`).FindStringSubmatch(register(""))
	if challenge == nil {
		t.Fatal("no challenge")
	}
	asked, err := digest.ParseChallenge(challenge[1])
	if err != nil {
		t.Fatal(err)
	}
	answer, err := digest.Digest(asked, digest.Options{Method: "REGISTER", URI: "sip:parley", Username: "desk", Password: password, Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	if res := register("Authorization: " + answer.String() + "\r\n"); !strings.HasPrefix(res, "SIP/2.0 200 ") {
		t.Fatalf("not registered: %s", res)
	}
	go func() {
		defer close(over)
		picksUp(t, conn)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-over
	})
}

// picksUp says 200 to whatever a phone is asked.
func picksUp(t *testing.T, conn net.Conn) {
	sound, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	defer sound.Close() //nolint:errcheck // a test's
	offer := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
		sound.LocalAddr().(*net.UDPAddr).Port)
	repeated := regexp.MustCompile(`(?m)^(Via|From|To|Call-ID|CSeq): .*\r\n`)
	if err := conn.SetDeadline(time.Now().Add(10 * within)); err != nil {
		t.Error(err)
		return
	}
	b := make([]byte, 64<<10)
	for {
		n, err := conn.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		request := string(b[:max(n, 0)])
		if err != nil || strings.HasPrefix(request, "ACK ") || strings.HasPrefix(request, "SIP/") {
			continue
		}
		head := strings.Join(repeated.FindAllString(request, -1), "")
		body := ""
		if strings.HasPrefix(request, "INVITE ") {
			body = offer
			head = regexp.MustCompile(`(?m)^(To: [^;\r]*)\r$`).ReplaceAllString(head, "${1};tag=phone\r")
			head += fmt.Sprintf("Contact: <sip:desk@%s>\r\nContent-Type: application/sdp\r\n", conn.LocalAddr())
		}
		if _, err := fmt.Fprintf(conn, "SIP/2.0 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", head, len(body), body); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}
