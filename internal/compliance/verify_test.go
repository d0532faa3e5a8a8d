package compliance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/hashchain"

	"github.com/coder/quartz"
)

// signedExport is an export of 7 entries with heads signed after entries 3 and 6.
func signedExport(t testing.TB, r *rig) string {
	t.Helper()
	r.fill(orgA, 3)
	must(t, r.Seal(t.Context()))
	r.clock.Advance(24 * time.Hour)
	r.fill(orgA, 3)
	must(t, r.Seal(t.Context()))
	must(t, r.Seal(t.Context())) // the same day again signs nothing new
	r.fill(orgA, 1)
	return r.export(orgA)
}

func sqliteRig(t testing.TB) *rig {
	clock := quartz.NewMock(t)
	clock.Set(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	return newRig(t, dbtest.Open(t, db.Config{Clock: clock, DataDir: t.TempDir()}, Migrations()), clock, nil)
}

func TestVerify(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		file := signedExport(t, r)
		keys, err := r.Keys(t.Context(), orgA)
		must(t, err)
		set, err := json.Marshal(AuditKeys{keys})
		must(t, err)
		trusted, err := ParseKeys(set)
		must(t, err)
		rep, err := Verify(strings.NewReader(file), VerifyOptions{Keys: trusted})
		must(t, err)
		if rep.Entries != 7 || rep.First != 1 || rep.Last != 7 || rep.Heads != 2 || rep.LastHead.Seq != 6 || rep.LastHead.Date != "2026-03-03" || !rep.Trusted ||
			rep.OrganisationID != orgA || len(rep.KeyIDs) != 1 {
			t.Errorf("%+v", rep)
		}
		noted := fmt.Sprintf("%d:%s", rep.LastHead.Seq, rep.LastHead.Hash)
		if _, err := Verify(strings.NewReader(file), VerifyOptions{Head: noted}); err != nil {
			t.Error(err)
		}
		if _, err := Verify(strings.NewReader(file), VerifyOptions{Head: "6:" + genesis}); err == nil {
			t.Error("a head that is not there was found")
		}
		if _, err := Verify(strings.NewReader(file), VerifyOptions{Keys: []JWK{hashchain.NewJWK("x", "y")}}); err == nil || !strings.Contains(err.Error(), "not in the key set") {
			t.Errorf("another's key was trusted: %v", err)
		}
		// An empty chain is a good one.
		if rep, err := Verify(strings.NewReader(r.export(orgB)), VerifyOptions{Keys: trusted}); err != nil || rep.Entries != 0 || rep.Last != 0 {
			t.Errorf("%+v %v", rep, err)
		}
		must(t, r.take(t.Context(), nil))
		if rep, err := Verify(strings.NewReader(r.export(identity.Platform)), VerifyOptions{}); err != nil || rep.OrganisationID != identity.Platform {
			t.Errorf("%+v %v", rep, err)
		}
	})
}

// brokenAt asserts that a file is refused and that the first broken link is named.
func brokenAt(t *testing.T, what, file string, seq int64) {
	t.Helper()
	rep, err := Verify(strings.NewReader(file), VerifyOptions{})
	var b *Broken
	if !errors.As(err, &b) {
		t.Errorf("%s: %+v, %v", what, rep, err)
	} else if b.Seq != seq || b.Why == "" {
		t.Errorf("%s: named %v, want entry %d", what, b, seq)
	}
}

// at gives the index of the line of an entry.
func at(t testing.TB, lines []string, seq int) int {
	t.Helper()
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, fmt.Sprintf(`{"type":"entry","seq":%d,`, seq)) })
	if i < 0 {
		t.Fatalf("no entry %d", seq)
	}
	return i
}

