package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/campaign/ledger"
	"github.com/parley-voice/parley/internal/compliance"
)

type complianceCmd struct {
	Export complianceExportCmd `cmd:"" help:"Write decisions to call and not to call to standard output, as chains that verify proves."`
	Verify complianceVerifyCmd `cmd:"" help:"Prove decisions to call and not to call: those of a file, without a server or a database, or those of an organisation here."`
}

type complianceExportCmd struct {
	app.Config `embed:""`

	Org      string `help:"Organisation's id or name." required:""`
	Campaign string `help:"Id of one campaign; left out: all."`
}

// Run writes the file.
func (c *complianceExportCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		return admin.ExportDecisions(e.ctx, c.Org, c.Campaign, os.Stdout)
	})
}

type complianceVerifyCmd struct {
	app.Config `embed:""`

	File string `arg:"" optional:"" help:"File of decisions, or - for standard input."`
	Org  string `help:"In place of a file: the organisation's id or name."`
	JWKS string `name:"jwks" help:"Key set that is trusted, such as that of parley audit keys, kept elsewhere." placeholder:"FILE"`
}

// Run proves decisions and says what they prove.
func (c *complianceVerifyCmd) Run(e *env) (err error) {
	var keys []compliance.JWK
	if c.JWKS != "" {
		b, err := os.ReadFile(c.JWKS)
		if err != nil {
			return err
		}
		if keys, err = compliance.ParseKeys(b); err != nil {
			return err
		}
	}
	if (c.File == "") == (c.Org == "") {
		return errors.New("name a file of decisions, or an organisation with --org")
	}
	var reports []ledger.Report
	if c.Org != "" {
		reports, err = c.here(e, keys)
	} else {
		var in io.Reader = os.Stdin
		if c.File != "-" {
			f, err := os.Open(c.File)
			if err != nil {
				return err
			}
			defer f.Close() //nolint:errcheck // only read
			in = f
		}
		reports, err = ledger.Verify(in, keys)
	}
	for i := range reports {
		describeDecisions(&reports[i])
	}
	return err
}

// here proves an organisation's decisions as they are in the database.
func (c *complianceVerifyCmd) here(e *env, keys []compliance.JWK) ([]ledger.Report, error) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.CloseWithError(e.withAdmin(c.Config, func(admin *app.Admin) error { // never fails
			return admin.ExportDecisions(e.ctx, c.Org, "", w)
		}))
	}()
	reports, err := ledger.Verify(r, keys)
	_ = r.CloseWithError(io.ErrClosedPipe) // never fails
	<-done
	return reports, err
}

func describeDecisions(r *ledger.Report) {
	fmt.Printf("The decisions of campaign %q (%s) are whole and unchanged.\n", r.Campaign, r.CampaignID)
	if r.Decisions > 0 {
		fmt.Printf("  %d decisions, from %d to %d: %d to call, %d not to; of %d the person was erased\n", r.Decisions, r.First, r.Last, r.Allowed, r.Decisions-r.Allowed, r.Erased)
	}
	if r.LastHead != nil {
		fmt.Printf("  signed on %d days, the last %s at decision %d\n", r.Heads, r.LastHead.Date, r.LastHead.Seq)
	}
	fmt.Printf("  last hash %s, keys %v\n", r.LastHash, r.KeyIDs)
	if !r.Trusted {
		fmt.Println("  The keys are those in the file itself: give --jwks with a key set that was kept elsewhere to know whose they are.")
	}
}
