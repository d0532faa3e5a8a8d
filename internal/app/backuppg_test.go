package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/blob/blobtest"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// The procedure of docs/backup.md, on PostgreSQL with S3: it is backed up while somebody writes, everything is lost, and what is
// restored goes on, with what was there before the backup, row level security and the recordings.
func TestBackupOnPostgreSQLAndS3(t *testing.T) {
	server := blobtest.Start(t)
	dir := t.TempDir()
	c := settings(filepath.Join(dir, "data"), "24000-24100")
	c.Key, c.DatabaseURL, c.BlobURL = clusterKey, dbtest.PostgresURL(t), server.Bucket(t, "recordings")
	from := admin(t, c)
	const email = "anna@example.com"
	for _, n := range []identity.NewOrganisation{{Name: "Shared"}, {Name: "Own", Placement: "own"}} {
		n.OwnerEmail, n.Password = email, "a long pass phrase of hers"
		if _, err := from.CreateOrganisation(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	store, err := blob.Open(t.Context(), blob.Config{URL: c.BlobURL})
	if err != nil {
		t.Fatal(err)
	}
	sound := bytes.Repeat([]byte("sound"), 1000)
	ctx, stop := context.WithCancel(t.Context())
	wrote := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() { // into the master's database, the own one, and the bucket
		for i := 0; ctx.Err() == nil; i++ {
			_, err := from.CreateToken(t.Context(), "Own", email, fmt.Sprint("token ", i))
			err = errors.Join(err, from.ExportAudit(t.Context(), "Own", new(bytes.Buffer)), store.Put(t.Context(), fmt.Sprintf("calls/%d.rec", i), bytes.NewReader(sound)))
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	})
	<-wrote
	before := forced(t, c.DatabaseURL)
	saved := filepath.Join(dir, "backup")
	script(t, c, "backup-postgres.sh", saved)
	copyBucket(t, server, "recordings", "copy")
	stop()
	wg.Wait()
	from.Close()
	lose(t, c.DatabaseURL, saved)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	script(t, c, "restore-postgres.sh", saved)
	if after := forced(t, c.DatabaseURL); before == 0 || after != before {
		t.Errorf("row level security is forced on %d tables, before on %d", after, before)
	}
	c.DataDir, c.BlobURL = filepath.Join(dir, "elsewhere"), server.URL("copy")
	restored := admin(t, c)
	defer restored.Close()
	if n := ask(t, c.DatabaseURL, "SELECT count(*) FROM api_tokens WHERE name = 'token 0'"); n != 1 {
		t.Errorf("%d tokens of before the backup", n)
	}
	if _, err := restored.CreateToken(t.Context(), "Own", email, "after"); err != nil {
		t.Error(err)
	}
	if _, err := restored.MediaToken(t.Context(), "front-desk", time.Hour); err != nil {
		t.Error(err)
	}
	for _, org := range []string{"Shared", "Own"} {
		var trail bytes.Buffer
		if err := restored.ExportAudit(t.Context(), org, &trail); err != nil || trail.Len() == 0 {
			t.Errorf("%s: %d bytes, %v", org, trail.Len(), err)
		}
	}
	again, err := blob.Open(t.Context(), blob.Config{URL: c.BlobURL})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close() //nolint:errcheck // it only read
	if got, err := readBlob(t.Context(), again, "calls/0.rec"); err != nil || !bytes.Equal(got, sound) {
		t.Errorf("the recording: %d bytes, %v", len(got), err)
	}
}

// script runs one of the documented scripts, as an administrator would.
func script(t *testing.T, c app.Config, name, folder string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join("../../scripts", name), folder)
	cmd.Env = append(os.Environ(), "PARLEY_DATABASE_URL="+c.DatabaseURL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// copyBucket copies what is in a bucket at the moment, by S3 itself.
func copyBucket(t *testing.T, server *blobtest.S3, from, to string) {
	t.Helper()
	server.Bucket(t, to)
	client := server.Client()
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &from})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if _, err := client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &to, Key: o.Key, CopySource: aws.String(from + "/" + *o.Key)}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// lose drops every database of the backup.
func lose(t *testing.T, master, folder string) {
	t.Helper()
	u, err := url.Parse(master)
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(folder, "databases"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{strings.TrimPrefix(u.Path, "/")}
	for line := range strings.Lines(string(list)) {
		names = append(names, strings.Fields(line)[0])
	}
	if len(names) != 2 {
		t.Fatalf("backed up: %v", names)
	}
	for _, n := range names {
		dbtest.Admin(t, "DROP DATABASE "+n+" WITH (FORCE)")
	}
}

// forced is on how many tables of the master's database row level security is forced.
func forced(t *testing.T, master string) int {
	t.Helper()
	return ask(t, master, "SELECT count(*) FROM pg_class WHERE relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = pg_class.oid)")
}

// ask gives the number that a query finds in the master's database.
func ask(t *testing.T, master, query string) (n int) {
	t.Helper()
	conn, err := sql.Open("pgx", master+"&app.system=on")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it only read
	if err := conn.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
