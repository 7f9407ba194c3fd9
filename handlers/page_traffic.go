package handlers

import (
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// trafficRanges are the ranges of the charts, as the address has them, with how many steps one point of a chart has: a
// chart has at most 240 of them.
var trafficRanges = map[string]struct {
	span control.Span
	each int
}{"5m": {control.FiveMinutes, 2}, "1h": {control.OneHour, 2}, "24h": {control.OneDay, 3}}

// charts is the traffic of a frontend in the range that q asks for.
func (p *Pages) charts(r *http.Request, f views.Frontend, q url.Values) (views.ChartsProps, error) {
	chosen := q.Get("range")
	span, known := trafficRanges[chosen]
	if !known {
		chosen = "5m"
		span = trafficRanges[chosen]
	}
	t, err := p.Control.Traffic(r.Context(), f.ID, span.span)
	if err != nil {
		return views.ChartsProps{}, err
	}
	step := t.Step * time.Duration(span.each)
	until := time.Now().Truncate(step)
	props := views.ChartsProps{
		FrontendID: f.ID, Range: chosen, Tables: q.Get("tables"), Step: step, From: until.Add(-span.span.Length()), Began: t.Began,
		Plots: p.Asset("uplot.js"), PlotStyles: p.Asset("uplot.css"),
		Points: pointsFrom(t.Points, until.Add(-span.span.Length()), step, int(span.span.Length()/step)), Other: url.Values{},
	}
	if page := q.Get("routes"); page != "" {
		props.Other.Set("routes", page)
	}
	props.Now = noPoint
	if n := len(props.Points); n > 0 {
		props.Now = props.Points[n-1]
		props.Now.Active = float64(f.Connections)
	}
	return props, nil
}

var noPoint = views.TrafficPoint{
	Active: math.NaN(), New: math.NaN(), In: math.NaN(), Out: math.NaN(), Failed: math.NaN(), Median: math.NaN(), High: math.NaN(), Wait: math.NaN(),
}

// pointsFrom puts what is known into n steps from a moment on: means of what has a level, sums of what is counted, and
// the longest of what was waited for.
func pointsFrom(known []control.Point, from time.Time, step time.Duration, n int) []views.TrafficPoint {
	points := make([]views.TrafficPoint, n)
	counts := make([]float64, n)
	for i := range points {
		points[i] = noPoint
	}
	for _, k := range known {
		i := int(k.At.Sub(from) / step)
		if k.At.Before(from) || i >= n || k.Active != k.Active {
			continue
		}
		to := &points[i]
		if counts[i]++; counts[i] == 1 {
			*to = views.TrafficPoint{Median: math.NaN(), High: math.NaN()}
		}
		to.Active += (k.Active - to.Active) / counts[i]
		to.In += (k.In - to.In) / counts[i]
		to.Out += (k.Out - to.Out) / counts[i]
		to.New += k.New / step.Seconds()
		to.Failed += k.Failed
		to.Median = larger(to.Median, k.Median)
		to.High = larger(to.High, k.High)
		to.Wait = max(to.Wait, k.Wait)
	}
	return points
}

// larger is the larger of two numbers of which one may not be known.
func larger(a, b float64) float64 {
	switch {
	case a != a:
		return b
	case b != b:
		return a
	}
	return max(a, b)
}

// Bounds of the drawing of where connections come from and where they go.
const (
	flowIdentities = 6
	flowRoutes     = 8
)

// flow is where the connections of a frontend come from and where they go.
func (p *Pages) flow(r *http.Request, f views.Frontend) (views.Flow, error) {
	from, err := p.Control.Identities(r.Context(), f.ID)
	if err != nil {
		return views.Flow{}, err
	}
	drawn := views.Flow{Active: f.Connections, MoreFrom: max(0, len(from)-flowIdentities), MoreTo: max(0, len(f.Routes)-flowRoutes)}
	for _, one := range from[:min(len(from), flowIdentities)] {
		name := one.Name
		if name == "" {
			name = views.WithoutName(one.Serial)
		}
		drawn.From = append(drawn.From, views.FlowEnd{Name: name, Active: one.Active})
	}
	for _, one := range mostFirst(f.Routes)[:min(len(f.Routes), flowRoutes)] {
		drawn.To = append(drawn.To, views.FlowEnd{Name: one.Dest, State: one.State, Active: one.Active})
	}
	return drawn, nil
}
