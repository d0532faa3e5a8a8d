// Package blobtest runs an S3 server that others wrote, versitygw (https://github.com/versity/versitygw), for tests.
package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// EnvServer names the variable with the path of versitygw; without it bin/versitygw is used, which make builds.
const EnvServer = "PARLEY_TEST_VERSITYGW"

const (
	region       = "us-east-1"
	accessKey    = "parley-test"
	secretKey    = "parley-test-secret"
	readyTimeout = 30 * time.Second
	readyPoll    = 20 * time.Millisecond
	startTries   = 5 // a free port may be taken by somebody else before the server has it
)

// guardian runs the server until its standard input ends: by Stop, or with the test binary.
const guardian = `"$@" </dev/null & pid=$!; read -r _; kill -KILL "$pid"; wait "$pid"`

// S3 is a running server.
type S3 struct {
	endpoint string
	files    string
	end      func()
}

// Start runs a server on a port of 127.0.0.1 with its files in a folder of the test, and sets the AWS variables
// of the environment to its credentials. The test ends with it missing.
func Start(t testing.TB) *S3 {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	bin := binary(t)
	var err error
	for range startTries {
		var s *S3
		if s, err = start(bin, t.TempDir()); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
	}
	t.Fatalf("the S3 server did not start: %v", err)
	return nil
}

func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(EnvServer)
	if path == "" {
		_, here, _, _ := runtime.Caller(0)
		path = filepath.Join(filepath.Dir(here), "../../../../bin/versitygw")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the S3 server of the tests is missing: run 'make bin/versitygw', or name one in %s: %v", EnvServer, err)
	}
	return path
}

func start(bin, dir string) (*S3, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	files, meta := filepath.Join(dir, "files"), filepath.Join(dir, "meta")
	for _, d := range []string{files, meta} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	// The side folder has what would be extended attributes, which not every file system can keep.
	cmd := exec.Command("sh", "-c", guardian, "guardian", bin, "--port", addr, "--region", region, "--quiet", //nolint:noctx // it ends when the pipe does
		"--health", "/health", "posix", "--sidecar", meta, files)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &S3{endpoint: "http://" + addr, files: files, end: sync.OnceFunc(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})}
	if err := s.waitReady(); err != nil {
		s.end()
		return nil, fmt.Errorf("%w; it said: %s", err, out.String())
	}
	return s, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *S3) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint+"/health", nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Stop kills the server. It is safe twice.
func (s *S3) Stop() { s.end() }

// Endpoint is the server's address, http://127.0.0.1:PORT.
func (s *S3) Endpoint() string { return s.endpoint }

// Folder is where the server keeps a bucket: a file in it is an object.
func (s *S3) Folder(bucket string) string { return filepath.Join(s.files, bucket) }

// Client is one of AWS's own for the server, to look behind the store's back.
func (s *S3) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.endpoint), Region: region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
}

// Bucket makes a bucket and gives its blob URL.
func (s *S3) Bucket(t testing.TB, name string) string {
	t.Helper()
	if _, err := s.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("make the bucket: %v", err)
	}
	return s.URL(name)
}

// URL is the blob URL of a bucket, whether it exists or not.
func (s *S3) URL(bucket string) string { return URL(bucket, s.endpoint) }

// URL is the blob URL of a bucket on an endpoint.
func URL(bucket, endpoint string) string {
	return "s3://" + bucket + "?region=" + region + "&use_path_style=true&endpoint=" + url.QueryEscape(endpoint)
}
