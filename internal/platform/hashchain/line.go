package hashchain

import (
	"bytes"
	"encoding/json"
	"errors"
)

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
