package views

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// count writes 1374 as 1,374.
func count[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	sign := ""
	if s[0] == '-' {
		sign = "-"
		s = s[1:]
	}
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return sign + b.String()
}

// figure writes at most three digits that say something: 0.42, 6.1, 62.5, 412.
func figure(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
		return "0"
	}
	var s string
	switch {
	case v >= 999.5:
		return count(int64(math.Round(v)))
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 0.95:
		s = strconv.FormatFloat(v, 'f', 1, 64)
	default:
		s = strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

var byteUnits = [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}

// scaled splits a number of bytes into a figure and its unit, by thousands.
func scaled(v float64) (string, string) {
	if math.IsNaN(v) || v < 0 {
		v = 0
	}
	unit := 0
	for v >= 999.5 && unit < len(byteUnits)-1 {
		v /= 1000
		unit++
	}
	if unit == 0 {
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64), byteUnits[0]
	}
	return figure(v), byteUnits[unit]
}

// bytesOf writes a number of bytes: 0 B, 14 B, 9.3 MB.
func bytesOf(n int64) string {
	v, unit := scaled(float64(n))
	return v + " " + unit
}

// bytesPerSecond writes a rate: 9.3 MB/s.
func bytesPerSecond(v float64) string {
	n, unit := scaled(v)
	return n + " " + unit + "/s"
}

// length writes a duration with the two units that matter: 0.6 ms, 4 s, 2 h 14 min, 61 days.
func length(d time.Duration) string {
	switch {
	case d < 0:
		return length(0)
	case d < 999500*time.Microsecond:
		return figure(float64(d)/float64(time.Millisecond)) + " ms"
	case d < 60*time.Second:
		return strconv.Itoa(int(max(d, time.Second)/time.Second)) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		h := int(d / time.Hour)
		m := int(d % time.Hour / time.Minute)
		if m == 0 {
			return strconv.Itoa(h) + " h"
		}
		return fmt.Sprintf("%d h %d min", h, m)
	}
	return plural(int(d/(24*time.Hour)), "day")
}

// lasted writes how long something has lasted, in no less than whole seconds: 0 s, 4 s, 2 h 14 min.
func lasted(d time.Duration) string {
	if d < time.Second {
		return "0 s"
	}
	return length(d)
}

// ago writes how long before now something was.
func ago(now, then time.Time) string {
	d := now.Sub(then)
	if d < time.Second {
		return "now"
	}
	if d < 48*time.Hour && d >= time.Hour {
		d = d.Truncate(time.Hour)
	}
	return length(d) + " ago"
}

// until writes how far after now something is: "in 61 days"; what has passed is "ago".
func until(now, then time.Time) string {
	d := then.Sub(now)
	if d <= 0 {
		return ago(now, then)
	}
	return "in " + span(d)
}

// span writes a lifetime in whole days, or hours on the last day.
func span(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return plural(int(d/(24*time.Hour)), "day")
	case d >= time.Hour:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(max(int(d/time.Minute), 1), "minute")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}

// date writes a day: 23 Jan 2027.
func date(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

// instant writes a time in full: 23 Nov 2026 14:32 UTC.
func instant(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }

// clock writes the time of day: 14:32:07 UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// stamp is the machine's form of a time, for the datetime attribute.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// short leaves the ends of a long id: 7d02b6…f1a4.
func short(id string) string {
	if len(id) <= 14 {
		return id
	}
	return id[:6] + "…" + id[len(id)-4:]
}

// percent is the share of use in max, from 0 to 100.
func percent(used, max int64) int {
	if max <= 0 || used <= 0 {
		return 0
	}
	if used >= max {
		return 100
	}
	return int(float64(used) / float64(max) * 100)
}

// polyline turns samples into the points of an SVG polyline in a box; the top of the box is the
// highest sample, its bottom is 0.
func polyline(samples []float64, width, height float64) string {
	if len(samples) < 2 {
		return ""
	}
	top := 0.0
	for _, v := range samples {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			top = max(top, v)
		}
	}
	const margin = 1.5
	var b strings.Builder
	step := width / float64(len(samples)-1)
	for i, v := range samples {
		y := height - margin
		if top > 0 && v > 0 && !math.IsInf(v, 0) {
			y -= v / top * (height - 2*margin)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(coordinate(float64(i) * step))
		b.WriteByte(',')
		b.WriteString(coordinate(y))
	}
	return b.String()
}

// area closes a polyline along the bottom of its box.
func area(samples []float64, width, height float64) string {
	line := polyline(samples, width, height)
	if line == "" {
		return ""
	}
	return line + " " + coordinate(width) + "," + coordinate(height) + " 0," + coordinate(height)
}

func coordinate(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}
