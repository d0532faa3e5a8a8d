package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/mediastream"
)

// How a gateway speaks to a media process. It is HTTPS to the internal server. Each request bears a token that the gateway
// signed for this instance, this method and this address: who asks, for whom, from where. The server's certificate is made at its
// start and known by its hash, which the process announces on the bus, where only the media role may.

const (
	internalToken  = time.Minute // of one request
	internalHeader = 10 * time.Second
	internalIdle   = 2 * time.Minute
	internalBody   = 1 << 20
	internalCert   = 5 * 365 * 24 * time.Hour // longer than a process runs
)

// What a token says beside its subject, who is the person.
const (
	sayPrincipal = "principal"
	sayIP        = "ip"
	sayAgent     = "userAgent"
	sayRequest   = "request"
	sayMethod    = "method"
	sayURI       = "uri"
)

// inner is the internal server.
type inner struct {
	srv *http.Server
	ln  net.Listener
	pin string // SHA-256 of its certificate, in hex
}

// Addr is where it listens.
func (i *inner) Addr() net.Addr { return i.ln.Addr() }

// startInternal begins to take what gateways send: the operations on calls, and carriers' streams.
func (a *App) startInternal(context.Context) error {
	if !a.cfg.split() {
		return nil
	}
	cert, pin, err := selfSigned()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	api := gateway.NewAPI(mux, gateway.APIConfig{Version: a.version, Auth: vouched{a.identity}, Audit: a.newAuditor(), Log: a.log})
	a.callRoutes(api)
	mux.Handle("GET "+mediastream.MediaPath, a.twilio.Media())
	a.inner = &inner{pin: pin, srv: &http.Server{
		Handler: a.guard(mux), ReadHeaderTimeout: internalHeader, IdleTimeout: internalIdle, MaxHeaderBytes: 64 << 10,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}},
		ErrorLog:  slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}}
	if a.inner.ln, err = net.Listen("tcp", a.cfg.InternalAddr); err != nil {
		return settingProblem("internal-addr", a.cfg.InternalAddr, err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := a.inner.srv.ServeTLS(a.inner.ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the internal server ended", "error", err)
		}
	}()
	a.onStop("internal server", func(ctx context.Context) error {
		err := a.inner.srv.Shutdown(ctx)
		if err != nil {
			err = a.inner.srv.Close()
		}
		<-over
		return err
	})
	return nil
}

// guard lets in what a gateway vouches for, and nothing else.
func (a *App) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		ctx, err := a.vouched(r)
		if err != nil {
			a.log.Warn("a request to the internal server was refused", "remote", r.RemoteAddr, "error", err)
			gateway.WriteProblem(w, err)
			return
		}
		if a.calls.stopping() {
			w.Header().Set(fleet.DrainingHeader, "1") // of the answers 503 that follow
		}
		r.Body = http.MaxBytesReader(w, r.Body, internalBody)
		ctx, span := a.takeTrace(ctx, r)
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// vouched reads the token of a request: who it is for, and where it came from.
func (a *App) vouched(r *http.Request) (context.Context, error) {
	refused := fault.New(fault.Unauthorized, "this server takes requests of gateways only")
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, refused
	}
	claims, err := a.signing.Verify(r.Context(), token, a.node, roleGateway)
	if err != nil {
		return nil, fault.Wrap(fault.Unauthorized, err, "%s", refused.Message)
	}
	if claims.Data[sayMethod] != r.Method || claims.Data[sayURI] != r.URL.RequestURI() {
		return nil, fault.New(fault.Unauthorized, "the token is for another request")
	}
	ctx := identity.WithOrigin(r.Context(), &identity.Origin{IP: claims.Data[sayIP], UserAgent: claims.Data[sayAgent], RequestID: claims.Data[sayRequest]})
	if s := claims.Data[sayPrincipal]; s != "" {
		var p identity.Principal
		if err := json.Unmarshal([]byte(s), &p); err != nil || p.UserID != claims.Subject {
			return nil, fault.New(fault.Unauthorized, "the token names nobody")
		}
		ctx = context.WithValue(ctx, vouchedKey{}, p)
	}
	return ctx, nil
}

type vouchedKey struct{}

// vouched is the Authenticator of the internal server: the guard has found out who asks.
type vouched struct{ *identity.Service }

// Bearer implements gateway.Authenticator.
func (vouched) Bearer(ctx context.Context, _, _ string) (identity.Principal, error) {
	if p, ok := ctx.Value(vouchedKey{}).(identity.Principal); ok {
		return p, nil
	}
	return identity.Principal{}, fault.New(fault.Unauthorized, "the request is on nobody's behalf")
}

// vouch adds the token by which an instance knows a request, and takes away what the caller proved themselves with.
func (a *App) vouch(r *http.Request, to fleet.Instance) error {
	o := identity.OriginOf(r.Context())
	say := map[string]string{sayIP: o.IP, sayAgent: o.UserAgent, sayRequest: o.RequestID, sayMethod: r.Method, sayURI: r.URL.RequestURI()}
	p, known := identity.From(r.Context())
	if known {
		b, err := json.Marshal(p)
		if err != nil {
			return err
		}
		say[sayPrincipal] = string(b)
	}
	token, err := a.signing.Token(r.Context(), roleGateway, to.ID, p.UserID, internalToken, say)
	if err != nil {
		return err
	}
	r.Header.Del("Cookie")
	r.Header.Set("Authorization", "Bearer "+token)
	passTrace(r)
	return nil
}

// pinned makes the client's side of TLS: it knows a server by what the processes announced.
func pinned(announced func() []fleet.State) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Not by a name that some authority signed, but by the very certificate: VerifyConnection does more, not less.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("the internal server has no certificate")
			}
			pin := pinOf(cs.PeerCertificates[0].Raw)
			for _, i := range announced() {
				if i.Pin == pin {
					return nil
				}
			}
			return errors.New("the internal server's certificate is not one that was announced")
		},
	}
}

func pinOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// selfSigned makes a certificate for this run of the process.
func selfSigned() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, "", err
	}
	now := time.Now() // certificates are about the world's time
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "parley"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(internalCert),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pinOf(der), nil
}
