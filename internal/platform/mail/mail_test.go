package mail_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/parley-voice/parley/internal/platform/mail"
)

// peer is emersion/go-smtp's server with a mailbox.
type peer struct {
	url      string
	pool     *x509.CertPool
	password string

	mu      sync.Mutex
	letters []string
	users   []string
	refuse  []error // answers to the next recipients
}

type session struct {
	p  *peer
	to string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != s.p.password {
			return smtp.ErrAuthFailed
		}
		s.p.mu.Lock()
		defer s.p.mu.Unlock()
		s.p.users = append(s.p.users, user)
		return nil
	}), nil
}
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if len(s.p.refuse) > 0 {
		err := s.p.refuse[0]
		s.p.refuse = s.p.refuse[1:]
		return err
	}
	s.to = to
	return nil
}
func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.letters = append(s.p.letters, string(b))
	return err
}
func (*session) Reset()        {}
func (*session) Logout() error { return nil }

func (p *peer) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.letters...)
}

// listen starts a server; implicit is TLS from the first byte, offered is STARTTLS.
func listen(t *testing.T, implicit, offered bool) *peer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{pool: x509.NewCertPool(), password: "s3cret"}
	p.pool.AddCert(cert)
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{p: p}, nil }))
	srv.Domain = "localhost"
	conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "smtp"
	if implicit {
		ln, scheme = tls.NewListener(ln, conf), "smtps"
	} else if offered {
		srv.TLSConfig = conf
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	p.url = fmt.Sprintf("%s://parley:%s@%s", scheme, p.password, ln.Addr())
	return p
}

func sender(t *testing.T, p *peer, url string) *mail.SMTP {
	t.Helper()
	s, err := mail.New(mail.Config{URL: url, From: "Parley <parley@example.com>", Clock: quartz.NewReal(), RootCAs: p.pool})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var letter = mail.Message{To: "anna@example.com", Subject: "Grüße\r\nBcc: eve@example.com", Text: "Hello Anna,\n\n.\nthe line above is a full stop. Ünïcode.\n"}

func TestSend(t *testing.T) {
	for name, implicit := range map[string]bool{"STARTTLS": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			p := listen(t, implicit, true)
			if err := sender(t, p, p.url).Send(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
			all := p.got()
			if len(all) != 1 || len(p.users) != 1 || p.users[0] != "parley" {
				t.Fatalf("%d letters, signed in %v", len(all), p.users)
			}
			m, err := netmail.ReadMessage(strings.NewReader(all[0]))
			if err != nil {
				t.Fatal(err)
			}
			if m.Header.Get("Bcc") != "" || m.Header.Get("To") != "<anna@example.com>" || m.Header.Get("Auto-Submitted") != "auto-generated" {
				t.Errorf("headers %v", m.Header)
			}
			if from, err := m.Header.AddressList("From"); err != nil || from[0].Address != "parley@example.com" {
				t.Errorf("from %v, %v", from, err)
			}
			body, _ := io.ReadAll(m.Body)
			if !strings.Contains(string(body), "the line above is a full stop. =C3=9Cn=C3=AFcode.") {
				t.Errorf("body %q", body)
			}
		})
	}
}

func TestAServerThatRefuses(t *testing.T) {
	p := listen(t, false, true)
	s := sender(t, p, p.url)
	p.refuse = []error{
		&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"},
		&smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "busy"},
	}
	if err := s.Send(t.Context(), letter); !errors.Is(err, mail.ErrRefused) {
		t.Errorf("a mailbox that is not there: %v", err)
	}
	if err := s.Send(t.Context(), letter); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("a mailbox that is busy: %v", err)
	}
	wrong := sender(t, p, strings.Replace(p.url, "s3cret", "guess", 1))
	err := wrong.Send(t.Context(), letter)
	if err == nil || strings.Contains(err.Error(), "guess") {
		t.Errorf("with a wrong password: %v", err)
	}
	stranger, err := mail.New(mail.Config{URL: p.url, From: "parley@example.com", Clock: quartz.NewReal()})
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Send(t.Context(), letter); err == nil {
		t.Error("a certificate that nobody vouches for was taken")
	}
	if n := len(p.got()); n != 0 {
		t.Errorf("%d letters got through", n)
	}
}

// A password never crosses the network in clear, and neither does a letter.
func TestNoTLS(t *testing.T) {
	p := listen(t, false, false)
	if err := sender(t, p, p.url).Send(t.Context(), letter); err == nil {
		t.Error("a password was sent in clear")
	}
	open := "smtp://" + p.url[strings.Index(p.url, "@")+1:]
	if err := sender(t, p, open).Send(t.Context(), letter); err != nil {
		t.Errorf("to this machine without a password: %v", err)
	}
	// The same server by a name that is not this machine's.
	abroad, err := mail.New(mail.Config{
		URL: "smtp://mail.example.com:25", From: "parley@example.com", Clock: quartz.NewReal(), RootCAs: p.pool,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, open[len("smtp://"):])
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := abroad.Send(t.Context(), letter); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("a letter in clear to another machine: %v", err)
	}
	if n := len(p.got()); n != 1 {
		t.Errorf("%d letters, want 1", n)
	}
}

func TestSettings(t *testing.T) {
	for url, from := range map[string]string{
		"http://mail.example.com": "a@example.com", "smtp://": "a@example.com", "smtp://h:99999999": "a@example.com", "smtp://h": "nobody", "": "a@example.com",
	} {
		_, err := mail.New(mail.Config{URL: url, From: from, Clock: quartz.NewReal()})
		if err == nil {
			t.Errorf("%q with sender %q was taken", url, from)
		}
	}
	_, err := mail.New(mail.Config{URL: "smtpx://u:s3cret@h", From: "a@example.com", Clock: quartz.NewReal()})
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error shows the password: %v", err)
	}
	if err := (mail.None{}).Send(t.Context(), letter); !errors.Is(err, mail.ErrNone) {
		t.Errorf("no server: %v", err)
	}
}

func TestOutboxTriesAgain(t *testing.T) {
	p := listen(t, false, true)
	busy := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later"}
	p.refuse = []error{busy, busy}
	clock := quartz.NewMock(t)
	clock.Set(time.Now())
	trap := clock.Trap().NewTimer("mail", "retry")
	defer trap.Close()
	s, err := mail.New(mail.Config{URL: p.url, From: "parley@example.com", Clock: clock, RootCAs: p.pool})
	if err != nil {
		t.Fatal(err)
	}
	o := mail.NewOutbox(mail.OutboxConfig{Sender: s, Clock: clock, Log: slog.New(slog.DiscardHandler)})
	o.Post(func(context.Context) (*mail.Message, error) { return &letter, nil })
	o.Post(func(context.Context) (*mail.Message, error) { return nil, nil })
	for range 2 {
		call := trap.MustWait(t.Context())
		call.MustRelease(t.Context())
		clock.Advance(call.Duration).MustWait(t.Context())
	}
	o.Close(t.Context())
	o.Close(t.Context())
	o.Post(func(context.Context) (*mail.Message, error) { t.Error("written after the end"); return nil, nil })
	if n := len(p.got()); n != 1 {
		t.Errorf("%d letters, want 1", n)
	}
}
