package secret

import (
	"errors"
	"testing"
)

func FuzzOpen(f *testing.F) {
	k := testKey(f, 1)
	sealed, err := k.Seal([]byte("hello"), []byte("row"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, "row")
	f.Add([]byte{sealVersion}, "")
	f.Fuzz(func(t *testing.T, sealed []byte, aad string) {
		plain, err := k.Open(sealed, []byte(aad))
		if err == nil && (string(plain) != "hello" || aad != "row") {
			t.Errorf("opened what was never sealed: %q", plain)
		}
		if err != nil && !errors.Is(err, ErrOpen) {
			t.Error(err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("0f0f")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParseKey(s); err == nil && k == nil {
			t.Error("no key and no error")
		}
	})
}
