package awskms_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/awskms"
)

// ours is not AWS: a server of ours that answers as the API's pages say KMS does.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html, API_Decrypt.html
func ours(t *testing.T, failure string) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if failure != "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, failure)
			return
		}
		var in struct {
			KeyID      string `json:"KeyId"`
			Plaintext  []byte
			Blob       []byte            `json:"CiphertextBlob"`
			Encryption map[string]string `json:"EncryptionContext"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.KeyID != "alias/parley" || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"ValidationException"}`)
			return
		}
		about := in.Encryption["parley:data-key"]
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.Encrypt":
			blob := base64.StdEncoding.EncodeToString(append([]byte(about+"|"), in.Plaintext...))
			_, _ = fmt.Fprintf(w, `{"CiphertextBlob":%q,"KeyId":"arn:aws:kms:eu-central-1:1:key/1"}`, blob)
		case "TrentService.Decrypt":
			from, plain, _ := strings.Cut(string(in.Blob), "|")
			if from != about {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"__type":"InvalidCiphertextException"}`)
				return
			}
			_, _ = fmt.Fprintf(w, `{"Plaintext":%q}`, base64.StdEncoding.EncodeToString([]byte(plain)))
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func client(t *testing.T, endpoint string) *awskms.KMS {
	t.Helper()
	k, err := awskms.New(t.Context(), awskms.Config{URL: "awskms://alias/parley?region=eu-central-1&endpoint=" + endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret-canary", "")})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWrapAndUnwrap(t *testing.T) {
	k := client(t, ours(t, ""))
	wrapped, err := k.Wrap(t.Context(), []byte("0123"), "org/key")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Unwrap(t.Context(), wrapped, "org/key"); err != nil || string(got) != "0123" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := k.Unwrap(t.Context(), wrapped, "other/key"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("with another context: %v", err)
	}
	if k.ID() != "awskms:eu-central-1/alias/parley" {
		t.Error(k.ID())
	}
}

func TestFailures(t *testing.T) {
	for failure, code := range map[string]fault.Code{
		"NotFoundException": fault.NotFound, "AccessDeniedException": fault.Forbidden, "DisabledException": fault.Forbidden,
		"KMSInvalidStateException": fault.Forbidden, "IncorrectKeyException": fault.Forbidden, "ExpiredTokenException": fault.Unavailable,
	} {
		_, err := client(t, ours(t, failure)).Unwrap(t.Context(), []byte("x"), "a")
		if !fault.Is(err, code) || strings.Contains(err.Error(), "secret-canary") {
			t.Errorf("%s: %v", failure, err)
		}
	}
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	if _, err := client(t, srv.URL).Wrap(t.Context(), []byte("x"), "a"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"kms://x", "awskms://", "awskms://alias/?region=a", "awskms://alias/x", "awskms://k?region=a&x=1", "awskms://k?region=a&endpoint=ftp://x"} {
		if _, _, _, err := awskms.Parse(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if key, region, _, err := awskms.Parse("awskms://arn:aws:kms:eu-west-1:111122223333:key/1234"); err != nil || region != "eu-west-1" || !strings.HasSuffix(key, "key/1234") {
		t.Error(key, region, err)
	}
}
