package lb

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// refuses runs connect against a server and expects one refusal, with this reason.
func refuses(t *testing.T, cfg Config, want Reason, connect func(r *rig)) Event {
	t.Helper()
	if cfg.Admit == nil {
		cfg.Admit = to(poolOf(upstream(t, echo)))
	}
	cfg.TLS = &tls.Config{}
	r := newRig(t, cfg)
	connect(r)
	e := r.next(t, Refused, 0)
	if e.Reason != want {
		t.Errorf("reason %s (%v), want %s", e.Reason, e.Err, want)
	}
	if s := r.Stats(); s.Refused[want] != 1 {
		t.Errorf("stats: %+v", s)
	}
	return e
}

// alertOf does the handshake and reads: in TLS 1.3 that is where a client hears that it was refused.
func alertOf(t *testing.T, r *rig, cfg *tls.Config) error {
	t.Helper()
	conn, err := r.dialTLS(t, cfg)
	if err != nil {
		return err
	}
	io.WriteString(conn, "the first request is on its way already")
	_, err = conn.Read(make([]byte, 1))
	return err
}

func TestEveryFailedHandshakeHasItsReason(t *testing.T) {
	t.Run("no certificate", func(t *testing.T) {
		refuses(t, Config{}, ReasonNoCert, func(r *rig) {
			cfg := r.clientConfig(t, "x")
			cfg.Certificates = nil
			if err := alertOf(t, r, cfg); err == nil || !strings.Contains(err.Error(), "certificate required") {
				t.Errorf("the client saw %v", err)
			}
		})
	})
	t.Run("the client distrusts the server", func(t *testing.T) {
		refuses(t, Config{}, ReasonUntrusted, func(r *rig) {
			cfg := r.clientConfig(t, "x")
			cfg.RootCAs = newAuthority(t).Pool()
			if err := alertOf(t, r, cfg); err == nil {
				t.Error("it trusts")
			}
		})
	})
	t.Run("old TLS", func(t *testing.T) {
		e := refuses(t, Config{}, ReasonOldTLS, func(r *rig) {
			cfg := r.clientConfig(t, "x")
			cfg.MaxVersion = tls.VersionTLS12
			if err := alertOf(t, r, cfg); err == nil || !strings.Contains(err.Error(), "protocol version") {
				t.Errorf("the client saw %v", err)
			}
		})
		if e.Detail != "TLS 1.2" {
			t.Errorf("detail %q, want %q", e.Detail, "TLS 1.2")
		}
	})
	t.Run("key of another certificate", func(t *testing.T) {
		e := refuses(t, Config{}, ReasonKeyMismatch, func(r *rig) {
			cfg := r.clientConfig(t, "x")
			cfg.Certificates[0].PrivateKey = newKey(t)
			alertOf(t, r, cfg)
		})
		if e.Leaf == nil {
			t.Error("no leaf")
		}
	})
	t.Run("refused by Admit", func(t *testing.T) {
		admit := func(tls.ConnectionState) (Admission, error) {
			return Admission{}, &Refusal{Reason: reasonRevoked, Detail: "since yesterday"}
		}
		e := refuses(t, Config{Admit: admit}, reasonRevoked, func(r *rig) {
			if err := alertOf(t, r, r.clientConfig(t, "x")); err == nil || !strings.Contains(err.Error(), "bad certificate") {
				t.Errorf("the client saw %v", err)
			}
		})
		if e.Leaf == nil || e.Leaf.Subject.CommonName != "x" || e.Detail != "since yesterday" {
			t.Errorf("event %+v", e)
		}
	})
	t.Run("refused by Admit without a reason", func(t *testing.T) {
		admit := func(tls.ConnectionState) (Admission, error) { return Admission{}, errors.New("broken") }
		refuses(t, Config{Admit: admit}, ReasonInternal, func(r *rig) { alertOf(t, r, r.clientConfig(t, "x")) })
	})
	t.Run("plain HTTP", func(t *testing.T) {
		e := refuses(t, Config{}, ReasonNotTLS, func(r *rig) {
			conn := r.dialPlain(t)
			mustWrite(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Fatalf("%v, %v", resp, err)
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), "https://") {
				t.Errorf("body %q", text)
			}
		})
		if e.Detail != "HTTP" {
			t.Errorf("detail %q, want %q", e.Detail, "HTTP")
		}
	})
	t.Run("other bytes", func(t *testing.T) {
		refuses(t, Config{}, ReasonNotTLS, func(r *rig) { mustWrite(t, r.dialPlain(t), "*1\r\n$4\r\nPING\r\n") })
	})
	t.Run("silence", func(t *testing.T) {
		refuses(t, Config{HandshakeTimeout: 50 * time.Millisecond}, ReasonSilent, func(r *rig) { r.dialPlain(t) })
	})
	t.Run("half a handshake", func(t *testing.T) {
		refuses(t, Config{HandshakeTimeout: 50 * time.Millisecond}, ReasonSilent, func(r *rig) {
			mustWrite(t, r.dialPlain(t), "\x16\x03\x01\x02\x00\x01")
		})
	})
	t.Run("hang-up", func(t *testing.T) {
		refuses(t, Config{}, ReasonHungUp, func(r *rig) { r.dialPlain(t).Close() })
	})
	t.Run("reset", func(t *testing.T) {
		refuses(t, Config{}, ReasonHungUp, func(r *rig) {
			conn := r.dialPlain(t)
			mustWrite(t, conn, "\x16\x03\x01")
			conn.SetLinger(0)
			conn.Close()
		})
	})
}

