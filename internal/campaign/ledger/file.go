package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

// format names the files that this version writes and reads.
const format = "parley-decisions/1"

const mostLine = 1 << 20

// The lines of a file, one JSON object each. A file holds one chain after the other.
type (
	// Header begins a chain.
	Header struct {
		Type           string    `json:"type"` // header
		Format         string    `json:"format"`
		OrganisationID string    `json:"organisationId"`
		CampaignID     string    `json:"campaignId"`
		Campaign       string    `json:"campaign"` // its name
		BaseSeq        int64     `json:"baseSeq"`  // of the decision before the first
		BaseHash       string    `json:"baseHash"`
		At             time.Time `json:"at"`
	}
	recordLine struct {
		Type string `json:"type"` // decision
		Record
	}
	headLine struct {
		Type string `json:"type"` // head
		Head
	}
	endLine struct {
		Type      string    `json:"type"` // end
		Decisions int64     `json:"decisions"`
		Seq       int64     `json:"seq"`
		Hash      string    `json:"hash"`
		At        time.Time `json:"at"`
		KeyID     string    `json:"keyId"`
		PublicKey string    `json:"publicKey"`
		Signature string    `json:"signature"`
	}
)

func (l *endLine) payload(h *Header) []byte {
	return hashchain.NewFields(endContext).Text(h.OrganisationID, h.CampaignID, h.Campaign).Number(h.BaseSeq).Text(h.BaseHash).Number(l.Decisions).
		Number(l.Seq).Text(l.Hash).Number(l.At.UnixMilli()).Bytes()
}

// Writer writes one chain.
type Writer struct {
	w io.Writer
	h Header
	n int64
}

// NewWriter writes a chain's beginning. Type and Format of the header are set here.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Type, h.Format, h.At = "header", format, h.At.UTC().Truncate(time.Millisecond)
	x := &Writer{w: w, h: h}
	return x, x.put(h)
}

func (x *Writer) put(v any) error {
	b, err := hashchain.Line(v)
	if err == nil {
		_, err = x.w.Write(b)
	}
	return err
}

// Record writes a decision.
func (x *Writer) Record(r Record) error {
	x.n++
	return x.put(recordLine{"decision", r})
}

// Head writes a signed head, after its record.
func (x *Writer) Head(h Head) error { return x.put(headLine{"head", h}) }

// End writes the chain's signed end.
func (x *Writer) End(signer hashchain.Signer, seq int64, hash string) error {
	l := endLine{Type: "end", Decisions: x.n, Seq: seq, Hash: hash, At: x.h.At}
	sig, err := signer.Sign(l.payload(&x.h))
	if err != nil {
		return fmt.Errorf("sign decisions: %w", err)
	}
	l.KeyID, l.PublicKey, l.Signature = sig.KeyID, hashchain.Encode64(sig.Public), hashchain.Encode64(sig.Bytes)
	return x.put(l)
}

// Report says what a file proves of a chain.
type Report struct {
	Header
	Decisions, Allowed, Erased int64
	First, Last                int64
	LastHash                   string
	Heads                      int
	LastHead                   *Head    // nil: nothing was signed yet
	KeyIDs                     []string // that signed
	Trusted                    bool     // every signature is by one of the keys that were given
}

// Broken is the first link of a file's chains that does not hold.
type Broken struct {
	Campaign string // its id; "": the file's beginning
	Line     int
	Link     hashchain.Broken
}

// Error implements error.
func (b *Broken) Error() string {
	return fmt.Sprintf("campaign %s, line %d: the chain is broken at decision %d: %s", b.Campaign, b.Line, b.Link.Seq, b.Link.Why)
}

// Verify proves a file: every hash, every link, every signature, every number, and that nothing is missing up to each chain's
// signed end. keys are those that are trusted; without any a file proves only that nobody without a key changed it. What does
// not hold is a *Broken; what is no such file is a fault.
func Verify(r io.Reader, keys []hashchain.JWK) ([]Report, error) {
	v := &verifier{in: hashchain.NewLines(r, mostLine), keys: keys}
	for {
		err := v.next()
		if errors.Is(err, io.EOF) {
			return v.done, v.end()
		}
		if err != nil {
			return v.done, err
		}
	}
}

// verifier goes through a file.
type verifier struct {
	in   *hashchain.Lines
	keys []hashchain.JWK
	done []Report
	rep  *Report // nil: between chains
	w    Walker
}

func (v *verifier) broken(seq int64, why string, args ...any) error {
	return &Broken{v.w.Campaign, v.in.N, hashchain.Broken{Seq: seq, Why: fmt.Sprintf(why, args...)}}
}

func (v *verifier) link(b *hashchain.Broken) error {
	if b == nil {
		return nil
	}
	return &Broken{v.w.Campaign, v.in.N, *b}
}

func (v *verifier) end() error {
	switch {
	case v.rep != nil:
		return v.broken(v.w.Seq+1, "the file ends without the chain's signed end: it was cut")
	case len(v.done) == 0:
		return fault.New(fault.Invalid, "the file holds no decisions; make one with: parley compliance export --org ORGANISATION")
	}
	return nil
}

