package mongolog_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/compliance/mongolog"
	"github.com/parley-voice/parley/internal/compliance/mongolog/mongotest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// soon is how long a test waits for an error that must come; what works has the long default.
const soon = 500 * time.Millisecond

func entries(from, to int64) []compliance.AuditEntry {
	var out []compliance.AuditEntry
	for seq := from; seq <= to; seq++ {
		out = append(out, compliance.AuditEntry{Seq: seq, ID: fmt.Sprintf("id-%05d", seq), At: time.UnixMilli(1_770_000_000_000 + seq).UTC(), ActorKind: "user",
			Action: "super.suspend", Outcome: "done", Kind: "organisation", ObjectID: "org-1", Before: json.RawMessage(`{"$set":{"a.b":1},"n":1.50}`),
			Reason: "ü", PrevHash: fmt.Sprint("hash-", seq-1), Hash: fmt.Sprint("hash-", seq)})
	}
	return out
}

func sink(t *testing.T, c mongolog.Config) *mongolog.Sink {
	t.Helper()
	s, err := mongolog.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails wants an error with a code, and no password in it.
func fails(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: %v", what, err)
	} else if strings.Contains(err.Error(), mongotest.Password) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("%s: a password in %v", what, err)
	}
}

type kept struct {
	ID     string    `bson:"_id"`
	Seq    int64     `bson:"seq"`
	At     time.Time `bson:"at"`
	Before string    `bson:"before"`
	After  string    `bson:"after"`
	Reason string    `bson:"reason"`
	Hash   string    `bson:"hash"`
}

func find(t *testing.T, srv *mongotest.Server, database string) []kept {
	t.Helper()
	found, err := srv.Client(t).Database(database).Collection(mongolog.Collection).Find(t.Context(), bson.D{})
	must(t, err)
	var out []kept
	must(t, found.All(t.Context(), &out))
	return out
}

// Everything against one FerretDB: what is written is there once and as it was; every way in which it fails is told by its
// code, and once it is over the same sink works.
func TestFerretDB(t *testing.T) {
	srv := mongotest.Start(t, mongotest.Config{})

	t.Run("written twice", func(t *testing.T) {
		s := sink(t, mongolog.Config{URL: srv.URL("twice")})
		for range 2 {
			must(t, s.Write(t.Context(), entries(1, 250)))
		}
		must(t, s.Write(t.Context(), entries(240, 260))) // some are there, some are not
		got := find(t, srv, "twice")
		if len(got) != 260 {
			t.Fatalf("%d documents", len(got))
		}
		want := entries(1, 260)
		for _, g := range got {
			e := want[g.Seq-1]
			if g.ID != e.ID || !g.At.Equal(e.At) || g.Before != string(e.Before) || g.After != "" || g.Reason != e.Reason || g.Hash != e.Hash {
				t.Fatalf("%+v is not %+v", g, e)
			}
		}
	})

	t.Run("organisations' trails", func(t *testing.T) {
		s := sink(t, mongolog.Config{URL: srv.URL("trails")})
		for range 2 {
			must(t, s.WriteTrail(t.Context(), "org-1", entries(1, 3)))
		}
		n, err := srv.Client(t).Database("trails").Collection(mongolog.Trails).CountDocuments(t.Context(), bson.D{{Key: "organisationId", Value: "org-1"}})
		if err != nil || n != 3 || len(find(t, srv, "trails")) != 0 {
			t.Errorf("%d documents, %v", n, err)
		}
	})

	t.Run("a process's log", func(t *testing.T) {
		s := sink(t, mongolog.Config{URL: srv.URL("lines")})
		said := []mongolog.Line{{N: 1, At: time.Now(), Text: "one"}, {N: 2, At: time.Now(), Text: "two"}, {N: 3, At: time.Now(), Text: "three"}}
		must(t, s.WriteLines(t.Context(), "host/1", said[:2]))
		must(t, s.WriteLines(t.Context(), "host/1", said)) // two are there
		must(t, s.WriteLines(t.Context(), "host/2", said[:1]))
		n, err := srv.Client(t).Database("lines").Collection(mongolog.Lines).CountDocuments(t.Context(), bson.D{{Key: "process", Value: "host/1"}})
		if err != nil || n != 3 {
			t.Errorf("%d documents, %v", n, err)
		}
	})

	t.Run("altered", func(t *testing.T) {
		var said strings.Builder
		s := sink(t, mongolog.Config{URL: srv.URL("altered"), Log: logTo(&said)})
		must(t, s.Write(t.Context(), entries(1, 3)))
		forged := entries(2, 4)
		forged[0].Hash = "another"
		must(t, s.Write(t.Context(), forged)) // it is told, and the fourth is written all the same
		if got := find(t, srv, "altered"); len(got) != 4 || !strings.Contains(said.String(), "entry=2") || strings.Contains(said.String(), "entry=3") {
			t.Errorf("%d documents; it said %s", len(got), said.String())
		}
	})

	t.Run("refuses authentication", func(t *testing.T) {
		for _, u := range []string{srv.URLAs(mongotest.User, "wrong-secret", "refused"), srv.URLAs("nobody", "wrong-secret", "refused")} {
			fails(t, u, sink(t, mongolog.Config{URL: u}).Write(t.Context(), entries(1, 1)), fault.Forbidden)
		}
		fails(t, "nobody signs in", sink(t, mongolog.Config{URL: "mongodb://" + srv.Addr + "/refused"}).Write(t.Context(), entries(1, 1)), fault.Forbidden)
	})

	t.Run("answers an error", func(t *testing.T) {
		s := sink(t, mongolog.Config{URL: srv.URL("ü")}) // FerretDB has no such names
		fails(t, "the first time", s.Write(t.Context(), entries(1, 1)), fault.Upstream)
		fails(t, "again", s.Write(t.Context(), entries(1, 1)), fault.Upstream)
	})

	t.Run("slow", func(t *testing.T) {
		way := relay(t, srv.Addr)
		s := sink(t, mongolog.Config{URL: strings.Replace(srv.URL("slow"), srv.Addr, way.addr, 1) + "&directConnection=true", Timeout: soon})
		way.hush(true)
		fails(t, "a connection", s.Write(t.Context(), entries(1, 1)), fault.Timeout)
		way.hush(false)
		eventually(t, "it works again", func() bool { return s.Write(t.Context(), entries(1, 2)) == nil })
		way.hush(true)
		fails(t, "an answer", s.Write(t.Context(), entries(2, 3)), fault.Timeout)
		way.hush(false)
		eventually(t, "it works again", func() bool { return s.Write(t.Context(), entries(2, 3)) == nil })
		if got := find(t, srv, "slow"); len(got) != 3 {
			t.Errorf("%d documents", len(got))
		}
	})
}

