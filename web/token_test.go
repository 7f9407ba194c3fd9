package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/xdire/xlb/pki"
)

// signingKey opens the sealed key in the store, as nobody without the master key can.
func (f *fixture) signingKey() *rsa.PrivateKey {
	f.Helper()
	secret, err := f.store.Secret(f.Context(), "token-keys")
	must(f.T, err)
	block, err := aes.NewCipher(masterKey)
	must(f.T, err)
	aead, err := cipher.NewGCM(block)
	must(f.T, err)
	text, err := aead.Open(nil, secret.Value[:aead.NonceSize()], secret.Value[aead.NonceSize():], []byte("token-keys"))
	must(f.T, err)
	var keys []struct{ DER []byte }
	must(f.T, json.Unmarshal(text, &keys))
	key, err := pki.ParseTokenKey(keys[0].DER)
	must(f.T, err)
	return key
}

func TestForgedTokensAreRefused(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	key, now := f.signingKey(), time.Now()
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	claims := func(change func(*jwt.RegisteredClaims)) jwt.RegisteredClaims {
		good := jwt.RegisteredClaims{Issuer: "xlb-authority", Audience: jwt.ClaimStrings{"xlb-api"}, Subject: c.uuid, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))}
		if change != nil {
			change(&good)
		}
		return good
	}
	sign := func(method jwt.SigningMethod, key any, claims jwt.RegisteredClaims, kid string) string {
		token := jwt.NewWithClaims(method, claims)
		if kid != "" {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(key)
		must(t, err)
		return text
	}
	at := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(now.Add(d)) }
	kid := pki.KeyID(key.Public())
	good := sign(jwt.SigningMethodRS256, key, claims(nil), kid)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"` + kid + `"}`))
	forged := map[string]string{
		"empty":                       "",
		"no JWT":                      "nonsense",
		"alg none":                    sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil), kid),
		"alg none, signature kept":    none + "." + parts[1] + "." + parts[2],
		"HS256 with the public PEM":   sign(jwt.SigningMethodHS256, publicPEM, claims(nil), kid),
		"HS256 with the public DER":   sign(jwt.SigningMethodHS256, public, claims(nil), kid),
		"RS512":                       sign(jwt.SigningMethodRS512, key, claims(nil), kid),
		"PS256":                       sign(jwt.SigningMethodPS256, key, claims(nil), kid),
		"expired":                     sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.ExpiresAt = at(-2 * time.Minute) }), kid),
		"no expiry":                   sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.ExpiresAt = nil }), kid),
		"not yet":                     sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.NotBefore = at(time.Hour) }), kid),
		"issued in the future":        sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.IssuedAt = at(time.Hour) }), kid),
		"another issuer":              sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.Issuer = "somebody" }), kid),
		"another audience":            sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.Audience = jwt.ClaimStrings{"elsewhere"} }), kid),
		"no audience":                 sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.Audience = nil }), kid),
		"no time of issue":            sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.IssuedAt = nil }), kid),
		"no subject":                  sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.Subject = "" }), kid),
		"a client that there is not":  sign(jwt.SigningMethodRS256, key, claims(func(c *jwt.RegisteredClaims) { c.Subject = "0198a1f2-0000-7000-8000-000000000000" }), kid),
		"a foreign key, the same kid": sign(jwt.SigningMethodRS256, foreign, claims(nil), kid),
		"no kid":                      sign(jwt.SigningMethodRS256, key, claims(nil), ""),
		"another kid":                 sign(jwt.SigningMethodRS256, key, claims(nil), "../../etc/passwd"),
		"truncated":                   good[:len(good)-10],
		"without the signature":       parts[0] + "." + parts[1] + ".",
		"two parts":                   parts[0] + "." + parts[1],
		"60 KB":                       good + strings.Repeat("A", 60<<10),
	}
	path := "/api/v1/client/frontend"
	if a := f.do("GET", path, nil, "Authorization", "bearer "+good); a.status != 200 {
		t.Fatalf("the token that the others are made of: %d %s, want 200", a.status, a.body)
	}
	for name, token := range forged {
		t.Run(name, func(t *testing.T) {
			a := f.do("GET", path, nil, "Authorization", "Bearer "+token)
			wantProblem(t, a, 401, "")
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="xlb"`) {
				t.Errorf("WWW-Authenticate is %q", got)
			}
			if len(token) > 20 && strings.Contains(f.log.String(), token) {
				t.Error("the token is in the log")
			}
		})
	}
	if a := f.do("GET", path, nil, "Authorization", "Bearer "+good); a.status != 200 {
		t.Errorf("bad tokens locked a good one out: %d %s, want 200", a.status, a.body)
	}
}

