package store

import (
	"errors"
	"testing"
)

func TestHealthOfBadger(t *testing.T) {
	badgerOnly(t)
	engine, err := OpenBadger(t.TempDir()+"/store", BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	defer func(free func(string) (int64, error)) { engine.free = free }(engine.free) // closing asks too
	s, err := New(engine)
	if err != nil {
		t.Fatal(err)
	}
	if h := s.Health(); h.Err != nil || h.Free <= 0 {
		t.Errorf("a healthy engine: %+v", h)
	}
	engine.free = func(string) (int64, error) { return 1 << 20, nil }
	if h := s.Health(); !errors.Is(h.Err, ErrReadOnly) || h.Free != 1<<20 {
		t.Errorf("a full disk: %+v", h)
	}
	engine.free = func(string) (int64, error) { return 0, errors.New("no idea") }
	if h := s.Health(); h.Free >= 0 {
		t.Errorf("an unknown disk: %+v", h)
	}
}

func TestHealthOfAnEngineThatTellsNothing(t *testing.T) {
	badgerOnly(t)
	if h := (&Store{}).Health(); h.Err != nil || h.Free >= 0 {
		t.Errorf("%+v", h)
	}
}
