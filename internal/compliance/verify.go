package compliance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

const maxLine = 1 << 20 // of a line of an export: an entry has two states of 64 KiB

// VerifyOptions say what a file is compared with.
type VerifyOptions struct {
	// Keys are those that are trusted, from the installation's key set. Without any a file proves only that it was not changed
	// by somebody who has no key at all.
	Keys []JWK
	// Head is a head that was noted elsewhere, "seq:hash": the file must have that entry.
	Head string
}

// Report says what a file proves.
type Report struct {
	OrganisationID string
	At             time.Time // when it was exported
	Entries        int64
	First, Last    int64 // sequence numbers; Last is First-1 when there are none
	LastHash       string
	Heads          int
	LastHead       *AuditHead // nil when nothing was signed yet
	KeyIDs         []string
	Trusted        bool // every signature is by one of VerifyOptions.Keys
}

// Verify reads an export and proves it: every hash, every link, every signature, and that nothing is missing up to its
// signed end. It needs no database. What does not hold is a *Broken; what is no export is a fault.
func Verify(r io.Reader, o VerifyOptions) (*Report, error) {
	v := &verifier{in: hashchain.NewLines(r, maxLine), o: o, rep: &Report{Trusted: len(o.Keys) > 0}}
	if err := v.header(); err != nil {
		return nil, err
	}
	for {
		done, err := v.line()
		if err != nil {
			return nil, err
		}
		if done {
			return v.rep, v.checkNoted()
		}
	}
}

type verifier struct {
	in    *hashchain.Lines
	o     VerifyOptions
	rep   *Report
	head  headerLine
	w     walker
	noted bool
}

// next gives a line; io.EOF after the last.
func (v *verifier) next() ([]byte, error) {
	b, err := v.in.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case errors.Is(err, hashchain.ErrLong):
		return nil, fault.New(fault.Invalid, "line %d is longer than %d bytes: this is no export of the audit trail", v.in.N, maxLine)
	case errors.Is(err, hashchain.ErrCut):
		return nil, broke(v.w.Seq+1, fmt.Sprintf("the file ends within line %d: it was cut", v.in.N))
	case err != nil:
		return nil, fmt.Errorf("line %d: %w", v.in.N, err)
	}
	return b, nil
}

// parse reads a line into dst and proves that it is written exactly as an export writes it, so that nothing can be
// hidden in spaces, in another order, or in a key that comes twice.
func (v *verifier) parse(b []byte, dst any) error {
	err := hashchain.ParseLine(b, dst)
	if err != nil {
		return broke(v.w.Seq+1, fmt.Sprintf("line %d: %v", v.in.N, err))
	}
	return nil
}

func (v *verifier) header() error {
	b, err := v.next()
	var probe struct{ Type, Format string }
	if err != nil || json.Unmarshal(b, &probe) != nil || probe.Type != "header" {
		return fault.New(fault.Invalid, "the file does not begin as an export of the audit trail; make one with: parley audit export --org ORGANISATION")
	}
	if probe.Format == partFormat {
		return fault.New(fault.Invalid, "this is a filtered export: only a whole one is a chain; export again without filters")
	}
	if err := v.parse(b, &v.head); err != nil {
		return err
	}
	if v.head.Format != exportFormat {
		return fault.New(fault.Invalid, "format %q is unknown to this version, which reads %s", clean(v.head.Format, 64), exportFormat)
	}
	if v.head.BaseSeq < 0 || v.head.BaseSeq == 0 && v.head.BaseHash != genesis {
		return broke(1, "the header names no beginning of a chain")
	}
	v.w = newWalker(v.head.OrganisationID, v.head.BaseSeq, v.head.BaseHash)
	v.rep.OrganisationID, v.rep.At, v.rep.First = v.head.OrganisationID, v.head.At, v.head.BaseSeq+1
	return nil
}

// line takes one line and reports whether it was the last.
func (v *verifier) line() (bool, error) {
	b, err := v.next()
	if errors.Is(err, io.EOF) {
		return false, broke(v.w.Seq+1, fmt.Sprintf("the file ends after entry %d without its signed end: it was cut", v.w.Seq))
	}
	if err != nil {
		return false, err
	}
	var probe struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return false, broke(v.w.Seq+1, fmt.Sprintf("line %d is no JSON", v.in.N))
	}
	switch probe.Type {
	case "entry":
		return false, v.entry(b)
	case "head":
		return false, v.signed(b)
	case "end":
		return true, v.end(b)
	}
	return false, broke(v.w.Seq+1, fmt.Sprintf("line %d is no entry, no head and no end", v.in.N))
}

