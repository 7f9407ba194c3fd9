package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
)

// maxRequest bounds the text of a certificate request; one with an RSA key of 8192 bits has 3 KB, and some
// programs put a lot of names into it.
const maxRequest = 64 << 10

// Errors of ParseRequest, for the one who sent it.
var (
	ErrRequest          = errors.New("no PEM certificate request")
	ErrRequestLong      = fmt.Errorf("the request is longer than %d KB", maxRequest>>10)
	ErrRequestSignature = errors.New("the request is not signed with its own key")
	ErrRequestAlgorithm = errors.New("the request is signed with an algorithm that is not SHA-256, SHA-384 or SHA-512 with RSA, RSA-PSS or ECDSA, or Ed25519")
	ErrRequestKey       = errors.New("the key is not RSA of 2048 to 8192 bits, ECDSA over P-256, P-384 or P-521, or Ed25519")
	ErrRequestExponent  = errors.New("the RSA key has a public exponent below 65537")
	ErrRequestPSS       = errors.New("the key is for RSA-PSS alone, which TLS libraries do not agree on; make a plain RSA key")
	ErrRequestCurve     = errors.New("the curve is not P-256, P-384 or P-521")
	ErrRequestExplicit  = errors.New("the key spells its curve's parameters out instead of naming the curve")
)

// certRequest is what is read of a certificate request (RFC 2986): names and attributes are not.
type certRequest struct {
	Signed    requestInfo
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

type requestInfo struct {
	Raw        asn1.RawContent
	Version    int
	Subject    asn1.RawValue
	Key        requestKeyInfo
	Attributes asn1.RawValue `asn1:"optional,tag:0"`
}

type requestKeyInfo struct {
	Raw       asn1.RawContent
	Algorithm pkix.AlgorithmIdentifier
	Key       asn1.BitString
}

// ParseRequest reads a certificate request in PEM and returns its public key and the key's type. Nothing else of
// it is used, or looked at: who asks decides about names.
func ParseRequest(text []byte) (crypto.PublicKey, string, error) {
	if len(text) > maxRequest {
		return nil, "", ErrRequestLong
	}
	der := requestBlock(text)
	var r certRequest
	if rest, err := asn1.Unmarshal(der, &r); der == nil || err != nil || len(rest) > 0 {
		return nil, "", ErrRequest
	}
	public, err := r.Signed.Key.parse()
	if err != nil {
		return nil, "", err
	}
	kind, err := requestKey(public)
	if err != nil {
		return nil, "", err
	}
	if err := r.checkSignature(public); err != nil {
		return nil, "", err
	}
	return public, kind, nil
}

// requestBlock finds the request among what people paste: with a byte order mark, indented, after other blocks.
func requestBlock(text []byte) []byte {
	lines := bytes.Split(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimSpace(lines[i])
	}
	for rest := bytes.Join(lines, []byte("\n")); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil
		}
		if block.Type == "CERTIFICATE REQUEST" || block.Type == "NEW CERTIFICATE REQUEST" {
			return block.Bytes
		}
	}
}

var (
	oidRSAPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidEC     = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
)

// curves are those that we take, by name (RFC 5480).
var curves = map[string]elliptic.Curve{
	"1.2.840.10045.3.1.7": elliptic.P256(), "1.3.132.0.34": elliptic.P384(), "1.3.132.0.35": elliptic.P521(),
}

// parse reads the key, points of curves in compressed form too, which crypto/x509 does not take.
func (k requestKeyInfo) parse() (crypto.PublicKey, error) {
	switch {
	case k.Algorithm.Algorithm.Equal(oidRSAPSS):
		return nil, ErrRequestPSS
	case k.Algorithm.Algorithm.Equal(oidEC):
		return k.parseEC()
	}
	public, err := x509.ParsePKIXPublicKey(k.Raw)
	if err != nil {
		return nil, ErrRequestKey
	}
	return public, nil
}