func TestAwayAndBack(t *testing.T) {
	dir := t.TempDir()
	srv := mongotest.Start(t, mongotest.Config{Dir: dir})
	s := sink(t, mongolog.Config{URL: srv.URL("log")})
	must(t, s.Write(t.Context(), entries(1, 2)))
	srv.Stop()
	quick := sink(t, mongolog.Config{URL: srv.URL("log"), Timeout: soon})
	if err := quick.Write(t.Context(), entries(3, 4)); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
		t.Errorf("nobody there: %v", err)
	}
	again := mongotest.Start(t, mongotest.Config{Dir: dir, Addr: srv.Addr})
	eventually(t, "it works again", func() bool { return s.Write(t.Context(), entries(1, 4)) == nil })
	if got := find(t, again, "log"); len(got) != 4 {
		t.Errorf("%d documents", len(got))
	}
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	srv := mongotest.Start(t, mongotest.Config{CertFile: cert, KeyFile: key, CAFile: cert})
	must(t, sink(t, mongolog.Config{URL: srv.URL("log")}).Write(t.Context(), entries(1, 2)))
	stranger, _ := certificate(t)
	for what, u := range map[string]string{
		"signed by nobody we know": strings.Replace(srv.URL("log"), "tlsCAFile=", "tlsCAFile="+stranger+"&was=", 1),
		"without TLS":              "mongodb://" + mongotest.User + ":" + mongotest.Password + "@" + srv.Addr + "/log?tls=false&authSource=admin",
	} {
		if err := sink(t, mongolog.Config{URL: u, Timeout: soon}).Write(t.Context(), entries(3, 3)); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := find(t, srv, "log"); len(got) != 2 {
		t.Errorf("%d documents", len(got))
	}
}

func TestParse(t *testing.T) {
	for _, bad := range []string{
		"", "http://h/db", "mongodb://h", "mongodb:///db", "mongodb://u:canary@h/db", "mongodb://u:canary@127.0.0.1,h/db", "mongodb://u:canary@h/a.b?tls=true",
		"mongodb://u:canary@h/db?tls=yes", "mongodb://u:canary@h/db?tls=true&tlsInsecure=true", "mongodb://u:canary@h/db?tls=true&TLSAllowInvalidHostnames=true",
		"mongodb://u:canary@h/db?tls=true&tlsCAFile=/does/not/exist", "mongodb://u:canary@h:%zz/db?tls=true",
	} {
		if _, err := mongolog.New(mongolog.Config{URL: bad}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for good, place := range map[string]string{
		"mongodb://u:p@h:27017,h2/db?tls=true": "mongodb:h:27017,h2/db/platform_log", "mongodb+srv://u:p@cluster.example.com/db": "mongodb:cluster.example.com/db/platform_log",
		"mongodb://u:p@h/db?ssl=false": "mongodb:h/db/platform_log", "mongodb://localhost,[::1]:27017,127.0.0.1/db": "mongodb:localhost,[::1]:27017,127.0.0.1/db/platform_log",
	} {
		s, err := mongolog.New(mongolog.Config{URL: good})
		if err != nil || s.Place() != place {
			t.Errorf("%s: %v", good, err)
		}
	}
	// A name that nobody knows is looked up when something is written, not when the server starts.
	s := sink(t, mongolog.Config{URL: "mongodb+srv://u:canary@cluster.invalid/db", Timeout: soon})
	if err := s.Write(t.Context(), entries(1, 1)); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !yes() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}

// certificate makes one for 127.0.0.1 that signs itself, and gives its file and its key's.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mongo"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &k.PublicKey, k)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600))
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", private)
}

// way is between a client and a server. While it is hushed it takes what the client says and tells the server nothing.
type way struct {
	addr string
	mu   sync.Mutex
	hold bool
	open []net.Conn
}

// hush also ends the connections of before, once it is over: what was held back must not come late.
func (w *way) hush(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = on
	if !on {
		for _, c := range w.open {
			_ = c.Close()
		}
		w.open = nil
	}
}

func (w *way) hushed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hold
}

func (w *way) keep(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, c)
}

func (w *way) pass(to, from net.Conn) {
	defer to.Close() //nolint:errcheck // it is only closed
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && !w.hushed() {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				_ = from.Close()
			}
			return
		}
	}
}

func relay(t *testing.T, to string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &way{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			w.keep(in)
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			w.keep(out)
			wg.Go(func() { w.pass(out, in) })
			wg.Go(func() { w.pass(in, out) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.hush(false)
		wg.Wait()
	})
	return w
}
