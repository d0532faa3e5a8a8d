package leadfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// read gives a file's leads as NUMBER/NAME, and its rejects as ROW: REASON.
func read(t testing.TB, file []byte, o Options) (leads, rejects []string, n Counts, err error) {
	t.Helper()
	if o.Mapping == nil {
		s, err := Sniff(bytes.NewReader(file))
		if err != nil {
			return nil, nil, n, err
		}
		o.Mapping, o.Format = s.Mapping, s.Format
	}
	n, err = Read(t.Context(), bytes.NewReader(file), o, func(l Lead) error {
		leads = append(leads, l.Number+"/"+l.Name)
		return nil
	}, func(r Reject) error {
		rejects = append(rejects, fmt.Sprintf("%d: %s", r.Row, r.Reason))
		return nil
	})
	return leads, rejects, n, err
}

const plainList = "Phone,Full name,Order No\n+1 415 555 0100,José Núñez,7\n(415) 555-0101,\"Doe, Jane\",8\n"

// The same list as each program writes it.
func TestFormats(t *testing.T) {
	t.Parallel()
	utf16 := func(e unicode.Endianness) []byte {
		b, err := unicode.UTF16(e, unicode.UseBOM).NewEncoder().Bytes([]byte(plainList))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ansi, err := charmap.Windows1252.NewEncoder().Bytes([]byte(plainList))
	if err != nil {
		t.Fatal(err)
	}
	semicolons := strings.ReplaceAll(strings.ReplaceAll(plainList, ",", ";"), "Doe; Jane", "Doe, Jane")
	for name, c := range map[string]struct {
		file []byte
		want Format
	}{
		"plain":                {[]byte(plainList), Format{"csv", "utf-8", ","}},
		"with a mark":          {append([]byte("\xef\xbb\xbf"), plainList...), Format{"csv", "utf-8", ","}},
		"carriage returns":     {[]byte(strings.ReplaceAll(plainList, "\n", "\r\n")), Format{"csv", "utf-8", ","}},
		"Excel in Europe":      {[]byte(semicolons), Format{"csv", "utf-8", ";"}},
		"tabs":                 {[]byte(strings.ReplaceAll(semicolons, ";", "\t")), Format{"csv", "utf-8", "\t"}},
		"Windows":              {ansi, Format{"csv", "windows-1252", ","}},
		"UTF-16 little":        {utf16(unicode.LittleEndian), Format{"csv", "utf-16le", ","}},
		"UTF-16 big":           {utf16(unicode.BigEndian), Format{"csv", "utf-16be", ","}},
		"Excel":                {workbook(t, [][]any{{"Phone", "Full name", "Order No"}, {"+1 415 555 0100", "José Núñez", 7}, {4155550101, "Doe, Jane", 8}}), Format{Kind: "xlsx"}},
		"without its last end": {[]byte(strings.TrimSuffix(plainList, "\n")), Format{"csv", "utf-8", ","}},
	} {
		s, err := Sniff(bytes.NewReader(c.file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Format != c.want || !maps.Equal(s.Mapping, Mapping{"Phone": Phone, "Full name": Name, "Order No": "var:order_no"}) || len(s.Rows) != 2 {
			t.Errorf("%s: %+v", name, s)
		}
		leads, rejects, n, err := read(t, c.file, Options{Format: s.Format, Mapping: s.Mapping, Region: "us", Required: []string{"order_no"}})
		if err != nil || len(rejects) > 0 || n.Leads != 2 || !slices.Equal(leads, []string{"+14155550100/José Núñez", "+14155550101/Doe, Jane"}) {
			t.Errorf("%s: %v %v %+v %v", name, leads, rejects, n, err)
		}
	}
}

func workbook(t testing.TB, rows [][]any) []byte {
	t.Helper()
	f := excelize.NewFile()
	for i, row := range rows {
		if err := f.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+1), &row); err != nil {
			t.Fatal(err)
		}
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Each bad row says why, and the others are read all the same.
func TestRejects(t *testing.T) {
	t.Parallel()
	const file = "phone,name,country,tz,order\n" +
		"+14155550100,a,,,1\n" + // 2
		",b,,,1\n" + // 3
		"12,c,,,1\n" + // 4
		"1.4155E+10,d,,,1\n" + // 5
		"+14155550102,e,,,\n" + // 6
		"+14155550103,f,XX,,1\n" + // 7
		"+14155550104,g,,Mars/One,1\n" + // 8
		",,,,\n" + // 9
		"030 901820,h,DE,,1\n" + // 10
		"+1 900 555 0100,i,,,1\n" + // 11
		"+14155550105 ext. 7,j,,,1\n" + // 12
		"00 44 20 7123 4567,k,GB,,1\n" + // 13
		"hello,l,US,,1\n" // 14
	s, err := Sniff(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	leads, rejects, n, err := read(t, []byte(file), Options{Mapping: s.Mapping, Required: []string{"order"}, Region: "US"})
	if err != nil || n != (Counts{Rows: 13, Leads: 3, Rejected: 9, Empty: 1}) || !slices.Equal(leads, []string{"+14155550100/a", "+4930901820/h", "+442071234567/k"}) {
		t.Errorf("%v %+v %v", leads, n, err)
	}
	for row, word := range map[int]string{3: "is empty", 4: "", 5: "rounded by a spreadsheet", 6: "needs order", 7: "two letters", 8: "time zone", 11: "", 12: "extension", 14: "no phone number"} {
		if !slices.ContainsFunc(rejects, func(r string) bool {
			return strings.HasPrefix(r, fmt.Sprintf("%d: ", row)) && strings.Contains(r, word)
		}) {
			t.Errorf("row %d, %q: %v", row, word, rejects)
		}
	}
	if _, rejects, _, _ := read(t, []byte("phone\n4155550100\n"), Options{}); len(rejects) != 1 || !strings.Contains(rejects[0], "no region is set") {
		t.Errorf("%v", rejects)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, word string }{
		"empty":                   {"", "empty"},
		"an old Excel file":       {"\xd0\xcf\x11\xe0\xa1\xb1", "save it as .xlsx"},
		"a broken Excel file":     {"PK\x03\x04 and nothing", "save it as CSV"},
		"no phone":                {"name\nAnna\n", "no column is the phone number"},
		"a quote that never ends": {"phone,name\n+14155550100,\"" + strings.Repeat("x", 3<<20), "quote may be open"},
		"too many columns":        {strings.Repeat("a,", 300) + "phone\n", "columns"},
	} {
		_, _, _, err := read(t, []byte(c.file), Options{})
		if err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]Mapping{
		"two phones": {"a": Phone, "b": Phone}, "no such column": {"a": Phone, "c": Name}, "no such thing": {"a": Phone, "b": "colour"}, "no variable": {"a": Phone, "b": "var:Big Name"},
	} {
		if _, _, _, err := read(t, []byte("a,b\n+14155550100,x\n"), Options{Mapping: m}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Reading stops when it is told to, and at what the callers say.
func TestStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Mapping: Mapping{"phone": Phone}}
	const file = "phone\n+14155550100\n+14155550101\nx\n"
	n, err := Read(ctx, strings.NewReader(file), o, func(Lead) error { cancel(); return nil }, func(Reject) error { return nil })
	if !errors.Is(err, context.Canceled) || n.Leads != 1 {
		t.Errorf("%+v %v", n, err)
	}
	full := errors.New("full")
	if _, err := Read(t.Context(), strings.NewReader(file), o, func(Lead) error { return full }, nil); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if _, err := Read(t.Context(), strings.NewReader(file), o, func(Lead) error { return nil }, func(Reject) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

// list writes a list of rows as it is read.
type list struct {
	row, rows int
	buf       []byte
}

func (l *list) Read(p []byte) (int, error) {
	for len(l.buf) < len(p) && l.row <= l.rows {
		if l.row == 0 {
			l.buf = append(l.buf, "phone,name,order\n"...)
		} else {
			l.buf = fmt.Appendf(l.buf, "+1415%07d,Person %d,%d\n", 2_000_000+l.row, l.row, l.row)
		}
		l.row++
	}
	n := copy(p, l.buf)
	l.buf = l.buf[:copy(l.buf, l.buf[n:])]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// A long list takes no more memory than a short one.
func TestMemoryIsFlat(t *testing.T) {
	if _, err := Read(t.Context(), &list{rows: 10}, Options{Mapping: Mapping{"phone": Phone}}, func(Lead) error { return nil }, nil); err != nil {
		t.Fatal(err)
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := uint64(0)
	n, err := Read(t.Context(), &list{rows: 60_000}, Options{Mapping: Mapping{"phone": Phone, "name": Name, "order": "var:order"}}, func(l Lead) error {
		if l.Row%20_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		return nil
	}, func(Reject) error { return nil })
	if err != nil || n.Leads < 50_000 {
		t.Fatalf("%+v %v", n, err)
	}
	if most > before.HeapAlloc+4<<20 {
		t.Errorf("%d KiB more on the heap", (most-before.HeapAlloc)>>10)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(plainList))
	f.Add([]byte("\xff\xfep\x00"))
	f.Add([]byte("phone;name\n\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.HasPrefix(b, []byte("PK")) {
			return // the library's parser has its own
		}
		s, err := Sniff(bytes.NewReader(b))
		if err != nil {
			return
		}
		o := Options{Format: s.Format, Mapping: s.Mapping, Region: "US"}
		n, err := Read(t.Context(), bytes.NewReader(b), o, func(l Lead) error {
			if !strings.HasPrefix(l.Number, "+") {
				t.Fatalf("%+v", l)
			}
			return nil
		}, func(r Reject) error {
			if r.Reason == "" {
				t.Fatalf("%+v", r)
			}
			return nil
		})
		if err == nil && n.Rows != n.Leads+n.Rejected+n.Empty {
			t.Fatalf("%+v", n)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	b.ReportAllocs()
	n, err := Read(b.Context(), &list{rows: b.N}, Options{Mapping: Mapping{"phone": Phone, "name": Name, "order": "var:order"}}, func(Lead) error { return nil }, func(Reject) error { return nil })
	if err != nil || n.Rows != b.N {
		b.Fatalf("%+v %v", n, err)
	}
}
