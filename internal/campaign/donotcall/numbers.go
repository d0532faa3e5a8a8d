package donotcall

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Source is how a number came on a list.
type Source string

// The sources.
const (
	SourceVoice  Source = "voice"  // the person said so in a call
	SourceKey    Source = "key"    // the person pressed the key
	SourceAPI    Source = "api"    // another system said so
	SourceImport Source = "import" // a file
	SourcePerson Source = "person" // somebody of the organisation, by hand
)

// Entry is a number on a list.
type Entry struct {
	ListID  string    `json:"listId"`
	Number  string    `json:"number" doc:"E.164"`
	Source  Source    `json:"source" enum:"voice,key,api,import,person" doc:"How it came here: said in a call, a key pressed in a call, another system, a file, somebody by hand"`
	Reason  string    `json:"reason"`
	CallID  string    `json:"callId" doc:"In which it was asked for; empty: in none"`
	AddedBy string    `json:"addedBy" doc:"User; empty: nobody, the person called did it"`
	AddedAt time.Time `json:"addedAt"`
}

func (r *numberRow) entry() Entry {
	return Entry{ListID: r.ListID, Number: r.Number, Source: r.Source, Reason: r.Reason, CallID: r.CallID, AddedBy: r.AddedBy, AddedAt: at(r.AddedAt)}
}

// Refused is a number that could not be read.
type Refused struct {
	Number string `json:"number" doc:"As it was written"`
	Why    string `json:"why"`
}

// Added is what became of numbers that were to be added.
type Added struct {
	Added   int64     `json:"added"`
	Known   int64     `json:"known" doc:"They were on the list"`
	Refused []Refused `json:"refused" nullable:"false"`
}

// NewNumbers is what is added to a list.
type NewNumbers struct {
	Numbers []string // as people write them
	Country string   // of numbers without a country code
	Source  Source
	Reason  string
	CallID  string
}

const noNumber = "This is no telephone number; write it with its country code: +14155550100."

// read gives numbers in E.164, each once and in order, and those that are none.
func read(numbers []string, country string) (out []string, refused []Refused) {
	refused = []Refused{}
	for _, text := range numbers {
		n, ok := Parse(text, country)
		if !ok {
			refused = append(refused, Refused{clip(text), noNumber})
			continue
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out), refused
}

func clip(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if utf8.RuneCountInString(s) > writtenMost {
		return string([]rune(s)[:writtenMost]) + "…"
	}
	return s
}

// Add puts numbers on a list. From then on no call that asks the list is decided for them.
func (s *Service) Add(ctx context.Context, orgID, listID string, n NewNumbers) (out Added, err error) {
	if utf8.RuneCountInString(n.Reason) > reasonMost || strings.Contains(n.Reason, "\x00") {
		return out, fault.Field("body.reason", "a reason has at most %d characters", reasonMost)
	}
	numbers, refused := read(n.Numbers, n.Country)
	out.Refused = refused
	if len(numbers) == 0 {
		_, err := s.Get(ctx, orgID, listID)
		return out, err
	}
	now, user := s.now().UnixMilli(), identity.UserOf(ctx)
	rows := make([]numberRow, len(numbers))
	for i, number := range numbers {
		rows[i] = numberRow{OrganisationID: orgID, ListID: listID, Number: number, Source: n.Source, Reason: n.Reason, CallID: n.CallID, AddedBy: user, AddedAt: now}
	}
	everywhere := false
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		list, err := lockList(ctx, tx, listID)
		if err != nil {
			return err
		}
		everywhere = list.Scope == ScopeOrganisation
		if out.Added, err = put(ctx, tx, rows); err != nil {
			return err
		}
		out.Known = int64(len(rows)) - out.Added
		if out.Added == 0 {
			return nil
		}
		if err := grew(ctx, tx, listID, out.Added, now); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "do_not_call.add", Kind: kind, ID: listID, Reason: n.Reason, After: numbersAudit{Numbers: out.Added, Source: n.Source, Which: hidden(numbers)}})
	})
	if err == nil && everywhere {
		err = s.spread(ctx, orgID, numbers...)
	}
	return out, err
}

// spread tells campaigns of numbers that no campaign calls any more.
func (s *Service) spread(ctx context.Context, orgID string, numbers ...string) error {
	if s.c.Spread == nil {
		return nil
	}
	return s.c.Spread(ctx, orgID, numbers...)
}

// numbersAudit is what the audit trail, which outlives an erasure, says of numbers.
type numbersAudit struct {
	Numbers int64    `json:"numbers"`
	Source  Source   `json:"source,omitempty"`
	Which   []string `json:"which,omitempty"`
}

const mostShown = 20 // numbers in an audit entry

func hidden(numbers []string) []string {
	var out []string
	for _, n := range numbers[:min(len(numbers), mostShown)] {
		out = append(out, masked(n))
	}
	return out
}

