package app_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/load"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// childCost names the variable that makes this test binary the server whose requests are measured.
const childCost = "PARLEY_TEST_COST"

// costly is that server: the same small query behind ever more of what a request goes through.
type costly struct {
	DataDir, DatabaseURL string
}

// ready is what it prints once it answers.
type ready struct {
	Token string
	URLs  []string // by step
}

var costSteps = []string{"net/http and the query", "+ API and sign-in", "+ limits, CORS, headers, compression", "+ tenant door (RLS on PostgreSQL)", "+ an audit entry for each"}

type counted struct {
	Body struct {
		Agents int64 `json:"agents"`
	}
}

// serveCost serves each step at an address of its own until standard input ends.
func serveCost(raw string) error {
	var c costly
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		return err
	}
	ctx, log, clock := context.Background(), slog.New(slog.DiscardHandler), quartz.NewReal()
	d, err := db.Open(ctx, db.Config{URL: c.DatabaseURL, DataDir: c.DataDir})
	if err != nil {
		return err
	}
	if err := d.Migrate(ctx, identity.Migrations(), agent.Migrations(), gateway.Migrations()); err != nil {
		return err
	}
	people, err := identity.New(identity.Config{DB: d, Clock: clock, Log: log})
	if err != nil {
		return err
	}
	acc, err := people.CreateOrganisation(ctx, identity.NewOrganisation{Name: "Cost", OwnerEmail: "owner@example.com", Password: "figures of requests 7143"})
	if err != nil {
		return err
	}
	token, err := people.CreateTokenIn(ctx, acc.Organisation.ID, "owner@example.com", "cost")
	if err != nil {
		return err
	}
	org := acc.Organisation.ID
	const query = "SELECT count(*) FROM agents WHERE organisation_id = "
	plain, err := plainReader(c, query)
	if err != nil {
		return err
	}
	direct := func(ctx context.Context) (out counted, err error) {
		out.Body.Agents, err = plain(ctx, org)
		return out, err
	}
	door := func(ctx context.Context) (out counted, err error) {
		err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewRaw(query+"?", org).Scan(ctx, &out.Body.Agents)
		})
		return out, err
	}
	limit := gateway.Limit{Requests: 1_000_000_000, Window: time.Minute}
	limits := gateway.NewLimits(gateway.LimitsConfig{Address: limit, Read: limit, Write: limit, Organisation: limit, Clock: clock, Log: log})
	cors := gateway.NewCORS(gateway.CORSConfig{DB: d, Clock: clock})
	keys := gateway.NewKeys(gateway.KeysConfig{DB: d, Sealer: envelopetest.New(7), Clock: clock, Log: log})
	auditor := gateway.NewAuditor(gateway.AuditorConfig{DB: d, Clock: clock, Log: log, Lost: func(int) {}})
	bare := http.NewServeMux()
	bare.HandleFunc("GET /api/v1/cost", func(w http.ResponseWriter, r *http.Request) {
		out, err := direct(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out.Body)
	})
	api := func(l *gateway.Limits, co *gateway.CORS, k *gateway.Keys, a *gateway.Auditor, read func(context.Context) (counted, error)) http.Handler {
		mux := http.NewServeMux()
		o := huma.Operation{OperationID: "cost", Method: "GET", Path: "/api/v1/cost", Metadata: map[string]any{"permission": "agent:read"}}
		if a != nil {
			o.Metadata["audit"] = "cost.read"
		}
		huma.Register(gateway.NewAPI(mux, gateway.APIConfig{Version: "1", Auth: people, Limits: l, CORS: co, Keys: k, Audit: a, Log: log}), o,
			func(ctx context.Context, _ *struct{}) (*counted, error) { out, err := read(ctx); return &out, err })
		return mux
	}
	r := ready{Token: token}
	for step, h := range []http.Handler{bare, api(nil, nil, nil, nil, direct), api(limits, cors, keys, nil, direct), api(limits, cors, keys, nil, door), api(limits, cors, keys, auditor, door)} {
		addr := ""
		if step < 2 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			go func() { _ = (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(l) }()
			addr = l.Addr().String()
		} else {
			s := gateway.New(gateway.Config{Addr: "127.0.0.1:0", Handler: h, Limits: limits, CORS: cors, Clock: clock, Log: log})
			if err := s.Listen(); err != nil {
				return err
			}
			go func() { _ = s.Serve() }()
			addr = s.Addr()
		}
		r.URLs = append(r.URLs, "http://"+addr+"/api/v1/cost")
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

// plainReader asks the same question beside every door: on PostgreSQL as a connection that row level security lets see all.
func plainReader(c costly, query string) (func(ctx context.Context, org string) (int64, error), error) {
	driver, source := "sqlite", "file:"+c.DataDir+"/parley.db?_pragma=query_only(1)"
	if c.DatabaseURL != "" {
		driver, source = "pgx", c.DatabaseURL+"&app.system=on"
	}
	conn, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	conn.SetMaxIdleConns(12)
	return func(ctx context.Context, org string) (n int64, err error) {
		err = conn.QueryRowContext(ctx, query+"$1", org).Scan(&n)
		return n, err
	}, nil
}

// BenchmarkCostOfARequest is what a request costs on one core of the server, at 500 a second, each at its time: p50 and p99 of
// each step, the better of three runs. make bench-requests.
func BenchmarkCostOfARequest(b *testing.B) {
	for _, engine := range []string{db.SQLite, db.Postgres} {
		b.Run(engine, func(b *testing.B) {
			c := costly{DataDir: b.TempDir()}
			if engine == db.Postgres {
				c.DatabaseURL = dbtest.PostgresURL(b)
			}
			r, pid := startCost(b, c)
			for b.Loop() {
				best := make([]load.HTTPReport, len(r.URLs))
				cpu := make([]time.Duration, len(r.URLs))
				for range 3 {
					for step, url := range r.URLs {
						before := cpuOf(b, pid)
						got, err := load.HTTP(b.Context(), load.HTTPConfig{URL: url, Tokens: []string{r.Token}, Rate: 500, Warm: time.Second, Duration: 8 * time.Second})
						if err != nil || got.Failed > 0 {
							b.Fatalf("%s: %+v, %v", costSteps[step], got, err)
						}
						if used := (cpuOf(b, pid) - before) / time.Duration(got.Requests+500); cpu[step] == 0 || used < cpu[step] {
							cpu[step] = used
						}
						if best[step].P99 == 0 || got.P99 < best[step].P99 {
							best[step] = got
						}
					}
				}
				for step, got := range best {
					b.Logf("%-40s p50 %6.3f ms, p99 %6.3f ms; added to the first: %6.3f / %6.3f ms; CPU of the server %s, added %s (generator late by %s at most)", costSteps[step],
						ms(got.P50), ms(got.P99), ms(got.P50-best[0].P50), ms(got.P99-best[0].P99), cpu[step], cpu[step]-cpu[0], got.Late.Round(time.Microsecond))
				}
			}
		})
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// startCost starts the server on one core.
func startCost(b *testing.B, c costly) (r ready, pid int) {
	b.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childCost+"="+string(raw), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	if err := json.NewDecoder(out).Decode(&r); err != nil || len(r.URLs) != len(costSteps) {
		b.Fatal(fmt.Errorf("the server says nothing: %w", err))
	}
	return r, cmd.Process.Pid
}

// cpuOf gives the processor time that a process has used: fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
