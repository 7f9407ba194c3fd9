package views

import "fmt"

// Flow is where the connections of a frontend come from and where they go.
type Flow struct {
	Active   int
	From     []FlowEnd // identities with the most connections
	MoreFrom int       // identities that are left out
	To       []FlowEnd // routes
	MoreTo   int
}

// FlowEnd is one identity or one route.
type FlowEnd struct {
	Name, State string // the state of a route
	Active      int
}

// ribbon is the way from an end to the frontend, or on to a route.
type ribbon struct {
	class, path string
	width       float64
}

const (
	flowRow    = 48 // pixels
	flowNode   = 64 // of all ribbons together, where they meet
	flowNarrow = 1.5
)

func (f Flow) height() int {
	return flowRow * max(1, rowsOf(f.From, f.MoreFrom), rowsOf(f.To, f.MoreTo))
}

func rowsOf(ends []FlowEnd, more int) int {
	if more > 0 {
		return len(ends) + 1
	}
	return len(ends)
}

func (f Flow) inward() []ribbon {
	return f.ribbons(f.From, f.MoreFrom, func(end, node float64) string {
		return fmt.Sprintf("M0 %sC55 %[1]s 45 %s 100 %[2]s", coordinate(end), coordinate(node))
	})
}

func (f Flow) outward() []ribbon {
	return f.ribbons(f.To, f.MoreTo, func(end, node float64) string {
		return fmt.Sprintf("M0 %sC55 %[1]s 45 %s 100 %[2]s", coordinate(node), coordinate(end))
	})
}

// ribbons lie side by side where they meet, in the middle.
func (f Flow) ribbons(ends []FlowEnd, more int, path func(end, node float64) string) []ribbon {
	total := 0
	for _, e := range ends {
		total += e.Active
	}
	middle := float64(f.height()) / 2
	first := middle - float64(flowRow*rowsOf(ends, more))/2 + flowRow/2
	node := middle - flowNode/2
	if total == 0 {
		node = middle
	}
	all := make([]ribbon, 0, len(ends))
	for i, e := range ends {
		r := ribbon{class: flowClass(e), width: flowNarrow}
		share := 0.0
		if total > 0 {
			share = flowNode * float64(e.Active) / float64(total)
			r.width = max(share, flowNarrow)
		}
		r.path = path(first+float64(flowRow*i), node+share/2)
		node += share
		all = append(all, r)
	}
	return all
}

func flowClass(e FlowEnd) string {
	switch {
	case e.Active == 0:
		return "none"
	case e.State == "draining":
		return "drain"
	}
	return ""
}

func flowText(e FlowEnd) string {
	switch e.State {
	case "up", "unknown":
		return plural(e.Active, "connection")
	case "draining":
		return plural(e.Active, "connection") + ", draining"
	}
	if e.Active == 0 {
		return stateWord(e.State)
	}
	return stateWord(e.State) + ", " + plural(e.Active, "connection")
}
