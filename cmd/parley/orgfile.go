package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// passphrase is how a command gets the passphrase of an organisation's file.
type passphrase struct {
	PassphraseStdin bool   `help:"Read the passphrase of the file from standard input." xor:"passphrase" required:""`
	PassphraseFile  string `help:"Read the passphrase of the file from this file." xor:"passphrase" required:"" placeholder:"FILE"`
}

func (p *passphrase) read() (string, error) {
	var in io.Reader = os.Stdin
	if p.PassphraseFile != "" {
		f, err := os.Open(p.PassphraseFile)
		if err != nil {
			return "", err
		}
		defer f.Close() //nolint:errcheck // only read
		in = f
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.Join(fault.New(fault.Invalid, "the passphrase is empty; give it as one line"), eofIsNone(err))
	}
	return line, nil
}

func eofIsNone(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

type orgExportCmd struct {
	app.Config `embed:""`
	passphrase `embed:""`

	Organisation string `arg:"" help:"Organisation's name or id."`
	Out          string `help:"File to write." required:"" placeholder:"FILE"`
}

// Run writes an organisation into a file, whether the server runs or not.
func (c *orgExportCmd) Run(e *env) error {
	pass, err := c.read()
	if err != nil {
		return err
	}
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		f, err := admin.ExportOrganisation(e.ctx, c.Organisation, c.Out, pass)
		if err != nil {
			return err
		}
		describeOrgFile(os.Stderr, &f)
		return nil
	})
}

type orgInspectCmd struct {
	passphrase `embed:""`

	File string `arg:"" help:"File of parley org export."`
}

// Run verifies a file to its end and says what is in it.
func (c *orgInspectCmd) Run(e *env) error {
	pass, err := c.read()
	if err != nil {
		return err
	}
	f, err := app.InspectOrganisation(e.ctx, c.File, pass)
	if err != nil {
		return err
	}
	describeOrgFile(os.Stdout, &f)
	return nil
}

func describeOrgFile(w io.Writer, f *app.OrgFile) {
	fmt.Fprintf(w, "%q (%s), exported %s by Parley %s of installation %s\n", f.Name, f.OrganisationID, f.MadeAt.Format("2006-01-02 15:04:05 MST"), f.Parley, f.Installation)
	for _, what := range []string{"tables", "files"} {
		of := f.Tables
		if what == "files" {
			of = f.Files
		}
		for _, name := range slices.Sorted(maps.Keys(of)) {
			t := of[name]
			fmt.Fprintf(w, "%-20s %8d %12d bytes  %s\n", name, t.Count, t.Bytes, t.SHA256)
		}
	}
	fmt.Fprintf(w, "audit trail to entry %d, %s\n", f.AuditSeq, f.AuditHash)
	if f.CallsLeftOut > 0 {
		fmt.Fprintf(w, "%d calls are not in it: they went on, or their files were not stored yet\n", f.CallsLeftOut)
	}
	if f.FilesGone > 0 {
		fmt.Fprintf(w, "%d files were deleted while it was written\n", f.FilesGone)
	}
	for _, d := range f.Damaged {
		fmt.Fprintf(w, "damaged, and in it as far as it could be read: %s\n", d)
	}
}

type orgImportCmd struct {
	app.Config `embed:""`
	passphrase `embed:""`

	File      string `arg:"" help:"File of parley org export."`
	Name      string `help:"Name of the new organisation; left out, that of the file."`
	Into      string `help:"An organisation that is there and empty, by name or id." placeholder:"ORG"`
	Placement string `help:"shared: in the database of the installation. own: in a database of its own." enum:"shared,own," default:""`
	Region    string `help:"Where a database of its own is: a name of the setting regions."`
}

// Run makes an organisation of a file and prints its id.
func (c *orgImportCmd) Run(e *env) error {
	pass, err := c.read()
	if err != nil {
		return err
	}
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		r, err := admin.ImportOrganisation(e.ctx, c.File, pass, app.OrgImport{Name: c.Name, Into: c.Into, Placement: c.Placement, Region: c.Region})
		if err != nil {
			return err
		}
		rows := int64(0)
		for _, t := range r.Tables {
			rows += t.Count
		}
		fmt.Fprintf(os.Stderr, "imported %d rows of %d tables, which were read again and compared; the audit trail of before is archive %s\n", rows, len(r.Tables), r.ArchiveID)
		if r.OtherIDs {
			fmt.Fprintln(os.Stderr, "ids of the file were taken here, so everything has other ones")
		}
		fmt.Fprintf(os.Stderr, "%d people, %d of them new\n", r.People, len(r.NewPeople))
		for _, email := range slices.Sorted(maps.Keys(r.OwnerLinks)) {
			fmt.Fprintf(os.Stderr, "owner %s chooses a password at %s\n", email, r.OwnerLinks[email])
		}
		for _, was := range slices.Sorted(maps.Keys(r.Renamed)) {
			fmt.Fprintf(os.Stderr, "phone %s is %s here\n", was, r.Renamed[was])
		}
		for _, n := range r.Notes {
			fmt.Fprintln(os.Stderr, n)
		}
		fmt.Println(r.OrganisationID)
		return nil
	})
}