// next takes a line.
func (v *verifier) next() error {
	b, err := v.in.Next()
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, hashchain.ErrCut):
		return v.broken(v.w.Seq+1, "the file ends within a line: it was cut")
	case errors.Is(err, hashchain.ErrLong):
		return fault.New(fault.Invalid, "line %d is longer than %d bytes: this is no file of decisions", v.in.N, mostLine)
	case err != nil:
		return fmt.Errorf("line %d: %w", v.in.N, err)
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return fault.New(fault.Invalid, "line %d is no JSON: this is no file of decisions", v.in.N)
	}
	switch {
	case v.rep == nil && kind.Type == "header":
		return v.header(b)
	case v.rep == nil:
		return fault.New(fault.Invalid, "line %d begins no chain of decisions; make a file with: parley compliance export --org ORGANISATION", v.in.N)
	case kind.Type == "decision":
		return v.record(b)
	case kind.Type == "head":
		return v.head(b)
	case kind.Type == "end":
		return v.close(b)
	}
	return v.broken(v.w.Seq+1, "the line is no decision, no head and no end")
}

func (v *verifier) parse(b []byte, dst any) error {
	if err := hashchain.ParseLine(b, dst); err != nil {
		return v.broken(v.w.Seq+1, "%v", err)
	}
	return nil
}

func (v *verifier) header(b []byte) error {
	var h Header
	if err := v.parse(b, &h); err != nil {
		return err
	}
	if h.Format != format {
		return fault.New(fault.Invalid, "this version reads %s", format)
	}
	v.w = Walker{Walker: hashchain.Walker{Seq: h.BaseSeq, Hash: h.BaseHash}, Org: h.OrganisationID, Campaign: h.CampaignID}
	if h.BaseSeq < 0 || h.BaseSeq == 0 && h.BaseHash != hashchain.Genesis {
		return v.broken(1, "the header names no beginning of a chain")
	}
	v.rep = &Report{Header: h, First: h.BaseSeq + 1, Trusted: len(v.keys) > 0}
	return nil
}

func (v *verifier) record(b []byte) error {
	var l recordLine
	if err := v.parse(b, &l); err != nil {
		return err
	}
	if !l.At.Equal(l.At.Truncate(time.Millisecond)) {
		return v.broken(l.Seq, "its time is finer than a millisecond: it was changed")
	}
	if v.rep.Decisions == 0 && v.rep.BaseSeq > 0 && v.rep.Heads == 0 {
		return v.broken(l.Seq, "the decisions before it were deleted, and no signed head says that they were there")
	}
	if err := v.link(v.w.Take(&l.Record)); err != nil {
		return err
	}
	v.rep.Decisions++
	if l.Allowed {
		v.rep.Allowed++
	}
	if l.Number == "" {
		v.rep.Erased++
	}
	return nil
}

func (v *verifier) head(b []byte) error {
	var l headLine
	if err := v.parse(b, &l); err != nil {
		return err
	}
	if err := v.link(v.w.TakeHead(&l.Head)); err != nil {
		return err
	}
	v.rep.Heads++
	v.rep.LastHead = &l.Head
	return v.trust(l.KeyID, l.PublicKey, "the head signed on "+l.Date)
}

// trust compares a key with those that were given.
func (v *verifier) trust(kid, public, what string) error {
	known := false
	for _, k := range v.rep.KeyIDs {
		known = known || k == kid
	}
	if !known {
		v.rep.KeyIDs = append(v.rep.KeyIDs, kid)
	}
	if len(v.keys) == 0 {
		return nil
	}
	for _, k := range v.keys {
		if k.KeyID == kid && k.X == public && k.Curve == "Ed25519" {
			return nil
		}
	}
	return v.broken(v.w.Seq, "%s is by a key that is not in the key set", what)
}

func (v *verifier) close(b []byte) error {
	var l endLine
	if err := v.parse(b, &l); err != nil {
		return err
	}
	switch why := hashchain.CheckSignature(l.payload(&v.rep.Header), l.KeyID, l.PublicKey, l.Signature); {
	case l.Seq > v.w.Seq:
		return v.broken(v.w.Seq+1, "it is missing: the chain goes to decision %d", l.Seq)
	case l.Seq < v.w.Seq:
		return v.broken(l.Seq+1, "it was added after the export")
	case l.Hash != v.w.Hash || l.Decisions != v.rep.Decisions || !l.At.Equal(v.rep.At):
		return v.broken(l.Seq, "the end of the chain does not fit its decisions")
	case why != "":
		return v.broken(l.Seq, "end of the chain: %s", why)
	}
	if err := v.trust(l.KeyID, l.PublicKey, "the end of the chain"); err != nil {
		return err
	}
	v.rep.Last, v.rep.LastHash = v.w.Seq, v.w.Hash
	v.done = append(v.done, *v.rep)
	v.rep = nil
	return nil
}
