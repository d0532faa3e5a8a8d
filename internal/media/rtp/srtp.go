package rtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	pion "github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Keys are the SRTP keys of a session as SDES carries them (RFC 4568 section 6.1): master key and salt, one
// after the other, for each direction.
type Keys struct {
	Suite  string // AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32, AEAD_AES_128_GCM or AEAD_AES_256_GCM
	Local  []byte // what we send is encrypted with it
	Remote []byte // what we receive is encrypted with it
}

// KeyLength is the length of Local and Remote for a suite, 0 when the suite is not known.
func KeyLength(suite string) int {
	p, ok := profiles[suite]
	if !ok {
		return 0
	}
	key, err1 := p.KeyLen()
	salt, err2 := p.SaltLen()
	if err1 != nil || err2 != nil {
		return 0
	}
	return key + salt
}

var profiles = map[string]srtp.ProtectionProfile{
	"AES_CM_128_HMAC_SHA1_80": srtp.ProtectionProfileAes128CmHmacSha1_80,
	"AES_CM_128_HMAC_SHA1_32": srtp.ProtectionProfileAes128CmHmacSha1_32,
	"AEAD_AES_128_GCM":        srtp.ProtectionProfileAeadAes128Gcm,
	"AEAD_AES_256_GCM":        srtp.ProtectionProfileAeadAes256Gcm,
}

func (k *Keys) equal(o *Keys) bool {
	if k == nil || o == nil {
		return k == o
	}
	return k.Suite == o.Suite && bytes.Equal(k.Local, o.Local) && bytes.Equal(k.Remote, o.Remote)
}

func (k *Keys) clone() *Keys {
	if k == nil {
		return nil
	}
	return &Keys{Suite: k.Suite, Local: bytes.Clone(k.Local), Remote: bytes.Clone(k.Remote)}
}

// seal encrypts what is sent. It is used under Session.mu. Its header spares pion an allocation a packet.
type seal struct {
	ctx    *srtp.Context
	header pion.Header
}

// unseal decrypts what is received.
type unseal struct {
	ctx     *srtp.Context
	header  pion.Header
	sources [32]uint32
	count   int
}

// replayWindow is the number of packets that may arrive out of order (RFC 3711 section 3.3.2 wants at least 64).
const replayWindow = 128

func newSeal(k *Keys) (*seal, error) {
	ctx, err := srtpContext(k.Suite, k.Local)
	if err != nil {
		return nil, fmt.Errorf("rtp: local SRTP key: %w", err)
	}
	return &seal{ctx: ctx}, nil
}

func newUnseal(k *Keys) (*unseal, error) {
	ctx, err := srtpContext(k.Suite, k.Remote)
	if err != nil {
		return nil, fmt.Errorf("rtp: remote SRTP key: %w", err)
	}
	return &unseal{ctx: ctx}, nil
}

func srtpContext(suite string, master []byte) (*srtp.Context, error) {
	p, ok := profiles[suite]
	if !ok {
		return nil, fmt.Errorf("suite %q is not supported", suite)
	}
	if want := KeyLength(suite); len(master) != want {
		return nil, fmt.Errorf("%s needs %d bytes of key and salt, got %d", suite, want, len(master))
	}
	key, err := p.KeyLen()
	if err != nil {
		return nil, err
	}
	return srtp.CreateContext(master[:key], master[key:], p,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
}

func (s *seal) rtp(dst, plain []byte) ([]byte, error) {
	return s.ctx.EncryptRTP(dst[:0], plain, &s.header)
}

func (s *seal) rtcp(dst, plain []byte) ([]byte, error) {
	return s.ctx.EncryptRTCP(dst[:0], plain, nil)
}

func (u *unseal) rtcp(dst, cipher []byte) ([]byte, error) {
	if len(cipher) < 8 || !u.admit(binary.BigEndian.Uint32(cipher[4:])) {
		return nil, errUnknownSource
	}
	return u.ctx.DecryptRTCP(dst[:0], cipher, nil)
}

func (u *unseal) rtp(dst, cipher []byte) ([]byte, error) {
	h, _, ok := parse(cipher)
	if !ok || !u.admit(h.ssrc) {
		return nil, errUnknownSource
	}
	return u.ctx.DecryptRTP(dst[:0], cipher, &u.header)
}

var errUnknownSource = errors.New("rtp: SRTP packet of a source too many")

// admit bounds the number of sources: pion keeps state for each one before it has checked the packet's
// authenticity, so that forged packets could fill the memory.
func (u *unseal) admit(ssrc uint32) bool {
	for _, s := range u.sources[:u.count] {
		if s == ssrc {
			return true
		}
	}
	if u.count == len(u.sources) {
		return false
	}
	u.sources[u.count] = ssrc
	u.count++
	return true
}
