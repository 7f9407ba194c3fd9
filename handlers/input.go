package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// optional is a field of a body that may be absent or null. Absent leaves what is there, null stands
// for the default: in a new object both are the same.
type optional[T any] struct {
	given, null bool
	value       T
}

// UnmarshalJSON is called for null too, not for an absent field.
func (o *optional[T]) UnmarshalJSON(data []byte) error {
	o.given = true
	o.null = string(data) == "null"
	return json.Unmarshal(data, &o.value)
}

// Schema is that of the value, or null.
func (o optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := huma.SchemaFromType(r, reflect.TypeFor[T]())
	s.Nullable = s.Type != "" // one without a type, as of a strategy, lists null itself
	return s
}

// into writes the value, or the default for null, unless the field was absent.
func (o optional[T]) into(field *T, otherwise T) {
	switch {
	case o.null:
		*field = otherwise // RFC 7396 removes what is null; of what must be there, that leaves the default
	case o.given:
		*field = o.value
	}
}

// frontendInput is what a client decides about a frontend: all of it, or what shall change.
type frontendInput struct {
	Name            optional[string]         `json:"name,omitempty" doc:"A label, need not be unique. Default: suggested from the first port"`
	Active          optional[bool]           `json:"active,omitempty" doc:"Whether its certificates are served"`
	Strategy        optional[strategyNumber] `json:"strategy,omitempty" doc:"0 or round-robin (default), 1 or least-connections, 2 or weighted-round-robin, 3 or two-choices, 4 or random, 5 or source-hash, 6 or identity-hash"`
	RouteTimeoutSec optional[int]            `json:"routeTimeoutSec,omitempty" doc:"One budget for waiting and all dials"`
	Routes          optional[[]routeBody]    `json:"routes,omitempty" doc:"At least one in a frontend; a list replaces the whole list"`

	options optionValues
}

// UnmarshalJSON reads the fields above and the options.
func (in *frontendInput) UnmarshalJSON(body []byte) error {
	type own frontendInput // without this method
	if err := json.Unmarshal(body, (*own)(in)); err != nil {
		return err
	}
	options, err := readOptionValues(body)
	in.options = options
	return err
}

// TransformSchema adds the options, and the bounds of the rest.
func (frontendInput) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	addOptions(s)
	s.Properties["active"].Extensions = map[string]any{"default": true}
	s.Properties["routeTimeoutSec"].Extensions = map[string]any{
		"minimum": 1, "maximum": control.MaxRouteTimeout, "default": control.DefaultFrontend().RouteTimeoutSec,
	}
	return s
}

type routeBody struct {
	Dest     string     `json:"dest" doc:"host:port" example:"10.0.7.2:6379"`
	Capacity int        `json:"capacity" required:"false" doc:"Most connections at once, 0 for no bound"`
	Weight   int        `json:"weight" required:"false" doc:"Share beside the others, 1 to 256"`
	Backup   bool       `json:"backup" required:"false" doc:"Used while no other route is usable, and by a connection that no other route has answered"`
	State    routeState `json:"state" required:"false" doc:"ready, drain (takes no new connections; those it has may go on for drainTimeoutSec) or maintenance (and ends those it has)"`
}

// TransformSchema adds the bounds.
func (routeBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["capacity"].Extensions = map[string]any{"minimum": 0, "maximum": control.MaxCapacity, "default": 0}
	s.Properties["weight"].Extensions = map[string]any{"minimum": 0, "maximum": control.MaxWeight, "default": 1}
	states := []any{ready}
	for _, state := range control.RouteStates[1:] {
		states = append(states, state)
	}
	s.Properties["state"].Extensions = map[string]any{"enum": states, "default": ready}
	return s
}

// routeState is what an owner wants of a route. Ready is stored as the empty text.
type routeState string

const ready = "ready"

// UnmarshalJSON reads a state by its name in the API.
func (s *routeState) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*s = routeState(control.StoredChoice(text, ready))
	return nil
}

// Schema is a text.
func (routeState) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[string]())
}

