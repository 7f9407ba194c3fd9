package web

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// Somebody else can check a token with the keys that the server publishes.
func TestPublishedKeysCheckTokens(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	var set struct {
		Keys []struct{ Kty, Kid, Alg, N, E string }
	}
	a := f.do("GET", "/.well-known/jwks.json", nil)
	must(t, json.Unmarshal([]byte(a.body), &set))
	if len(set.Keys) != 1 || set.Keys[0].Kty != "RSA" || set.Keys[0].Alg != "RS256" {
		t.Fatalf("got %s, want one RSA key for RS256", a.body)
	}
	number := func(text string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(text)
		must(t, err)
		return new(big.Int).SetBytes(b)
	}
	key := &rsa.PublicKey{N: number(set.Keys[0].N), E: int(number(set.Keys[0].E).Int64())}
	token, err := jwt.Parse(c.token, func(token *jwt.Token) (any, error) {
		if token.Header["kid"] != set.Keys[0].Kid {
			t.Errorf("kid %v, want %v", token.Header["kid"], set.Keys[0].Kid)
		}
		return key, nil
	}, jwt.WithAudience("xlb-api"), jwt.WithIssuer("xlb-authority"))
	if err != nil || !token.Valid {
		t.Error(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	if claims["sub"] != c.uuid || claims["jti"] == "" || claims["nbf"] == nil {
		t.Errorf("got %v, want the client as sub, a jti and an nbf", claims)
	}
}