func TestEachFieldIsProved(t *testing.T) {
	file := signedExport(t, sqliteRig(t))
	lines := strings.SplitAfter(file, "\n")
	i := at(t, lines, 4)
	var m map[string]json.RawMessage
	must(t, json.Unmarshal([]byte(lines[i]), &m))
	for name, value := range m {
		if name == "type" {
			continue
		}
		other := []byte(`"tampered"`)
		switch name {
		case "seq":
			other = []byte(`9`)
		case "at":
			other = []byte(`"2026-03-03T10:00:00.001Z"`)
		}
		changed := strings.Replace(lines[i], fmt.Sprintf("%q:%s", name, value), fmt.Sprintf("%q:%s", name, other), 1)
		if changed == lines[i] {
			t.Fatalf("%s was not changed", name)
		}
		tampered := slices.Clone(lines)
		tampered[i] = changed
		brokenAt(t, name, strings.Join(tampered, ""), 4)
		tampered[i] = strings.Replace(lines[i], fmt.Sprintf("%q:%s", name, value), fmt.Sprintf("%q:null", name), 1)
		brokenAt(t, name+" taken away", strings.Join(tampered, ""), 4)
	}
	for what, change := range map[string][2]string{
		"finer time": {`"at":"2026-03-03T10:00:00Z"`, `"at":"2026-03-03T10:00:00.0001Z"`}, "spaces": {`,"id"`, `, "id"`},
		"key twice": {`"reason":`, `"reason":"hidden","reason":`}, "unknown key": {`"reason":`, `"extra":1,"reason":`}, "moved bytes": {`"kind":"agent","objectId":"a`, `"kind":"agenta","objectId":"`},
	} {
		tampered := slices.Clone(lines)
		if tampered[i] = strings.Replace(lines[i], change[0], change[1], 1); tampered[i] == lines[i] {
			t.Fatalf("%s: nothing was changed", what)
		}
		brokenAt(t, what, strings.Join(tampered, ""), 4)
	}
}

