package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/compliance"
)

type auditCmd struct {
	Export auditExportCmd `cmd:"" help:"Write an organisation's whole audit trail to standard output."`
	Verify auditVerifyCmd `cmd:"" help:"Prove an exported audit trail, without a server or a database."`
	Keys   auditKeysCmd   `cmd:"" help:"Print the public keys that signed an organisation's audit trail, as a JWK set."`
}

type auditExportCmd struct {
	app.Config `embed:""`

	Org string `help:"Organisation's id or name; platform is the installation's own log." required:""`
}

// Run writes the file.
func (c *auditExportCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		return admin.ExportAudit(e.ctx, c.Org, os.Stdout)
	})
}

type auditKeysCmd struct {
	app.Config `embed:""`

	Org string `help:"Organisation's id or name; platform is the installation's own log." required:""`
}

// Run prints the key set.
func (c *auditKeysCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		keys, err := admin.AuditKeys(e.ctx, c.Org)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(keys)
	})
}

type auditVerifyCmd struct {
	File string `arg:"" help:"File of parley audit export, or - for standard input."`
	JWKS string `name:"jwks" help:"Key set that is trusted, such as that of parley audit keys, kept elsewhere." placeholder:"FILE"`
	Head string `help:"An entry that was noted elsewhere: the file must have it." placeholder:"NUMBER:HASH"`
}

// Run proves the file and says what it proves.
func (c *auditVerifyCmd) Run(*env) error {
	o := compliance.VerifyOptions{Head: c.Head}
	if c.JWKS != "" {
		b, err := os.ReadFile(c.JWKS)
		if err != nil {
			return err
		}
		if o.Keys, err = compliance.ParseKeys(b); err != nil {
			return err
		}
	}
	var in io.Reader = os.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read
		in = f
	}
	rep, err := compliance.Verify(in, o)
	if err != nil {
		return err
	}
	fmt.Print(describeReport(rep))
	return nil
}

func describeReport(r *compliance.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The audit trail of %s is whole and unchanged.\n", r.OrganisationID)
	if r.Entries == 0 {
		b.WriteString("It has no entries.\n")
	} else {
		fmt.Fprintf(&b, "Entries:   %d, from %d to %d\nLast hash: %s\n", r.Entries, r.First, r.Last, r.LastHash)
	}
	fmt.Fprintf(&b, "Exported:  %s\n", r.At.UTC().Format("2006-01-02 15:04:05 UTC"))
	if r.LastHead != nil {
		fmt.Fprintf(&b, "Signed:    %d daily heads, the last on %s at entry %d\n", r.Heads, r.LastHead.Date, r.LastHead.Seq)
	}
	fmt.Fprintf(&b, "Keys:      %s\n", strings.Join(r.KeyIDs, ", "))
	if r.Trusted {
		b.WriteString("Every signature is by a key of the key set.\n")
	} else {
		b.WriteString("The keys are those in the file itself: give --jwks with a key set that was kept elsewhere to know whose they are.\n")
	}
	return b.String()
}
