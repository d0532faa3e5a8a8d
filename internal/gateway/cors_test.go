package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	shop  = "https://shop.example"
	other = "https://other.example"
)

func preflight(origin string) http.Header {
	return http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"}}
}

func TestOtherSites(t *testing.T) {
	eachEdge(t, func(t *testing.T, e *edge) {
		thing, url := e.url+"/api/v1/read", e.url+"/api/v1/organisation/origins"
		ask := func(method, url string, h http.Header) *http.Response {
			t.Helper()
			res, _ := do(t, method, url, "", h)
			if v := res.Header.Get("Access-Control-Allow-Origin"); v == "*" || res.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: %v", method, url, res.Header)
			}
			return res
		}
		if res := ask("OPTIONS", thing, preflight(shop)); res.StatusCode != 403 || res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("an origin nobody lists: %d %v", res.StatusCode, res.Header)
		}
		if res := ask("GET", thing, with(bearer("owner-a"), "Origin", shop)); res.StatusCode != 403 {
			t.Errorf("a page nobody lists: %d", res.StatusCode)
		}
		if res, text := do(t, "PUT", url, `{"items":["HTTPS://Shop.example:443/","https://shop.example"]}`, bearer("owner-a")); res.StatusCode != 200 || !strings.Contains(text, `["https://shop.example"]`) {
			t.Fatalf("%d %s", res.StatusCode, text)
		}
		res := ask("OPTIONS", thing, preflight(shop))
		if res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Origin") != shop || !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Authorization") ||
			!strings.Contains(strings.Join(res.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("preflight: %d %v", res.StatusCode, res.Header)
		}
		res = ask("GET", thing, with(bearer("owner-a"), "Origin", shop))
		if res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != shop || !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("the request: %d %v", res.StatusCode, res.Header)
		}
		// The organisation of the token decides, not whoever else lists the origin.
		if res := ask("GET", thing, with(bearer("owner-b"), "Origin", shop)); res.StatusCode != 403 {
			t.Errorf("a token of an organisation that does not list it: %d", res.StatusCode)
		}
		if res := ask("GET", thing, with(bearer("owner-a"), "Origin", other)); res.StatusCode != 403 || res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("another page: %d", res.StatusCode)
		}
		for _, own := range []string{e.url, "https://parley.example"} {
			if res := ask("GET", thing, with(bearer("owner-b"), "Origin", own)); res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("our own page %s: %d %v", own, res.StatusCode, res.Header)
			}
		}
		if res := ask("POST", e.url+"/api/v1/write", cookie("owner-a", "Origin", shop, "Sec-Fetch-Site", "cross-site")); res.StatusCode != 403 {
			t.Errorf("a cookie from an allowed page: %d", res.StatusCode)
		}
		if res, text := do(t, "GET", url, "", bearer("owner-b")); res.StatusCode != 200 || !strings.Contains(text, `"items":[]`) {
			t.Errorf("the other organisation's list: %s", text)
		}
		if res, _ := do(t, "PUT", url, `{"items":[]}`, bearer("owner-a")); res.StatusCode != 200 {
			t.Error(res.StatusCode)
		}
		if res := ask("OPTIONS", thing, preflight(shop)); res.StatusCode != 403 {
			t.Errorf("taken off the list: %d", res.StatusCode)
		}
		e.clock.Advance(time.Minute)
		if res := ask("GET", thing, with(bearer("owner-a"), "Origin", shop)); res.StatusCode != 403 {
			t.Errorf("taken off the list, a minute later: %d", res.StatusCode)
		}
	})
}

func TestWrongOrigins(t *testing.T) {
	eachEdge(t, func(t *testing.T, e *edge) {
		for _, bad := range []string{"*", "https://*.example", "https://shop.example/path", "shop.example", "http://shop.example", "https://user@shop.example", "null", "ftp://shop.example", ""} {
			res, text := do(t, "PUT", e.url+"/api/v1/organisation/origins", `{"items":["https://fine.example","`+bad+`"]}`, bearer("owner-a"))
			if res.StatusCode != 422 || problemOf(t, res, text).Details[0].Location != "body.items[1]" {
				t.Errorf("%q: %d %s", bad, res.StatusCode, text)
			}
		}
		for _, fine := range []string{"http://localhost:5173", "https://shop.example:8443"} {
			if res, text := do(t, "PUT", e.url+"/api/v1/organisation/origins", `{"items":["`+fine+`"]}`, bearer("owner-a")); res.StatusCode != 200 {
				t.Errorf("%q: %d %s", fine, res.StatusCode, text)
			}
		}
	})
}
