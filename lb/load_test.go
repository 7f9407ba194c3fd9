package lb

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// 200 programs talk while routes are added, drained, taken into maintenance and removed, and health flips.
// Those on the routes that stay lose nothing.
func TestConnectionsSurviveChangesAroundThem(t *testing.T) {
	const programs, length = 200, 3 * time.Second
	stays := []string{upstream(t, echo), upstream(t, echo)}
	others := []string{upstream(t, echo), upstream(t, echo), upstream(t, echo)}
	steady := PoolConfig{Strategy: LeastConnections, DrainTimeout: 100 * time.Millisecond, Backends: []Backend{{Addr: stays[0]}, {Addr: stays[1]}}}
	pool := NewPool(steady)
	var ends atomic.Int64
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(pool)})
	cfg := r.clientConfig(t, "client")
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)

	lost := make(chan error, programs)
	var running, talking sync.WaitGroup
	over := make(chan struct{})
	begin := func(from int, stay bool) {
		for i := from; i < from+programs/2; i++ {
			if stay {
				talking.Add(1)
			}
			running.Go(func() {
				if err := chat(r, cfg, over, stay, sync.OnceFunc(talking.Done), &ends); err != nil {
					lost <- fmt.Errorf("program %d: %w", i, err)
				}
			})
		}
	}
	begin(0, true) // they come before the other routes exist, so they are on routes that stay
	talking.Wait()
	begin(programs/2, false)
	time.AfterFunc(length, func() { close(over) })
	changes := 0
	for !isOver(over) {
		changed := steady
		changed.Strategy = Strategy(rand.IntN(int(IdentityHash) + 1))
		changed.Backends = append([]Backend(nil), steady.Backends...)
		for _, addr := range others {
			if rand.IntN(3) > 0 {
				changed.Backends = append(changed.Backends, Backend{Addr: addr, State: State(rand.IntN(3)), Weight: 1 + rand.IntN(5), Backup: rand.IntN(4) == 0})
			}
		}
		pool.Update(changed)
		pool.SetHealth(append(stays, others...)[rand.IntN(5)], Health{State: HealthState(rand.IntN(4))})
		changes++
		time.Sleep(2 * time.Millisecond)
	}
	running.Wait()
	close(lost)
	for err := range lost {
		t.Error(err)
	}
	eventually(t, "all slots are given back", func() bool { s := pool.Stats(); return s.Active == 0 && s.Waiting == 0 })
	t.Logf("%d changes, %d connections of those that moved ended early", changes, ends.Load())
}

func isOver(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}

// chat echoes until over. One that stays must not lose its connection, and says when it has one; another
// opens a new one.
func chat(r *rig, cfg *tls.Config, over <-chan struct{}, stay bool, talks func(), ends *atomic.Int64) error {
	if stay {
		defer talks()
	} else {
		talks = func() {}
	}
	for !isOver(over) {
		err := echoUntil(r, cfg, over, talks)
		if err == nil {
			return nil
		}
		if stay {
			return err
		}
		ends.Add(1)
	}
	return nil
}

func echoUntil(r *rig, cfg *tls.Config, over <-chan struct{}, talks func()) error {
	raw, err := net.DialTimeout("tcp", r.addr, patience)
	if err != nil {
		return err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(3 * patience))
	conn := tls.Client(raw, cfg)
	message, got := make([]byte, 1+rand.IntN(3000)), make([]byte, 3000)
	for i := range message {
		message[i] = byte(rand.Uint32())
	}
	for !isOver(over) {
		if _, err := conn.Write(message); err != nil {
			return err
		}
		for have := 0; have < len(message); {
			m, err := conn.Read(got[have:len(message)])
			if err != nil {
				return err
			}
			have += m
		}
		if string(got[:len(message)]) != string(message) {
			return errors.New("another text came back")
		}
		talks()
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	return nil
}
