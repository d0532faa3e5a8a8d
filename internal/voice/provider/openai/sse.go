package openai

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxEvent bounds one event.
const maxEvent = 1 << 20

var errEventSize = errors.New("an event is too large")

// events reads server-sent events (WHATWG HTML, section 9.2.6): the data of each, lines joined.
type events struct {
	r     *bufio.Reader
	first bool
}

func newEvents(r io.Reader) *events { return &events{r: bufio.NewReaderSize(r, 4096), first: true} }

// next gives the data of the next event that has any; io.EOF after the last whole one.
func (e *events) next() ([]byte, error) {
	var data []byte
	has := false
	for {
		line, err := e.line()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 { // a blank line ends an event
			if has {
				return data, nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		if string(field) != "data" { // comments have an empty field; event, id and retry do not matter here
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		if has {
			data = append(data, '\n')
		}
		data = append(data, value...)
		has = true
		if len(data) > maxEvent {
			return nil, errEventSize
		}
	}
}

// line reads to LF, CRLF or CR. What comes after the last line end is no line.
func (e *events) line() ([]byte, error) {
	var line []byte
	for {
		b, err := e.r.ReadByte()
		if err != nil {
			return nil, err
		}
		switch b {
		case '\n':
			return e.clean(line), nil
		case '\r':
			// The LF of a CRLF is taken with the next line only if it is here already: waiting for it
			// could hold up an event. A lone LF then reads as a blank line, which ends nothing twice.
			if e.r.Buffered() > 0 {
				if next, err := e.r.Peek(1); err == nil && next[0] == '\n' {
					_, _ = e.r.Discard(1)
				}
			}
			return e.clean(line), nil
		}
		if line = append(line, b); len(line) > maxEvent {
			return nil, errEventSize
		}
	}
}

// clean drops the byte order mark a stream may begin with.
func (e *events) clean(line []byte) []byte {
	if e.first {
		e.first = false
		return bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return line
}