func TestFirstBrokenLinkIsNamed(t *testing.T) {
	r := sqliteRig(t)
	file := signedExport(t, r)
	lines := strings.SplitAfter(strings.TrimSuffix(file, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	edit := func(fn func(l []string) []string) string { return strings.Join(fn(slices.Clone(lines)), "") }
	del := func(i, n int) string { return edit(func(l []string) []string { return slices.Delete(l, i, i+n) }) }
	two, three, five, seven := at(t, lines, 2), at(t, lines, 3), at(t, lines, 5), at(t, lines, 7)
	brokenAt(t, "deleted", del(two, 1), 2)
	brokenAt(t, "first deleted", del(at(t, lines, 1), 1), 1)
	brokenAt(t, "last deleted", del(seven, 1), 7)
	brokenAt(t, "deleted before a head", del(three, 1), 3)
	brokenAt(t, "swapped", edit(func(l []string) []string { l[two], l[three] = l[three], l[two]; return l }), 2)
	brokenAt(t, "repeated", edit(func(l []string) []string { return slices.Insert(l, five, l[five-1]) }), 5)
	brokenAt(t, "inserted", edit(func(l []string) []string { return slices.Insert(l, five, l[two]) }), 5)
	brokenAt(t, "cut after a head", strings.Join(lines[:three+2], ""), 4)
	brokenAt(t, "cut after the head but for the end", edit(func(l []string) []string { return slices.Delete(l, three+2, len(l)-1) }), 4)
	brokenAt(t, "cut within a line", file[:len(file)-40], 8)
	brokenAt(t, "cut before the end", strings.Join(lines[:len(lines)-1], ""), 8)
	brokenAt(t, "something after the end", file+"{}\n", 8)
	brokenAt(t, "rubbish", edit(func(l []string) []string { l[five] = "rubbish\n"; return l }), 5)
	brokenAt(t, "strange line", edit(func(l []string) []string { l[five] = `{"type":"x"}` + "\n"; return l }), 5)
	for _, name := range []string{"seq", "hash", "date", "at", "publicKey", "signature"} {
		head := three + 1
		re := regexp.MustCompile(fmt.Sprintf(`"%s":("[^"]*"|\d+)`, name))
		other := map[string]string{"seq": "2", "date": `"2026-03-01"`, "at": `"2026-03-02T10:00:00.001Z"`, "publicKey": fmt.Sprintf("%q", hashchain.Encode64(signer(t, 9).Public()))}[name]
		if other == "" {
			other = `"` + genesis + `"`
		}
		want := int64(3)
		if name == "seq" {
			want = 2
		}
		brokenAt(t, "head's "+name, edit(func(l []string) []string {
			l[head] = re.ReplaceAllString(l[head], fmt.Sprintf("%q:%s", name, other))
			return l
		}), want)
	}
	// Whoever has no key cannot write the chain anew: the hashes fit, the signed head does not.
	forged := rewrite(t, lines, 2, func(e *AuditEntry) { e.Reason = "forged" })
	brokenAt(t, "written anew", forged, 3)
}

// rewrite changes an entry and makes every hash from there on fit.
func rewrite(t testing.TB, lines []string, seq int64, change func(*AuditEntry)) string {
	t.Helper()
	var out strings.Builder
	prev := ""
	for _, l := range lines {
		if !strings.HasPrefix(l, `{"type":"entry"`) {
			out.WriteString(l)
			continue
		}
		var e entryLine
		must(t, json.Unmarshal([]byte(l), &e))
		if e.Seq == seq {
			change(&e.AuditEntry)
		}
		if e.Seq > seq {
			e.PrevHash = prev
		}
		e.Hash = e.sum(orgA)
		prev = e.Hash
		b, err := hashchain.Line(e)
		must(t, err)
		out.Write(b)
	}
	return out.String()
}

func TestWhatIsNoExport(t *testing.T) {
	r := sqliteRig(t)
	r.fill(orgA, 2)
	var part bytes.Buffer
	must(t, r.ExportPart(t.Context(), orgA, AuditFilter{Kind: "agent"}, &part))
	if strings.Count(part.String(), "\n") != 3 {
		t.Errorf("part: %s", part.String())
	}
	for what, file := range map[string]string{"nothing": "", "text": "hello\n", "filtered": part.String(), "future": `{"type":"header","format":"parley-audit/9","organisationId":"","baseSeq":0,"baseHash":"` + genesis + `","at":"2026-03-02T10:00:00Z"}` + "\n",
		"long": strings.Repeat("x", maxLine+1)} {
		if _, err := Verify(strings.NewReader(file), VerifyOptions{}); err == nil || errors.As(err, new(*Broken)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ParseKeys([]byte(`{}`)); err == nil {
		t.Error("no keys were taken")
	}
}

func TestTable(t *testing.T) {
	r := sqliteRig(t)
	f := full(1)
	f.Reason = "=HYPERLINK(1)"
	must(t, r.take(t.Context(), append([]bus.Msg{r.fact(orgA, f)}, r.fact(orgA, full(2)))))
	var b bytes.Buffer
	must(t, r.ExportTable(t.Context(), orgA, AuditFilter{}, &b))
	if rows := strings.Split(strings.TrimSpace(b.String()), "\n"); len(rows) != 3 || !strings.HasPrefix(rows[0], "seq,id,at,") || !strings.Contains(rows[2], ",'=HYPERLINK(1),") {
		t.Errorf("%s", b.String())
	}
}

func FuzzVerify(f *testing.F) {
	r := sqliteRig(f)
	file := signedExport(f, r)
	f.Add([]byte(file))
	f.Add([]byte(r.export(orgB)))
	f.Add([]byte(strings.ReplaceAll(file, "seq", "Seq")))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rep, err := Verify(bytes.NewReader(b), VerifyOptions{})
		if (rep == nil) == (err == nil) {
			t.Errorf("%+v with %v", rep, err)
		}
		if err == nil && !bytes.Equal(b, []byte(file)) && rep.OrganisationID == orgA && rep.Entries > 0 {
			t.Errorf("another file was proved: %q", b)
		}
	})
}
