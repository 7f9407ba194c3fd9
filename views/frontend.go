package views

import "strings"

func frontendStats(f Frontend) []stat {
	traffic, unit := scaled(f.InPerSec + f.OutPerSec)
	waiting := statWaitingNone
	if f.Waiting > 0 {
		waiting = statWaitingSome
	}
	return []stat{
		{key: "connections", name: statConnections, value: count(f.Connections), context: inTotal(f.Total), samples: f.ConnSamples},
		{key: "new", name: statNew, value: figure(f.NewPerSec), context: peak(f.NewSamples), samples: f.NewSamples},
		{key: "traffic", name: statTraffic, value: traffic, unit: unit + "/s", context: trafficTotal(f), tone: "c2", samples: f.ByteSamples},
		{key: "waiting", name: statWaiting, value: count(f.Waiting), context: waiting},
	}
}

// hasSince is whether the time since when a route is in its state says something.
func hasSince(r Route) bool {
	return r.State != "draining" && r.Reason != "" && !r.Since.IsZero()
}

// fillTone turns a meter amber from nine tenths.
func fillTone(used, max int64) string {
	if percent(used, max) >= 90 {
		return "warn"
	}
	return ""
}

// full is whether a client can have no more frontends.
func full(p FrontendTableProps) bool { return p.Limit > 0 && p.Total >= p.Limit }

func routeURL(frontendID string) string { return frontendURL(frontendID) + "/route" }

func routeMarkText(r Route) string {
	var all []string
	if r.Removed {
		all = append(all, removedWord)
	}
	if r.Backup {
		all = append(all, backupWord)
	}
	if r.Weight > 1 {
		all = append(all, weightOf(r.Weight))
	}
	if r.Addresses > 0 {
		all = append(all, addressCount(r.Addresses))
	}
	return strings.Join(all, ", ")
}
