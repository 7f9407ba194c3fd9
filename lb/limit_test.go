package lb

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

func admit(a Admission) func(tls.ConnectionState) (Admission, error) {
	return func(tls.ConnectionState) (Admission, error) { return a, nil }
}

func TestConnectionsPerSecondAreBounded(t *testing.T) {
	limit := &Limit{}
	limit.SetRate(3)
	r := newRig(t, Config{Admit: admit(Admission{Pool: poolOf(upstream(t, echo)), Limits: []*Limit{limit}})})
	for range 3 {
		conn := r.dial(t)
		mustWrite(t, conn, "x")
		mustRead(t, conn, "x")
	}
	r.dial(t)
	if e := r.next(t, Closed, 0); e.Reason != ReasonRateLimit {
		t.Errorf("the fourth in a second ended with %q, want %q", e.Reason, ReasonRateLimit)
	}
	if n := limit.InUse(); n != 3 {
		t.Errorf("%d in use, want 3", n)
	}
	limit.SetRate(0)
	conn := r.dial(t)
	mustWrite(t, conn, "x")
	mustRead(t, conn, "x")
}

func TestRefusedConnectionGivesOtherLimitsBack(t *testing.T) {
	free, full := NewLimit(10), NewLimit(1)
	limits := []*Limit{free, nil, full}
	if reason := acquireAll(limits); reason != "" {
		t.Fatal(reason)
	}
	if reason := acquireAll(limits); reason != ReasonConnLimit || free.InUse() != 1 || full.InUse() != 1 {
		t.Errorf("%q, %d and %d in use", reason, free.InUse(), full.InUse())
	}
	releaseAll(limits)
	if free.InUse() != 0 || full.InUse() != 0 {
		t.Errorf("%d and %d in use", free.InUse(), full.InUse())
	}
}

// Streams share a limit evenly, and little more than the
// rate passes from the first moment on.
func TestBandwidthIsSharedEvenly(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		const rate, length = 2_000_000, 1500 * time.Millisecond
		limit := &Limit{}
		limit.SetBandwidth(rate)
		pool := poolOf(upstream(t, func(conn *net.TCPConn) {
			go io.Copy(io.Discard, conn)
			io.Copy(conn, zeros{}) // until the reset
		}))
		r := newRig(t, Config{TLS: with, Admit: admit(Admission{Pool: pool, Limits: []*Limit{limit}, Keys: []string{"k"}})})
		for range 4 {
			conn := r.dial(t)
			go io.Copy(io.Discard, conn)
		}
		eventually(t, "all four", func() bool { return len(r.Connections("k")) == 4 })
		start, before := time.Now(), map[uint64]int64{}
		for _, c := range r.Connections("k") {
			before[c.ID] = c.BytesOut
		}
		time.Sleep(length)
		var all []int64
		sum := int64(0)
		for _, c := range r.Connections("k") {
			all = append(all, c.BytesOut-before[c.ID])
			sum += c.BytesOut
		}
		took := time.Since(start)
		t.Logf("%v in %v", all, took)
		if least, most := slices.Min(all), slices.Max(all); float64(most) > 1.2*float64(least) {
			t.Errorf("shares %v", all)
		}
		if most := rate * (took.Seconds() + 0.4); float64(sum) > most { // dialling took a moment, too
			t.Errorf("%d bytes in %v, want at most %.0f", sum, took, most)
		}
		if least := rate * (took.Seconds() - 0.4); float64(sum) < least {
			t.Errorf("%d bytes in %v, want at least %.0f", sum, took, least)
		}
	})
}

func TestPacer(t *testing.T) {
	var p pacer
	now := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	if p.owe(1<<40, now) != 0 || p.small() {
		t.Error("without a rate it is a bound")
	}
	p.perSecond.Store(1000)
	for _, step := range []struct {
		after time.Duration
		n     int
		want  time.Duration
	}{
		{0, 50, 0}, // a twentieth of a second's worth at once
		{0, 50, 50 * time.Millisecond},
		{0, 50, 100 * time.Millisecond}, // in order
		{150 * time.Millisecond, 0, 0},
		{time.Hour, 150, 100 * time.Millisecond}, // a quiet hour is worth no more
	} {
		now = now.Add(step.after)
		if got := p.owe(step.n, now); got != step.want {
			t.Errorf("%d bytes after %v: %v, want %v", step.n, step.after, got, step.want)
		}
	}
	if !p.small() {
		t.Error("large pieces at 1 kB/s")
	}
	p.perSecond.Store(1 << 30)
	if p.small() {
		t.Error("small pieces at 1 GB/s")
	}
}

func TestConnectionsHaveTimesOfTheirOwn(t *testing.T) {
	cases := map[string]struct {
		admission Admission
		reason    Reason
	}{
		"idle":     {Admission{IdleTimeout: 50 * time.Millisecond}, ReasonIdle},
		"lifetime": {Admission{MaxLifetime: 50 * time.Millisecond}, ReasonLifetime},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.admission.Pool = poolOf(upstream(t, echo))
			tc.admission.KeepAlive = time.Minute
			r := newRig(t, Config{Admit: admit(tc.admission), CloseTimeout: 400 * time.Millisecond}) // so that the sweeper is quick
			conn := r.dial(t)
			mustWrite(t, conn, "x")
			mustRead(t, conn, "x")
			if e := r.next(t, Closed, 0); e.Reason != tc.reason {
				t.Errorf("ended with %q, want %q", e.Reason, tc.reason)
			}
		})
	}
}

func TestBucketHoldsASecondsWorth(t *testing.T) {
	var b bucket
	b.set(10)
	now := time.Unix(1000, 0)
	for i := range 10 {
		if !b.take(1, now) {
			t.Fatalf("token %d was not there", i)
		}
	}
	if b.take(1, now) || !b.take(1, now.Add(100*time.Millisecond)) || b.take(1, now.Add(100*time.Millisecond)) {
		t.Error("tokens do not come back at the rate")
	}
	if b.take(11, now.Add(time.Hour)) || !b.take(10, now.Add(time.Hour)) {
		t.Error("the bucket holds not just a second's worth")
	}
}
