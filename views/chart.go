package views

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// TrafficPoint is one point of the charts of a frontend; what is not known is NaN.
type TrafficPoint struct {
	Active, New, In, Out, Failed, Median, High, Wait float64 // times in seconds
}

// ChartsProps is the charts of a frontend.
type ChartsProps struct {
	FrontendID string
	Range      string // 5m, 1h or 24h
	Tables     string // "all", or the id of the one chart that is shown as a table; "" for none
	From       time.Time
	Step       time.Duration
	Points     []TrafficPoint // the first at From, a step apart
	Began      time.Time      // zero: there was no traffic
	Now        TrafficPoint   // the newest, for the figures
	Other      url.Values     // what else the address says

	Plots, PlotStyles string // URLs of the library that draws them, "" for none
}

// Chart is one of them.
type Chart struct {
	ID, Title string
	Values    []ChartValue
	Series    []ChartSeries
	Bars      bool
	Top       float64 // of the y axis
	unit      scale
}

// ChartValue is a figure over a chart.
type ChartValue struct{ Text, Unit, Name, Line string }

// ChartSeries is one line.
type ChartSeries struct {
	Name, Line, Area string // and its classes
	Points           []float64
}

// scale is a unit that figures of a chart are in.
type scale struct {
	unit string
	by   float64
}

