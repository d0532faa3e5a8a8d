package obs

import (
	"strings"
	"testing"
)

func FuzzHideUserinfo(f *testing.F) {
	f.Add("postgres://parley:hush@db/parley", "and more")
	f.Add("://:@", "://")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got, changed := hideUserinfo(before); !changed && got != before {
			t.Errorf("%q became %q, and it says that nothing changed", before, got)
		}
		if strings.Contains(before, "://") { // it may make the password part of another URL's path
			before = ""
		}
		if got, _ := hideUserinfo(before + " nats://u:hush-hush@h " + after); strings.Contains(got, ":hush-hush@h") {
			t.Errorf("let the password through: %q", got)
		}
	})
}
