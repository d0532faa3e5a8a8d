package register

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func build(t testing.TB, numbers ...string) []byte {
	t.Helper()
	b, err := NewBuilder(bytes.NewReader(make([]byte, saltBytes)))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		if err := b.Add(n); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(t testing.TB, b []byte) *Register {
	t.Helper()
	g, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A register has what was added and nothing else, whatever its size.
func TestHas(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, page - 1, page, page + 1, 5 * page, 40_000} {
		var in []string
		for i := range n {
			in = append(in, fmt.Sprintf("+1415%07d", 2*i))
		}
		g := open(t, build(t, append(in, in[:n/2]...)...))
		if got := g.Summary().Count; got != int64(n) {
			t.Errorf("%d numbers: %d", n, got)
		}
		if err := g.Verify(); err != nil {
			t.Errorf("%d numbers: %v", n, err)
		}
		for i := range max(n, 3) {
			for _, odd := range []int{0, 1} {
				has, err := g.Has(fmt.Sprintf("+1415%07d", 2*i+odd))
				if want := odd == 0 && i < n; err != nil || has != want {
					t.Fatalf("%d numbers: has %d: %v, %v", n, 2*i+odd, has, err)
				}
			}
		}
	}
}

// The digest names the numbers, in whatever order and however often they came.
func TestDigest(t *testing.T) {
	t.Parallel()
	a := open(t, build(t, "+14155550100", "+14155550101")).Summary()
	if b := open(t, build(t, "+14155550101", "+14155550100", "+14155550101")).Summary(); a != b {
		t.Errorf("%v and %v", a, b)
	}
	if b := open(t, build(t, "+14155550101")).Summary(); a.Digest == b.Digest {
		t.Error("another register has the same digest")
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	good := build(t, "+14155550100", "+14155550101", "+14155550102")
	for name, bad := range map[string][]byte{"empty": {}, "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "something else": bytes.Repeat([]byte("x"), 200)} {
		if _, err := Open(bytes.NewReader(bad), int64(len(bad))); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, at := range []int{headBytes, len(good) - 1, headBytes - 1} {
		bad := bytes.Clone(good)
		bad[at] ^= 0x80
		if err := open(t, bad).Verify(); err == nil {
			t.Errorf("damage at %d is not noticed", at)
		}
	}
	for _, n := range []string{"", "+", "14155550100", "+0155550100", "+1415555010a", "+1234567890123456"} {
		b, _ := NewBuilder(bytes.NewReader(make([]byte, saltBytes)))
		if b.Add(n) == nil {
			t.Errorf("%q is added", n)
		}
		if _, err := open(t, good).Has(n); err == nil {
			t.Errorf("%q is looked up", n)
		}
	}
	if _, err := NewBuilder(bytes.NewReader(nil)); err == nil {
		t.Error("no salt")
	}
}

type broken struct{ io.ReaderAt }

var errDisk = errors.New("disk")

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(headBytes) {
		return 0, errDisk
	}
	return b.ReaderAt.ReadAt(p, off)
}

// A register that cannot be read says so: nobody is called because a disk is broken.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	b := build(t, "+14155550100")
	g, err := Open(broken{bytes.NewReader(b)}, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Has("+14155550100"); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
	if err := g.Verify(); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(build(f, "+14155550100", "+14155550101"))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		_ = g.Verify()
		if _, err := g.Has("+14155550100"); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkHas looks numbers up in a register of ten million, in a file.
func BenchmarkHas(b *testing.B) {
	const n = 10_000_000
	r := rand.New(rand.NewPCG(1, 2))
	builder, err := NewBuilder(bytes.NewReader(make([]byte, saltBytes)))
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		if err := builder.Add(fmt.Sprintf("+1%010d", 2_000_000_000+r.Int64N(7_000_000_000))); err != nil {
			b.Fatal(err)
		}
	}
	path := filepath.Join(b.TempDir(), "register")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := builder.Write(f); err != nil {
		b.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	g, err := Open(f, info.Size())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Has(fmt.Sprintf("+1%010d", 2_000_000_000+r.Int64N(7_000_000_000))); err != nil {
			b.Fatal(err)
		}
	}
}
