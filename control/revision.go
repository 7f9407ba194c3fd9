package control

import (
	"context"
	"time"

	"github.com/xdire/xlb/store"
)

// FrontendRevision is a frontend as its owner had set it after one of its changes.
type FrontendRevision struct {
	Number uint64 // counts the changes of the frontend from 1
	At     time.Time
	Actor  string // the client that made it, empty when nobody knows any more

	// Frontend has the settings of then; its ids and what the server notes are of now.
	Frontend Frontend
}

// MaxRevisions is the longest list of revisions, which is also how many are kept.
const MaxRevisions = store.KeptRevisions

// Revisions lists the revisions of a frontend of the actor before a number (0: from the newest), newest first, at most
// limit of them (0: all that are kept).
func (c *Control) Revisions(ctx context.Context, id string, before uint64, limit int) ([]FrontendRevision, error) {
	ctx, a, err := c.may(ctx, actFrontendRead, id)
	if err != nil {
		return nil, err
	}
	now, err := c.store.Frontend(ctx, a.ClientID, canonicalID(id))
	if err != nil {
		return nil, fromStore(err, "frontend")
	}
	records, err := c.store.FrontendRevisions(ctx, a.ClientID, canonicalID(id), before, limit)
	all := make([]FrontendRevision, 0, len(records))
	for _, r := range records {
		all = append(all, revisionOf(r, now))
	}
	return all, fromStore(err, "frontend")
}

// Revision is one of them.
func (c *Control) Revision(ctx context.Context, id string, number uint64) (FrontendRevision, error) {
	ctx, a, err := c.may(ctx, actFrontendRead, id)
	if err != nil {
		return FrontendRevision{}, err
	}
	now, err := c.store.Frontend(ctx, a.ClientID, canonicalID(id))
	if err != nil {
		return FrontendRevision{}, fromStore(err, "frontend")
	}
	record, err := c.store.FrontendRevision(ctx, a.ClientID, canonicalID(id), number)
	if err != nil {
		return FrontendRevision{}, fromStore(err, "revision")
	}
	return revisionOf(record, now), nil
}

func revisionOf(r store.FrontendRevision, now store.Frontend) FrontendRevision {
	old := now
	old.Name = r.Frontend.Name
	old.Active = r.Frontend.Active
	old.Strategy = r.Frontend.Strategy
	old.RouteTimeoutSec = r.Frontend.RouteTimeoutSec
	old.Routes = r.Frontend.Routes
	old.Options = r.Frontend.Options
	return FrontendRevision{Number: r.Number, At: r.At, Actor: r.ActorID, Frontend: frontendOf(old)}
}

// RevisionDiff lists the fields that are different between two revisions of a frontend of the actor: before is what
// `from` has, after what `to` has. 0 stands for the frontend as it is now.
func (c *Control) RevisionDiff(ctx context.Context, id string, from, to uint64) (AuditChange, error) {
	ctx, a, err := c.may(ctx, actFrontendRead, id)
	if err != nil {
		return AuditChange{}, err
	}
	var ends [2]store.Frontend
	for i, number := range []uint64{from, to} {
		if ends[i], err = c.settingsAt(ctx, a.ClientID, canonicalID(id), number); err != nil {
			return AuditChange{}, err
		}
	}
	differ, err := store.SettingsDiffer(ends[0], ends[1])
	return AuditChange{Kind: differ.Kind, ID: canonicalID(id), Before: inAPINames(differ.Before), After: inAPINames(differ.After)}, err
}

func (c *Control) settingsAt(ctx context.Context, clientID, id string, number uint64) (store.Frontend, error) {
	if number == 0 {
		f, err := c.store.Frontend(ctx, clientID, id)
		return f, fromStore(err, "frontend")
	}
	r, err := c.store.FrontendRevision(ctx, clientID, id, number)
	return r.Frontend, fromStore(err, "revision")
}

// RestoreFrontend sets a frontend of the actor as it was at a revision, which is a new one. What is not allowed any more,
// such as a route that egress rules have closed, is refused. Nothing is changed unless the record still has the store's
// revision ifMatch, 0 for any.
func (c *Control) RestoreFrontend(ctx context.Context, id string, number, ifMatch uint64) (_ Frontend, err error) {
	ctx, a, err := c.may(ctx, actFrontendRestore, id)
	if err != nil {
		return Frontend{}, err
	}
	defer c.noteFailed(ctx, &err)
	old, err := c.settingsAt(ctx, a.ClientID, canonicalID(id), max(1, number))
	if err != nil {
		return Frontend{}, err
	}
	return c.updateFrontend(ctx, a, id, Update{IfMatch: ifMatch, Edit: func(spec *FrontendSpec) error {
		*spec = frontendOf(old).FrontendSpec
		return nil
	}})
}
