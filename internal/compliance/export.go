package compliance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

const (
	exportFormat = "parley-audit/1"
	partFormat   = "parley-audit-part/1" // filtered: it is no whole chain, and cannot be verified
)

// The lines of an export, one JSON object each.
type (
	headerLine struct {
		Type           string    `json:"type"` // header
		Format         string    `json:"format"`
		OrganisationID string    `json:"organisationId"`
		BaseSeq        int64     `json:"baseSeq"` // of the entry before the first
		BaseHash       string    `json:"baseHash"`
		At             time.Time `json:"at"`
	}
	entryLine struct {
		Type string `json:"type"` // entry
		AuditEntry
	}
	headLine struct {
		Type string `json:"type"` // head
		AuditHead
	}
	endLine struct {
		Type      string    `json:"type"` // end
		Entries   int64     `json:"entries"`
		Seq       int64     `json:"seq"`
		Hash      string    `json:"hash"`
		At        time.Time `json:"at"`
		KeyID     string    `json:"keyId"`
		PublicKey string    `json:"publicKey"`
		Signature string    `json:"signature"`
	}
)

func (l *endLine) payload(h *headerLine) []byte {
	return hashchain.NewFields(endContext).Text(h.OrganisationID).Number(h.BaseSeq).Text(h.BaseHash).Number(l.Seq).Text(l.Hash).Number(l.At.UnixMilli()).Bytes()
}

// Export writes an organisation's whole chain as it is now, with its signed heads, and a signed end. The installation's
// own is that of identity.Platform.
func (s *Service) Export(ctx context.Context, org string, w io.Writer) error {
	c := chain{s.cfg.DB, org}
	x := exporter{w: bufio.NewWriterSize(w, 64<<10)}
	var state chainRow
	err := c.read(ctx, "export the platform log", func(ctx context.Context, tx *db.Tx) (err error) {
		if state, err = c.state(ctx, tx, false); err != nil {
			return err
		}
		x.heads, err = c.heads(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("export the audit trail: %w", err)
	}
	for len(x.heads) > 0 && x.heads[0].Seq < state.BaseSeq {
		x.heads = x.heads[1:]
	}
	header := headerLine{Type: "header", Format: exportFormat, OrganisationID: org, BaseSeq: state.BaseSeq, BaseHash: state.BaseHash,
		At: s.clock.Now().UTC().Truncate(time.Millisecond)}
	x.put(header)
	x.headsUpTo(state.BaseSeq)
	for at := state.BaseSeq; at < state.Seq && x.err == nil; {
		var rows []entryRow
		err := c.read(ctx, "export the platform log", func(ctx context.Context, tx *db.Tx) (err error) {
			rows, err = c.page(ctx, tx, at, state.Seq, pageSize)
			return err
		})
		if err != nil {
			return fmt.Errorf("export the audit trail: %w", err)
		}
		if len(rows) == 0 {
			break // the file shows what is missing
		}
		for i := range rows {
			x.put(entryLine{"entry", rows[i].entry()})
			x.entries++
			x.headsUpTo(rows[i].Seq)
		}
		at = rows[len(rows)-1].Seq
	}
	end := endLine{Type: "end", Entries: x.entries, Seq: state.Seq, Hash: state.Hash, At: header.At}
	sig, err := s.cfg.Signer.Sign(end.payload(&header))
	if err != nil {
		return fmt.Errorf("sign the export: %w", err)
	}
	end.KeyID, end.PublicKey, end.Signature = sig.KeyID, hashchain.Encode64(sig.Public), hashchain.Encode64(sig.Bytes)
	x.put(end)
	if x.err == nil {
		x.err = x.w.Flush()
	}
	return x.err
}

// exporter writes lines until one fails.
type exporter struct {
	w       *bufio.Writer
	heads   []headRow
	entries int64
	err     error
}

func (x *exporter) put(v any) {
	if x.err != nil {
		return
	}
	b, err := hashchain.Line(v)
	if err == nil {
		_, err = x.w.Write(b)
	}
	x.err = err
}

func (x *exporter) headsUpTo(seq int64) {
	for len(x.heads) > 0 && x.heads[0].Seq <= seq {
		x.put(headLine{"head", x.heads[0].head()})
		x.heads = x.heads[1:]
	}
}
