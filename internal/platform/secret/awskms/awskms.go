// Package awskms wraps data keys with a symmetric key of AWS KMS: the wrapping key never leaves it.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html, API_Decrypt.html
package awskms

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	attempts   = 3
	askTimeout = 5 * time.Second // one attempt
)

// Config is what New needs.
type Config struct {
	// URL is awskms://KEY?region=REGION: KEY is alias/NAME, a key's id or its ARN. The query may have endpoint=URL, for a
	// VPC endpoint.
	URL string
	// Credentials are the SDK's default chain where nil: environment, shared files, the machine's role.
	Credentials aws.CredentialsProvider
}

// KMS is a Wrapper of package envelope.
type KMS struct {
	client *kms.Client
	key    string
	id     string
}

// Parse checks a URL of the setting.
func Parse(raw string) (key, region, endpoint string, err error) {
	rest, ok := strings.CutPrefix(raw, "awskms://")
	if !ok {
		return "", "", "", errors.New("it does not begin with awskms://")
	}
	key, query, _ := strings.Cut(rest, "?")
	key = strings.Trim(key, "/")
	q, err := url.ParseQuery(query)
	if err != nil || key == "" || key == "alias" || strings.ContainsAny(key, " @#") {
		return "", "", "", errors.New("it names no key, such as awskms://alias/parley?region=eu-central-1")
	}
	region, endpoint = q.Get("region"), q.Get("endpoint")
	q.Del("region")
	q.Del("endpoint")
	if len(q) > 0 {
		return "", "", "", errors.New("its query may have region and endpoint only")
	}
	if parts := strings.Split(key, ":"); region == "" && len(parts) >= 6 && parts[0] == "arn" {
		region = parts[3]
	}
	if region == "" {
		return "", "", "", errors.New("it names no region, such as ?region=eu-central-1")
	}
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return "", "", "", errors.New("its endpoint is no URL")
	}
	return key, region, endpoint, nil
}

// New makes a KMS. It asks nobody but the machine for credentials.
func New(ctx context.Context, c Config) (*KMS, error) {
	key, region, endpoint, err := Parse(c.URL)
	if err != nil {
		return nil, err
	}
	options := []func(*config.LoadOptions) error{config.WithRegion(region), config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(askTimeout)),
		config.WithRetryer(func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), attempts) })}
	if c.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(c.Credentials))
	}
	ac, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("settings of AWS: %w", err)
	}
	client := kms.NewFromConfig(ac, func(o *kms.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
	return &KMS{client: client, key: key, id: "awskms:" + region + "/" + key}, nil
}

// ID implements envelope.Wrapper.
func (k *KMS) ID() string { return k.id }

// contextOf is the encryption context: what was wrapped with another one does not unwrap. It is seen in CloudTrail.
func contextOf(aad string) map[string]string { return map[string]string{"parley:data-key": aad} }

// Wrap implements envelope.Wrapper.
func (k *KMS) Wrap(ctx context.Context, key []byte, aad string) ([]byte, error) {
	out, err := k.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &k.key, Plaintext: key, EncryptionContext: contextOf(aad)})
	if err != nil {
		return nil, k.fault(err)
	}
	if len(out.CiphertextBlob) == 0 {
		return nil, fault.New(fault.Upstream, "AWS KMS gave no ciphertext")
	}
	return out.CiphertextBlob, nil
}

// Unwrap implements envelope.Wrapper. The key is named, so that what another key wrapped is refused.
func (k *KMS) Unwrap(ctx context.Context, wrapped []byte, aad string) ([]byte, error) {
	out, err := k.client.Decrypt(ctx, &kms.DecryptInput{KeyId: &k.key, CiphertextBlob: wrapped, EncryptionContext: contextOf(aad)})
	if err != nil {
		return nil, k.fault(err)
	}
	if len(out.Plaintext) == 0 {
		return nil, fault.New(fault.Upstream, "AWS KMS gave no plaintext")
	}
	return out.Plaintext, nil
}

// fault puts an error of the API (API_Decrypt.html#API_Decrypt_Errors) into words.
func (k *KMS) fault(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		if errors.Is(err, context.DeadlineExceeded) {
			return fault.Wrap(fault.Timeout, err, "AWS KMS does not answer in time")
		}
		return fault.Wrap(fault.Unavailable, err, "AWS KMS cannot be reached, or there are no credentials for it")
	}
	switch api.ErrorCode() {
	case "NotFoundException":
		return fault.Wrap(fault.NotFound, err, "AWS KMS has no key %s", k.id)
	case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "MissingAuthenticationTokenException", "IncompleteSignature":
		return fault.Wrap(fault.Forbidden, err, "AWS KMS refuses %s: check the credentials and the key's policy", k.id)
	case "DisabledException", "KMSInvalidStateException", "InvalidKeyUsageException":
		return fault.Wrap(fault.Forbidden, err, "the key %s of AWS KMS is disabled, to be deleted, or of another use", k.id)
	case "InvalidCiphertextException", "IncorrectKeyException":
		return fault.Wrap(fault.Forbidden, err, "AWS KMS cannot unwrap a data key with %s: another key wrapped it, or it was altered", k.id)
	}
	return fault.Wrap(fault.Unavailable, err, "AWS KMS failed (%s)", api.ErrorCode())
}