func TestBasicIsForTheTokenOnly(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	for name, header := range map[string]string{
		"nothing": "", "wrong key": basic(c.uuid, strings.Repeat("0", 64)), "unknown client": basic("0198a1f2-0000-7000-8000-000000000000", c.key),
		"no key": basic(c.uuid, ""), "no base64": "Basic %%%", "no colon": "Basic " + base64.StdEncoding.EncodeToString([]byte(c.uuid)), "bearer": "Bearer " + c.token,
	} {
		a := f.do("POST", "/api/v1/client/auth", nil, "Authorization", header)
		wantProblem(t, a, 401, "")
		if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Basic realm="xlb"`) {
			t.Errorf("%s: WWW-Authenticate is %q", name, got)
		}
	}
	a := f.do("GET", "/api/v1/client", nil, "Authorization", basic(c.uuid, c.key))
	wantProblem(t, a, 401, "")
}

// A token is ended by its id, with all others of the key that it was issued for, or by when it was issued.
func TestTokensAreRevokedOneByOne(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	token := func(key string) string {
		t.Helper()
		a := f.tokenFor(c.uuid, key)
		wantStatus(t, a, 200)
		return a.object(t)["Token"].(string)
	}
	works := func(token string) bool {
		return f.do("GET", "/api/v1/client", nil, "Authorization", "Bearer "+token).status == 200
	}
	claim := func(token, name string) string {
		t.Helper()
		claims := jwt.MapClaims{}
		_, _, err := jwt.NewParser().ParseUnverified(token, claims)
		must(t, err)
		text, _ := claims[name].(string)
		return text
	}
	first, second := token(c.key), token(c.key)
	own := c.call("GET", "/api/v1/client", "").object(t)
	if got := claim(first, "key"); got == "" || got != own["keyId"] {
		t.Errorf("the token was issued for key %q, the client has %v", got, own["keyId"])
	}
	wantStatus(t, c.call("DELETE", "/api/v1/client/tokens/"+claim(first, "jti"), ""), 204)
	if works(first) || !works(second) {
		t.Errorf("by id: the token %v, another %v, want false and true", works(first), works(second))
	}
	wantProblem(t, c.call("DELETE", "/api/v1/client/tokens/nonsense", ""), 404, "")

	fresh := c.call("POST", "/api/v1/client/key", `{"graceSec":3600}`).object(t)
	if fresh["oldKeyId"] != own["keyId"] || fresh["keyId"] == own["keyId"] {
		t.Errorf("after a rotation: key %v, old key %v, want %v as the old one", fresh["keyId"], fresh["oldKeyId"], own["keyId"])
	}
	newer := token(fresh["key"].(string))
	c.token = newer
	wantStatus(t, c.call("DELETE", "/api/v1/client/tokens?key="+own["keyId"].(string), ""), 204)
	if works(second) || !works(newer) {
		t.Errorf("by key: of the old one %v, of the new one %v, want false and true", works(second), works(newer))
	}

	now := time.Now()
	wantProblem(t, c.call("DELETE", "/api/v1/client/tokens?issuedBefore="+now.Add(time.Hour).UTC().Format(time.RFC3339), ""), 422, "query.issuedBefore")
	wantProblem(t, c.call("DELETE", "/api/v1/client/tokens?key=x&issuedBefore="+now.UTC().Format(time.RFC3339), ""), 422, "query.key")
	wantStatus(t, c.call("DELETE", "/api/v1/client/tokens?issuedBefore="+now.Add(-time.Hour).UTC().Format(time.RFC3339), ""), 204)
	if !works(newer) {
		t.Error("a token from after the moment was ended")
	}
	time.Sleep(time.Until(now.Truncate(time.Second).Add(1100 * time.Millisecond))) // tokens are dated by the second
	last := token(fresh["key"].(string))
	c.token = last
	wantStatus(t, c.call("DELETE", "/api/v1/client/tokens?issuedBefore="+time.Now().UTC().Truncate(time.Second).Format(time.RFC3339), ""), 204)
	if works(newer) || !works(last) {
		t.Errorf("by time: from before %v, from after %v, want false and true", works(newer), works(last))
	}
	if trail := c.call("GET", "/api/v1/client/audit?action=token.revoke&outcome=done", "").object(t)["items"].([]any); len(trail) != 4 {
		t.Errorf("%d records of it, want 4", len(trail))
	}
}
