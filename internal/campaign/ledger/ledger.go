// Package ledger has what proves decisions to call and not to call: a chain for each campaign, and files of chains that are
// verified without a server or a database. It is pure.
//
//	ledger.go  Record and its hash, Head
//	file.go    files: writing them, Verify
//
// # Numbers
//
// A record's hash does not cover the number but a commitment to it: HMAC-SHA-256 of the number with a salt of the record's own
// as the key. Number and salt stand beside the hash. Who erases a person deletes both: what is left of them is a value that
// nobody can find the number from, and the chain holds as before. Who has a number and its salt can prove it is the one.
package ledger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/parley-voice/parley/internal/platform/hashchain"
)

const (
	recordContext = "parley-decision-1\n"
	headContext   = "parley-decision-head-1\n"
	endContext    = "parley-decision-end-1\n"
)

// SaltBytes is the length of a record's salt.
const SaltBytes = 16

// Record is a decision as it stands in a chain.
type Record struct {
	Seq        int64           `json:"seq"` // from 1, without a gap
	ID         string          `json:"id"`
	At         time.Time       `json:"at"` // to the millisecond
	LeadID     string          `json:"leadId"`
	Number     string          `json:"number"` // "": it was erased
	Salt       string          `json:"salt"`   // hex; "": it was erased
	Commitment string          `json:"commitment"`
	Allowed    bool            `json:"allowed"`
	Rule       string          `json:"rule"` // the first that did not pass
	Body       json.RawMessage `json:"body"`
	PrevHash   string          `json:"prevHash"`
	Hash       string          `json:"hash"`
}

// Commit binds a record to a number without naming it. salt is in hex.
func Commit(number, salt string) string {
	m := hmac.New(sha256.New, []byte(salt))
	_, _ = m.Write([]byte(number))
	return hex.EncodeToString(m.Sum(nil))
}

// Sum is the hash of a record, from all its fields but Hash, Number and Salt.
func (r *Record) Sum(org, campaign string) string {
	allowed := "no"
	if r.Allowed {
		allowed = "yes"
	}
	return hashchain.NewFields(recordContext).Text(org, campaign).Number(r.Seq).Text(r.PrevHash, r.ID).Number(r.At.UnixMilli()).
		Text(r.LeadID, r.Commitment, allowed, r.Rule, string(r.Body)).Sum()
}

// Head is the signed end of a chain on a day.
type Head struct {
	Seq       int64     `json:"seq"`
	Hash      string    `json:"hash"`
	Date      string    `json:"date"` // YYYY-MM-DD, UTC
	At        time.Time `json:"at"`
	KeyID     string    `json:"keyId"`
	PublicKey string    `json:"publicKey"` // Ed25519, base64url
	Signature string    `json:"signature"` // base64url
}

// Sign signs the end of a chain.
func Sign(signer hashchain.Signer, org, campaign string, seq int64, hash string, now time.Time) (Head, error) {
	now = now.UTC().Truncate(time.Millisecond)
	h := Head{Seq: seq, Hash: hash, Date: now.Format(time.DateOnly), At: now}
	sig, err := signer.Sign(h.payload(org, campaign))
	if err != nil {
		return h, err
	}
	h.KeyID, h.PublicKey, h.Signature = sig.KeyID, hashchain.Encode64(sig.Public), hashchain.Encode64(sig.Bytes)
	return h, nil
}

func (h *Head) payload(org, campaign string) []byte {
	return hashchain.NewFields(headContext).Text(org, campaign).Number(h.Seq).Text(h.Hash, h.Date).Number(h.At.UnixMilli()).Bytes()
}

// Walker goes along a campaign's chain and says where it breaks.
type Walker struct {
	hashchain.Walker
	Org, Campaign string
}

// Take takes the next record.
func (w *Walker) Take(r *Record) *hashchain.Broken {
	if b := w.Step(r.Seq, r.PrevHash, r.Hash, r.Sum(w.Org, w.Campaign)); b != nil {
		return b
	}
	if (r.Number == "") != (r.Salt == "") || r.Number != "" && Commit(r.Number, r.Salt) != r.Commitment {
		return &hashchain.Broken{Seq: r.Seq, Why: "its number is not the one that was decided about"}
	}
	return nil
}

// TakeHead checks a signed head once the walker stands at its record.
func (w *Walker) TakeHead(h *Head) *hashchain.Broken {
	return w.Head(h.Seq, h.Hash, h.Date, hashchain.CheckSignature(h.payload(w.Org, w.Campaign), h.KeyID, h.PublicKey, h.Signature))
}
