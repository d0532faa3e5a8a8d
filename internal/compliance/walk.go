package compliance

import "fmt"

// walker goes along a chain from its first entry and says where it breaks.
type walker struct {
	org  string
	seq  int64  // of the last entry seen
	hash string // its hash
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

func (w *walker) step(e *AuditEntry) *Broken {
	next := w.seq + 1
	switch {
	case e.Seq > next:
		return &Broken{next, fmt.Sprintf("it is missing; entry %d follows entry %d", e.Seq, w.seq)}
	case e.Seq < next:
		return &Broken{next, fmt.Sprintf("entry %d stands in its place: entries were moved or repeated", e.Seq)}
	case e.sum(w.org) != e.Hash:
		return &Broken{e.Seq, "its fields do not give its hash: it was changed"}
	case e.PrevHash != w.hash:
		return &Broken{e.Seq, fmt.Sprintf("it does not follow entry %d: one of the two was replaced", w.seq)}
	}
	w.seq, w.hash = e.Seq, e.Hash
	return nil
}

// head checks a signed head once the walker stands at its entry.
func (w *walker) head(h *AuditHead) *Broken {
	switch why := checkSignature(h.payload(w.org), h.KeyID, h.PublicKey, h.Signature); {
	case h.Seq != w.seq:
		return &Broken{h.Seq, fmt.Sprintf("the head signed on %s names it, and the chain is at entry %d: entries are missing", h.Date, w.seq)}
	case h.Hash != w.hash:
		return &Broken{h.Seq, fmt.Sprintf("it is not the entry whose hash was signed on %s: the chain was written anew", h.Date)}
	case why != "":
		return &Broken{h.Seq, fmt.Sprintf("head signed on %s: %s", h.Date, why)}
	}
	return nil
}
