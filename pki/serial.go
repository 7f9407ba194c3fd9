package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
)

// ErrSerial is a text that is no serial number.
var ErrSerial = errors.New("a serial is at most 40 hex digits")

// FormatSerial writes a serial in minimal lower-case hex.
func FormatSerial(serial *big.Int) string { return serial.Text(16) }

// ParseSerial reads a serial as people and tools write it, in any case, padded, with colons, and returns
// its one spelling.
func ParseSerial(text string) (string, error) {
	digits := strings.ReplaceAll(strings.TrimSpace(text), ":", "")
	digits = strings.TrimPrefix(strings.ToLower(digits), "0x")
	if digits == "" || len(digits) > 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", ErrSerial
	}
	digits = strings.TrimLeft(digits, "0")
	if digits == "" || len(digits) > 40 {
		return "", ErrSerial
	}
	return digits, nil
}

// Fingerprint is the SHA-256 of a certificate as openssl prints it: upper-case hex with colons.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	pairs := make([]string, 0, len(sum))
	for i := 0; i < len(digits); i += 2 {
		pairs = append(pairs, digits[i:i+2])
	}
	return strings.Join(pairs, ":")
}
