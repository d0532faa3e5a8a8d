package identity

import (
	"slices"
	"testing"
)

// A token may do what both its person and its scopes allow, whatever the patterns.
func TestNarrowedIsWhatBothAllow(t *testing.T) {
	var all []string
	for _, area := range []string{"call", "agent"} {
		for _, verb := range []string{"*", "read", "update"} {
			for _, narrow := range []string{"", ":team", ":own"} {
				all = append(all, area+":"+verb+narrow)
			}
		}
	}
	all = append(all, "*")
	wanted := []string{"call:read", "call:update", "agent:read", "agent:update", "model:read"}
	for _, a1 := range all {
		for _, a2 := range all {
			for _, scope := range all {
				person, token := Principal{Permissions: []string{a1, a2}}, Principal{Permissions: []string{scope}}
				got := Principal{Permissions: narrowed(person.Permissions, token.Permissions)}
				below := true
				for _, permission := range wanted {
					want := min(person.Reach(permission), token.Reach(permission))
					if got.Reach(permission) != want {
						t.Fatalf("%v with scope %s: %s reaches %d, want %d", person.Permissions, scope, permission, got.Reach(permission), want)
					}
					below = below && token.Reach(permission) <= person.Reach(permission)
				}
				if covers(person.Permissions, scope) && !below {
					t.Fatalf("%v is said to cover %s", person.Permissions, scope)
				}
			}
		}
	}
	if !covers([]string{"*"}, "call:*:own") || !covers([]string{"call:*"}, "call:read") || covers([]string{"call:read"}, "call:*") || covers([]string{"call:read:own"}, "call:read") {
		t.Error("covers")
	}
}

func TestDeviceOf(t *testing.T) {
	for agent, want := range map[string]string{
		"": "Unknown browser",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0": "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":     "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 CriOS/142.0 Mobile/15E148 Safari/604.1":        "Chrome on iPhone",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36":     "Chrome on Android",
		"curl/8.5.0": "curl",
	} {
		if got := deviceOf(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
	same := placeOf("u", "192.0.2.7", "Firefox/140 Linux")
	if placeOf("u", "192.0.2.200", "Firefox/141 Linux") != same || placeOf("u", "::ffff:192.0.2.9", "Firefox/140 Linux") != same {
		t.Error("a new lease or version is a new place")
	}
	if slices.Contains([]string{placeOf("u", "192.0.3.7", "Firefox/140 Linux"), placeOf("u", "192.0.2.7", "Chrome/140 Linux"), placeOf("v", "192.0.2.7", "Firefox/140 Linux")}, same) {
		t.Error("another network, browser or person is the same place")
	}
}

func TestCommonPasswords(t *testing.T) {
	for password, common := range map[string]bool{
		"password123!": true, "P@ssw0rd2024": true, "1234567890": true, "qwertyuiop": true, "iloveyouiloveyou": true,
		"quiet green river": false, "another long password": false, "correct horse battery staple": false, "": false, "!!!!!!!!!!": false,
	} {
		if got := isCommon(password); got != common {
			t.Errorf("%q: %v", password, got)
		}
	}
	if n := len(commonPasswords()); n < 49_000 {
		t.Errorf("only %d passwords in the list", n)
	}
}