// importAtOnce is how many numbers of a file one transaction writes.
const importAtOnce = 5000

// ImportList puts a file of numbers on a list. What was read before an error stays on the list: nobody is called by mistake.
func (s *Service) ImportList(ctx context.Context, orgID, listID, country, reason string, r io.Reader) (out ListImport, err error) {
	if utf8.RuneCountInString(reason) > reasonMost || strings.Contains(reason, "\x00") {
		return out, fault.Field("query.reason", "a reason has at most %d characters", reasonMost)
	}
	if _, err := s.Get(ctx, orgID, listID); err != nil {
		return out, err
	}
	in := intake{country: country}
	numbers := make([]string, 0, importAtOnce)
	write := func() error {
		n, err := s.importSome(ctx, orgID, listID, numberRow{OrganisationID: orgID, ListID: listID, Source: SourceImport, Reason: reason, AddedBy: identity.UserOf(ctx)}, numbers)
		out.Added += n
		numbers = numbers[:0]
		return err
	}
	err = in.read(r, func(n string) error {
		if numbers = append(numbers, n); len(numbers) < importAtOnce {
			return nil
		}
		return write()
	})
	if err == nil && len(numbers) > 0 {
		err = write()
	}
	out.Intake = in.Intake
	if err != nil {
		return out, err
	}
	if in.Numbers == 0 {
		return out, in.wrong()
	}
	return out, s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "do_not_call.import", Kind: kind, ID: listID, Reason: reason, After: numbersAudit{Numbers: out.Added, Source: SourceImport}})
	})
}

func (s *Service) importSome(ctx context.Context, orgID, listID string, like numberRow, numbers []string) (added int64, err error) {
	like.AddedAt = s.now().UnixMilli()
	rows := make([]numberRow, 0, len(numbers))
	seen := make(map[string]bool, len(numbers))
	for _, n := range numbers {
		if !seen[n] {
			seen[n] = true
			like.Number = n
			rows = append(rows, like)
		}
	}
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := lockList(ctx, tx, listID); err != nil {
			return err
		}
		if added, err = put(ctx, tx, rows); err != nil {
			return err
		}
		return grew(ctx, tx, listID, added, like.AddedAt)
	})
	return added, err
}

// Removed is what became of numbers that were to be taken off.
type Removed struct {
	Removed int64     `json:"removed"`
	Unknown int64     `json:"unknown" doc:"They were not on the list"`
	Refused []Refused `json:"refused" nullable:"false"`
}

// Remove takes numbers off a list. reason says why; it is kept with what was removed.
func (s *Service) Remove(ctx context.Context, orgID, listID string, written []string, country, reason string) (out Removed, err error) {
	if err := checkReason(reason); err != nil {
		return out, err
	}
	numbers, refused := read(written, country)
	out.Refused = refused
	now, user := s.now().UnixMilli(), identity.UserOf(ctx)
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := lockList(ctx, tx, listID); err != nil || len(numbers) == 0 {
			return err
		}
		rows, err := on(ctx, tx, listID, numbers)
		if err != nil {
			return err
		}
		out.Removed, out.Unknown = int64(len(rows)), int64(len(numbers)-len(rows))
		if len(rows) == 0 {
			return nil
		}
		gone := make([]removalRow, len(rows))
		for i, r := range rows {
			gone[i] = removalRow{ID: newID(), OrganisationID: orgID, ListID: listID, Number: r.Number, Source: r.Source, AddedAt: r.AddedAt, Reason: reason, RemovedBy: user, RemovedAt: now}
		}
		for chunk := range slices.Chunk(gone, rowsAtOnce) {
			if _, err := tx.NewInsert().Model(&chunk).Exec(ctx); err != nil {
				return fmt.Errorf("keep what was removed: %w", err)
			}
		}
		for chunk := range slices.Chunk(numbers, rowsAtOnce) {
			_, err := tx.NewDelete().Model((*numberRow)(nil)).Where("organisation_id = ?", orgID).Where("list_id = ?", listID).Where("number IN (?)", bun.List(chunk)).Exec(ctx)
			if err != nil {
				return fmt.Errorf("delete numbers: %w", err)
			}
		}
		if err := grew(ctx, tx, listID, -out.Removed, now); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "do_not_call.remove", Kind: kind, ID: listID, Reason: reason, Before: numbersAudit{Numbers: out.Removed, Which: hidden(numbers)}})
	})
	return out, err
}

