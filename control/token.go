package control

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/xdire/xlb/pki"
)

const (
	tokenIssuer   = "xlb-authority"
	tokenAudience = "xlb-api"
	tokenLife     = time.Hour
	// maxToken bounds the text that is parsed at all; ours have about 700 bytes.
	maxToken = 4096
)

// tokenSigner signs and checks bearer tokens: RS256 and nothing else (RFC 7518), with a key id.
type tokenSigner struct {
	key *rsa.PrivateKey
	id  string
}

func newTokenSigner(der []byte) (*tokenSigner, error) {
	key, err := pki.ParseTokenKey(der)
	if err != nil {
		return nil, err
	}
	return &tokenSigner{key: key, id: pki.KeyID(key.Public())}, nil
}

func (s *tokenSigner) sign(clientID string, now time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: tokenIssuer, Subject: clientID, ID: uuid.NewString(),
		Audience: jwt.ClaimStrings{tokenAudience}, NotBefore: jwt.NewNumericDate(now),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	})
	token.Header["kid"] = s.id
	return token.SignedString(s.key)
}

// verify returns the client a token was issued to, and when.
func (s *tokenSigner) verify(raw string, now time.Time) (clientID, tokenID string, issuedAt time.Time, err error) {
	if len(raw) > maxToken {
		return "", "", time.Time{}, errors.New("the token is too long")
	}
	var claims jwt.RegisteredClaims
	_, err = jwt.ParseWithClaims(raw, &claims, s.keyFor,
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(tokenIssuer), jwt.WithAudience(tokenAudience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(time.Minute), jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		return "", "", time.Time{}, err
	}
	if _, err := uuid.Parse(claims.Subject); err != nil {
		return "", "", time.Time{}, fmt.Errorf("subject: %w", err)
	}
	if claims.IssuedAt == nil {
		return "", "", time.Time{}, errors.New("the token does not say when it was issued")
	}
	return claims.Subject, claims.ID, claims.IssuedAt.Time, nil
}

func (s *tokenSigner) keyFor(token *jwt.Token) (any, error) {
	if token.Header["kid"] != s.id {
		return nil, errors.New("unknown key id")
	}
	return s.key.Public(), nil
}

// IssueToken exchanges a client's id and key for a bearer token that is good for an hour.
func (c *Control) IssueToken(ctx context.Context, clientID, key string) (string, error) {
	client, err := c.Authenticate(ctx, clientID, key)
	if err != nil {
		return "", err
	}
	at := c.cfg.Now()
	if from := c.tokensFrom(client.ID); from.After(at) && from.Sub(at) <= time.Second {
		at = from // tokens were revoked within this second: this one comes after it
	}
	return c.signer.sign(client.ID, at)
}

// tokensFrom is the moment before which tokens of a client are refused.
func (c *Control) tokensFrom(clientID string) time.Time {
	if client, known := c.live.Client(clientID); known {
		return client.TokensFrom
	}
	return time.Time{}
}

// TokenActor is the client a bearer token was issued to, or that has an API key. A bad token never locks anyone out.
func (c *Control) TokenActor(ctx context.Context, raw string) (Actor, error) {
	if strings.HasPrefix(raw, apiKeyStart) {
		return c.apiKeyActor(ctx, raw)
	}
	clientID, tokenID, issuedAt, err := c.signer.verify(raw, c.cfg.Now())
	if client, known := c.live.Client(clientID); err == nil && known && client.Disabled {
		return Actor{}, errDisabled
	}
	if err == nil && issuedAt.Before(c.tokensFrom(clientID)) {
		err = errors.New("the token was revoked")
	}
	if err != nil {
		return Actor{}, &Error{Kind: KindUnauthenticated, Message: "The bearer token is not valid or has expired. Get a new one from POST /api/v1/client/auth.", Err: err}
	}
	admin, known := c.clientNow(clientID)
	if !known {
		return Actor{}, &Error{Kind: KindUnauthenticated, Message: "The bearer token's client does not exist any more."}
	}
	return Actor{ClientID: clientID, Admin: admin, Via: "api", Token: clip(tokenID, 64)}, nil
}

// AllowRequest counts one API request of a client, and refuses it when there are too many in a second.
func (c *Control) AllowRequest(a Actor) error {
	if a.ClientID == "" {
		return nil
	}
	if !c.live.AllowRequest(a.ClientID) {
		return tooMany("Too many requests.", time.Second)
	}
	return nil
}

func tooMany(message string, wait time.Duration) *Error {
	wait = max(wait, time.Second)
	return &Error{Kind: KindTooMany, RetryAfter: wait, Message: fmt.Sprintf("%s Try again in %d s.", message, int(wait.Seconds()))}
}

// JSONWebKey is a public key that checks tokens (RFC 7517).
type JSONWebKey struct {
	KeyType   string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// TokenKeys are the public keys that tokens are signed with, so that others can check them too.
func (c *Control) TokenKeys() []JSONWebKey {
	key := c.signer.key.PublicKey
	encode := base64.RawURLEncoding.EncodeToString
	return []JSONWebKey{{
		KeyType: "RSA", Use: "sig", Algorithm: "RS256", ID: c.signer.id,
		Modulus: encode(key.N.Bytes()), Exponent: encode(big.NewInt(int64(key.E)).Bytes()),
	}}
}
