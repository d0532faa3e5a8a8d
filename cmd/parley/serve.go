package main

import (
	"fmt"
	"os"

	"github.com/parley-voice/parley/internal/app"
)

type serveCmd struct {
	app.Config `embed:""`

	Check bool `help:"Check the settings and stop."`
}

// Run starts the server, or checks the settings.
func (c *serveCmd) Run(e *env) error {
	if err := c.Config.Check(); err != nil {
		return err
	}
	if c.Check {
		fmt.Println("settings are good")
		return nil
	}
	a, err := app.New(c.Config, e.version, os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	return a.Run(e.ctx)
}
