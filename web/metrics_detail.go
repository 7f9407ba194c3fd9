package web

import (
	"slices"
	"time"

	"github.com/xdire/xlb/control"
)

// sumsOf is one row for each client, or one for all. Sums keep the names of what they sum up and lose its labels, so
// that a question that sums for itself gets the same answer at each detail.
func sumsOf(frontends []control.FrontendMetrics, byClient bool) []row {
	var rows []row
	index := map[string]int{}
	for i := range frontends {
		f := &frontends[i]
		var labels pairs
		if byClient {
			labels = pairs{"client", f.ClientID}
		}
		at, known := index[labels[1]]
		if !known {
			at = len(rows)
			index[labels[1]] = at
			rows = append(rows, row{labels: labels, isSum: true, FrontendMetrics: &control.FrontendMetrics{Routes: make([]control.RouteMetrics, 1)}})
		}
		rows[at].add(f)
	}
	return rows
}

func (r *row) add(f *control.FrontendMetrics) {
	r.count(f.State)
	r.Active += f.Active
	r.Waiting += f.Waiting
	r.Accepted += f.Accepted
	r.Closed = addReasons(r.Closed, f.Closed)
	r.Refused = addReasons(r.Refused, f.Refused)
	r.BytesIn += f.BytesIn
	r.BytesOut += f.BytesOut
	r.Wait = addHistograms(r.Wait, f.Wait)
	r.Duration = addHistograms(r.Duration, f.Duration)
	r.Certificates.Valid += f.Certificates.Valid
	r.Certificates.First = earlier(r.Certificates.First, f.Certificates.First)
	if f.Certificates.Last.After(r.Certificates.Last) {
		r.Certificates.Last = f.Certificates.Last
	}
	sum := &r.Routes[0]
	for i := range f.Routes {
		route := &f.Routes[i]
		sum.Active += route.Active
		sum.Total += route.Total
		sum.Failed += route.Failed
		sum.BytesIn += route.BytesIn
		sum.BytesOut += route.BytesOut
		sum.Connect = addHistograms(sum.Connect, route.Connect)
	}
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func addReasons(sum, more []control.ReasonCount) []control.ReasonCount {
	for _, c := range more {
		i := slices.IndexFunc(sum, func(s control.ReasonCount) bool { return s.Reason == c.Reason })
		if i < 0 {
			sum = append(sum, c)
			continue
		}
		sum[i].Count += c.Count
	}
	return sum
}

// addHistograms sums two up. What a counts in may be changed.
func addHistograms(a, b control.Histogram) control.Histogram {
	if b.Count == 0 {
		return a
	}
	if a.Count == 0 {
		b.Counts = slices.Clone(b.Counts)
		return b
	}
	for i := range a.Counts {
		a.Counts[i] += b.Counts[i]
	}
	a.Count += b.Count
	a.Sum += b.Sum
	return a
}