func (v *verifier) entry(b []byte) error {
	var l entryLine
	if err := v.parse(b, &l); err != nil {
		return err
	}
	if !l.At.Equal(l.At.Truncate(time.Millisecond)) {
		return broke(l.Seq, "its time is finer than a millisecond: it was changed")
	}
	if broken := v.w.step(&l.AuditEntry); broken != nil {
		return broken
	}
	if v.rep.Entries == 0 && v.head.BaseSeq > 0 && v.rep.Heads == 0 {
		return broke(l.Seq, "the entries before it were deleted, and no signed head says that they were there")
	}
	v.rep.Entries++
	v.note()
	return nil
}

// note remembers whether the entry is the one that was noted elsewhere.
func (v *verifier) note() {
	if v.o.Head == fmt.Sprintf("%d:%s", v.w.Seq, v.w.Hash) {
		v.noted = true
	}
}

func (v *verifier) signed(b []byte) error {
	var l headLine
	if err := v.parse(b, &l); err != nil {
		return err
	}
	if broken := v.w.head(&l.AuditHead); broken != nil {
		return broken
	}
	if !l.At.Equal(l.At.Truncate(time.Millisecond)) {
		return broke(l.Seq, "the time of its head is finer than a millisecond: it was changed")
	}
	v.rep.Heads++
	v.rep.LastHead = &l.AuditHead
	v.note()
	return v.trust(l.KeyID, l.PublicKey, "the head signed on "+l.Date)
}

// trust compares a key with those that were given.
func (v *verifier) trust(kid, public, what string) error {
	if !slices.Contains(v.rep.KeyIDs, kid) {
		v.rep.KeyIDs = append(v.rep.KeyIDs, kid)
	}
	if len(v.o.Keys) == 0 {
		return nil
	}
	for _, k := range v.o.Keys {
		if k.KeyID == kid && k.X == public && k.Curve == "Ed25519" {
			return nil
		}
	}
	return broke(v.w.Seq, fmt.Sprintf("%s is by key %s, which is not in the key set", what, clean(kid, maxWord)))
}

func (v *verifier) end(b []byte) error {
	var l endLine
	if err := v.parse(b, &l); err != nil {
		return err
	}
	switch why := hashchain.CheckSignature(l.payload(&v.head), l.KeyID, l.PublicKey, l.Signature); {
	case l.Seq > v.w.Seq:
		return broke(v.w.Seq+1, fmt.Sprintf("it is missing: the file goes to entry %d", l.Seq))
	case l.Seq < v.w.Seq:
		return broke(l.Seq+1, "it was added after the export")
	case l.Hash != v.w.Hash || l.Entries != v.rep.Entries || !l.At.Equal(v.head.At):
		return broke(l.Seq, "the end of the file does not fit its entries")
	case why != "":
		return broke(l.Seq, "end of the file: "+why)
	}
	if err := v.trust(l.KeyID, l.PublicKey, "the end of the file"); err != nil {
		return err
	}
	if _, err := v.next(); !errors.Is(err, io.EOF) {
		return broke(l.Seq+1, "something follows the end of the export")
	}
	v.rep.Last, v.rep.LastHash = v.w.Seq, v.w.Hash
	return nil
}

// checkNoted proves that the file has the head that was noted elsewhere.
func (v *verifier) checkNoted() error {
	if v.o.Head == "" || v.noted {
		return nil
	}
	seq, _, _ := strings.Cut(v.o.Head, ":")
	return broke(v.w.Seq, fmt.Sprintf("entry %s with the hash that was noted is not in the file: the chain was written anew or cut", clean(seq, maxWord)))
}

// ParseKeys reads a key set (RFC 7517 section 5), such as that of /api/v1/audit/keys.
func ParseKeys(b []byte) ([]JWK, error) {
	var set struct {
		Keys []JWK `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil || len(set.Keys) == 0 {
		return nil, fault.New(fault.Invalid, `this is no key set; it looks like {"keys":[{"kty":"OKP","crv":"Ed25519",...}]}`)
	}
	return set.Keys, nil
}
