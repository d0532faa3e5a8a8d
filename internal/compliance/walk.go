package compliance

import "github.com/parley-voice/parley/internal/platform/hashchain"

// walker goes along an organisation's trail from its first entry and says where it breaks.
type walker struct {
	hashchain.Walker
	org string
}

func newWalker(org string, seq int64, hash string) walker {
	return walker{hashchain.Walker{Seq: seq, Hash: hash}, org}
}

func (w *walker) step(e *AuditEntry) *Broken { return w.Step(e.Seq, e.PrevHash, e.Hash, e.sum(w.org)) }

// head checks a signed head once the walker stands at its entry.
func (w *walker) head(h *AuditHead) *Broken {
	return w.Head(h.Seq, h.Hash, h.Date, hashchain.CheckSignature(h.payload(w.org), h.KeyID, h.PublicKey, h.Signature))
}

func broke(seq int64, why string) *Broken { return &Broken{Seq: seq, Why: why} }
