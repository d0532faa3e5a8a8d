package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/parley-voice/parley/internal/app"
)

type backupCmd struct {
	app.Config `embed:""`

	File    string `arg:"" help:"File to write."`
	WithKey bool   `help:"Put the key file into the backup too. Who has the file can then read everything in it."`
}

// Run writes a backup while the server runs.
func (c *backupCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		m, err := admin.Backup(e.ctx, c.File, c.WithKey)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "wrote %d files to %s\n", len(m.Files), c.File)
		if !c.WithKey {
			fmt.Fprintln(os.Stderr, "the key is not in it: keep it elsewhere, nothing can be read without it")
		}
		return nil
	})
}

type restoreCmd struct {
	app.Config `embed:""`

	File string `arg:"" help:"Backup to restore into an empty data folder."`
}

// Run restores a backup.
func (c *restoreCmd) Run(e *env) error {
	m, err := app.Restore(e.ctx, c.Config, c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "restored %d files of %s into %s\n", len(m.Files), m.MadeAt.Format("2006-01-02 15:04:05 MST"), c.DataDir)
	return nil
}

type orgMoveCmd struct {
	app.Config `embed:""`

	Organisation string `arg:"" help:"Organisation's id."`
	Placement    string `help:"shared or own." enum:"shared,own," default:""`
	Region       string `help:"Where a database of its own is to be: a name of the setting regions."`
	Abort        bool   `help:"Take back a move that has not switched yet."`
}

// Run moves an organisation while the server runs, or goes on with a move that was interrupted.
func (c *orgMoveCmd) Run(e *env) error {
	if (c.Placement == "") != c.Abort {
		return errors.New("say where to with --placement shared or own, or take the move back with --abort")
	}
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		if c.Abort {
			return admin.AbortMove(e.ctx, c.Organisation)
		}
		r, err := admin.MoveOrganisation(e.ctx, c.Organisation, c.Placement, c.Region)
		if err != nil {
			return err
		}
		rows := int64(0)
		for _, n := range r.Tables {
			rows += n
		}
		fmt.Fprintf(os.Stderr, "moved %d rows of %d tables from %s to %s in %s; %d changes were followed, writers waited %s\n",
			rows, len(r.Tables), r.From.Placement, r.To.Placement, r.Took.Round(1e6), r.Caught, r.Held.Round(1e6))
		return nil
	})
}
