package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// model is what an engine is meant to be: a map, a counter and a list of changes.
type model struct {
	dir     string
	engine  *Badger
	data    map[string]Item
	rev     uint64
	changes []Change
	watcher *Watcher // from the last restart on
	seen    int      // changes that the watcher delivered
}

func TestEngineBehavesLikeAMap(t *testing.T) {
	badgerOnly(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{dir: dir, data: map[string]Item{}}
		m.open(rt)
		defer m.close(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"update":  m.update,
			"abort":   m.abort,
			"scan":    m.scan,
			"watch":   m.watch,
			"late":    m.lateWatch,
			"restart": m.restart,
			"":        m.check,
		})
	})
}

func (m *model) open(t *rapid.T) {
	engine, err := OpenBadger(m.dir, BadgerConfig{WatchLog: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	m.engine, m.watcher, m.seen = engine, engine.Watch("", m.rev), len(m.changes)
}

func (m *model) close(t *rapid.T) {
	m.watcher.Stop()
	if err := m.engine.Close(); err != nil {
		t.Fatal(err)
	}
}

func (m *model) restart(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "now") > 0 {
		t.Skip("seldom: opening takes longest")
	}
	m.close(t)
	m.open(t)
}

var modelKeys = rapid.StringMatching(`[ab](/[a-c]){0,2}`)

// write is one set or delete of an update.
type write struct {
	key   string
	value []byte // nil to delete
}

func drawWrites(t *rapid.T) []write {
	var writes []write
	for range rapid.IntRange(0, 5).Draw(t, "writes") {
		w := write{key: modelKeys.Draw(t, "key")}
		if rapid.Bool().Draw(t, "set") {
			w.value = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value")...)
		}
		writes = append(writes, w)
	}
	return writes
}

func (w write) do(tx Txn) {
	if w.value == nil {
		tx.Delete(w.key)
	} else {
		tx.Set(w.key, w.value)
	}
}

// update does the same to both, and reads in the transaction what the model says.
func (m *model) update(t *rapid.T) {
	writes := drawWrites(t)
	final := map[string][]byte{}
	rev, err := m.engine.Update(context.Background(), func(tx Txn) error {
		for _, w := range writes {
			w.do(tx)
			final[w.key] = w.value
			value, _, err := tx.Get(w.key)
			if w.value == nil && !errors.Is(err, ErrNotFound) || string(value) != string(w.value) {
				return fmt.Errorf("own write of %q reads %q, %v", w.key, value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.apply(final)
	if rev != m.rev {
		t.Fatalf("revision %d, want %d", rev, m.rev)
	}
}

func (m *model) apply(final map[string][]byte) {
	var made []Change
	for _, key := range slices.Sorted(maps.Keys(final)) {
		value, old := final[key], m.data[key]
		if value == nil && old.Key == "" {
			continue
		}
		made = append(made, Change{Revision: m.rev + 1, Key: key, Value: value, Deleted: value == nil})
		if value == nil {
			delete(m.data, key)
		} else {
			m.data[key] = Item{Key: key, Value: value, Revision: m.rev + 1}
		}
	}
	if n := len(made); n > 0 {
		made[n-1].Last = true
		m.rev++
		m.changes = append(m.changes, made...)
	}
}

func (m *model) abort(t *rapid.T) {
	stop := errors.New("stop")
	writes := drawWrites(t)
	if _, err := m.engine.Update(context.Background(), func(tx Txn) error {
		for _, w := range writes {
			w.do(tx)
		}
		return stop
	}); err != stop {
		t.Fatalf("got %v, want %v", err, stop)
	}
}

func (m *model) scan(t *rapid.T) {
	prefix := rapid.SampledFrom([]string{"", "a", "a/", "a/a", "b/", "c"}).Draw(t, "prefix")
	after := rapid.OneOf(rapid.Just(""), modelKeys).Draw(t, "after")
	limit := rapid.IntRange(0, 4).Draw(t, "limit")
	var want []Item
	for _, key := range slices.Sorted(maps.Keys(m.data)) {
		if strings.HasPrefix(key, prefix) && (after == "" || key > after) && (limit == 0 || len(want) < limit) {
			want = append(want, m.data[key])
		}
	}
	var got []Item
	m.view(t, func(r Reader) {
		for item, err := range r.Scan(prefix, after, limit) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, item)
		}
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("scan %q after %q limit %d (-want +got):\n%s", prefix, after, limit, diff)
	}
}

func (m *model) view(t *rapid.T, fn func(Reader)) {
	if err := m.engine.View(context.Background(), func(r Reader) error { fn(r); return nil }); err != nil {
		t.Fatal(err)
	}
}

// watch takes some of the changes that there are.
func (m *model) watch(t *rapid.T) {
	for range rapid.IntRange(0, len(m.changes)-m.seen).Draw(t, "changes") {
		got, err := m.watcher.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.changes[m.seen], got); diff != "" {
			t.Fatalf("change %d (-want +got):\n%s", m.seen, diff)
		}
		m.seen++
	}
}

// lateWatch begins at any revision there was: it resyncs when that was before the restart, and else
// begins with the first change after it.
func (m *model) lateWatch(t *rapid.T) {
	from := rapid.Uint64Range(0, m.rev).Draw(t, "from")
	w := m.engine.Watch("", from)
	defer w.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	if from == m.rev {
		cancel() // there is nothing to come
	}
	defer cancel()
	got, err := w.Next(ctx)
	switch {
	case from == m.rev:
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("from %d, the newest: %+v, %v", from, got, err)
		}
	case got.Resync:
		if got.Revision != m.rev || from >= m.engine.log.floor {
			t.Fatalf("from %d: %+v", from, got)
		}
	case got.Revision != from+1:
		t.Fatalf("from %d: %+v", from, got)
	}
}

// check compares all there is, after every step.
func (m *model) check(t *rapid.T) {
	m.view(t, func(r Reader) {
		if r.Revision() != m.rev {
			t.Fatalf("revision %d, want %d", r.Revision(), m.rev)
		}
		for _, key := range []string{"a", "a/a", "a/b/c", "b", ""} {
			value, rev, err := r.Get(key)
			want, there := m.data[key]
			if there != (err == nil) || string(value) != string(want.Value) || rev != want.Revision {
				t.Fatalf("get %q: %q, %d, %v; want %+v", key, value, rev, err, want)
			}
		}
	})
}
