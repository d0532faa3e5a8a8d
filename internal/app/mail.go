package app

import (
	"context"
	"strings"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/mail"
)

// checkSignOn checks what letters and passwords need.
func (c *Config) checkSignOn(bad complain) {
	if _, err := c.sender(quartz.NewReal()); err != nil {
		remedy := "use smtp://user:password@host:587 or smtps://user:password@host:465, or leave it empty"
		if strings.Contains(err.Error(), "sender") {
			remedy = "set mail-from to an address such as 'Parley <parley@example.com>'"
		}
		bad("smtp-url", remedy, "%v", err)
	}
	if c.LeakedPasswordsURL != "" && !isURL(c.LeakedPasswordsURL, "http", "https") {
		bad("leaked-passwords-url", "use a URL such as https://api.pwnedpasswords.com/range, or leave it empty", "it is no http URL")
	}
}

// sender is what letters are sent with.
func (c *Config) sender(clock quartz.Clock) (mail.Sender, error) {
	if c.SMTPURL == "" {
		return mail.None{}, nil
	}
	to, err := secretOf(c.SMTPURL)
	if err != nil {
		return nil, err
	}
	return mail.New(mail.Config{URL: to, From: c.MailFrom, Clock: clock})
}

// startMail starts what sends letters in the background.
func (a *App) startMail() (*mail.Outbox, error) {
	sender, err := a.cfg.sender(a.clock)
	if err != nil {
		return nil, err
	}
	o := mail.NewOutbox(mail.OutboxConfig{Sender: sender, Clock: a.clock, Log: a.log})
	a.onStop("letters", func(ctx context.Context) error { o.Close(ctx); return nil })
	return o, nil
}

// publicURL is where people reach us, for links in letters.
func (a *App) publicURL() string {
	addr := a.cfg.HTTPAddr
	if a.http != nil {
		addr = a.http.Addr()
	}
	return a.cfg.publicURL(addr)
}
