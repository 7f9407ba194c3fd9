package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/xdire/xlb/store"
)

// MaxImport is how many frontends one import may have.
const MaxImport = 10_000

// lookupsOfImport bounds how long names are looked up while a plan is made; those that are left are looked up later.
const lookupsOfImport = 20 * time.Second

// What an import does with a frontend.
const (
	PlanCreate = "create"
	PlanChange = "change"
	PlanDelete = "delete"
	PlanSame   = "same"
)

// PlanItem is what an import does with one frontend.
type PlanItem struct {
	Action   string
	Name, ID string // the id is empty for one that is not there yet
	Change   AuditChange

	spec     FrontendSpec
	revision uint64 // of what it was planned for
}

// Import is how a client's frontends become those of a list.
type Import struct {
	DryRun bool // say what would be done, and do nothing
	Prune  bool // delete those that are not in the list
}

// Plan is what an import does, or did, in this order.
type Plan struct {
	Items   []PlanItem
	Changes int // of the items, how many are not the same
}

// Import makes the actor's frontends like those of a list. They are matched by name; a name that is there twice cannot be.
// Everything is checked before anything is changed. When a step fails those before it stay done, and the same import goes
// on from there.
func (c *Control) Import(ctx context.Context, wanted []FrontendSpec, how Import) (Plan, error) {
	ctx, a, err := c.may(ctx, actImport, "")
	if err != nil {
		return Plan{}, err
	}
	if len(wanted) > MaxImport {
		return Plan{}, invalid("frontends", "At most %d.", MaxImport)
	}
	plan, err := c.plan(ctx, a, wanted, how)
	if err != nil || how.DryRun {
		return plan, err
	}
	done := 0
	for i := range plan.Items {
		item := &plan.Items[i]
		if item.Action == PlanSame {
			continue
		}
		if err := c.carryOut(ctx, item); err != nil {
			return Plan{}, stoppedAt(item.Name, done, plan.Changes, err)
		}
		done++
	}
	return plan, nil
}

// stoppedAt says how far an import came.
func stoppedAt(name string, done, all int, err error) error {
	problems := Problems(err)
	if len(problems) == 0 {
		return err
	}
	first := *problems[0]
	reason := first.Message
	if first.Field != "" {
		reason = first.Field + ": " + reason
	}
	first.Field = ""
	first.Message = fmt.Sprintf("%d of %d changes are made, then %s failed: %s Mend it and send the same again: what is made stays.", done, all, name, reason)
	return &first
}

// plan finds out what is to be done, and whether it can be.
func (c *Control) plan(ctx context.Context, a Actor, wanted []FrontendSpec, how Import) (Plan, error) {
	there, err := c.byName(ctx)
	if err != nil {
		return Plan{}, err
	}
	lookups, cancel := context.WithTimeout(ctx, lookupsOfImport)
	defer cancel()
	var plan Plan
	var problems []error
	rows := map[string]int{}
	for i, spec := range wanted {
		item, err := c.planOne(lookups, spec, there)
		if before, twice := rows[item.Name]; twice && err == nil {
			err = invalid("name", "It is that of frontends[%d] too; names have to differ in a list.", before)
		}
		rows[item.Name] = i
		for _, one := range Problems(err) {
			inside := *one
			inside.Field = fmt.Sprintf("frontends[%d].%s", i, one.Field)
			problems = append(problems, &inside)
		}
		if err != nil && len(problems) == 0 {
			return Plan{}, err
		}
		plan.add(item)
	}
	if len(problems) > 0 {
		return Plan{}, errors.Join(problems...)
	}
	if how.Prune {
		for _, name := range slices.Sorted(maps.Keys(there)) {
			if _, stays := rows[name]; stays {
				continue
			}
			for _, f := range there[name] {
				plan.add(PlanItem{Action: PlanDelete, Name: name, ID: f.ID})
			}
		}
	}
	return plan, c.hasRoomFor(a, plan)
}

func (p *Plan) add(item PlanItem) {
	p.Items = append(p.Items, item)
	if item.Action != PlanSame {
		p.Changes++
	}
}

