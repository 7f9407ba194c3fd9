package pki

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
)

// NewTokenKey makes a key that signs tokens: RSA 3072, as PKCS#8 DER.
func NewTokenKey() ([]byte, error) {
	key, err := GenerateKey(RSA3072)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// ParseTokenKey reads what [NewTokenKey] made.
func ParseTokenKey(der []byte) (*rsa.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	k, isRSA := key.(*rsa.PrivateKey)
	if !isRSA {
		return nil, errors.New("the token key is no RSA key")
	}
	return k, nil
}

// KeyID names a public key in tokens: a hash of it, so the name needs no record.
func KeyID(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
