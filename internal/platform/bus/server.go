package bus

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	readyTimeout = 10 * time.Second
	maxStore     = 8 << 30
	maxMemory    = 64 << 20
)

// startServer starts NATS in this process. It opens no port: clients come through memory.
func startServer(dir string, log *slog.Logger) (*server.Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("bus folder: %w", err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "parley", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, JetStreamMaxStore: maxStore, JetStreamMaxMemory: maxMemory,
		// With one copy of the data, an acknowledged fact must be on disk: its outbox row is about to go.
		SyncAlways: true,
		MaxPayload: maxPayload + 64<<10,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s.SetLoggerV2(natsLog{log.With("part", "nats")}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(readyTimeout) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("embedded NATS did not start; is another process using %s, or is the disk full?", dir)
	}
	return s, nil
}

// natsLog hands the server's lines to slog; its notices are for somebody who runs NATS.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(f string, v ...any) { l.log.Debug(fmt.Sprintf(f, v...)) }
func (l natsLog) Warnf(f string, v ...any)   { l.log.Warn(fmt.Sprintf(f, v...)) }
func (l natsLog) Errorf(f string, v ...any)  { l.log.Error(fmt.Sprintf(f, v...)) }
func (l natsLog) Fatalf(f string, v ...any)  { l.log.Error(fmt.Sprintf(f, v...)) }
func (l natsLog) Debugf(string, ...any)      {}
func (l natsLog) Tracef(string, ...any)      {}
