package app

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/parley-voice/parley/internal/gateway/fleet"
)

// TestPinnedServers is what stands in the place of an authority: a certificate that was announced, and no other.
func TestPinnedServers(t *testing.T) {
	cert, pin, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	_, strange, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		announced []string
		taken     bool
	}{
		"nobody announced anything": {nil, false},
		"another was announced":     {[]string{strange}, false},
		"no pin":                    {[]string{""}, false},
		"its own":                   {[]string{strange, pin}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close() //nolint:errcheck // a pipe
			over := make(chan struct{})
			go func() {
				defer close(over)
				srv := tls.Server(server, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}})
				if srv.Handshake() == nil {
					_, _ = srv.Write([]byte{1})
				}
				_ = server.Close()
			}()
			conn := tls.Client(client, pinned(func() (s []fleet.State) {
				for _, p := range c.announced {
					s = append(s, fleet.State{Instance: fleet.Instance{Pin: p}})
				}
				return s
			}))
			_, err := conn.Read(make([]byte, 1))
			if (err == nil) != c.taken {
				t.Errorf("reading gave %v", err)
			}
			_ = client.Close()
			<-over
		})
	}
}
