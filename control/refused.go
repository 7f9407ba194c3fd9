package control

import (
	"context"

	"github.com/xdire/xlb/lb"
)

// RefusedQuery selects what was turned away.
type RefusedQuery struct {
	Reason string // a code, empty for all
	Limit  int    // 1 to MaxRefused; zero: MaxRefused
}

// MaxRefused is how many attempts are remembered for each client, in memory.
const MaxRefused = attemptsPerClient

// Refused lists the attempts of programs with certificates of a frontend of the actor that were turned
// away, or let in and not served, newest first. What belongs to nobody is not among them.
func (c *Control) Refused(ctx context.Context, frontendID string, q RefusedQuery) ([]Attempt, error) {
	a, err := c.may(ctx, actConnectionList, frontendID)
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
	if _, known := reasonIndex[lb.Reason(q.Reason)]; !known && q.Reason != "" {
		return nil, invalid("reason", "There is no such reason. Use a code of the log, such as revoked, or leave it out.")
	}
	found := c.journal.of(a.ClientID, frontendID, q.Reason, q.Limit)
	for i := range found {
		if cert, known := c.index.certificates.get(certificateKey{c.cfg.Authority.ID(), found[i].Serial}); known && cert.clientID == a.ClientID {
			found[i].Name = cert.name
		}
	}
	return found, nil
}

// of returns up to most attempts of a client's frontend, newest first.
func (j *journal) of(clientID, frontendID, reason string, most int) []Attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.clients[clientID]
	if r == nil {
		return nil
	}
	return r.newest(nil, most, func(a Attempt) bool {
		return a.FrontendID == frontendID && (reason == "" || a.Code == reason)
	})
}
