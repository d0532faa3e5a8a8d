// Command vault serves the transit engine of HashiCorp Vault, which is not ours, to tests. The engine, and what becomes of
// its errors, are Vault's own code; that a token is asked for, that a server may be sealed, and the few lines of
// HTTP around it are not. A whole Vault takes ten minutes to build.
//
//	vault TOKEN    prints its address and serves transit/ under it until its standard input ends
//
// POST /test/sealed?on=true makes it answer as a sealed Vault does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 || os.Args[1] == "" {
		return fmt.Errorf("usage: vault TOKEN")
	}
	store := &logical.InmemStorage{}
	engine, err := transit.Factory(context.Background(), &logical.BackendConfig{StorageView: store, Logger: hclog.NewNullLogger(), System: logical.TestSystemView(),
		Config: map[string]string{}})
	if err != nil {
		return err
	}
	if err := engine.Initialize(context.Background(), &logical.InitializationRequest{Storage: store}); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &server{token: os.Args[1], engine: engine, store: store}
	web := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = web.Close()
	}()
	if err := web.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

type server struct {
	token  string
	engine logical.Backend
	store  logical.Storage
	sealed atomic.Bool
}

// ServeHTTP answers https://developer.hashicorp.com/vault/api-docs/secret/transit.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/test/sealed" {
		s.sealed.Store(r.URL.Query().Get("on") == "true")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/transit/")
	switch {
	case s.sealed.Load():
		logical.RespondError(w, http.StatusServiceUnavailable, consts.ErrSealed)
		return
	case r.Header.Get("X-Vault-Token") != s.token:
		logical.RespondError(w, http.StatusForbidden, logical.ErrPermissionDenied)
		return
	case !ok:
		logical.RespondError(w, http.StatusNotFound, fmt.Errorf("no handler for route %q. route entry not found.", strings.TrimPrefix(r.URL.Path, "/v1/")))
		return
	}
	req := &logical.Request{Path: path, Storage: s.store, Operation: logical.ReadOperation}
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		req.Operation = logical.UpdateOperation
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&req.Data); err != nil && err != io.EOF {
			logical.RespondError(w, http.StatusBadRequest, fmt.Errorf("failed to parse JSON input: %w", err))
			return
		}
	} else if r.Method == http.MethodDelete {
		req.Operation = logical.DeleteOperation
	}
	if req.Operation == logical.UpdateOperation { // Vault's core asks the engine what a write is
		if check, exists, err := s.engine.HandleExistenceCheck(r.Context(), req); err == nil && check && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	res, err := s.engine.HandleRequest(r.Context(), req)
	if status, err := logical.RespondErrorCommon(req, res, err); status != 0 || err != nil {
		logical.RespondError(w, status, err)
		return
	}
	if res == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(logical.LogicalResponseToHTTPResponse(res))
}
