package scim

import "net/http"

// change makes what a resource shall be of what it is.
type change func(map[string]any) (map[string]any, error)

// by gives the handler that changes a resource as read finds it asked for.
func by(read func(*http.Request) (change, error), to func(*http.Request, *tokenRow, change) (int, any, error)) func(*http.Request, *tokenRow) (int, any, error) {
	return func(r *http.Request, t *tokenRow) (int, any, error) {
		c, err := read(r)
		if err != nil {
			return 0, nil, err
		}
		return to(r, t, c)
	}
}

// replacement reads a PUT (RFC 7644 section 3.5.1).
func replacement(r *http.Request) (change, error) {
	in, _, err := bodyOf(r)
	return func(map[string]any) (map[string]any, error) { return in, nil }, err
}

// patch reads a PATCH (RFC 7644 section 3.5.2).
func patch(r *http.Request) (change, error) {
	_, raw, err := bodyOf(r)
	if err != nil {
		return nil, err
	}
	ops, err := parsePatch(raw)
	return func(resource map[string]any) (map[string]any, error) {
		for i := range ops {
			if err := ops[i].apply(resource); err != nil {
				return nil, err
			}
		}
		return resource, nil
	}, err
}
