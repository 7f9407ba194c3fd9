package live

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
)

// addresses are what the routes of a frontend stand for, by destination: the route itself, or the
// addresses of its name.
type addresses map[string][]string

// names follows the names in routes, and keeps what they stood for over a restart.
type names struct {
	*lb.Names
	log   *slog.Logger
	store *store.Store

	mu      sync.Mutex
	stored  map[string]store.Name // of the start
	unsaved map[string]store.Name
}

func (l *Live) newNames(ctx context.Context) (*names, error) {
	n := &names{log: l.log, store: l.store, stored: map[string]store.Name{}, unsaved: map[string]store.Name{}}
	all, err := l.store.Names(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		n.stored[one.Host] = one
	}
	n.Names = lb.NewNames(lb.NamesConfig{
		Resolver: l.cfg.Resolver, Interval: l.cfg.NamesInterval, Recall: n.recall, Answered: n.answered,
		Changed: l.readdress,
	})
	return n, nil
}

func (n *names) recall(host string) ([]netip.Addr, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.stored[host]
	return one.Addresses, one.At
}

// answered says when a name begins or ceases to fail, and has its addresses saved.
func (n *names) answered(host string, state lb.NameState) {
	if state.Err != nil {
		n.log.LogAttrs(context.Background(), slog.LevelWarn, "name does not resolve", slog.String("name", host),
			slog.Int("addresses", len(state.Addresses)), slog.String("error", lookUpError(state.Err)))
		return
	}
	n.log.LogAttrs(context.Background(), slog.LevelInfo, "name resolves", slog.String("name", host), slog.Int("addresses", len(state.Addresses)))
	if len(host) > maxStoredName {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsaved[host] = store.Name{Host: host, Addresses: state.Addresses, At: state.LastGood.UTC()}
}

// maxStoredName is the longest name that is kept: longer ones are no key of the store.
const maxStoredName = 200

// lookUpError is why a look-up failed, without the name, which the line has already, and the server.
func lookUpError(err error) string {
	text := err.Error()
	if at := strings.LastIndex(text, ": "); at >= 0 {
		text = text[at+2:]
	}
	return text
}

// saveEvery is how long new addresses may wait to be saved.
const saveEvery = 5 * time.Second

// save writes down what names stand for until ctx ends, and once more then.
func (n *names) save(ctx context.Context, used map[string]bool) error {
	n.forgetUnused(ctx, used)
	err := Every(ctx, saveEvery, func() { n.saveNow(ctx) })
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveEvery)
	defer cancel()
	n.saveNow(last)
	return err
}

func (n *names) saveNow(ctx context.Context) {
	for batch := n.take(); len(batch) > 0; batch = n.take() {
		if err := n.store.PutNames(ctx, batch); err != nil {
			n.log.Warn("addresses of names not saved", "error", err) // the next answer brings them again
			return
		}
	}
}

func (n *names) take() (batch []store.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for host, one := range n.unsaved {
		if len(batch) == store.MaxNamesAtOnce {
			break
		}
		batch = append(batch, one)
		delete(n.unsaved, host)
	}
	return batch
}

// forgetUnused removes what was stored of names that no route has by now.
func (n *names) forgetUnused(ctx context.Context, used map[string]bool) {
	n.mu.Lock()
	var unused []string
	for host := range n.stored {
		if !used[host] && len(unused) < store.MaxNamesAtOnce { // the next start goes on
			unused = append(unused, host)
		}
	}
	n.mu.Unlock()
	if err := n.store.DeleteNames(ctx, unused); err != nil && ctx.Err() == nil {
		n.log.Warn("names not forgotten", "error", err)
	}
}

// expand looks up what the routes of a frontend stand for now, and which names do not resolve.
func (l *Live) expand(f store.Frontend) (addresses, map[string]lb.NameState) {
	all := make(addresses, len(f.Routes))
	failing := map[string]lb.NameState{}
	dests := make([]string, 0, len(f.Routes))
	for _, r := range f.Routes {
		dests = append(dests, r.Dest)
	}
	l.names.Set(f.ClientID, f.UUID, dests)
	for _, dest := range dests {
		all[dest] = l.names.Expand(f.ClientID, dest)
		if state := l.names.State(f.ClientID, nameOf(dest)); state.Err != nil {
			failing[dest] = state
		}
	}
	return all, failing
}

// nameOf is the name in a destination, empty when it has an address.
func nameOf(dest string) string {
	host, _, err := net.SplitHostPort(dest)
	if _, isAddress := netip.ParseAddr(host); err != nil || isAddress == nil {
		return ""
	}
	return host
}

// readdress gives the pool of a frontend the addresses that its names have by now.
func (l *Live) readdress(id string) {
	l.frontendMu.Lock()
	defer l.frontendMu.Unlock()
	old, known := l.frontends.get(id)
	if !known {
		return
	}
	state := *old
	state.addresses, state.failing = l.expand(state.record)
	state.pool.Update(l.poolOf(&state))
	l.setFrontend(&state)
}

// settleTime bounds the wait for names at the start.
const settleTime = 2 * time.Second

// Settle waits until every name in a route has been looked up once, but not for long. Without it the first
// connections after a start would be to a route without addresses.
func (l *Live) Settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for _, f := range l.frontends.values(nil) {
		for _, r := range f.record.Routes {
			name := nameOf(r.Dest)
			for name != "" && ctx.Err() == nil {
				if s := l.names.State(f.record.ClientID, name); s.Err != nil || !s.LastGood.IsZero() {
					break
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		}
	}
}
