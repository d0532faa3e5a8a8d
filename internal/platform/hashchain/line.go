package hashchain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// What Lines says of a file that does not go on.
var (
	ErrCut  = errors.New("the file ends within a line")
	ErrLong = errors.New("the line is too long")
)

// Lines reads a file line by line, and holds no more of it than one line may be long.
type Lines struct {
	r    *bufio.Reader
	most int
	// N is the number of the line that Next gave last, from 1.
	N int
}

// NewLines reads lines of at most so many bytes.
func NewLines(r io.Reader, most int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 64<<10), most: most}
}

// Next gives a line with its line feed, io.EOF after the last one, ErrCut or ErrLong.
func (l *Lines) Next() ([]byte, error) {
	l.N++
	var b []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if b = append(b, part...); len(b) > l.most {
			return nil, ErrLong
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(b) > 0:
			return nil, ErrCut
		case err != nil:
			return nil, err
		}
		return b, nil
	}
}

// Line writes v as it stands in a file.
func Line(v any) ([]byte, error) {
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

// ParseLine reads a line into dst and proves that it is written exactly as Line writes it, so that nothing can be hidden in
// spaces, in another order, or in a key that comes twice.
func ParseLine(b []byte, dst any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(dst); err != nil {
		return err
	}
	again, err := Line(dst)
	if err == nil && !bytes.Equal(again, b) {
		err = errors.New("it is not written as Parley writes it")
	}
	return err
}
