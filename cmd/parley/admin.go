package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/identity"
)

type userCmd struct {
	Create    userCreateCmd    `cmd:"" help:"Create the owner without a browser."`
	ResetLink userResetLinkCmd `cmd:"" help:"Print a link with which a person chooses a new password."`
	Super     userSuperCmd     `cmd:"" help:"Let a person administer the installation, or end that."`
}

type userCreateCmd struct {
	app.Config `embed:""`

	Owner         bool   `help:"Create the owner; the only kind there is so far." required:""`
	Email         string `help:"E-mail address." required:""`
	Name          string `help:"Name; the address when left out."`
	Organisation  string `help:"Organisation's name." default:"My organisation"`
	PasswordStdin bool   `help:"Read the password from standard input." required:""`
}

// Run creates the owner.
func (c *userCreateCmd) Run(e *env) error {
	password, err := readPassword()
	if err != nil {
		return err
	}
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		acc, err := admin.CreateOwner(e.ctx, identity.NewOwner{
			Email: c.Email, Name: c.Name, Organisation: c.Organisation, Password: password,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "created the owner %s of %q\n", acc.User.Email, acc.Organisation.Name)
		return nil
	})
}

// readPassword takes the first line of standard input.
func readPassword() (string, error) {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && line == "" {
		return "", fmt.Errorf("no password on standard input: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

type userResetLinkCmd struct {
	app.Config `embed:""`

	Email string `help:"Whose password it is." required:""`
}

// Run prints a reset link.
func (c *userResetLinkCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		link, err := admin.ResetLink(e.ctx, c.Email)
		if err != nil {
			return err
		}
		fmt.Println(link)
		return nil
	})
}

type userSuperCmd struct {
	app.Config `embed:""`

	Email  string `help:"Who: somebody who has an account." required:""`
	Revoke bool   `help:"End that the person administers the installation; the last one stays."`
}

// Run makes a super-admin, or ends that somebody is one.
func (c *userSuperCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		who, err := admin.SetSuper(e.ctx, c.Email, !c.Revoke)
		if err != nil {
			return err
		}
		what := "administers the installation"
		if c.Revoke {
			what = "no longer administers the installation"
		}
		fmt.Fprintf(os.Stderr, "%s %s\n", who.Email, what)
		return nil
	})
}

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Create an API key and print it."`
	Media  tokenMediaCmd  `cmd:"" help:"Print a token with which a media stream reaches an agent."`
}

type tokenCreateCmd struct {
	app.Config `embed:""`

	Org   string `help:"Organisation's name or id; left out, the one the person belongs to longest."`
	Email string `help:"Whose key it is." required:""`
	Name  string `help:"What uses the key." required:""`
}

// Run creates and prints an API key.
func (c *tokenCreateCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		secret, err := admin.CreateToken(e.ctx, c.Org, c.Email, c.Name)
		if err != nil {
			return err
		}
		fmt.Println(secret)
		return nil
	})
}

type tokenMediaCmd struct {
	app.Config `embed:""`

	Agent string        `help:"Agent's slug." required:""`
	Valid time.Duration `help:"How long the token is valid." default:"24h"`
}

// Run prints a media token.
func (c *tokenMediaCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		token, err := admin.MediaToken(e.ctx, c.Agent, c.Valid)
		if err != nil {
			return err
		}
		fmt.Println(token)
		return nil
	})
}

type openAPICmd struct{}

// Run prints the API's document.
func (openAPICmd) Run(*env) error {
	// The version stays out: the document changes when the API does, not with every build.
	doc, err := app.OpenAPI("1")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(doc)
	return err
}