func (r routeBody) route() control.Route {
	return control.Route{Dest: r.Dest, Capacity: r.Capacity, Weight: r.Weight, Backup: r.Backup, State: string(r.State)}
}

func routeBodyOf(r control.Route) routeBody {
	return routeBody{Dest: r.Dest, Capacity: r.Capacity, Weight: max(1, r.Weight), Backup: r.Backup, State: routeState(control.ToldChoice(r.State, ready))}
}

// into changes spec to what the input says.
func (in frontendInput) into(spec *control.FrontendSpec) {
	initial := control.DefaultFrontend()
	in.Name.into(&spec.Name, initial.Name)
	in.Active.into(&spec.Active, initial.Active)
	in.RouteTimeoutSec.into(&spec.RouteTimeoutSec, initial.RouteTimeoutSec)
	strategy := strategyNumber(spec.Strategy)
	in.Strategy.into(&strategy, strategyNumber(initial.Strategy))
	spec.Strategy = control.Strategy(strategy)
	if in.Routes.given { // null too: that leaves none, and the rules ask for one
		spec.Routes = nil
		for _, r := range in.Routes.value {
			spec.Routes = append(spec.Routes, r.route())
		}
	}
	in.options.into(spec)
}

// strategyNumber is a strategy by its number or its name.
type strategyNumber int

// UnmarshalJSON reads a number or a name.
func (s *strategyNumber) UnmarshalJSON(data []byte) error {
	var name string
	if json.Unmarshal(data, &name) == nil && string(data) != "null" {
		*s = strategyNumber(slices.Index(control.Strategies, name)) // -1 for a name that there is not: the rules list those that there are
		return nil
	}
	return json.Unmarshal(data, (*int)(s))
}

// Schema is the two ways to write it, and null. The field says which numbers and names there are.
func (s strategyNumber) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeInteger, Nullable: true}, {Type: huma.TypeString}}}
}

// maxPage is the longest list in one answer when the caller asks for pages.
const maxPage = 1000

// Page selects a part of a list.
type Page struct {
	// After is the id or serial where the page before ended, not a number of items: what is added or removed meanwhile
	// makes nothing come twice, or be left out.
	After string `query:"after" pattern:"^[0-9a-fA-F-]{1,64}$" doc:"The next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" doc:"Most items in the answer"`
}

// NamedPage is the same for lists whose items have ids of another form.
type NamedPage struct {
	After string `query:"after" pattern:"^[0-9a-zA-Z-]{1,64}$" doc:"The next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" doc:"Most items in the answer. Default: 1000"`
}

// pageOf is the page of a list that is all there. One that ended at an item which is gone by now cannot be gone on from:
// these lists are in no order of their ids.
func pageOf[From, To any](all []From, p NamedPage, encode func(From) To, id func(To) string) (listBody[To], error) {
	if p.After != "" {
		i := slices.IndexFunc(all, func(one From) bool { return id(encode(one)) == p.After })
		if i < 0 {
			return listBody[To]{}, inQuery(&control.Error{Kind: control.KindInvalid, Field: "after", Message: "That item is gone. Begin again with the first page."})
		}
		all = all[i+1:]
	}
	limit := p.Limit
	if limit == 0 {
		limit = maxPage
	}
	return listOf(all, limit, encode, id), nil
}

// tagOf is the entity tag of a record that is told as it is stored, and has no revision of its own.
func tagOf(body any) string {
	text, err := json.Marshal(body)
	if err != nil {
		return "" // numbers and texts: nothing that json cannot write
	}
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// listBody is a list, or a page of one.
type listBody[T any] struct {
	Items []T     `json:"items" nullable:"false"`
	Next  *string `json:"next" doc:"For after; null when this is the end"`
}

// listOf encodes what was found, at most limit of it (0 for all). What is beyond tells that there is more.
func listOf[From, To any](found []From, limit int, encode func(From) To, key func(To) string) listBody[To] {
	list := listBody[To]{Items: make([]To, 0, len(found))}
	for i, one := range found {
		if limit > 0 && i == limit {
			next := key(list.Items[i-1])
			list.Next = &next
			break
		}
		list.Items = append(list.Items, encode(one))
	}
	return list
}
