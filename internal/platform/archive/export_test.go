package archive

import (
	"bytes"

	"github.com/parley-voice/parley/internal/platform/secret"
)

// OpenPlain reads parts as they are inside the encryption.
func OpenPlain(parts []byte) (*Reader, error) {
	key, err := secret.ParseKey("0000000000000000000000000000000000000000000000000000000000000000")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w, err := key.NewChunkWriter(&b, secret.ChunkConfig{Name: "x", Uniform: true})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(parts); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	chunks, err := key.NewChunkReader(bytes.NewReader(b.Bytes()), int64(b.Len()), "x")
	if err != nil {
		return nil, err
	}
	a := &Reader{chunks: chunks}
	return a, a.Restart()
}
