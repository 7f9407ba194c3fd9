package record

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash"
)

// Sizes and content types of TLS 1.3 records (RFC 8446, section 5).
const (
	recordHeader    = 5
	maxPlaintext    = 1 << 14
	maxCiphertext   = maxPlaintext + 256
	recordOverhead  = recordHeader + 1 + 16 // header, content type, tag
	maxSealed       = maxPlaintext + recordOverhead
	typeAlert       = 21
	typeHandshake   = 22
	typeApplication = 23
)

// suite is what a cipher suite of TLS 1.3 needs to protect records.
type suite struct {
	keyLen int
	hash   func() hash.Hash
	size   int // of the hash, and so of a traffic secret
}

// suites are those that we protect records of ourselves. For the other one, ChaCha20-Poly1305, which
// clients without AES hardware prefer, crypto/tls goes on.
var suites = map[uint16]suite{
	tls.TLS_AES_128_GCM_SHA256: {16, sha256.New, sha256.Size},
	tls.TLS_AES_256_GCM_SHA384: {32, sha512.New384, sha512.Size384},
}

// trafficKey protects the records of one direction (RFC 8446, sections 5.2, 5.3 and 7.3).
type trafficKey struct {
	suite  suite
	secret []byte
	aead   cipher.AEAD
	iv     [12]byte
	nonce  [12]byte // scratch: on the stack it would escape at every record
	seq    uint64
}

func newTrafficKey(s suite, secret []byte) (*trafficKey, error) {
	k := &trafficKey{suite: s, secret: secret}
	return k, k.derive()
}

// derive makes key and IV from the secret.
func (k *trafficKey) derive() error {
	key, err := expandLabel(k.suite, k.secret, "key", k.suite.keyLen)
	if err != nil {
		return err
	}
	iv, err := expandLabel(k.suite, k.secret, "iv", len(k.iv))
	if err != nil {
		return err
	}
	cipherBlock, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	k.aead, err = cipher.NewGCM(cipherBlock)
	copy(k.iv[:], iv)
	k.seq = 0
	return err
}

// update moves on to the next generation of keys (RFC 8446, section 7.2).
func (k *trafficKey) update() error {
	next, err := expandLabel(k.suite, k.secret, "traffic upd", k.suite.size)
	if err != nil {
		return err
	}
	k.secret = next
	return k.derive()
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, section 7.1).
func expandLabel(s suite, secret []byte, label string, length int) ([]byte, error) {
	info := make([]byte, 0, 32)
	info = binary.BigEndian.AppendUint16(info, uint16(length))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label...)
	info = append(info, 0)
	return hkdf.Expand(s.hash, secret, string(info), length)
}

func (k *trafficKey) nextNonce() []byte {
	k.nonce = k.iv
	seq := binary.BigEndian.Uint64(k.nonce[4:]) ^ k.seq
	binary.BigEndian.PutUint64(k.nonce[4:], seq)
	return k.nonce[:]
}

// seal writes one record with the plaintext to dst, which has room for it, and returns the record's
// length. It needs the byte behind the plaintext for a moment. dst and plaintext do not overlap.
func (k *trafficKey) seal(dst, plaintext []byte, contentType byte) int {
	n := len(plaintext)
	inner := plaintext[:n+1]
	behind := inner[n]
	inner[n] = contentType
	header := dst[:recordHeader]
	header[0] = typeApplication
	header[1] = 3
	header[2] = 3
	binary.BigEndian.PutUint16(header[3:], uint16(n+1+k.aead.Overhead()))
	k.aead.Seal(dst[recordHeader:recordHeader], k.nextNonce(), inner, header)
	inner[n] = behind
	k.seq++
	return n + recordOverhead
}

// Violation is an error of the other side that it is told about by an alert (RFC 8446, section 6.2).
type Violation struct {
	Alert byte
	text  string
}

// Error implements error.
func (v Violation) Error() string { return v.text }

// open decrypts one whole record into dst, which has room for it, and returns the plaintext and its
// content type. dst and record do not overlap. The error is a violation (RFC 8446, sections 5.2 and 5.4).
func (k *trafficKey) open(dst, record []byte) (plaintext []byte, contentType byte, err error) {
	inner, err := k.aead.Open(dst[:0], k.nextNonce(), record[recordHeader:], record[:recordHeader])
	if err != nil {
		return nil, 0, Violation{alertBadRecordMAC, "a record cannot be decrypted"}
	}
	k.seq++
	if len(inner) > maxPlaintext+1 {
		return nil, 0, Violation{alertRecordOverflow, "a record with too much in it"}
	}
	end := len(inner) - 1
	for end >= 0 && inner[end] == 0 { // padding
		end--
	}
	if end < 0 {
		return nil, 0, Violation{alertUnexpectedMessage, "a record of nothing but padding"}
	}
	return inner[:end], inner[end], nil
}

// recordLength reads a record's length from its header, header included. The record must be one of
// protected data. The error is a Violation.
func recordLength(header []byte) (int, error) {
	n := int(binary.BigEndian.Uint16(header[3:]))
	switch {
	case header[0] != typeApplication:
		return 0, Violation{alertUnexpectedMessage, fmt.Sprintf("a record of type %d where only protected ones are allowed", header[0])}
	case n > maxCiphertext:
		return 0, Violation{alertRecordOverflow, fmt.Sprintf("a record of %d bytes", n)}
	}
	return recordHeader + n, nil
}
