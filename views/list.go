package views

import "net/url"

// List is how a list was narrowed and put in order; all of it stands in its address.
type List struct {
	Path               string
	Query, State, Sort string
	States             []ListState
	Label, Hint        string // of the search
}

// ListState is a state that a list may be narrowed to, with how many are in it.
type ListState struct {
	Value, Name string
	Count       int
}

func (l List) narrowed() bool { return l.Query != "" || l.State != "" }

// url is the list in another state or order, from its first page on.
func (l List) url(state, sort string) string {
	q := url.Values{}
	for name, value := range map[string]string{"q": l.Query, "state": state, "sort": sort} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return l.Path
	}
	return l.Path + "?" + q.Encode()
}

// sortHead is a column by which a list may be put in order.
type sortHead struct{ name, class, by string }

// order says whether a column is the one that the list is ordered by, in its natural direction or the other way round.
func (l List) order(by string) string {
	switch l.Sort {
	case by:
		return "ascending"
	case "-" + by:
		return "descending"
	}
	return "none"
}

// next is the order that a click on a column asks for.
func (l List) next(by string) string {
	if l.Sort == by {
		return "-" + by
	}
	return by
}
