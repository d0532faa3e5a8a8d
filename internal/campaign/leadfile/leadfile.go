// Package leadfile reads lists of people to call: CSV in whatever encoding and with whatever delimiter spreadsheets write,
// and XLSX. It streams: a list of a million rows takes no more memory than one of ten.
//
//	leadfile.go  Sniff looks at a file's beginning; Read gives its leads, and its bad rows with their reasons
//	text.go      encodings and delimiters; csv.go rows of text; xlsx.go rows of a spreadsheet
//	mapping.go   which column is what
//	number.go    telephone numbers as people write them
package leadfile

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	mostColumns = 200
	mostCell    = 2000 // characters of a cell that is kept
	mostRows    = 5_000_000
	sampleRows  = 20
)

// Lead is a row that can be called.
type Lead struct {
	Row       int    // of the file, from 1; the header is row 1
	Number    string // E.164
	Name      string
	Country   string // ISO 3166-1 alpha-2, of the address
	Region    string
	Zone      string // IANA
	Variables map[string]string
}

// Reject is a row that cannot be called.
type Reject struct {
	Row    int
	Cells  []string
	Reason string // a sentence
}

// Format is how a file is written.
type Format struct {
	Kind      string `json:"kind" enum:"csv,xlsx"`
	Encoding  string `json:"encoding" doc:"Of CSV: utf-8, utf-16le, utf-16be or windows-1252"`
	Delimiter string `json:"delimiter" doc:"Of CSV"`
}

// Sample is what Sniff finds.
type Sample struct {
	Format  Format
	Columns []string   // the header's cells
	Rows    [][]string // the first ones
	Mapping Mapping    // guessed from the names
}

// Options say how to read.
type Options struct {
	Format   Format
	Mapping  Mapping
	Region   string   // ISO 3166-1 alpha-2: where numbers without a country code are
	Required []string // variables that each lead must have
	Skip     int      // rows up to this one were read before: they are not given again
}

// Counts are what came of a file.
type Counts struct{ Rows, Leads, Rejected, Empty int }

// table gives the rows of a file; the first is the header. A row is valid until the next call.
type table interface {
	next() ([]string, error) // io.EOF at the end
	close() error
}

// Sniff looks at the beginning of a file.
func Sniff(r io.Reader) (Sample, error) { return SniffAs(r, Format{}) }

// SniffAs is Sniff of a file that is written as f says; what f leaves out is found out.
func SniffAs(r io.Reader, f Format) (Sample, error) {
	t, format, err := open(r, f)
	if err != nil {
		return Sample{}, err
	}
	defer func() { _ = t.close() }()
	head, err := header(t)
	if err != nil {
		return Sample{}, err
	}
	s := Sample{Format: format, Columns: head, Mapping: Guess(head)}
	for len(s.Rows) < sampleRows {
		cells, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Sample{}, err
		}
		s.Rows = append(s.Rows, clipped(cells))
	}
	return s, nil
}

func header(t table) ([]string, error) {
	cells, err := t.next()
	if errors.Is(err, io.EOF) {
		return nil, fault.Field("file", "the file is empty; its first row names the columns, such as phone,name")
	}
	if err != nil {
		return nil, err
	}
	if len(cells) > mostColumns {
		return nil, fault.Field("file", "the file has %d columns; at most %d can be read", len(cells), mostColumns)
	}
	head := clipped(cells)
	for i := range head {
		head[i] = strings.TrimSpace(head[i])
	}
	return head, nil
}

// Read gives each row to lead or to reject, in the order of the file. It stops at the first error of either, and when ctx
// is done.
func Read(ctx context.Context, r io.Reader, o Options, lead func(Lead) error, reject func(Reject) error) (Counts, error) {
	t, _, err := open(r, o.Format)
	if err != nil {
		return Counts{}, err
	}
	defer func() { _ = t.close() }()
	head, err := header(t)
	if err != nil {
		return Counts{}, err
	}
	columns, err := o.Mapping.bind(head)
	if err != nil {
		return Counts{}, err
	}
	p := parser{columns: columns, numbers: numbers{region: strings.ToUpper(o.Region)}, required: o.Required}
	var n Counts
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		cells, err := t.next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if n.Rows++; n.Rows > mostRows {
			return n, fault.Field("file", "the file has more than %d rows; import it in parts", mostRows)
		}
		if n.Rows < o.Skip {
			continue
		}
		if !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" }) {
			n.Empty++
			continue
		}
		l, why := p.lead(n.Rows+1, cells)
		if why == "" {
			n.Leads++
			err = lead(l)
		} else {
			n.Rejected++
			err = reject(Reject{Row: n.Rows + 1, Cells: clipped(cells), Reason: why})
		}
		if err != nil {
			return n, err
		}
	}
}

// parser makes leads of rows.
type parser struct {
	columns  []column
	numbers  numbers
	required []string
}

func (p *parser) lead(row int, cells []string) (Lead, string) {
	l := Lead{Row: row}
	number := ""
	for _, c := range p.columns {
		if c.at >= len(cells) {
			continue
		}
		v := strings.TrimSpace(cells[c.at])
		if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			return l, "Column " + c.name + " holds bytes that are no text."
		}
		if utf8.RuneCountInString(v) > mostCell {
			return l, "Column " + c.name + " is longer than 2000 characters."
		}
		switch c.is {
		case Phone:
			number = v
		case Name:
			l.Name = v
		case Country:
			l.Country = strings.ToUpper(v)
		case Region:
			l.Region = strings.ToUpper(v)
		case Zone:
			l.Zone = v
		default:
			if v != "" {
				if l.Variables == nil {
					l.Variables = map[string]string{}
				}
				l.Variables[c.variable] = v
			}
		}
	}
	if _, why := checkAddress(&l); why != "" {
		return l, why
	}
	var why string
	if l.Number, why = p.numbers.parse(number, l.Country); why != "" {
		return l, why
	}
	for _, name := range p.required {
		if l.Variables[name] == "" {
			return l, "The agent needs " + name + ", which is empty."
		}
	}
	return l, ""
}

func clipped(cells []string) []string {
	out := make([]string, 0, min(len(cells), mostColumns))
	for _, c := range cells[:min(len(cells), mostColumns)] {
		if r := []rune(c); len(r) > mostCell {
			c = string(r[:mostCell])
		}
		out = append(out, strings.ToValidUTF8(c, "\ufffd"))
	}
	return out
}

// Check reads a lead that came by itself: its number as people write it becomes E.164. It says what is wrong, in a sentence, and
// with which field: number, country, region, zone or variables.
func Check(l *Lead, region string, required []string) (field, why string) {
	l.Country, l.Region = strings.ToUpper(l.Country), strings.ToUpper(l.Region)
	if field, why = checkAddress(l); why != "" {
		return field, why
	}
	n := numbers{region: strings.ToUpper(region)}
	if l.Number, why = n.parse(strings.TrimSpace(l.Number), l.Country); why != "" {
		return "number", why
	}
	for name := range l.Variables {
		if !VariableName.MatchString(name) {
			return "variables", short(name) + " cannot be a variable; use letters, digits and underscores, no digit first."
		}
	}
	for _, name := range required {
		if l.Variables[name] == "" {
			return "variables", "The agent needs " + name + ", which is empty."
		}
	}
	return "", ""
}