func (k requestKeyInfo) parseEC() (crypto.PublicKey, error) {
	var name asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(k.Algorithm.Parameters.FullBytes, &name); err != nil {
		return nil, ErrRequestExplicit
	}
	curve := curves[name.String()]
	if curve == nil {
		return nil, ErrRequestCurve
	}
	point := k.Key.RightAlign()
	if x, y := elliptic.UnmarshalCompressed(curve, point); x != nil {
		return uncompressed(curve, x, y)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, ErrRequestKey
	}
	return public, nil
}

func uncompressed(curve elliptic.Curve, x, y *big.Int) (crypto.PublicKey, error) {
	size := (curve.Params().BitSize + 7) / 8
	point := make([]byte, 1+2*size)
	point[0] = 4 // SEC 1, section 2.3.3
	x.FillBytes(point[1 : 1+size])
	y.FillBytes(point[1+size:])
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, ErrRequestKey
	}
	return public, nil
}

const leastExponent = 65537

// requestKey names the type of a key that is strong enough, and not so large that it costs us.
func requestKey(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.E < leastExponent {
			return "", ErrRequestExponent
		}
		if n := key.N.BitLen(); n >= 2048 && n <= 8192 {
			return "rsa", nil
		}
	case *ecdsa.PublicKey:
		return "ecdsa", nil
	case ed25519.PublicKey:
		return "ed25519", nil
	}
	return "", ErrRequestKey
}

// signatures are the algorithms that a request may be signed with, beside RSA-PSS (RFC 8017, 5758 and 8410).
var signatures = map[string]x509.SignatureAlgorithm{
	"1.2.840.113549.1.1.11": x509.SHA256WithRSA, "1.2.840.113549.1.1.12": x509.SHA384WithRSA, "1.2.840.113549.1.1.13": x509.SHA512WithRSA,
	"1.2.840.10045.4.3.2": x509.ECDSAWithSHA256, "1.2.840.10045.4.3.3": x509.ECDSAWithSHA384, "1.2.840.10045.4.3.4": x509.ECDSAWithSHA512,
	"1.3.101.112": x509.PureEd25519,
}

// checkSignature makes sure that who asks has the private key.
func (r certRequest) checkSignature(public crypto.PublicKey) error {
	if r.Algorithm.Algorithm.Equal(oidRSAPSS) {
		return r.checkPSS(public)
	}
	algorithm, known := signatures[r.Algorithm.Algorithm.String()]
	if !known {
		return ErrRequestAlgorithm
	}
	holder := &x509.Certificate{PublicKey: public}
	if holder.CheckSignature(algorithm, r.Signed.Raw, r.Signature.RightAlign()) != nil {
		return ErrRequestSignature
	}
	return nil
}

// hashes are those of RSA-PSS, by their names (RFC 5754).
var hashes = map[string]crypto.Hash{
	"2.16.840.1.101.3.4.2.1": crypto.SHA256, "2.16.840.1.101.3.4.2.2": crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// checkPSS takes a salt of any length: OpenSSL makes it as long as it can, and crypto/x509 wants it as long as
// the hash.
func (r certRequest) checkPSS(public crypto.PublicKey) error {
	var parameters struct {
		Hash pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
		MGF  pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
		Salt int                      `asn1:"explicit,tag:2"`
		Rest int                      `asn1:"optional,explicit,tag:3,default:1"`
	}
	key, isRSA := public.(*rsa.PublicKey)
	if _, err := asn1.Unmarshal(r.Algorithm.Parameters.FullBytes, &parameters); err != nil || !isRSA {
		return ErrRequestAlgorithm
	}
	hash := hashes[parameters.Hash.Algorithm.String()]
	if hash == 0 {
		return ErrRequestAlgorithm
	}
	sum := hash.New()
	sum.Write(r.Signed.Raw)
	if rsa.VerifyPSS(key, hash, sum.Sum(nil), r.Signature.RightAlign(), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: hash}) != nil {
		return ErrRequestSignature
	}
	return nil
}
