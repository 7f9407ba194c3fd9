package views

import (
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestFigures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{count(0), "0"},
		{count(999), "999"},
		{count(1374), "1,374"},
		{count(int64(-1234567)), "-1,234,567"},
		{figure(0), "0"},
		{figure(-1), "0"},
		{figure(math.NaN()), "0"},
		{figure(0.421), "0.42"},
		{figure(0.004), "0"},
		{figure(6.1), "6.1"},
		{figure(6), "6"},
		{figure(62.54), "62.5"},
		{figure(412.4), "412"},
		{figure(3748), "3,748"},
		{bytesOf(0), "0 B"},
		{bytesOf(-5), "0 B"},
		{bytesOf(999), "999 B"},
		{bytesOf(1000), "1 kB"},
		{bytesOf(9_300_000), "9.3 MB"},
		{bytesOf(999_999), "1 MB"},
		{bytesOf(math.MaxInt64), "9.2 EB"},
		{bytesPerSecond(31_700_000), "31.7 MB/s"},
		{bytesPerSecond(0.4), "0 B/s"},
		{plural(1, "route"), "1 route"},
		{plural(0, "route"), "0 routes"},
		{plural(1200, "route"), "1,200 routes"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{length(-time.Second), "0 ms"},
		{length(600 * time.Microsecond), "0.6 ms"},
		{length(999900 * time.Microsecond), "1 s"},
		{length(4 * time.Second), "4 s"},
		{length(90 * time.Second), "1 min"},
		{length(2*time.Hour + 14*time.Minute), "2 h 14 min"},
		{length(61 * 24 * time.Hour), "61 days"},
		{lasted(-time.Second), "0 s"},
		{lasted(312 * time.Millisecond), "0 s"},
		{lasted(134 * time.Minute), "2 h 14 min"},
		{ago(noon, noon), "now"},
		{ago(noon, noon.Add(time.Minute)), "now"},
		{ago(noon, noon.Add(-4*time.Minute)), "4 min ago"},
		{ago(noon, noon.Add(-134*time.Minute)), "2 h ago"},
		{until(noon, noon.Add(61*24*time.Hour+time.Hour)), "in 61 days"},
		{until(noon, noon.Add(6*time.Hour)), "in 6 hours"},
		{until(noon, noon.Add(-5*24*time.Hour)), "5 days ago"},
		{span(24 * time.Hour), "1 day"},
		{span(0), "1 minute"},
		{date(noon), "23 Nov 2026"},
		{instant(noon.In(time.FixedZone("", 7200))), "23 Nov 2026 12:00 UTC"},
		{clock(noon), "12:00:00 UTC"},
		{stamp(noon), "2026-11-23T12:00:00Z"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	if got := polyline([]float64{0, 5, 10}, 100, 23); got != "0,21.5 50,11.5 100,1.5" {
		t.Errorf("polyline: %q, want %q", got, "0,21.5 50,11.5 100,1.5")
	}
	if got := area([]float64{0, 10}, 100, 23); got != "0,21.5 100,1.5 100,23 0,23" {
		t.Errorf("area: %q, want %q", got, "0,21.5 100,1.5 100,23 0,23")
	}
	if got := polyline([]float64{math.NaN(), math.Inf(1), 0}, 100, 23); got != "0,21.5 50,21.5 100,21.5" {
		t.Errorf("polyline of nonsense: %q, want %q", got, "0,21.5 50,21.5 100,21.5")
	}
	if polyline([]float64{1}, 100, 23) != "" || area(nil, 100, 23) != "" {
		t.Error("one sample is no line")
	}
	for _, c := range []struct {
		used, max int64
		want      int
	}{{7, 50, 14}, {0, 0, 0}, {9, 3, 100}, {-1, 3, 0}, {math.MaxInt64 - 1, math.MaxInt64, 100}} {
		if got := percent(c.used, c.max); got != c.want {
			t.Errorf("percent(%d, %d) = %d, want %d", c.used, c.max, got, c.want)
		}
	}
	if short("7d02b6aaaaaaaaaaf1a4") != "7d02b6…f1a4" || short("abc") != "abc" {
		t.Error("short")
	}
}
