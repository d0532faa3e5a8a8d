package app_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/compliance/mongolog"
	"github.com/parley-voice/parley/internal/compliance/mongolog/mongotest"
)

// What the installation's log says is in FerretDB too, before FerretDB was away and after, and the server tells meanwhile
// that it waits. The password of its URL is heard nowhere.
func TestPlatformLogIsCopied(t *testing.T) {
	dir := t.TempDir()
	mongo := mongotest.Start(t, mongotest.Config{Dir: dir})
	c := settings(t.TempDir(), "45340-45359")
	c.PlatformLogURL, c.CopyLogs = mongo.URL("parley"), true
	s, admin := openWith(t, c)
	stranger := admin.visitor()
	attempt := func(n int) {
		t.Helper()
		stranger.want(http.StatusUnauthorized, "POST", "/api/v1/auth/sign-in", map[string]string{"email": fmt.Sprintf("nobody-%d@example.com", n), "password": "whatever it is"}, nil)
	}
	documents := mongo.Client(t).Database("parley").Collection(mongolog.Collection)
	copied := func() int64 {
		n, err := documents.CountDocuments(t.Context(), bson.D{{Key: "action", Value: "auth.sign_in"}})
		if err != nil {
			return -1
		}
		return n
	}
	attempt(1)
	eventually(t, "the first entry is copied", func() bool { return copied() == 1 })
	eventually(t, "the organisation's trail is copied", func() bool {
		n, err := mongo.Client(t).Database("parley").Collection(mongolog.Trails).CountDocuments(t.Context(), bson.D{})
		return err == nil && n > 0
	})
	mongo.Stop()
	attempt(2)
	attempt(3)
	eventually(t, "the metrics tell that two wait", func() bool { return metric(admin, "parley_platform_log_behind") >= 2 })
	eventually(t, "the metrics tell of failures", func() bool { return metric(admin, "parley_platform_log_failures_total") >= 1 })
	var health struct {
		Parts map[string]string
	}
	if admin.want(http.StatusOK, "GET", "/health", nil, &health); health.Parts["platformLog"] != "ok" { // it is not late yet
		t.Errorf("the health says %v", health.Parts)
	}
	mongotest.Start(t, mongotest.Config{Dir: dir, Addr: mongo.Addr})
	eventually(t, "all are copied", func() bool { return copied() == 3 && metric(admin, "parley_platform_log_behind") == 0 })
	eventually(t, "the process's log is copied", func() bool {
		n, err := mongo.Client(t).Database("parley").Collection(mongolog.Lines).CountDocuments(t.Context(), bson.D{})
		return err == nil && n > 0
	})
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil
	if said := s.logs.String(); strings.Contains(said, mongotest.Password) || !strings.Contains(said, "the platform log is not copied") {
		t.Errorf("the log says %s", said)
	}
}

var metricLine = regexp.MustCompile(`(?m)^(\w+) (\S+)$`)

// metric reads one without labels; -1 is none.
func metric(c *client, name string) (v float64) {
	_, b := c.visitor().ask("GET", "/metrics", nil)
	for _, m := range metricLine.FindAllStringSubmatch(string(b), -1) {
		if m[1] == name {
			if _, err := fmt.Sscan(m[2], &v); err == nil {
				return v
			}
		}
	}
	return -1
}

// What is wrong with the setting is said at the start, without the URL.
func TestPlatformLogSettings(t *testing.T) {
	for _, bad := range []string{"mongodb://u:canary@mongo.example.com/parley", "http://u:canary@h/d", "mongodb://u:canary@127.0.0.1"} {
		c := settings(t.TempDir(), "45340-45359")
		c.PlatformLogURL = bad
		if _, err := app.New(c, "test", &terminal{}, &terminal{}); err == nil || !strings.Contains(err.Error(), "platform-log-url") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
