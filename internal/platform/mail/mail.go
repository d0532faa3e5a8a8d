// Package mail sends plain-text letters by SMTP.
//
//   - [SMTP] submits to the server of a URL: smtp://user:password@host:587 begins with STARTTLS, smtps:// is TLS from the
//     first byte. Without TLS it speaks only to this machine.
//   - [None] stands for no server: who wanted to send shows the link to an administrator instead.
//   - [Outbox] sends one letter after another in the background, with retries; it is bounded and drops what is too much.
//
// What the letters say is their context's business.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/quartz"
	gomail "github.com/wneessen/go-mail"
)

const (
	dialTimeout = 10 * time.Second
	sendTimeout = 30 * time.Second
	maxText     = 64 << 10
)

// ErrNone says that no server is set.
var ErrNone = errors.New("mail: no server is set (smtp-url)")

// Message is a letter to one person.
type Message struct {
	To      string // an address
	Subject string
	Text    string
}

// Sender sends letters.
type Sender interface {
	// Send returns when the server took the letter. An error wraps ErrRefused when trying again is no use.
	Send(ctx context.Context, m Message) error
	// Enabled reports whether letters can be sent at all.
	Enabled() bool
}

// ErrRefused says that the server will not take this letter, now or later.
var ErrRefused = errors.New("mail: the server refused the letter")

// None is a Sender without a server.
type None struct{}

// Send implements Sender.
func (None) Send(context.Context, Message) error { return fmt.Errorf("%w: %w", ErrRefused, ErrNone) }

// Enabled implements Sender.
func (None) Enabled() bool { return false }

// Config is what New needs.
type Config struct {
	URL     string // smtp:// or smtps://, with user and password where the server wants them
	From    string // Parley <parley@example.com>
	Clock   quartz.Clock
	RootCAs *x509.CertPool // nil: the system's
	// Dial makes the connections of smtp:// URLs; nil is net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// SMTP submits letters to a server (RFC 6409). It is safe for concurrent use; each letter has a connection of its own.
type SMTP struct {
	cfg  Config
	host string
	opts []gomail.Option
}

// New reads the settings; it does not connect.
func New(c Config) (*SMTP, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return nil, errors.New("it is no SMTP URL") // the URL may hold a password
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		return nil, fmt.Errorf("%q is no sender's address", c.From)
	}
	s := &SMTP{cfg: c, host: u.Hostname()}
	port := map[string]int{"smtp": 587, "smtps": 465}[u.Scheme]
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil {
			return nil, fmt.Errorf("%q is no port", p)
		}
	}
	s.opts = []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(dialTimeout),
		gomail.WithTLSConfig(&tls.Config{ServerName: s.host, RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}),
	}
	switch {
	case u.Scheme == "smtps":
		s.opts = append(s.opts, gomail.WithSSL())
	case isLoopback(s.host):
		s.opts = append(s.opts, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default: // a server that does not offer STARTTLS, or somebody between who hides it, gets no letter (RFC 8314)
		s.opts = append(s.opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		auth := gomail.SMTPAuthAutoDiscover // sends no password in clear
		s.opts = append(s.opts, gomail.WithSMTPAuth(auth), gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	if c.Dial != nil && u.Scheme == "smtp" {
		s.opts = append(s.opts, gomail.WithDialContextFunc(c.Dial))
	}
	if helo := u.Query().Get("helo"); helo != "" {
		s.opts = append(s.opts, gomail.WithHELO(helo))
	}
	if _, err := gomail.NewClient(s.host, s.opts...); err != nil {
		return nil, fmt.Errorf("the SMTP settings cannot be used: %w", err)
	}
	return s, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Enabled implements Sender.
func (*SMTP) Enabled() bool { return true }

// Send implements Sender.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg, err := s.message(m)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	client, err := gomail.NewClient(s.host, s.opts...)
	if err != nil {
		return err
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		var se *gomail.SendError
		if errors.As(err, &se) && !se.IsTemp() && !isNetwork(err) {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return fmt.Errorf("send a letter by %s: %w", s.host, err)
	}
	return nil
}

func isNetwork(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, context.DeadlineExceeded)
}

func (s *SMTP) message(m Message) (*gomail.Msg, error) {
	if len(m.Text) > maxText {
		return nil, fmt.Errorf("the text has %d bytes, more than %d", len(m.Text), maxText)
	}
	msg := gomail.NewMsg()
	if err := msg.From(s.cfg.From); err != nil {
		return nil, err
	}
	if err := msg.To(m.To); err != nil {
		return nil, err
	}
	// A line break would begin another header; names that people chose are part of subjects.
	msg.Subject(strings.Join(strings.FieldsFunc(m.Subject, func(r rune) bool { return r < ' ' || r == 0x7f }), " "))
	msg.SetDateWithValue(s.cfg.Clock.Now())
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday replies, please
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	return msg, nil
}
