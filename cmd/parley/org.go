package main

import (
	"fmt"
	"os"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/identity"
)

type orgCmd struct {
	Create       orgCreateCmd  `cmd:"" help:"Create an organisation with its owner, and print its id."`
	Export       orgExportCmd  `cmd:"" help:"Write an organisation into one encrypted file, whether the server runs or not."`
	Inspect      orgInspectCmd `cmd:"" help:"Verify such a file and say what is in it."`
	AuditArchive orgArchiveCmd `cmd:"" help:"Write the audit trail that came with an imported organisation, for parley audit verify."`
	Erase        orgEraseCmd   `cmd:"" help:"Erase an organisation for ever, prove it, and print the certificate; or prove a certificate."`
	Import       orgImportCmd  `cmd:"" help:"Make an organisation of such a file, here or in another installation."`
	Move         orgMoveCmd    `cmd:"" help:"Move an organisation to another placement or region while it is used; the same again finishes what was interrupted."`
}

type orgCreateCmd struct {
	app.Config `embed:""`

	Name          string `help:"Organisation's name." required:""`
	OwnerEmail    string `help:"E-mail address of the owner; one who has an account keeps its password." required:""`
	PasswordStdin bool   `help:"Read the password of a new owner from standard input." required:""`
	Placement     string `help:"shared: in the database of the installation. own: in a database of its own." enum:"shared,own" default:"shared"`
	Region        string `help:"Where a database of its own is: a name of the setting regions."`
	Count         int    `help:"Create so many, named NAME 1, NAME 2 and so on, and print a line for each: to try an installation with many. One person owns at most 500."`
	WithToken     bool   `help:"Print an API token of the owner after the id."`
}

// Run creates an organisation.
func (c *orgCreateCmd) Run(e *env) error {
	password, err := readPassword()
	if err != nil {
		return err
	}
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		for i := range max(c.Count, 1) {
			n := identity.NewOrganisation{Name: c.Name, OwnerEmail: c.OwnerEmail, Password: password, Placement: c.Placement, Region: c.Region}
			if c.Count > 0 {
				n.Name = fmt.Sprintf("%s %d", c.Name, i+1)
				if i > 0 {
					n.Password = "" // its owner has an account by now
				}
			}
			acc, err := admin.CreateOrganisation(e.ctx, n)
			if err != nil {
				return err
			}
			line := acc.Organisation.ID
			if c.WithToken {
				token, err := admin.CreateToken(e.ctx, acc.Organisation.ID, c.OwnerEmail, "command line")
				if err != nil {
					return err
				}
				line += " " + token
			}
			if c.Count == 0 {
				fmt.Fprintf(os.Stderr, "created %q, owned by %s\n", acc.Organisation.Name, acc.User.Email)
			}
			fmt.Println(line)
		}
		return nil
	})
}