func TestApplicationProtocolNeverRefuses(t *testing.T) {
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo)))})
	for _, c := range []struct {
		offered []string
		want    string
	}{
		{nil, ""}, {[]string{"postgresql"}, "postgresql"}, {[]string{"h2"}, "h2"},
		{[]string{"h2", "http/1.1"}, "http/1.1"}, {[]string{"h2", "grpc"}, ""}, {[]string{"made-up"}, "made-up"},
	} {
		cfg := r.clientConfig(t, "x")
		cfg.NextProtos = c.offered
		conn, err := r.dialTLS(t, cfg)
		if err != nil {
			t.Errorf("%q: %v", c.offered, err)
			continue
		}
		mustWrite(t, conn, "x")
		mustRead(t, conn, "x")
		if got := conn.ConnectionState().NegotiatedProtocol; got != c.want {
			t.Errorf("%q: got %q, want %q", c.offered, got, c.want)
		}
		conn.Close()
	}
	for range maxALPN + 10 { // what strangers offer is not remembered without bound
		r.alpn.get(rand6())
	}
	if n := len(r.alpn.configs); n > maxALPN {
		t.Errorf("%d configs are kept", n)
	}
}

var counter atomic.Int64

func rand6() string { return "p" + strings.Repeat("x", int(counter.Add(1))) }

// Sessions are resumed, and Admit is asked all the same, also for the ones with a protocol of their own.
func TestResumedSessionsAreAdmittedAgain(t *testing.T) {
	for _, protos := range [][]string{nil, {"postgresql"}} {
		var closed atomic.Bool
		pool := poolOf(upstream(t, echo))
		r := newRig(t, Config{TLS: &tls.Config{}, Admit: func(s tls.ConnectionState) (Admission, error) {
			if len(s.PeerCertificates) == 0 {
				t.Error("no certificate in the state")
			}
			if closed.Load() {
				return Admission{}, &Refusal{Reason: reasonRevoked}
			}
			return Admission{Pool: pool}, nil
		}})
		cfg := r.clientConfig(t, "x")
		cfg.NextProtos = protos
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		for i := range 3 {
			conn, err := r.dialTLS(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, conn, "x")
			mustRead(t, conn, "x")
			if resumed := conn.ConnectionState().DidResume; resumed != (i > 0) {
				t.Errorf("%q, connection %d: resumed %v, want %v", protos, i, resumed, (i > 0))
			}
			conn.Close()
			if e := r.next(t, Accepted, i); e.Resumed != (i > 0) || e.Leaf == nil {
				t.Errorf("event %+v", e)
			}
		}
		closed.Store(true)
		if err := alertOf(t, r, cfg); err == nil {
			t.Error("a resumed session of a revoked certificate was served")
		}
		if e := r.next(t, Refused, 0); e.Reason != reasonRevoked || !e.Resumed {
			t.Errorf("event %+v", e)
		}
	}
}

// What is withdrawn between the handshake and the registration is noticed.
func TestAdmissionIsAskedAgainAfterRegistration(t *testing.T) {
	var asked atomic.Int64
	pool := poolOf(upstream(t, echo))
	admit := func(tls.ConnectionState) (Admission, error) {
		if asked.Add(1) == 2 { // the first time was in the handshake
			return Admission{}, &Refusal{Reason: reasonRevoked}
		}
		return Admission{Pool: pool, Keys: []string{"k"}}, nil
	}
	refuses(t, Config{Admit: admit}, reasonRevoked, func(r *rig) {
		if err := alertOf(t, r, r.clientConfig(t, "x")); err == nil {
			t.Error("it was served")
		}
	})
	if pool.Stats().Total != 0 {
		t.Error("a backend was dialled")
	}
	asked.Store(10)
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: admit})
	open(t, r)
	if n := asked.Load() - 10; n != 2 {
		t.Errorf("asked %d times for one connection, want 2", n)
	}
}

// Those who connect and say nothing do not keep others out.
func TestSilentHandshakesGiveWay(t *testing.T) {
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo))), MaxHandshakes: 8})
	for range 20 {
		r.dialPlain(t)
	}
	eventually(t, "a full gate", func() bool { return r.Stats().Refused[ReasonHandshakeLimit] == 12 && r.Stats().Handshaking == 8 })
	conn := r.dial(t)
	mustWrite(t, conn, "x")
	mustRead(t, conn, "x")
}

// A server that has the keys of another resumes its sessions, whatever the protocol; keys that are replaced open tickets as long
// as they are kept.
func TestTicketKeysResumeElsewhere(t *testing.T) {
	pool := poolOf(upstream(t, echo))
	keys := [][32]byte{{1}, {2}, {3}}
	for _, protos := range [][]string{nil, {"postgresql"}} {
		first := newRig(t, Config{TLS: &tls.Config{}, Admit: to(pool)})
		second := newRig(t, Config{TLS: &tls.Config{}, Admit: to(pool)})
		cfg := first.clientConfig(t, "x")
		cfg.NextProtos = protos
		cfg.RootCAs = nil
		cfg.InsecureSkipVerify = true // the second one has another authority
		cfg.ServerName = "localhost"  // under which sessions are kept
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		for i, step := range []struct {
			rig  *rig
			keys [][32]byte
			want bool
		}{
			{first, keys[:1], false}, {second, keys[:1], true}, {first, [][32]byte{keys[1], keys[0]}, true},
			{second, keys[1:2], true}, {second, keys[2:], false},
		} {
			step.rig.SetTicketKeys(step.keys)
			conn, err := step.rig.dialTLS(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, conn, "x")
			mustRead(t, conn, "x")
			if resumed := conn.ConnectionState().DidResume; resumed != step.want {
				t.Errorf("%q, step %d: resumed %t, want %t", protos, i, resumed, step.want)
			}
			conn.Close()
		}
	}
}
