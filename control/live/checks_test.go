package live

import (
	"testing"
	"time"

	"github.com/xdire/xlb/lb/health"
)

func TestLastChecksOfARoute(t *testing.T) {
	var l checkLogs
	const addr, timeout = "10.0.0.1:80", 2 * time.Second
	at := time.Unix(1_800_000_000, 0)
	for i := range 30 {
		r := health.Result{Took: 10 * time.Millisecond, At: at.Add(time.Duration(i) * time.Second)}
		switch i {
		case 29:
			r.Reason = health.ReasonRefused
		case 28:
			r.Took = 1500 * time.Millisecond
		}
		l.note(addr, timeout, r)
	}
	got := l.of(addr)
	if len(got.Marks) != checksKept || !got.At.Equal(at.Add(29*time.Second)) {
		t.Fatalf("%d marks, the last at %v; want %d, at %v", len(got.Marks), got.At, checksKept, at.Add(29*time.Second))
	}
	failed, slow := 0, 0
	for _, m := range got.Marks {
		if m.Failed {
			failed++
		}
		if m.Slow {
			slow++
		}
	}
	if !got.Marks[23].Failed || failed != 1 || !got.Marks[22].Slow || slow != 1 {
		t.Errorf("%+v, want the last one failed and the one before it slow, and no others", got.Marks)
	}
	l.keep(map[string]bool{})
	if got := l.of(addr); len(got.Marks) != 0 {
		t.Errorf("%d marks of a route that is not checked any more, want none", len(got.Marks))
	}
}
