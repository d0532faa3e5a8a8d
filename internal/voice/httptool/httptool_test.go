package httptool

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTool(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/hang":
			<-r.Context().Done()
		case "/fail":
			http.Error(w, "no such order", http.StatusNotFound)
		case "/long":
			_, _ = w.Write([]byte(strings.Repeat("x", 1<<20)))
		default:
			_, _ = io.WriteString(w, r.Method+" "+r.URL.RawQuery+" "+string(body)+" "+r.Header.Get("X-Key"))
		}
	}))
	t.Cleanup(srv.Close)
	call := func(t *testing.T, c Config, arguments string) (string, error) {
		t.Helper()
		c.Name, c.Client = "order", srv.Client()
		tool, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return tool.Call(t.Context(), []byte(arguments), nil)
	}
	got, err := call(t, Config{URL: srv.URL + "/", Header: map[string]string{"X-Key": "k"}}, `{"id":7}`)
	if err != nil || got != `POST  {"id":7} k` {
		t.Errorf("got %q, %v", got, err)
	}
	got, err = call(t, Config{URL: srv.URL + "/?a=b", Method: "GET"}, `{"id":"7 8"}`)
	if err != nil || got != `GET a=b&id=7+8  ` {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err = call(t, Config{URL: srv.URL + "/fail"}, `{}`); err == nil || !strings.Contains(err.Error(), "no such order") {
		t.Errorf("got %v", err)
	}
	if got, err = call(t, Config{URL: srv.URL + "/long"}, `{}`); err != nil || len(got) != maxResult {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if _, err = call(t, Config{URL: srv.URL + "/", Method: "GET"}, `[1]`); err == nil {
		t.Error("an array became a query")
	}
	tool, _ := New(Config{Name: "x", URL: srv.URL + "/hang", Client: srv.Client()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tool.Call(ctx, []byte(`{}`), nil); err == nil {
		t.Error("a hanging endpoint gave an answer")
	}
}

func TestBadConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"name":       {URL: "http://a/"},
		"url":        {Name: "a", URL: "file:///etc/passwd", Client: http.DefaultClient},
		"relative":   {Name: "a", URL: "/x", Client: http.DefaultClient},
		"client":     {Name: "a", URL: "http://a/"},
		"method":     {Name: "a", URL: "http://a/", Client: http.DefaultClient, Method: "DELETE"},
		"parameters": {Name: "a", URL: "http://a/", Client: http.DefaultClient, Parameters: []byte("{")},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
