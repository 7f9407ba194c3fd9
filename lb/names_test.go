package lb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// dnsZone is a DNS server on loopback whose answers a test can change.
type dnsZone struct {
	mu       sync.Mutex
	names    map[string][]netip.Addr
	broken   bool          // answers SERVFAIL
	delay    time.Duration // of every answer
	asked    map[string]int
	inFlight map[string]int
	most     int // names asked for at once

	closed    bool
	resolvers []net.Conn
}

// newZone returns the zone and a resolver that asks nobody else.
func newZone(t testing.TB) (*dnsZone, *net.Resolver) {
	t.Helper()
	z := &dnsZone{names: map[string][]netip.Addr{}, asked: map[string]int{}, inFlight: map[string]int{}}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			packet := make([]byte, 512)
			size, from, err := socket.ReadFrom(packet)
			if err != nil {
				return
			}
			running.Go(func() { socket.WriteTo(z.reply(packet[:size]), from) })
		}
	})
	t.Cleanup(func() {
		z.hangUp()
		socket.Close()
		running.Wait()
	})
	return z, &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return z.dial(socket.LocalAddr().String())
	}}
}

// dial remembers the resolver's connections: net.Resolver keeps a question open for seconds after its
// context has ended.
func (z *dnsZone) dial(addr string) (net.Conn, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.closed {
		return nil, net.ErrClosed
	}
	conn, err := net.Dial("udp", addr)
	if err == nil {
		z.resolvers = append(z.resolvers, conn)
	}
	return conn, err
}

func (z *dnsZone) hangUp() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.closed = true
	for _, conn := range z.resolvers {
		conn.Close()
	}
}

// set changes an answer.
func (z *dnsZone) set(name string, addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names[name] = nil
	for _, a := range addresses {
		z.names[name] = append(z.names[name], netip.MustParseAddr(a))
	}
}

func (z *dnsZone) breakDown(broken bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.broken = broken
}

func (z *dnsZone) questions(name string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[name]
}

// enter counts who asks, and returns the answer to a question.
func (z *dnsZone) enter(name string) (addresses []netip.Addr, known, broken bool, delay time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked[name]++
	z.inFlight[name]++
	z.most = max(z.most, len(z.inFlight))
	addresses, known = z.names[name]
	delay = z.delay
	if strings.HasPrefix(name, "silent") {
		delay = time.Second
	}
	return addresses, known, z.broken, delay
}

func (z *dnsZone) leave(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.inFlight[name]--; z.inFlight[name] == 0 {
		delete(z.inFlight, name)
	}
}

