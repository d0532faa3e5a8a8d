package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/mail"
)

// The letters are plain text: nothing in them can be hidden, and no picture tells who read them.

// post sends a letter in the background.
func (s *Service) post(l mail.Letter) { s.cfg.Outbox.Post(l) }

// line makes a name that somebody chose fit for one line of a letter.
func line(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
}

func letterTo(u User, subject, text string) *mail.Message {
	return &mail.Message{To: u.Email, Subject: subject, Text: "Hello " + line(u.Name) + ",\n\n" + text + "\n\n-- \nParley\n"}
}

func resetLetter(u User, link string) *mail.Message {
	return letterTo(u, "Choose a new password", fmt.Sprintf(
		"somebody, probably you, asked for a new password. Open this link to choose one:\n\n  %s\n\n"+
			"It works once, for %d minutes. If it was not you, do nothing: your password stays as it is.", link, int(resetValid.Minutes())))
}

func passwordLetter(u User, at time.Time) mail.Letter {
	return func(context.Context) (*mail.Message, error) {
		return letterTo(u, "Your password was changed", fmt.Sprintf(
			"your password was changed on %s. Everybody who was signed in with the old one was signed out.\n\n"+
				"If it was not you, choose a new one at once (\"Forgot password\" on the sign-in page) and tell your administrator.", moment(at))), nil
	}
}

func newPlaceLetter(u User, device, ip string, at time.Time) mail.Letter {
	return func(context.Context) (*mail.Message, error) {
		return letterTo(u, "New sign-in", fmt.Sprintf(
			"somebody signed in to your account from a place you have not used before:\n\n  %s\n  %s from %s\n\n"+
				"If it was not you, change your password and end that session under \"Your account\".", moment(at), line(device), ip)), nil
	}
}

// tellFactors tells a person that their second factors changed.
func (s *Service) tellFactors(_ context.Context, userID, what string) {
	at := s.cfg.Clock.Now()
	s.post(func(ctx context.Context) (*mail.Message, error) {
		var user userRow
		err := s.cfg.DB.ReadSystem(ctx, "write to somebody", func(ctx context.Context, tx *db.Tx) error {
			return one(ctx, tx, &user, "person", "id = ?", userID)
		})
		if err != nil {
			return nil, err
		}
		return letterTo(user.user(), "How you sign in was changed", fmt.Sprintf(
			"on %s %s.\n\nIf it was not you, change your password at once and tell your administrator.", moment(at), what)), nil
	})
}

func moment(t time.Time) string { return t.UTC().Format("2 January 2006 at 15:04 UTC") }
