package views

import "slices"

// maxMarks is how many routes a row shows as marks; the sentence beside them counts them all.
const maxMarks = 24

var worstFirst = []string{"down", "ejected", "maintenance", "draining", "unknown", "up"}

// marksOf are the states of a frontend's routes: those that need a look first when there are too many.
func marksOf(routes []Route) []string {
	states := make([]string, 0, len(routes))
	for _, r := range routes {
		states = append(states, r.State)
	}
	if len(states) <= maxMarks {
		return states
	}
	slices.SortStableFunc(states, func(a, b string) int { return slices.Index(worstFirst, a) - slices.Index(worstFirst, b) })
	return states[:maxMarks]
}

func frontendHeads(menus bool) []sortHead {
	all := []sortHead{
		{frontendColumn, "", "name"}, {healthColumn, "", "health"}, {connectionsWord, "r", "connections"},
		{newRateColumn, "r opt", ""}, {trafficWord, "r", "traffic"}, {certificateWord, "r", "certificate"},
	}
	if menus {
		all = append(all, sortHead{actionColumn, "vh", ""})
	}
	return all
}
