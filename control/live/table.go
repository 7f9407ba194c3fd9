package live

import "sync"

// table is a map with a lock: many readers, one writer. The zero value is empty.
type table[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

func (t *table[K, V]) get(key K) (V, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.m[key]
	return v, ok
}

func (t *table[K, V]) set(key K, value V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[K]V{}
	}
	t.m[key] = value
}

func (t *table[K, V]) remove(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, key)
}

func (t *table[K, V]) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.m)
}

// each calls fn for every entry under the lock, so fn must be quick and must not use the table.
func (t *table[K, V]) each(fn func(K, V)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for k, v := range t.m {
		fn(k, v)
	}
}

// values appends the values to all, for walking them without the lock, in no order.
func (t *table[K, V]) values(all []V) []V {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, v := range t.m {
		all = append(all, v)
	}
	return all
}

// all is a copy of the map, for walking it without the lock.
func (t *table[K, V]) all() map[K]V {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make(map[K]V, len(t.m))
	for k, v := range t.m {
		all[k] = v
	}
	return all
}
