package main

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/campaign/register"
)

type campaignCmd struct {
	May      campaignMayCmd      `cmd:"" help:"Tell whether a number may be called, by which rules, and when instead."`
	Rules    campaignRulesCmd    `cmd:"" help:"Print the rules on calling, with their sources."`
	Leads    campaignLeadsCmd    `cmd:"" help:"Check a list of people before it is imported."`
	Register campaignRegisterCmd `cmd:"" help:"Make a do-not-call register of a list of numbers."`
}

type campaignMayCmd struct {
	Number    string         `arg:"" help:"In international form: +14155550100."`
	Purpose   policy.Purpose `help:"What for: sales, service or survey." enum:"sales,service,survey" default:"sales"`
	Operator  bool           `help:"A person speaks, not an AI agent."`
	Consent   policy.Consent `help:"What the person said: given, withdrawn or nothing." enum:",given,withdrawn" default:""`
	Country   string         `help:"Of the address: US." placeholder:"CODE"`
	Region    string         `help:"Of the address: FL." placeholder:"CODE"`
	Zone      string         `help:"Of the address: America/New_York." placeholder:"ZONE"`
	On        []string       `help:"Public registers that the number is on: us-national." placeholder:"NAME"`
	Registers []string       `help:"Files of parley campaign register to look it up in; the file's name is the register's." type:"existingfile" placeholder:"FILE"`
	At        time.Time      `help:"When, instead of now: 2026-11-23T09:00:00-05:00."`
	JSON      bool           `name:"json" help:"The whole verdict, for programs."`
}

// Run prints the verdict. Its exit code is 0 where the number may be called.
func (c *campaignMayCmd) Run(*env) error {
	book, err := policy.Shipped()
	if err != nil {
		return err
	}
	for _, path := range c.Registers {
		on, err := isRegistered(path, c.Number)
		if err != nil {
			return err
		}
		if on {
			c.On = append(c.On, registerName(path))
		}
	}
	if c.At.IsZero() {
		c.At = time.Now()
	}
	v, err := book.Decide(policy.Request{Number: c.Number, Country: c.Country, Region: c.Region, Zone: c.Zone, Purpose: c.Purpose,
		Automated: !c.Operator, Consent: c.Consent, Registers: c.On}, c.At)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else {
		fmt.Print(describeVerdict(v))
	}
	if !v.Allowed {
		return errors.New("the number may not be called now")
	}
	return nil
}

func describeVerdict(v policy.Verdict) string {
	var b strings.Builder
	switch {
	case v.Allowed:
		fmt.Fprintln(&b, "May be called now.")
	case v.NotBefore.IsZero():
		fmt.Fprintln(&b, "May not be called.")
	default:
		at := v.NotBefore.UTC().Format(time.RFC3339)
		if z, err := time.LoadLocation(v.Place.Zones[0]); err == nil {
			at = v.NotBefore.In(z).Format("Monday 2 January 15:04 MST")
		}
		fmt.Fprintf(&b, "May be called from %s.\n", at)
	}
	fmt.Fprintf(&b, "Where: %s %s; the time there: %s\n", strings.Join(v.Place.Country, ", "), strings.Join(v.Place.Region, ", "), strings.Join(v.Local, ", "))
	for _, c := range v.Checks {
		mark := "passed"
		if !c.Passed {
			mark = "STOPS "
		}
		fmt.Fprintf(&b, "  %s  %-22s %s\n", mark, c.Rule, c.Says)
	}
	return b.String()
}

type campaignRulesCmd struct {
	Country string `help:"Of this country only: US." placeholder:"CODE"`
}

// Run prints the packs.
func (c *campaignRulesCmd) Run(*env) error {
	book, err := policy.Shipped()
	if err != nil {
		return err
	}
	for _, p := range book.Packs() {
		names := strings.Join(p.Country, " ")
		if c.Country != "" && !strings.Contains(" "+names+" ", " "+strings.ToUpper(c.Country)+" ") {
			continue
		}
		fmt.Printf("%s (%s), as of %s\n", p.Title, p.ID, p.Version)
		for _, r := range p.Rules {
			fmt.Printf("  %-18s %s\n  %-18s %s\n", r.ID, r.Says, "", strings.TrimSpace(r.Source.Cite+"  "+r.Source.URL))
		}
	}
	return nil
}

type campaignLeadsCmd struct {
	File     string            `arg:"" type:"existingfile" help:"CSV or XLSX. Its first row names the columns."`
	In       string            `help:"Country of numbers without a country code: US." placeholder:"CODE"`
	Map      map[string]string `help:"What a column is, instead of what its name says: COLUMN=phone, name, country, region, zone or var:NAME." placeholder:"COLUMN=WHAT"`
	Require  []string          `help:"Variables that each person must have." placeholder:"NAME"`
	Rejected string            `help:"Write the bad rows with their reasons into this CSV file." placeholder:"FILE"`
}

// Run reads the list and counts.
func (c *campaignLeadsCmd) Run(e *env) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	s, err := leadfile.Sniff(f)
	if err != nil {
		return err
	}
	for column, is := range c.Map {
		s.Mapping[column] = is
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var bad *csv.Writer
	if c.Rejected != "" {
		out, err := os.OpenFile(c.Rejected, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer out.Close() //nolint:errcheck // flushed below
		bad = csv.NewWriter(out)
		if err := bad.Write(append([]string{"row", "reason"}, s.Columns...)); err != nil {
			return err
		}
	}
	shown := 0
	seen := map[string]int{}
	twice := 0
	n, err := leadfile.Read(e.ctx, f, leadfile.Options{Format: s.Format, Mapping: s.Mapping, Region: c.In, Required: c.Require}, func(l leadfile.Lead) error {
		if seen[l.Number]++; seen[l.Number] > 1 {
			twice++
		}
		return nil
	}, func(r leadfile.Reject) error {
		if bad != nil {
			return bad.Write(append([]string{strconv.Itoa(r.Row), r.Reason}, r.Cells...))
		}
		if shown++; shown <= 20 {
			fmt.Printf("row %d: %s\n", r.Row, r.Reason)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if bad != nil {
		if bad.Flush(); bad.Error() != nil {
			return bad.Error()
		}
	}
	fmt.Printf("%d rows: %d can be called (%d of them are there before), %d cannot, %d are empty\n", n.Rows, n.Leads, twice, n.Rejected, n.Empty)
	for _, h := range s.Columns {
		fmt.Printf("  %-24s %s\n", h, cmp.Or(s.Mapping[h], "left out"))
	}
	return nil
}

type campaignRegisterCmd struct {
	Numbers string `arg:"" help:"One number a line in international form, or - for standard input."`
	File    string `arg:"" help:"Where the register is written: us-national.reg."`
}

// Run writes the register.
func (c *campaignRegisterCmd) Run(*env) (err error) {
	var in io.Reader = os.Stdin
	if c.Numbers != "-" {
		f, err := os.Open(c.Numbers)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read
		in = f
	}
	b, err := register.NewBuilder(rand.Reader)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		if err := b.Add(text); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	out, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	s, err := b.Write(out)
	if err != nil {
		return err
	}
	fmt.Printf("%d numbers; snapshot %s\n", s.Count, s.Digest)
	return nil
}

// isRegistered looks a number up in a register's file.
func isRegistered(path, number string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	r, err := register.Open(f, info.Size())
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return r.Has(number)
}

// registerName is what a register's file stands for: us-national of /lists/us-national.reg.
func registerName(path string) string {
	name := path[strings.LastIndexAny(path, `/\`)+1:]
	name, _, _ = strings.Cut(name, ".")
	return name
}
