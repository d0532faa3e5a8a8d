package agent_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/agent/flow"
)

func TestOnePersonsAppointments(t *testing.T) {
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		start := w.clock.Now().Add(24 * time.Hour).Truncate(time.Hour)
		book := func(org, call, phone string, hour int) {
			t.Helper()
			_, err := w.Calendar(org, "agent-1", call).Book(ctx, flow.Booking{Start: start.Add(time.Duration(hour) * time.Hour), Minutes: 30, Name: "Anna", Phone: phone})
			if err != nil {
				t.Fatal(err)
			}
		}
		book(orgA, "call-1", "+49 30 123456", 1)
		book(orgA, "call-2", "+4930123456", 2)
		book(orgA, "call-3", "+4940123456", 3)
		book(orgB, "call-4", "+4930123456", 1)
		match := func(a string) bool { return strings.ReplaceAll(a, " ", "") == "+4930123456" }
		export := func(org string) string {
			t.Helper()
			var b bytes.Buffer
			err := w.ExportPerson(ctx, org, "0123456", match, func(_ string, write func(io.Writer) error) error { return write(&b) })
			if err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		if s := export(orgA); strings.Count(s, "\n") != 2 || strings.Contains(s, "call-3") {
			t.Errorf("exported %s", s)
		}
		keep := func(call string, _ ...string) bool { return call == "call-2" }
		for want := int64(1); want >= 0; want-- {
			erased, kept, err := w.ErasePerson(ctx, orgA, "0123456", match, keep)
			if err != nil || erased["appointments"] != want || kept != 1 {
				t.Errorf("%v, %d kept, %v", erased, kept, err)
			}
		}
		if s := export(orgA); strings.Count(s, "\n") != 1 || !strings.Contains(s, "call-2") {
			t.Errorf("left %s", s)
		}
		if s := export(orgB); strings.Count(s, "\n") != 1 {
			t.Errorf("another organisation's: %s", s)
		}
	})
}