type orgEraseCmd struct {
	app.Config `embed:""`

	Organisation string `arg:"" optional:"" help:"Organisation's name or id."`
	Confirm      string `help:"The organisation's name, as it is: what is erased does not come back." placeholder:"NAME"`
	Reason       string `help:"Why; it is in the certificate and the platform log." default:"command line"`
	Out          string `help:"File for the certificate; left out, standard output." placeholder:"FILE"`
	Verify       string `help:"Prove a certificate, without a server or a database." placeholder:"FILE"`
	JWKS         string `name:"jwks" help:"With --verify: key set that is trusted, such as that of parley audit keys --org platform, kept elsewhere." placeholder:"FILE"`
}

// Run erases an organisation and prints the certificate, or proves one.
func (c *orgEraseCmd) Run(e *env) error {
	if c.Verify != "" {
		return c.prove()
	}
	if c.Organisation == "" || c.Confirm == "" {
		return errors.New("name the organisation, and confirm it with --confirm and its name; or prove a certificate with --verify FILE")
	}
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		cert, err := admin.EraseOrganisation(e.ctx, c.Organisation, app.EraseRequest{Confirm: c.Confirm, Reason: c.Reason, RequestedBy: "command line"})
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(cert, "", "  ")
		if err != nil {
			return err
		}
		if c.Out != "" {
			err = os.WriteFile(c.Out, append(text, '\n'), 0o600)
		} else {
			_, err = os.Stdout.Write(append(text, '\n'))
		}
		if err != nil {
			return err
		}
		return describeErasure(os.Stderr, cert)
	})
}

func (c *orgEraseCmd) prove() error {
	b, err := os.ReadFile(c.Verify)
	if err != nil {
		return err
	}
	var keys []compliance.JWK
	if c.JWKS != "" {
		k, err := os.ReadFile(c.JWKS)
		if err != nil {
			return err
		}
		if keys, err = compliance.ParseKeys(k); err != nil {
			return err
		}
	}
	cert, err := compliance.CheckCertificate(b, app.OrgErasure, keys)
	if err != nil {
		return err
	}
	fmt.Printf("The certificate holds: signed by key %s.\n", cert.KeyID)
	if len(keys) == 0 {
		fmt.Println("The key is the one in the file itself: give --jwks with a key set that was kept elsewhere to know whose it is.")
	}
	return describeErasure(os.Stdout, cert)
}

func describeErasure(w io.Writer, cert compliance.Certificate) error {
	var d app.ErasedOrganisation
	if err := json.Unmarshal(cert.Document, &d); err != nil {
		return err
	}
	rows := int64(0)
	for _, t := range d.Tables {
		rows += t.Count
	}
	fmt.Fprintf(w, "Organisation %s was erased at %s: %d rows of %d tables, %d blobs, %d people who belonged to no other, %d data keys.\n",
		d.OrganisationID, d.DoneAt.Format("2006-01-02 15:04:05 MST"), rows, len(d.Tables), d.Blobs, d.People, len(d.Keys))
	for _, l := range d.Proof {
		fmt.Fprintf(w, "%s, searched for %s: %d found\n", l.Where, l.For, l.Found)
	}
	return nil
}

type orgArchiveCmd struct {
	app.Config `embed:""`

	Organisation string `arg:"" help:"Organisation's name or id."`
	Archive      string `arg:"" help:"Archive's id, which the first entry of the audit trail names."`
}

// Run writes the audit trail that came with an organisation, for parley audit verify.
func (c *orgArchiveCmd) Run(e *env) error {
	return e.withAdmin(c.Config, func(admin *app.Admin) error {
		return admin.AuditArchive(e.ctx, c.Organisation, c.Archive, os.Stdout)
	})
}
