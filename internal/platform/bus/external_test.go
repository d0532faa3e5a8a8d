package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/bus"
)

// natsServer runs a NATS server of its own, as PARLEY_NATS_URL would name one.
func natsServer(t *testing.T, jetStream bool) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: jetStream, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not start")
	}
	return s.ClientURL()
}

// Two processes on one server: each sees the feed with the same numbers, and a durable subscription is shared.
func TestExternalServer(t *testing.T) {
	url := natsServer(t, true)
	var buses []*bus.Bus
	for range 2 {
		b, err := bus.Open(t.Context(), bus.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		buses = append(buses, b)
	}
	one, _ := collect(t, buses[0], bus.SubConfig{Live: true})
	two, _ := collect(t, buses[1], bus.SubConfig{Live: true})
	shared, _ := collect(t, buses[1], bus.SubConfig{Durable: "shared"})
	publish(t, buses[0], "1", event.CallEnded{CallID: "c"})
	a, b := <-one, <-two
	if a.Seq != b.Seq || a.ID != "1" || b.ID != "1" {
		t.Errorf("the feeds got %+v and %+v", a, b)
	}
	if m := <-shared; m.ID != "1" {
		t.Errorf("got %+v", m)
	}
	if err := buses[0].Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestExternalServerWithoutJetStream(t *testing.T) {
	if b, err := bus.Open(t.Context(), bus.Config{URL: natsServer(t, false)}); err == nil {
		b.Close()
		t.Error("opened without JetStream")
	}
}
