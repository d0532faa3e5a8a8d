package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/parley-voice/parley/internal/app"
)

type keyCmd struct {
	Rotate keyRotateCmd `cmd:"" help:"Replace the key that wraps data keys, or an organisation's data key, while the server runs."`
	Status keyStatusCmd `cmd:"" help:"Print what wraps data keys, and how many there are in which state, as JSON."`
}

type keyRotateCmd struct {
	app.Config `embed:""`

	Org string `help:"Id of the organisation whose data key gets a new version; 'installation' is that of people's second factors. Empty: what wraps all data keys is replaced." placeholder:"ID"`
}

// Run rotates.
func (c *keyRotateCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		if c.Org != "" {
			version, n, err := admin.RotateOrganisationKey(e.ctx, c.Org)
			if version > 0 {
				fmt.Printf("version %d seals now; %d values were sealed anew\n", version, n)
			}
			return err
		}
		wrapper, n, err := admin.RotateKey(e.ctx, func(done int) { fmt.Fprintf(os.Stderr, "%d data keys wrapped\n", done) })
		if err != nil {
			return fmt.Errorf("after %d data keys: %w; run it again to go on", n, err)
		}
		fmt.Printf("%s wraps all data keys; %d were wrapped now\n", wrapper, n)
		return nil
	})
}

type keyStatusCmd struct {
	app.Config `embed:""`
}

// Run prints the status.
func (c *keyStatusCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		s, err := admin.KeyStatus(e.ctx)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	})
}