// hasRoomFor refuses a plan that would stop at the limit of frontends.
func (c *Control) hasRoomFor(a Actor, plan Plan) error {
	frontends, _ := c.live.Count(a.ClientID)
	for _, item := range plan.Items {
		if item.Action == PlanCreate {
			frontends++
		}
	}
	if most := c.live.Limits(a.ClientID).Frontends; most >= 0 && frontends > most {
		return &Error{Kind: KindLimit, Message: fmt.Sprintf("That would be %d frontends, and you may have %d. Nothing was changed. Delete some or ask for more.", frontends, most)}
	}
	return nil
}

// byName are the frontends that the actor sees.
func (c *Control) byName(ctx context.Context) (map[string][]Frontend, error) {
	all, err := c.Frontends(ctx, "", 0)
	there := map[string][]Frontend{}
	for _, f := range all {
		there[f.Name] = append(there[f.Name], f)
	}
	return there, err
}

// planOne finds out what is to be done about one frontend of the list.
func (c *Control) planOne(ctx context.Context, spec FrontendSpec, there map[string][]Frontend) (PlanItem, error) {
	if spec.Name == "" {
		return PlanItem{}, invalid("name", "Give it a name: frontends are matched by name.")
	}
	name, problem := label("name", spec.Name)
	if problem != nil {
		return PlanItem{}, problem
	}
	found := there[name]
	if len(found) > 1 {
		return PlanItem{Name: name}, invalid("name", "You have %d frontends of this name, so it is not clear which is meant. Rename all but one.", len(found))
	}
	item := PlanItem{Action: PlanCreate, Name: name}
	var old Frontend
	if len(found) == 1 {
		old = found[0]
		item.Action = PlanChange
		item.ID = old.ID
		item.revision = old.Revision
		c.keepRouteKey(&spec, old)
	}
	spec, err := c.checkFrontend(ctx, spec, old.FrontendSpec)
	if err != nil {
		return item, err
	}
	item.spec = spec
	if item.Action == PlanCreate {
		return item, nil
	}
	item.Change, err = differ(old.FrontendSpec, spec, old.ID)
	if len(item.Change.Before)+len(item.Change.After) == 0 {
		item.Action = PlanSame
	}
	return item, err
}

// keepRouteKey takes the private key for routes from what is there, unless the list has another one: an exported list has
// none, and each sealing of the same key looks different.
func (c *Control) keepRouteKey(spec *FrontendSpec, old Frontend) {
	was := old.Options.RouteTLS
	if was.Key == nil || was.Certificate != spec.Options.RouteTLS.Certificate {
		return
	}
	if spec.RouteKey != "" {
		plain, err := c.sealer.open(sealedRouteKey, was.Key)
		if err != nil || string(plain) != spec.RouteKey {
			return
		}
		spec.RouteKey = ""
	}
	spec.Options.RouteTLS.Key = was.Key
}

// differ lists what a change of settings changes.
func differ(before, after FrontendSpec, id string) (AuditChange, error) {
	ends := [2]store.Frontend{{UUID: id}, {UUID: id}}
	for i, spec := range []FrontendSpec{before, after} {
		spec.into(&ends[i])
		for j := range ends[i].Routes { // a copy; 0 and 1 are the same share
			ends[i].Routes[j].Weight = max(1, ends[i].Routes[j].Weight)
		}
	}
	change, err := store.SettingsDiffer(ends[0], ends[1])
	return AuditChange{Kind: change.Kind, ID: id, Before: inAPINames(change.Before), After: inAPINames(change.After)}, err
}

// carryOut does one step of a plan.
func (c *Control) carryOut(ctx context.Context, item *PlanItem) error {
	switch item.Action {
	case PlanCreate:
		f, err := c.CreateFrontend(ctx, item.spec)
		item.ID = f.ID
		return err
	case PlanChange:
		_, err := c.UpdateFrontend(ctx, item.ID, Update{IfMatch: item.revision, Edit: func(spec *FrontendSpec) error {
			*spec = item.spec
			return nil
		}})
		return err
	}
	return c.DeleteFrontend(ctx, item.ID)
}
