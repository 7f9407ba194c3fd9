package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/xdire/xlb/store"
)

const (
	tokenIssuer   = "xlb-authority"
	tokenAudience = "xlb-api"
	tokenLife     = time.Hour
	// tokenLeeway is how far the clocks of two machines may be apart.
	tokenLeeway = time.Minute
	// maxToken bounds the text that is parsed at all; ours have about 700 bytes.
	maxToken = 4096
	// maxEndedTokens is how many a client may have ended one by one in the last hour: each is kept in its record until
	// it would have expired.
	maxEndedTokens = 200
)

// token is what a bearer token says, once its signature was found right.
type token struct {
	clientID, id string
	keyID        string // of the client's key that it was issued for
	issuedAt     time.Time
	expiresAt    time.Time
}

// tokenClaims are those of RFC 7519, and one of our own.
type tokenClaims struct {
	jwt.RegisteredClaims
	KeyID string `json:"key,omitempty"`
}

// signToken signs with RS256 and nothing else (RFC 7518), with a key id.
func (t *tokenKeys) signToken(clientID, keyID string, now time.Time) (string, error) {
	with, err := t.signer(now)
	if err != nil {
		return "", err
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodRS256, tokenClaims{KeyID: keyID, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: tokenIssuer, Subject: clientID, ID: uuid.NewString(),
		Audience: jwt.ClaimStrings{tokenAudience}, NotBefore: jwt.NewNumericDate(now),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	}})
	unsigned.Header["kid"] = with.id
	return unsigned.SignedString(with.key)
}

