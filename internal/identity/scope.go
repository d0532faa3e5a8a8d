package identity

import (
	"slices"
	"strings"
)

// pattern is a permission pattern in its parts: "*" is {"*", "*", ""}.
type pattern struct{ area, verb, narrow string }

func parsePattern(s string) pattern {
	if s == "*" {
		return pattern{"*", "*", ""}
	}
	area, rest, _ := strings.Cut(s, ":")
	verb, narrow, _ := strings.Cut(rest, ":")
	return pattern{area, verb, narrow}
}

func (p pattern) String() string {
	switch {
	case p.area == "*" && p.narrow == "":
		return "*"
	case p.narrow == "":
		return p.area + ":" + p.verb
	}
	return p.area + ":" + p.verb + ":" + p.narrow
}

// both gives what p and q both allow.
func (p pattern) both(q pattern) (pattern, bool) {
	area, ok1 := bothWords(p.area, q.area)
	verb, ok2 := bothWords(p.verb, q.verb)
	if !ok1 || !ok2 {
		return pattern{}, false
	}
	narrow := p.narrow
	if reachOf(q.narrow) < reachOf(p.narrow) {
		narrow = q.narrow
	}
	return pattern{area, verb, narrow}, true
}

func bothWords(a, b string) (string, bool) {
	switch {
	case a == b || b == "*":
		return a, true
	case a == "*":
		return b, true
	}
	return "", false
}

// reachOf gives how far the third part of a pattern goes.
func reachOf(narrow string) Reach {
	switch narrow {
	case "":
		return ReachAll
	case "team":
		return ReachTeam
	case "own":
		return ReachOwn
	}
	return ReachNone
}

// narrowed gives what both lists of patterns allow: the permissions of a token whose person has the first and whose
// scopes are the second.
func narrowed(permissions, scopes []string) []string {
	out := []string{}
	for _, a := range permissions {
		for _, b := range scopes {
			p, ok := parsePattern(a).both(parsePattern(b))
			if s := p.String(); ok && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// covers reports whether permissions allow everything that scope allows. It may miss that several patterns cover one
// together, and errs on the safe side.
func covers(permissions []string, scope string) bool {
	want := parsePattern(scope)
	return slices.ContainsFunc(permissions, func(have string) bool {
		both, ok := parsePattern(have).both(want)
		return ok && both == want
	})
}
