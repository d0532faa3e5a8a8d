// Command parley is the whole product: the server, and the tools that set it up, call it and load it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/parley-voice/parley/internal/app"
)

// version is set when linking.
var version = "dev"

type cli struct {
	Config kong.ConfigFlag `help:"Settings file (YAML): one line a setting." placeholder:"FILE" env:"PARLEY_CONFIG"`

	Serve      serveCmd      `cmd:"" default:"withargs" help:"Run the server."`
	User       userCmd       `cmd:"" help:"People who sign in."`
	Org        orgCmd        `cmd:"" help:"Organisations of this installation."`
	Token      tokenCmd      `cmd:"" help:"API keys and media tokens."`
	Key        keyCmd        `cmd:"" help:"Keys that secrets and recordings are encrypted with."`
	Audit      auditCmd      `cmd:"" help:"The audit trail: export it, prove it."`
	Backup     backupCmd     `cmd:"" help:"Write everything of the embedded mode into one file while the server runs."`
	Restore    restoreCmd    `cmd:"" help:"Restore a backup into an empty data folder."`
	Compliance complianceCmd `cmd:"" help:"Decisions to call and not to call: export them, prove them."`
	Campaign   campaignCmd   `cmd:"" help:"Campaigns: rules on calling, lists of people, do-not-call registers."`
	Simulate   simulateCmd   `cmd:"" help:"Play a campaign with made-up people on a virtual clock, and tell what to expect."`
	Call       callCmd       `cmd:"" help:"Place a call from the terminal: a softphone that plays a WAV file."`
	Load       loadCmd       `cmd:"" help:"Load a server with calls and measure it."`
	OpenAPI    openAPICmd    `cmd:"" name:"openapi" help:"Print the API's OpenAPI document."`
	Reference  referenceCmd  `cmd:"" help:"Print the reference of settings and commands."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// env is what commands share.
type env struct {
	ctx     context.Context
	version string
}

// withAdmin opens the data for one command and closes it again.
func (e *env) withAdmin(c app.Config, do func(*app.Admin) error) error {
	admin, err := app.OpenAdmin(e.ctx, c, e.version, os.Stderr)
	if err != nil {
		return err
	}
	defer admin.Close()
	return do(admin)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "parley:", err)
		os.Exit(2)
	}
	k, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := k.Run(&env{ctx: ctx, version: version}); err != nil {
		report(err)
		os.Exit(1)
	}
}

func newParser(c *cli) (*kong.Kong, error) {
	return kong.New(c, kong.Name("parley"),
		kong.Description("AI telephony and contact-centre server: agents answer and place real phone calls."),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Configuration(app.SettingsFile))
}

// report prints every problem on a line of its own.
func report(err error) {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		for _, e := range many.Unwrap() {
			report(e)
		}
		return
	}
	fmt.Fprintln(os.Stderr, "parley:", err)
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(e *env) error {
	fmt.Println("parley", e.version)
	return nil
}
