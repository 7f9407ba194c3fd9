package pki

import (
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/youmark/pkcs8"
)

// What [ReadKey] says of a key that it cannot read.
var (
	ErrKeyEncrypted = errors.New("the key is encrypted, and no passphrase is given")
	ErrPassphrase   = errors.New("the passphrase does not open the key")
	ErrOldEncrypted = errors.New("the key is encrypted in an old form that anybody can guess at; write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW")
)

// ReadKey reads a private key, PEM, that may be encrypted (PKCS#8 with PBES2, RFC 8018, section 6.2). The passphrase is empty
// for none.
func ReadKey(text, passphrase []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	switch {
	case block != nil && block.Headers["DEK-Info"] != "":
		return nil, ErrOldEncrypted
	case block == nil || block.Type != "ENCRYPTED PRIVATE KEY":
		return parseKey(text)
	case len(passphrase) == 0:
		return nil, ErrKeyEncrypted
	}
	key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w, or its form is not known (openssl pkcs8 -topk8 writes one that is): %w", ErrPassphrase, err)
	}
	signer, can := key.(crypto.Signer)
	if !can {
		return nil, errors.New("not a signing key")
	}
	return signer, nil
}