var (
	plain   = []scale{{"", 1}}
	lengths = []scale{{"ms", 1e-3}, {"s", 1}}
	speeds  = []scale{{"B/s", 1}, {"kB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9}}
)

// charts are the six of a frontend.
func (p ChartsProps) charts() []Chart {
	of := func(get func(TrafficPoint) float64) []float64 {
		all := make([]float64, len(p.Points))
		for i, point := range p.Points {
			all[i] = get(point)
		}
		return all
	}
	failed := of(func(t TrafficPoint) float64 { return t.Failed })
	n := p.Now
	all := []Chart{
		chart("connections", chartConnections, plain, ChartSeries{Line: "k1", Area: "ka1", Points: of(func(t TrafficPoint) float64 { return t.Active })}),
		chart("new", chartNew, plain, ChartSeries{Line: "k1", Area: "ka1", Points: of(func(t TrafficPoint) float64 { return t.New })}),
		chart("traffic", chartTraffic, speeds,
			ChartSeries{Name: downWord, Line: "k1", Points: of(func(t TrafficPoint) float64 { return t.Out })},
			ChartSeries{Name: upWord, Line: "k2", Points: of(func(t TrafficPoint) float64 { return t.In })}),
		chart("connect", chartConnect, lengths,
			ChartSeries{Name: "p50", Line: "k1", Points: of(func(t TrafficPoint) float64 { return t.Median })},
			ChartSeries{Name: "p99", Line: "k3 dash", Points: of(func(t TrafficPoint) float64 { return t.High })}),
		chart("failed", chartFailed, plain, ChartSeries{Line: "kb", Area: "kfb", Points: failed}),
		chart("wait", chartWait, lengths, ChartSeries{Line: "k1", Area: "ka1", Points: of(func(t TrafficPoint) float64 { return t.Wait })}),
	}
	for i, values := range [][]float64{{n.Active}, {n.New}, {n.Out, n.In}, {n.Median, n.High}, {sum(failed)}, {n.Wait}} {
		all[i].value(values)
	}
	all[4].Bars = true
	all[4].Values[0].Unit = inRange(p.Range)
	return all
}

func chart(id, title string, units []scale, series ...ChartSeries) Chart {
	c := Chart{ID: id, Title: title, Series: series, unit: units[0]}
	top := 0.0
	for _, s := range series {
		top = max(top, highest(s.Points))
	}
	for _, u := range units {
		if top >= u.by {
			c.unit = u
		}
	}
	c.Top = niceTop(top/c.unit.by) * c.unit.by
	return c
}

// value sets the figures over the chart, of its series in turn.
func (c *Chart) value(values []float64) {
	for i, v := range values {
		text := dash
		if v == v {
			text = figure(v / c.unit.by)
		}
		c.Values = append(c.Values, ChartValue{text, c.unit.unit, c.Series[i].Name, c.Series[i].Line})
	}
}

func sum(all []float64) float64 {
	total := 0.0
	for _, v := range all {
		if v == v {
			total += v
		}
	}
	return total
}

// niceTop is the least of 2, 5, 10, 20, 50 and so on, of which nothing sticks out.
func niceTop(v float64) float64 {
	if v < 0.01 { // less than a hundredth of the smallest unit is nothing to look at
		return 2
	}
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 4, 6, 8} {
		if v <= step*ten {
			return step * ten
		}
	}
	return 10 * ten
}

// The box of a chart.
const (
	chartWidth, chartHeight            = 380, 132
	chartLeft, chartRight              = 38.0, 374.0
	chartTop, chartBottom              = 6.0, 114.0
	chartBarGap, chartBarLeast float64 = 0.5, 1
)

func chartX(i, n int) float64 {
	if n < 2 {
		return chartLeft
	}
	return chartLeft + (chartRight-chartLeft)*float64(i)/float64(n-1)
}

func (c Chart) y(v float64) float64 {
	return chartBottom - (chartBottom-chartTop)*min(v/c.Top, 1)
}

// line is the path of a series; what is not known is a gap. An area goes down to the axis at both ends of each part.
func (c Chart) line(s ChartSeries, area bool) string {
	var b strings.Builder
	open := -1
	end := func(i int) {
		if area && open >= 0 {
			b.WriteString("L" + coordinate(chartX(i, len(s.Points))) + " " + coordinate(chartBottom) + "L" + coordinate(chartX(open, len(s.Points))) + " " + coordinate(chartBottom) + "Z")
		}
		open = -1
	}
	for i, v := range s.Points {
		if v != v {
			end(i - 1)
			continue
		}
		letter := "L"
		if open < 0 {
			open = i
			letter = "M"
		}
		b.WriteString(letter + coordinate(chartX(i, len(s.Points))) + " " + coordinate(c.y(v)))
		if alone := i+1 == len(s.Points) || s.Points[i+1] != s.Points[i+1]; alone && open == i && !area {
			b.WriteString("m-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0") // a point of its own would not be seen
		}
	}
	end(len(s.Points) - 1)
	return b.String()
}

// barPath is the bars of a series.
func (c Chart) barPath(s ChartSeries) string {
	width := max((chartRight-chartLeft)/float64(max(len(s.Points), 1))-chartBarGap, chartBarLeast)
	var b strings.Builder
	for i, v := range s.Points {
		if v > 0 {
			b.WriteString("M" + coordinate(chartX(i, len(s.Points))-width/2) + " " + coordinate(chartBottom) + "V" + coordinate(c.y(v)) + "h" + coordinate(width) + "V" + coordinate(chartBottom) + "Z")
		}
	}
	return b.String()
}

// chartMark is a line of the grid, or a word under the axis.
type chartMark struct {
	at     float64
	text   string
	anchor string
	moment string
}

func (c Chart) grid() []chartMark {
	all := make([]chartMark, 0, 3)
	for _, share := range []float64{0, 0.5, 1} {
		all = append(all, chartMark{at: c.y(share * c.Top), text: figure(share * c.Top / c.unit.by)})
	}
	return all
}

// chartTicks are how far apart the words under the axis are.
var chartTicks = map[string]time.Duration{"5m": time.Minute, "1h": 10 * time.Minute, "24h": 4 * time.Hour}

// ticks are round times, and none so near an edge that it would be cut off.
func (p ChartsProps) ticks() []chartMark {
	every := chartTicks[p.Range]
	n := len(p.Points)
	if every == 0 || n < 2 {
		return nil
	}
	length := time.Duration(n-1) * p.Step
	var all []chartMark
	for at := p.From.Truncate(every).Add(every); !at.After(p.From.Add(length)); at = at.Add(every) {
		x := chartLeft + (chartRight-chartLeft)*float64(at.Sub(p.From))/float64(length)
		anchor := "middle"
		if x > chartRight-14 {
			anchor = "end"
		}
		all = append(all, chartMark{at: x, text: at.UTC().Format("15:04"), anchor: anchor, moment: stamp(at)})
	}
	return all
}

// chartRow is a row of the table behind a chart.
type chartRow struct {
	at                 time.Time
	lowest, mean, most float64
	known              bool
}

const chartRows = 30 // of a table, at most

// rows sums the points of a series up, newest first.
func (p ChartsProps) rows(s ChartSeries) []chartRow {
	each := max(1, (len(s.Points)+chartRows-1)/chartRows)
	var all []chartRow
	for i := 0; i < len(s.Points); i += each {
		row := chartRow{at: p.From.Add(time.Duration(i) * p.Step), lowest: math.Inf(1)}
		n := 0
		for _, v := range s.Points[i:min(i+each, len(s.Points))] {
			if v != v {
				continue
			}
			row.lowest = min(row.lowest, v)
			row.most = max(row.most, v)
			row.mean += v
			n++
		}
		if n > 0 {
			row.mean /= float64(n)
			row.known = true
			all = append([]chartRow{row}, all...)
		}
	}
	return all
}

func (c Chart) figure(v float64) string {
	return strings.TrimSpace(figure(v/c.unit.by) + " " + c.unit.unit)
}

func (p ChartsProps) asTable(c Chart) bool { return p.Tables == "all" || p.Tables == c.ID }

// url is the address with another range, and other tables.
func (p ChartsProps) url(span, tables string) string {
	q := url.Values{}
	for name, values := range p.Other {
		q[name] = values
	}
	for name, value := range map[string]string{"range": span, "tables": tables} {
		q.Del(name)
		if value != "" && value != trafficRanges[0].value {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return frontendURL(p.FrontendID)
	}
	return frontendURL(p.FrontendID) + "?" + q.Encode()
}

// known is whether there is anything to see in the range.
func (p ChartsProps) known() bool {
	for _, point := range p.Points {
		if point.Active == point.Active {
			return true
		}
	}
	return false
}

// data is the points of a series for scripts, oldest first; nothing stands for what is not known.
func (c Chart) data(s ChartSeries) string {
	var b strings.Builder
	for i, v := range s.Points {
		if i > 0 {
			b.WriteByte(',')
		}
		if v == v {
			b.WriteString(strconv.FormatFloat(v/c.unit.by, 'g', 4, 64))
		}
	}
	return b.String()
}
