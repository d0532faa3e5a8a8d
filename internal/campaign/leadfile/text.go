package leadfile

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// looked is how much of a file's beginning tells its encoding and its delimiter.
const looked = 64 << 10

// encodings by the names that Format has.
var encodings = map[string]encoding.Encoding{
	"utf-8":        unicode.UTF8BOM,
	"utf-16le":     unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	"utf-16be":     unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
	"windows-1252": charmap.Windows1252,
}

// delimiters that spreadsheets write, the likeliest first.
var delimiters = []byte{',', ';', '\t', '|'}

// open finds out how a file is written, where f does not say, and opens its rows.
func open(r io.Reader, f Format) (table, Format, error) {
	in := bufio.NewReaderSize(r, looked)
	head, err := in.Peek(looked)
	if err != nil && err != io.EOF { //nolint:errorlint // bufio's own
		return nil, f, fault.Wrap(fault.Invalid, err, "the file could not be read to its end; send it again")
	}
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		f = Format{Kind: "xlsx"}
		t, err := openXLSX(in)
		return t, f, err
	}
	if bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0")) {
		return nil, f, fault.Field("file", "this is an old Excel file (.xls); save it as .xlsx or CSV")
	}
	if f.Kind == "xlsx" {
		return nil, f, fault.Field("file", "this is no Excel file (.xlsx)")
	}
	f.Kind = "csv"
	if f.Encoding == "" {
		f.Encoding = encodingOf(head)
	}
	e, ok := encodings[f.Encoding]
	if !ok {
		return nil, f, fault.Field("format.encoding", "%q is not known; use utf-8, utf-16le, utf-16be or windows-1252", f.Encoding)
	}
	if f.Delimiter == "" {
		text, _ := e.NewDecoder().Bytes(head[:len(head)&^1]) // of UTF-16 no half character
		f.Delimiter = string(delimiterOf(text))
	}
	if len(f.Delimiter) != 1 || f.Delimiter[0] == '"' || f.Delimiter[0] == '\n' || f.Delimiter[0] == '\r' || f.Delimiter[0] >= utf8.RuneSelf {
		return nil, f, fault.Field("format.delimiter", "%q is no delimiter; use a comma, semicolon, tab or bar", f.Delimiter)
	}
	return openCSV(e.NewDecoder().Reader(in), rune(f.Delimiter[0])), f, nil
}

// encodingOf tells an encoding by its mark, or by whether it can be UTF-8.
func encodingOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return "utf-16le"
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return "utf-16be"
	}
	for cut := range min(utf8.UTFMax, len(head)+1) { // the last character may be cut
		if utf8.Valid(head[:len(head)-cut]) {
			return "utf-8"
		}
	}
	return "windows-1252"
}

// delimiterOf gives the one that the first rows have most often and equally often.
func delimiterOf(text []byte) byte {
	best, most := delimiters[0], 0
	for _, d := range delimiters {
		counts := perRow(text, d)
		if len(counts) == 0 {
			continue
		}
		same := 0
		for _, c := range counts {
			if c == counts[0] {
				same++
			}
		}
		if score := counts[0] * 100 * same / len(counts); score > most {
			best, most = d, score
		}
	}
	return best
}

// perRow counts a delimiter outside quotes in each of the first rows; a row that is cut off is left out.
func perRow(text []byte, d byte) []int {
	var out []int
	n, quoted := 0, false
	for _, b := range text {
		switch {
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == d:
			n++
		case b == '\n':
			out = append(out, n)
			n = 0
		}
		if len(out) == sampleRows {
			return out
		}
	}
	if len(out) == 0 {
		out = append(out, n)
	}
	return slices.Clip(out)
}
