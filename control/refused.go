package control

import (
	"context"
	"time"

	"github.com/xdire/xlb/control/live"
)

// RefusedQuery selects what was turned away.
type RefusedQuery struct {
	Reason string // a code, empty for all
	Limit  int    // 1 to MaxRefused; zero: MaxRefused
}

// MaxRefused is how many attempts are remembered for each client, in memory.
const MaxRefused = live.AttemptsPerClient

// Refused lists the attempts of programs with certificates of a frontend of the actor that were turned
// away, or let in and not served, newest first. What belongs to nobody is not among them.
func (c *Control) Refused(ctx context.Context, frontendID string, q RefusedQuery) ([]Attempt, error) {
	_, a, err := c.may(ctx, actConnectionList, frontendID)
	if err != nil {
		return nil, err
	}
	if frontendID, err = c.liveFrontend(a, frontendID); err != nil {
		return nil, err
	}
	if q.Limit == 0 {
		q.Limit = MaxRefused
	}
	if q.Limit < 1 || q.Limit > MaxRefused {
		return nil, invalid("limit", "Use 1 to %d.", MaxRefused)
	}
	if q.Reason != "" && !live.IsReason(q.Reason) {
		return nil, invalid("reason", "There is no such reason. Use a code of the log, such as revoked, or leave it out.")
	}
	return c.live.Refused(a.ClientID, frontendID, q.Reason, q.Limit), nil
}

// CountRefused is how many connections of a frontend of the actor were turned away, or let in and not served, as far as
// that is remembered.
func (c *Control) CountRefused(ctx context.Context, frontendID string) (int, error) {
	all, err := c.Refused(ctx, frontendID, RefusedQuery{})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, one := range all {
		n += one.Count
	}
	return n, nil
}

// RefusedSince lists the attempts of all frontends of the actor since a moment, newest first.
func (c *Control) RefusedSince(ctx context.Context, since time.Time) ([]Attempt, error) {
	_, a, err := c.may(ctx, actConnectionList, "")
	if err != nil {
		return nil, err
	}
	return c.live.RefusedSince(a.ClientID, since), nil
}

// ReasonRevoked is the code of an attempt with a certificate that was revoked.
const ReasonRevoked = string(live.ReasonRevoked)
