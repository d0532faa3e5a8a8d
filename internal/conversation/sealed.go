package conversation

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// A sealed file is a sequence of chunks, each encrypted and authenticated by itself, so that it can be
// appended to, read from the middle, and read up to the last whole chunk when its writer was killed:
//
//	"PLY2" key[16] n[1] organisation[n] salt[16]   the file's key is HKDF-SHA256(data key, salt, purpose)
//	"PLY1" salt[16]                          before there were data keys: the same of the master key
//	length[4] nonce[12] ciphertext tag[16]   chunk 0, 1, ...; length is what follows it, little-endian
//
// AES-256-GCM with random nonces (NIST SP 800-38D section 8.2.2); a key that is the file's own keeps their
// number small. The additional data is the chunk's index: chunks cannot be swapped, nor put into another file.
const (
	sealedMagic    = "PLY2"
	legacyMagic    = "PLY1"
	keyIDBytes     = 16
	saltBytes      = 16
	maxSealedHead  = len(sealedMagic) + keyIDBytes + 1 + 255 + saltBytes
	sealedOverhead = 4 + 12 + 16
	maxSealedChunk = 1 << 20
)

// errTorn says that a file ends within a chunk: its writer was killed, or is writing.
var errTorn = errors.New("the file ends within a chunk")

// errForged says that a chunk is not what was written under this key.
var errForged = errors.New("a chunk does not authenticate: it was changed, or the key is another one")

func fileAEAD(key, salt []byte, purpose string) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key, salt, "parley "+purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealer makes the chunks of one file.
type sealer struct {
	aead  cipher.AEAD
	head  []byte
	index uint64
}

func newSealer(key envelope.FileKey, org, purpose string) (*sealer, error) {
	if len(org) > 255 {
		return nil, fmt.Errorf("an organisation's id has %d bytes", len(org))
	}
	head := append(make([]byte, 0, maxSealedHead), sealedMagic...)
	head = append(head, key.ID[:]...)
	head = append(head, byte(len(org)))
	head = append(head, org...)
	var salt [saltBytes]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, err
	}
	head = append(head, salt[:]...)
	aead, err := fileAEAD(key.Key, salt[:], purpose)
	if err != nil {
		return nil, err
	}
	return &sealer{aead: aead, head: head}, nil
}

// seal appends chunk number s.index to dst. The caller raises the index once the chunk is in the file.
func (s *sealer) seal(dst, plain []byte) []byte {
	var ad [8]byte
	binary.LittleEndian.PutUint64(ad[:], s.index)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = s.aead.Seal(dst, nil, plain, ad[:])
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// unsealer reads the chunks of one file, in order or from the middle.
type unsealer struct {
	src  io.ReaderAt
	aead cipher.AEAD
	buf  []byte
	off  int64  // of the next chunk
	next uint64 // its index
}

// fileHead is what a file says before it is opened.
type fileHead struct {
	legacy bool
	key    envelope.KeyID
	org    string
	salt   []byte
	size   int64
}

// keyFinder gives the key of a file.
type keyFinder func(fileHead) ([]byte, error)

// readHead reads the head of a file.
func readHead(src io.ReaderAt) (h fileHead, err error) {
	b := make([]byte, maxSealedHead)
	n, err := src.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, err
	}
	b = b[:n]
	salt := len(legacyMagic)
	switch {
	case len(b) < len(sealedMagic):
		return h, errTorn
	case string(b[:len(legacyMagic)]) == legacyMagic:
		h.legacy = true
	case string(b[:len(sealedMagic)]) == sealedMagic:
		at := len(sealedMagic) + keyIDBytes
		if len(b) <= at {
			return h, errTorn
		}
		h.key = envelope.KeyID(b[len(sealedMagic):at])
		if salt = at + 1 + int(b[at]); len(b) < salt {
			return h, errTorn
		}
		h.org = string(b[at+1 : salt])
	default:
		return h, fmt.Errorf("%w: no such file", errForged)
	}
	if len(b) < salt+saltBytes {
		return h, errTorn
	}
	h.salt, h.size = b[salt:salt+saltBytes], int64(salt+saltBytes)
	return h, nil
}

func openSealed(src io.ReaderAt, keyOf keyFinder, purpose string) (*unsealer, error) {
	h, err := readHead(src)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(h)
	if err != nil {
		return nil, err
	}
	aead, err := fileAEAD(key, h.salt, purpose)
	if err != nil {
		return nil, err
	}
	return &unsealer{src: src, aead: aead, off: h.size}, nil
}

// read gives the next chunk: io.EOF after the last, errTorn for half a one. The slice is valid until the next call.
func (u *unsealer) read() ([]byte, error) {
	var length [4]byte
	if n, err := u.src.ReadAt(length[:], u.off); n < 4 {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if n == 0 {
			return nil, io.EOF
		}
		return nil, errTorn
	}
	size := int(binary.LittleEndian.Uint32(length[:]))
	if size < sealedOverhead-4 || size > maxSealedChunk {
		return nil, fmt.Errorf("%w: length %d", errForged, size)
	}
	if cap(u.buf) < size {
		u.buf = make([]byte, size)
	}
	b := u.buf[:size]
	if n, err := u.src.ReadAt(b, u.off+4); n < size {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, errTorn
	}
	var ad [8]byte
	binary.LittleEndian.PutUint64(ad[:], u.next)
	plain, err := u.aead.Open(b[:0], nil, b, ad[:])
	if err != nil {
		return nil, fmt.Errorf("%w (chunk %d)", errForged, u.next)
	}
	u.off += int64(4 + size)
	u.next++
	return plain, nil
}

// seek makes chunk index, which begins at off, the next one.
func (u *unsealer) seek(off int64, index uint64) { u.off, u.next = off, index }
