package fleet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestParseInstance(t *testing.T) {
	t.Parallel()
	good := Instance{ID: "media.node-1", Boot: "x1", Role: "media", Version: "1.2.3", URL: "https://[2001:db8::1]:8443", Pin: strings.Repeat("0f", 32),
		Region: "eu-central", Zone: "a", Calls: 3, Capacity: 10, Draining: true, Started: time.Unix(1_700_000_000, 5).UTC()}
	data, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseInstance(good.ID, data); err != nil || got != good {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := ParseInstance(good.ID, []byte(strings.Replace(string(data), "{", `{"newer":[1],`, 1))); err != nil {
		t.Errorf("a newer version's field: %v", err)
	}
	for name, change := range map[string]func(i *Instance){
		"no id": func(i *Instance) { i.ID = "" }, "a path as id": func(i *Instance) { i.ID = "a/b" }, "dots": func(i *Instance) { i.ID = "a..b" },
		"another role's name": func(i *Instance) { i.ID = "worker.node-1" }, "every role at once": func(i *Instance) { i.Role = AllRoles },
		"no run": func(i *Instance) { i.Boot = "" }, "no role": func(i *Instance) { i.Role = "" }, "a strange role": func(i *Instance) { i.Role = "Media 1" },
		"negative": func(i *Instance) { i.Calls = -1 }, "too many": func(i *Instance) { i.Capacity = maxPlaces + 1 },
		"a long version": func(i *Instance) { i.Version = strings.Repeat("x", 101) }, "a pin": func(i *Instance) { i.Pin = "zz" },
		"a region": func(i *Instance) { i.Region = "e u" }, "a file": func(i *Instance) { i.URL = "file:///etc/passwd" },
		"a path":     func(i *Instance) { i.URL = "http://10.0.0.1/admin" },
		"a password": func(i *Instance) { i.URL = "http://a:b@10.0.0.1" }, "a query": func(i *Instance) { i.URL = "http://10.0.0.1?x" },
		"no host": func(i *Instance) { i.URL = "http://:80" }, "a cloud's secrets": func(i *Instance) { i.URL = "http://169.254.169.254" },
		"the same in IPv6": func(i *Instance) { i.URL = "http://[::ffff:169.254.169.254]:80" }, "anywhere": func(i *Instance) { i.URL = "http://0.0.0.0:80" },
		"a zone in the address": func(i *Instance) { i.URL = "http://[fe80::1%25eth0]:80" }, "a gopher": func(i *Instance) { i.URL = "gopher://10.0.0.1" },
	} {
		i := good
		change(&i)
		data, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseInstance(i.ID, data); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, bad := range []string{"", "null", "[]", "{", `{"id":1}`, `{"id":"other"}`, strings.Repeat(" ", maxAnnouncement+1)} {
		if _, err := ParseInstance("m", []byte(bad)); err == nil {
			t.Errorf("%.20q: taken", bad)
		}
	}
}

// What is taken is safe to send to, and says the same when it is written again.
func FuzzParseInstance(f *testing.F) {
	f.Add("m", []byte(`{"id":"m","boot":"b","role":"media","url":"https://10.0.0.7:8443","calls":3,"capacity":10,"started":"2026-11-21T10:00:00Z"}`))
	f.Add("m", []byte(`{"id":"m","boot":"b","role":"media","url":"http://[::1]:1"}`))
	f.Add("m", []byte(`{"id":"m","boot":"b","role":"media","url":"http://a@b"}`))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		i, err := ParseInstance(key, data)
		if err != nil {
			return
		}
		if i.ID != key || i.Boot == "" || i.Calls < 0 || i.Capacity < 0 {
			t.Fatalf("%+v", i)
		}
		if i.URL != "" {
			u, err := parseURL(i.URL)
			if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || (u.Scheme != "http" && u.Scheme != "https") {
				t.Fatalf("%q: %v %v", i.URL, u, err)
			}
		}
		out, err := json.Marshal(i)
		if err != nil {
			return // a year that time.Time reads but does not write
		}
		again, err := ParseInstance(key, out)
		if err != nil || again.URL != i.URL || again.Calls != i.Calls || !again.Started.Equal(i.Started) {
			t.Fatalf("%+v became %+v: %v", i, again, err)
		}
	})
}
