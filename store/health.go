package store

import (
	"errors"
	"math"
)

// Health is whether the engine takes writes, and how much room it has.
type Health struct {
	Err  error // why it takes no writes, nil while it does
	Free int64 // bytes that can still be written to its disk; negative when nobody knows
}

// Health asks the engine. One that knows neither is healthy with an unknown amount of room.
func (s *Store) Health() Health {
	h := Health{Free: -1}
	if engine, can := s.engine.(interface{ Ready() error }); can {
		h.Err = engine.Ready()
	}
	if engine, can := s.engine.(interface{ Free() (int64, error) }); can {
		if free, err := engine.Free(); err == nil {
			h.Free = free
		}
	}
	return h
}

// Free is how many bytes this user can still write to the disk of the engine.
func (b *Badger) Free() (int64, error) {
	free, err := b.free(b.dir)
	if err == nil && free == math.MaxInt64 {
		return 0, errors.ErrUnsupported
	}
	return free, err
}