// Entries gives a page of a list's numbers in order, of those that begin with prefix, and the cursor of the next ("" at the end).
func (s *Service) Entries(ctx context.Context, orgID, listID, prefix, cursor string, limit int) (out []Entry, next string, err error) {
	if prefix = strings.TrimSpace(prefix); prefix != "" && !strings.HasPrefix(prefix, "+") {
		prefix = "+" + prefix
	}
	if prefix != "" && (len(prefix) > digitsMost+1 || onlyDigits(prefix[1:]) != prefix[1:]) {
		return nil, "", fault.Field("query.search", "write how the number begins: +1415")
	}
	var rows []numberRow
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := listByID(ctx, tx, listID); err != nil {
			return err
		}
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("list_id = ?", listID).Where("number > ?", cursor)
		if prefix != "" { // ':' follows '9'
			q = q.Where("number >= ?", prefix).Where("number < ?", prefix+":")
		}
		return q.OrderExpr("number").Limit(int64(limit) + 1).Scan(ctx)
	})
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].Number
	}
	out = make([]Entry, len(rows))
	for i := range rows {
		out[i] = rows[i].entry()
	}
	return out, next, nil
}

// exportPage is how many numbers are read at once.
const exportPage = 2000

// noteExport leaves the trace of who takes a list away, before it is.
func (s *Service) noteExport(ctx context.Context, orgID, listID string) error {
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := listByID(ctx, tx, listID)
		if err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "do_not_call.export", Kind: kind, ID: listID, After: row.audit()})
	})
}

// Export writes a list as CSV, page by page.
func (s *Service) Export(ctx context.Context, orgID, listID string, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"number", "source", "reason", "addedAt", "callId"}); err != nil {
		return err
	}
	for cursor := ""; ; {
		rows, next, err := s.Entries(ctx, orgID, listID, "", cursor, exportPage)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := out.Write([]string{r.Number, string(r.Source), plain(r.Reason), r.AddedAt.Format(time.RFC3339), r.CallID}); err != nil {
				return err
			}
		}
		if next == "" {
			out.Flush()
			return out.Error()
		}
		cursor = next
	}
}

// plain keeps a spreadsheet from reading what people wrote as a formula.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// Found is what is known of a number.
type Found struct {
	Number    string        `json:"number" doc:"E.164; empty: it is none"`
	Written   string        `json:"written" doc:"As it was asked for"`
	Listed    bool          `json:"listed" doc:"A list of the organisation's or a register holds it; whether a call is forbidden is for the campaign's rules"`
	Entries   []Entry       `json:"entries" nullable:"false"`
	Registers []string      `json:"registers" nullable:"false" doc:"Public registers that hold it"`
	Consent   string        `json:"consent" enum:",given,withdrawn" doc:"For a sales call by an AI; empty: nothing is recorded"`
	ConsentID string        `json:"consentId"`
	Removals  []RemovedOnce `json:"removals" nullable:"false" doc:"When it was taken off lists, and why"`
}

// RemovedOnce is a number that was taken off a list.
type RemovedOnce struct {
	ListID    string    `json:"listId"`
	Source    Source    `json:"source" enum:"voice,key,api,import,person"`
	AddedAt   time.Time `json:"addedAt"`
	Reason    string    `json:"reason"`
	RemovedBy string    `json:"removedBy"`
	RemovedAt time.Time `json:"removedAt"`
}

// Lookup tells what is known of numbers, in the order they are asked for.
func (s *Service) Lookup(ctx context.Context, orgID string, written []string, country string) ([]Found, error) {
	out := make([]Found, len(written))
	numbers, _ := read(written, country)
	var rows []numberRow
	var gone []removalRow
	known := map[string]knowledge{}
	err := s.withRegisters(ctx, orgID, func() error {
		return s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
			if len(numbers) == 0 {
				return nil
			}
			if rows, err = on(ctx, tx, "", numbers); err != nil {
				return err
			}
			if err := tx.NewSelect().Model(&gone).Where("organisation_id = ?", orgID).Where("number IN (?)", bun.List(numbers)).OrderExpr("id").Scan(ctx); err != nil {
				return err
			}
			known, err = s.outside(ctx, tx, numbers)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	for i, text := range written {
		f := Found{Written: clip(text), Entries: []Entry{}, Registers: []string{}, Removals: []RemovedOnce{}}
		f.Number, _ = Parse(text, country)
		for j := range rows {
			if rows[j].Number == f.Number {
				f.Entries = append(f.Entries, rows[j].entry())
			}
		}
		for _, g := range gone {
			if g.Number == f.Number {
				f.Removals = append(f.Removals, RemovedOnce{ListID: g.ListID, Source: g.Source, AddedAt: at(g.AddedAt), Reason: g.Reason, RemovedBy: g.RemovedBy, RemovedAt: at(g.RemovedAt)})
			}
		}
		k := known[f.Number]
		f.Registers = append(f.Registers, k.registers...)
		f.Consent, f.ConsentID = string(k.consent.State), k.consent.ID
		f.Listed = len(f.Entries)+len(f.Registers) > 0
		out[i] = f
	}
	return out, nil
}
