// Package hashchain has what records that prove themselves are made of: fields that are hashed and signed in one way only, keys
// that sign, and what is said of the first link that does not hold. The audit trail and the decisions of campaigns are such
// chains.
//
//	hashchain.go  fields, hashes, links
//	signer.go     signatures by Ed25519 and their public keys
//	line.go       files of chains: lines of JSON that can be written in one way only
package hashchain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Genesis is the hash before the first link.
var Genesis = strings.Repeat("0", 2*sha256.Size)

// Fields writes what is hashed and signed: netstrings after a line that says what it is.
type Fields struct{ b []byte }

// NewFields begins with a line that says what it is, with its line feed.
func NewFields(context string) *Fields { return &Fields{b: []byte(context)} }

// Text adds strings.
func (f *Fields) Text(values ...string) *Fields {
	for _, v := range values {
		f.b = strconv.AppendInt(f.b, int64(len(v)), 10)
		f.b = append(append(append(f.b, ':'), v...), ',')
	}
	return f
}

// Number adds a number.
func (f *Fields) Number(n int64) *Fields { return f.Text(strconv.FormatInt(n, 10)) }

// Bytes is what was written, as it is signed.
func (f *Fields) Bytes() []byte { return f.b }

// Sum is the SHA-256 of what was written, in hex.
func (f *Fields) Sum() string {
	h := sha256.Sum256(f.b)
	return hex.EncodeToString(h[:])
}

// Broken is the first link of a chain that does not hold.
type Broken struct {
	Seq int64
	Why string
}

// Error implements error.
func (b *Broken) Error() string {
	return fmt.Sprintf("the chain is broken at entry %d: %s", b.Seq, b.Why)
}

// Walker goes along a chain from its first link and says where it breaks.
type Walker struct {
	Seq  int64  // of the last link seen
	Hash string // its hash
}

// Step takes the next link. sum is the hash that its fields give.
func (w *Walker) Step(seq int64, prev, hash, sum string) *Broken {
	next := w.Seq + 1
	switch {
	case seq > next:
		return &Broken{next, fmt.Sprintf("it is missing; entry %d follows entry %d", seq, w.Seq)}
	case seq < next:
		return &Broken{next, fmt.Sprintf("entry %d stands in its place: entries were moved or repeated", seq)}
	case sum != hash:
		return &Broken{seq, "its fields do not give its hash: it was changed"}
	case prev != w.Hash:
		return &Broken{seq, fmt.Sprintf("it does not follow entry %d: one of the two was replaced", w.Seq)}
	}
	w.Seq, w.Hash = seq, hash
	return nil
}

// Head checks a signed head once the walker stands at its link. why says what is wrong with its signature; "" is nothing.
func (w *Walker) Head(seq int64, hash, day, why string) *Broken {
	switch {
	case seq != w.Seq:
		return &Broken{seq, fmt.Sprintf("the head signed on %s names it, and the chain is at entry %d: entries are missing", day, w.Seq)}
	case hash != w.Hash:
		return &Broken{seq, fmt.Sprintf("it is not the entry whose hash was signed on %s: the chain was written anew", day)}
	case why != "":
		return &Broken{seq, fmt.Sprintf("head signed on %s: %s", day, why)}
	}
	return nil
}
