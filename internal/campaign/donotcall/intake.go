package donotcall

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	lineMost    = 4096
	refusedMost = 100 // lines that are shown
)

// Bad is a line of a file that holds no number.
type Bad struct {
	Line int64  `json:"line" doc:"From 1"`
	Text string `json:"text"`
}

// Intake is what a file held.
type Intake struct {
	Lines   int64 `json:"lines" doc:"That were not empty"`
	Numbers int64 `json:"numbers" doc:"Lines with a number"`
	Refused int64 `json:"refused" doc:"Lines without one"`
	Shown   []Bad `json:"shown" nullable:"false" doc:"The first 100 of them"`
}

var numberColumn = regexp.MustCompile(`(?i)number|phone|tel|mobile|msisdn|nummer|numero|número`)

// intake reads a file of numbers, a line each: a number alone, or a row of CSV. A heading tells which column; without one it is
// the first that is a number. An area code and the rest of a number in two columns are put together, as the FTC's files have
// them.
type intake struct {
	Intake
	country string
	column  int // -1: the first that is a number
}

// read calls each with every number, in E.164.
func (in *intake) read(r io.Reader, each func(number string) error) error {
	in.Shown, in.column = []Bad{}, -1
	b := bufio.NewReaderSize(r, 64<<10)
	if head, _ := b.Peek(3); bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3)
	}
	if head, _ := b.Peek(lineMost); bytes.IndexByte(head, 0) >= 0 {
		return fault.Field("body", "this is no text of numbers; save it as CSV in UTF-8, a number on each line")
	}
	for at := int64(1); ; at++ {
		line, err := nextLine(b)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		text := string(line)
		if at == 1 && in.heading(text) {
			continue
		}
		in.Lines++
		number, ok := in.number(text)
		if !ok {
			in.Refused++
			if len(in.Shown) < refusedMost {
				in.Shown = append(in.Shown, Bad{at, clip(text)})
			}
			continue
		}
		in.Numbers++
		if err := each(number); err != nil {
			return err
		}
	}
}

// nextLine gives a line without its end. What is too long is cut: it holds no number.
func nextLine(b *bufio.Reader) ([]byte, error) {
	line, err := b.ReadSlice('\n')
	long := false
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		line, err = b.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fault.Wrap(fault.Invalid, err, "the file could not be read to its end; send it again")
	}
	if len(line) == 0 && err != nil {
		return nil, io.EOF
	}
	if long || len(line) > lineMost {
		return []byte("…"), nil
	}
	return line, nil
}

// heading takes a first line that names columns.
func (in *intake) heading(text string) bool {
	if _, ok := in.number(text); ok {
		return false
	}
	for i, cell := range cells(text) {
		if numberColumn.MatchString(cell) {
			in.column = i
			return true
		}
	}
	return false
}

func (in *intake) number(text string) (string, bool) {
	if !strings.ContainsAny(text, ",;\t|\"") {
		return Parse(text, in.country)
	}
	row := cells(text)
	if in.column >= 0 {
		if in.column >= len(row) {
			return "", false
		}
		return Parse(row[in.column], in.country)
	}
	if len(row) >= 2 && len(row[0]) == 3 && len(row[1]) == 7 && onlyDigits(row[0]+row[1]) != "" {
		return Parse(row[0]+row[1], in.country)
	}
	for _, cell := range row {
		if n, ok := Parse(cell, in.country); ok {
			return n, true
		}
	}
	return "", false
}

// cells are those of a row, whatever stands between them. Numbers hold no delimiter, so quotes need no more than to be taken off.
func cells(text string) []string {
	row := strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '\t' || r == '|' })
	if len(row) == 1 {
		row = strings.Split(text, ",")
	}
	for i := range row {
		row[i] = strings.Trim(strings.TrimSpace(row[i]), `"'`)
	}
	return row
}

// wrong refuses a file that is something else: most of its lines hold no number.
func (in *intake) wrong() error {
	if in.Lines == 0 {
		return fault.Field("body", "the file holds nothing; send a number on each line")
	}
	if in.Refused*10 <= in.Lines {
		return nil
	}
	first := ""
	if len(in.Shown) > 0 {
		first = fmt.Sprintf("; line %d is %q", in.Shown[0].Line, in.Shown[0].Text)
	}
	return fault.Field("body", "%d of %d lines hold no telephone number%s. Send another file, or say with country where its numbers are", in.Refused, in.Lines, first)
}