// reply answers a query with one question (RFC 1035, section 4.1).
func (z *dnsZone) reply(query []byte) []byte {
	const headerSize, typeA, typeAAAA, serverFailure, nameError = 12, 1, 28, 2, 3
	var labels []string
	at := headerSize
	for query[at] != 0 {
		labels = append(labels, string(query[at+1:at+1+int(query[at])]))
		at += 1 + int(query[at])
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	name := strings.ToLower(strings.Join(labels, "."))
	addresses, known, broken, delay := z.enter(name)
	time.Sleep(delay)
	z.leave(name)
	answer := append([]byte{query[0], query[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, query[headerSize:at+5]...)
	switch {
	case broken:
		answer[3] = serverFailure
	case !known:
		answer[3] = nameError
	default:
		for _, a := range addresses {
			if a.Is4() != (kind == typeA) || !a.Is4() && kind != typeAAAA {
				continue
			}
			answer[7]++
			answer = append(answer, 0xC0, headerSize, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(a.BitLen()/8)) // a pointer to the name
			answer = append(answer, a.AsSlice()...)
		}
	}
	return answer
}

// runNames runs names until the test ends, and returns the keys that changed.
func runNames(t testing.TB, cfg NamesConfig) (*Names, chan string) {
	t.Helper()
	changed := make(chan string, 100)
	cfg.Changed = func(key string) { changed <- key }
	n := NewNames(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Run: %v, want %v", err, context.Canceled)
		}
	})
	return n, changed
}

func hears(t testing.TB, changed chan string, want ...string) {
	t.Helper()
	var got []string
	for range want {
		select {
		case key := <-changed:
			got = append(got, key)
		case <-time.After(patience):
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Fatalf("heard %q, want %q", got, want)
	}
}

func expands(t testing.TB, n *Names, route string, want ...string) {
	t.Helper()
	if got := n.Expand(nil, route); !slices.Equal(got, want) {
		t.Errorf("%s is %q, want %q", route, got, want)
	}
}

func TestNamesKeepUpWithTheZone(t *testing.T) {
	zone, resolver := newZone(t)
	zone.set("db.test", "10.0.0.2", "10.0.0.1", "10.0.0.1")
	n, changed := runNames(t, NamesConfig{Network: "ip", Resolver: resolver, Interval: 10 * time.Millisecond})
	n.Set(nil, "pool", []string{"DB.test:5432", "db.test:5433", "10.9.9.9:1", "[::1]:2", "nonsense", ":80"})
	hears(t, changed, "pool")
	expands(t, n, "db.test:5432", "10.0.0.1:5432", "10.0.0.2:5432")
	expands(t, n, "DB.TEST:5433", "10.0.0.1:5433", "10.0.0.2:5433")
	for _, route := range []string{"10.9.9.9:1", "[::1]:2", "nonsense", ":80", "other.test:1"} {
		expands(t, n, route, route)
	}

	zone.set("db.test", "2001:db8::1", "10.0.0.2")
	hears(t, changed, "pool")
	want := []string{"10.0.0.2:5432", "[2001:db8::1]:5432"}
	eventually(t, "both families", func() bool { return slices.Equal(n.Expand(nil, "db.test:5432"), want) })

	for len(changed) > 0 {
		<-changed // a look-up may have seen one family before the change and one after
	}
	zone.set("db.test", "10.0.0.2", "2001:db8::1") // another order is no change
	asked := zone.questions("db.test")
	eventually(t, "asked again", func() bool { return zone.questions("db.test") > asked+4 })
	if len(changed) > 0 {
		t.Errorf("heard %q", <-changed)
	}
}

func TestNamesKeepTheLastGoodAnswer(t *testing.T) {
	zone, resolver := newZone(t)
	zone.set("db.test", "10.0.0.1")
	n, changed := runNames(t, NamesConfig{Resolver: resolver, Interval: 10 * time.Millisecond})
	if state := n.State(nil, "db.test"); !state.LastGood.IsZero() || state.Err != nil {
		t.Errorf("before: %+v", state)
	}
	n.Set(nil, "pool", []string{"db.test:1", "missing.test:1"})
	hears(t, changed, "pool", "pool") // one has addresses, the other one has none
	zone.breakDown(true)
	hears(t, changed, "pool")
	eventually(t, "a failure", func() bool { return n.State(nil, "db.test").Err != nil })
	good := n.State(nil, "db.test").LastGood
	expands(t, n, "db.test:1", "10.0.0.1:1")
	eventually(t, "NXDOMAIN", func() bool { return n.State(nil, "missing.test").Err != nil })
	expands(t, n, "missing.test:1", "missing.test:1")
	zone.set("db.test", "10.0.0.7")
	zone.breakDown(false)
	hears(t, changed, "pool")
	eventually(t, "recovery", func() bool { return n.State(nil, "DB.test").Err == nil })
	if state := n.State(nil, "db.test"); !state.LastGood.After(good) || len(state.Addresses) != 1 {
		t.Errorf("after: %+v", state)
	}
}

func TestNamesAreSharedByKeysAndForgotten(t *testing.T) {
	zone, resolver := newZone(t)
	zone.set("a.test", "10.0.0.1")
	zone.set("b.test", "10.0.0.2")
	n, changed := runNames(t, NamesConfig{Resolver: resolver, Interval: 10 * time.Millisecond})
	n.Set(nil, "one", []string{"a.test:1"})
	hears(t, changed, "one")
	n.Set(nil, "two", []string{"a.test:1"})
	expands(t, n, "a.test:1", "10.0.0.1:1") // known already: no news
	zone.set("a.test", "10.0.0.3")
	hears(t, changed, "one", "two")
	n.Set(nil, "one", []string{"b.test:1"})
	hears(t, changed, "one")
	n.Set(nil, "two", nil)
	expands(t, n, "a.test:1", "a.test:1")
	expands(t, n, "b.test:1", "10.0.0.2:1")
	asked := zone.questions("b.test")
	eventually(t, "asked for b", func() bool { return zone.questions("b.test") > asked+2 })
	forgotten := zone.questions("a.test")
	eventually(t, "asked for b", func() bool { return zone.questions("b.test") > asked+6 })
	if again := zone.questions("a.test"); again != forgotten {
		t.Errorf("a name that nobody uses was asked for %d times", again-forgotten)
	}
}

func TestNamesOfOneFamily(t *testing.T) {
	zone, resolver := newZone(t)
	zone.set("db.test", "10.0.0.1", "2001:db8::1")
	for network, want := range map[string]string{"": "10.0.0.1:1", "ip4": "10.0.0.1:1", "ip6": "[2001:db8::1]:1"} {
		n, changed := runNames(t, NamesConfig{Resolver: resolver, Network: network})
		n.Set(nil, "pool", []string{"db.test:1"})
		hears(t, changed, "pool")
		expands(t, n, "db.test:1", want)
	}
}

func TestNamesAreLookedUpAFewAtATime(t *testing.T) {
	zone, resolver := newZone(t)
	zone.delay = 10 * time.Millisecond
	n, changed := runNames(t, NamesConfig{Resolver: resolver, Share: 2})
	var want []string
	for i := range 8 {
		zone.set(fmt.Sprintf("%d.test", i), "10.0.0.1")
		want = append(want, fmt.Sprintf("pool %d", i))
		n.Set(nil, want[i], []string{fmt.Sprintf("%d.test:1", i)})
	}
	hears(t, changed, want...)
	zone.mu.Lock()
	defer zone.mu.Unlock()
	if zone.most > 2 {
		t.Errorf("%d names at once", zone.most)
	}
}

// Names of one group that never answer do not hold up those of another, and no group has the names of another.
func TestNamesHaveSharesByGroup(t *testing.T) {
	zone, resolver := newZone(t)
	zone.set("db.test", "10.0.0.1")
	over := make(chan struct{})
	t.Cleanup(func() { close(over) }) // after Run has ended
	n, changed := runNames(t, NamesConfig{Resolver: resolver, Timeout: 300 * time.Millisecond, Interval: time.Second, Concurrency: 8, Share: 6})
	go func() {
		for {
			select {
			case <-changed:
			case <-over:
				return
			}
		}
	}()
	for group := range 3 { // together they ask for all there is
		silent := []string{"db.test:1"}
		for i := range 200 {
			silent = append(silent, fmt.Sprintf("silent%d.test:1", i))
		}
		n.Set(group, fmt.Sprint("attacker ", group), silent)
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	n.Set("good", "pool", []string{"db.test:1"})
	for n.State("good", "db.test").LastGood.IsZero() {
		if time.Since(began) > patience {
			t.Fatal("it is never looked up")
		}
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(began); took > 200*time.Millisecond {
		t.Errorf("the first look-up came after %v", took)
	}
	first := n.State("good", "db.test").LastGood
	eventually(t, "it is looked up again", func() bool { return n.State("good", "db.test").LastGood.After(first) })
	if took := time.Since(first); took > 2*time.Second {
		t.Errorf("the second look-up came after %v, want about one", took)
	}
	n.Set("good", "pool", nil)
	if state := n.State("good", "db.test"); !state.LastGood.IsZero() {
		t.Errorf("%+v is known to a group that does not use it", state)
	}
}

func TestNamesGiveUpASlowLookUp(t *testing.T) {
	zone, resolver := newZone(t)
	zone.delay = 200 * time.Millisecond
	zone.set("db.test", "10.0.0.1")
	n, _ := runNames(t, NamesConfig{Resolver: resolver, Timeout: 20 * time.Millisecond})
	n.Set(nil, "pool", []string{"db.test:1"})
	eventually(t, "the time is over", func() bool { return n.State(nil, "db.test").Err != nil })
	expands(t, n, "db.test:1", "db.test:1")
}

func TestNamesBoundAnAnswer(t *testing.T) {
	var found []netip.Addr
	for i := range 2 * maxNameAddresses {
		found = append(found, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	if got := len(tidy(found, false)); got != maxNameAddresses {
		t.Error(got)
	}
	for range 1000 {
		if d := jitter(time.Second); d < 900*time.Millisecond || d > 1100*time.Millisecond {
			t.Fatal(d)
		}
	}
}

func TestExpandedRouteIsStillSubjectToPolicy(t *testing.T) {
	zone, resolver := newZone(t)
	zone.set("db.test", "127.0.0.1")
	n, changed := runNames(t, NamesConfig{Resolver: resolver})
	n.Set(nil, "pool", []string{"db.test:1"})
	hears(t, changed, "pool")
	dialer := &Dialer{Allow: func(netip.AddrPort) error { return errors.New("loopback") }}
	if _, err := dialer.DialContext(context.Background(), "tcp", n.Expand(nil, "db.test:1")[0]); ReasonOf(err) != ReasonBackendPolicy {
		t.Error(err)
	}
}

// What an earlier process knew holds until a look-up succeeds, and it is told when they begin and cease to fail.
func TestNamesRecallAndSayThatTheyFail(t *testing.T) {
	zone, resolver := newZone(t)
	then := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	answers := make(chan NameState, 100)
	n, changed := runNames(t, NamesConfig{
		Resolver: resolver, Interval: 5 * time.Millisecond,
		Recall: func(host string) ([]netip.Addr, time.Time) {
			if host != "db.test" {
				t.Errorf("asked for %q, want %q", host, "db.test")
			}
			return []netip.Addr{netip.MustParseAddr("10.0.0.7")}, then
		},
		Answered: func(_ string, s NameState) { answers <- s },
	})
	n.Set(nil, "pool", []string{"db.test:1"})
	expands(t, n, "db.test:1", "10.0.0.7:1")
	hears(t, changed, "pool")
	failing := <-answers
	if failing.Err == nil || failing.FailsFrom.IsZero() || !failing.LastGood.Equal(then) {
		t.Errorf("%+v", failing)
	}
	expands(t, n, "db.test:1", "10.0.0.7:1")
	time.Sleep(30 * time.Millisecond) // some look-ups more
	if s := n.State(nil, "db.test"); !s.FailsFrom.Equal(failing.FailsFrom) {
		t.Errorf("fails from %v, then from %v", failing.FailsFrom, s.FailsFrom)
	}
	zone.set("db.test", "10.0.0.7") // the same address: it is told all the same
	hears(t, changed, "pool")
	if s := <-answers; s.Err != nil || !s.FailsFrom.IsZero() || s.LastGood.Equal(then) {
		t.Errorf("%+v", s)
	}
}
