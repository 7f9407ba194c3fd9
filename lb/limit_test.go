package lb

import (
	"crypto/tls"
	"io"
	"net"
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
		t.Errorf("the fourth in a second ended with %q", e.Reason)
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

// A second's worth passes at once, the rest at the rate; two streams share it.
func TestBandwidthIsShared(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		const rate = 400_000
		limit := &Limit{}
		limit.SetBandwidth(rate)
		pool := poolOf(upstream(t, func(conn *net.TCPConn) { conn.Write(make([]byte, rate)) }))
		r := newRig(t, Config{TLS: with, Admit: admit(Admission{Pool: pool, Limits: []*Limit{limit}})})
		start := time.Now()
		one, two := r.dial(t), r.dial(t)
		for _, conn := range []io.Reader{one, two} {
			if n, err := io.Copy(io.Discard, conn); n != rate || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}
		if took := time.Since(start); took < 600*time.Millisecond || took > 4*time.Second {
			t.Errorf("800 kB at 400 kB/s took %v", took)
		}
	})
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
				t.Errorf("ended with %q", e.Reason)
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
	if owed := b.owe(20, now.Add(time.Hour)); owed != 2*time.Second {
		t.Errorf("20 at 10 a second: wait %v", owed)
	}
}
