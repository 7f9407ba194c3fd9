package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// maxRequest bounds the text of a certificate request; one with an RSA key of 8192 bits has 3 KB.
const maxRequest = 16 << 10

// Errors of ParseRequest, for the one who sent it.
var (
	ErrRequest          = errors.New("no PEM certificate request")
	ErrRequestSignature = errors.New("the request is not signed with its own key")
	ErrRequestKey       = errors.New("the key is not RSA of 2048 to 8192 bits, ECDSA over P-256, P-384 or P-521, or Ed25519")
)

// ParseRequest reads a certificate request (RFC 2986) in PEM and returns its public key and the key's type.
// Nothing else of it is used: who asks decides about names.
func ParseRequest(text []byte) (crypto.PublicKey, string, error) {
	if len(text) > maxRequest {
		return nil, "", ErrRequest
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, "", ErrRequest
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, "", ErrRequest
	}
	kind := requestKey(request.PublicKey)
	if kind == "" {
		return nil, "", ErrRequestKey
	}
	if request.CheckSignature() != nil {
		return nil, "", ErrRequestSignature
	}
	return request.PublicKey, kind, nil
}

// requestKey names the type of a key that is strong enough, and not so large that it costs us.
func requestKey(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n >= 2048 && n <= 8192 {
			return "rsa"
		}
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize >= 256 {
			return "ecdsa"
		}
	case ed25519.PublicKey:
		return "ed25519"
	}
	return ""
}
