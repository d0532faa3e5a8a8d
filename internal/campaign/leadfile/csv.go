package leadfile

import (
	"encoding/csv"
	"errors"
	"io"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// mostRow is how long a row may be: a quote that is never closed would take the rest of the file.
const mostRow = 1 << 20

// text are the rows of CSV (RFC 4180), read with patience: rows may differ in length and quotes may stand inside cells.
type text struct {
	rows *csv.Reader
	from *rowLimit
}

func openCSV(r io.Reader, delimiter rune) table {
	from := &rowLimit{r: r}
	rows := csv.NewReader(from)
	rows.Comma, rows.FieldsPerRecord, rows.LazyQuotes, rows.ReuseRecord = delimiter, -1, true, true
	return &text{rows, from}
}

func (t *text) next() ([]string, error) {
	t.from.start = t.rows.InputOffset()
	cells, err := t.rows.Read()
	var syntax *csv.ParseError
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return cells, err
	case errors.As(err, &syntax):
		return nil, fault.Field("file", "line %d is no CSV: %v", syntax.Line, syntax.Err)
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return nil, f
	}
	return nil, fault.Wrap(fault.Invalid, err, "the file could not be read to its end; send it again")
}

func (t *text) close() error { return nil }

// rowLimit ends a row that does not end.
type rowLimit struct {
	r          io.Reader
	start, got int64
}

func (l *rowLimit) Read(p []byte) (int, error) {
	if l.got-l.start > mostRow {
		return 0, fault.Field("file", "a row is longer than 1 MB; a quote may be open at byte %d", l.start)
	}
	n, err := l.r.Read(p)
	l.got += int64(n)
	return n, err
}