// verifyToken returns what a token says.
func (t *tokenKeys) verifyToken(raw string, now time.Time) (token, error) {
	if len(raw) > maxToken {
		return token{}, errors.New("the token is too long")
	}
	var claims tokenClaims
	_, err := jwt.ParseWithClaims(raw, &claims, t.keyFor,
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(tokenIssuer), jwt.WithAudience(tokenAudience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(tokenLeeway), jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		return token{}, err
	}
	if _, err := uuid.Parse(claims.Subject); err != nil {
		return token{}, fmt.Errorf("subject: %w", err)
	}
	if claims.IssuedAt == nil {
		return token{}, errors.New("the token does not say when it was issued")
	}
	return token{claims.Subject, claims.ID, claims.KeyID, claims.IssuedAt.Time, claims.ExpiresAt.Time}, nil
}

// IssueToken exchanges a client's id and key for a bearer token that is good for an hour.
func (c *Control) IssueToken(ctx context.Context, clientID, key string) (string, error) {
	client, err := c.Authenticate(ctx, clientID, key)
	if err != nil {
		return "", err
	}
	at := c.cfg.Now()
	if known, _ := c.live.Client(client.ID); known.TokensFrom.After(at) && known.TokensFrom.Sub(at) <= time.Second {
		at = known.TokensFrom // tokens were revoked within this second: this one comes after it
	}
	return c.tokens.signToken(client.ID, keyID(hashKey(strings.TrimSpace(key))), at)
}

// TokenActor is the client a bearer token was issued to, or that has an API key. A bad token never locks anyone out.
func (c *Control) TokenActor(ctx context.Context, raw string) (Actor, error) {
	if strings.HasPrefix(raw, apiKeyStart) {
		return c.apiKeyActor(ctx, raw)
	}
	given, err := c.tokens.verifyToken(raw, c.cfg.Now())
	if err == nil {
		err = c.checkToken(given)
	}
	if KindOf(err) == KindUnauthenticated || KindOf(err) == KindForbidden {
		return Actor{}, err
	}
	if err != nil {
		return Actor{}, &Error{Kind: KindUnauthenticated, Message: "The bearer token is not valid or has expired. Get a new one from POST /api/v1/client/auth.", Err: err}
	}
	admin, _ := c.clientNow(given.clientID)
	return Actor{ClientID: given.clientID, Admin: admin, Via: "api", Token: clip(given.id, 64), token: given}, nil
}

// checkToken tells whether a token whose signature was found right is still good.
func (c *Control) checkToken(t token) error {
	client, known := c.live.Client(t.clientID)
	switch {
	case !known:
		return &Error{Kind: KindUnauthenticated, Message: "The bearer token's client does not exist any more."}
	case client.Disabled:
		return errDisabled
	case t.issuedAt.Before(client.TokensFrom) || slices.ContainsFunc(client.EndedTokens, t.isEndedBy):
		return errors.New("the token was revoked")
	case c.cfg.Now().After(t.expiresAt.Add(tokenLeeway)):
		return errors.New("the token has expired")
	}
	return nil
}

func (t token) isEndedBy(e store.EndedToken) bool {
	return e.ID != "" && e.ID == t.id || e.KeyID != "" && e.KeyID == t.keyID && !t.issuedAt.After(e.At)
}

// RevokeTokens ends all tokens that were issued to the actor's client before a moment (zero: until now), and all sessions
// that began before it but the one that acts.
func (c *Control) RevokeTokens(ctx context.Context, before time.Time) (err error) {
	ctx, a, err := c.may(ctx, actTokenRevoke, "")
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	now := c.cfg.Now().UTC()
	if before.After(now) {
		return invalid("issuedBefore", "Use a moment that has passed. Without one all tokens until now are ended.")
	}
	_, err = c.changeClient(store.Urgent(ctx), a.ClientID, 0, func(r *store.Client) {
		if before.IsZero() {
			c.endTokens(r)
			c.endSessions(r, a.Session)
			return
		}
		if before.After(r.TokensFrom) {
			r.TokensFrom = before.UTC()
		}
		if before.After(r.SessionsFrom) {
			r.SessionsFrom = before.UTC()
			r.SessionKept = a.Session
		}
	})
	return err
}

// RevokeTokensOf ends the tokens that were issued for one of the client's keys until now. The key itself goes on.
func (c *Control) RevokeTokensOf(ctx context.Context, keyID string) error {
	var wrong error
	if keyID == "" || len(keyID) > 64 {
		wrong = invalid("key", "Use the keyId or oldKeyId of GET /api/v1/client, or the claim key of a token.")
	}
	return c.endToken(ctx, keyID, store.EndedToken{KeyID: keyID}, wrong)
}

// RevokeToken ends one token by its id, the claim jti. An id that no token has is no error: tokens are not kept.
func (c *Control) RevokeToken(ctx context.Context, id string) error {
	parsed := canonicalID(id)
	var wrong error
	if parsed == "" {
		wrong = notFound("token")
	}
	return c.endToken(ctx, id, store.EndedToken{ID: parsed}, wrong)
}

// endToken ends what is named, unless something is wrong with the name: who may not is not told.
func (c *Control) endToken(ctx context.Context, object string, ended store.EndedToken, wrong error) (err error) {
	ctx, a, err := c.may(ctx, actTokenRevoke, object)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	if wrong != nil {
		return wrong
	}
	ended.At = c.cfg.Now().UTC()
	full := false
	_, err = c.changeClient(store.Urgent(ctx), a.ClientID, 0, func(r *store.Client) {
		gone := func(e store.EndedToken) bool { return ended.At.Sub(e.At) > tokenLife+2*tokenLeeway }
		kept := slices.DeleteFunc(slices.Clone(r.EndedTokens), gone)
		if full = len(kept) >= maxEndedTokens; !full {
			r.EndedTokens = append(kept, ended)
		}
	})
	if err == nil && full {
		return &Error{Kind: KindLimit, Message: fmt.Sprintf("%d tokens were ended one by one in the last hour, and no more fit. End all of them: DELETE /api/v1/client/tokens.", maxEndedTokens)}
	}
	return err
}

// endTokens ends all tokens until now. They are dated by the second, so the next ones are dated from the next.
func (c *Control) endTokens(r *store.Client) {
	r.TokensFrom = c.cfg.Now().UTC().Truncate(time.Second).Add(time.Second)
	r.EndedTokens = nil // all of them are older
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
