package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each change of an owner is a revision, with who made it; what the server notes by itself is none, and a hundred are
// kept.
func TestFrontendRevisions(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c1")
	if _, err := s.CreateFrontend(by(t, "c1", "frontend.create", "c1"), Frontend{
		ClientID: "c1", UUID: "f1", AccessKey: "k1", Name: "name 1", Active: true, UpdatedAt: at, Routes: []Route{{Dest: "10.0.0.1:80"}},
	}, 0); err != nil {
		t.Fatal(err)
	}
	change := func(ctxActor string, fn func(*Frontend)) {
		t.Helper()
		if _, err := s.UpdateFrontend(by(t, ctxActor, "frontend.update", "c1"), "c1", "f1", func(f *Frontend) error { fn(f); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	change("c1", func(f *Frontend) { f.FirstByteAt = at }) // the server's own
	change("c1", func(f *Frontend) { f.UpdatedAt = at.Add(time.Hour) })
	for i := 2; i <= 130; i++ {
		change("root", func(f *Frontend) {
			f.Name = fmt.Sprintf("name %d", i)
			f.UpdatedAt = at.Add(time.Duration(i) * time.Minute)
		})
	}
	all, err := s.FrontendRevisions(t.Context(), "c1", "f1", 0, 0)
	if err != nil || len(all) != KeptRevisions || all[0].Number != 130 || all[99].Number != 31 {
		t.Fatalf("%d revisions, %v, want 130 to 31", len(all), err)
	}
	if newest := all[0]; newest.Frontend.Name != "name 130" || newest.ActorID != "root" || !newest.At.Equal(at.Add(130*time.Minute)) || newest.Frontend.AccessKey != "" {
		t.Errorf("got %+v", newest)
	}
	page, err := s.FrontendRevisions(t.Context(), "c1", "f1", 50, 3)
	if err != nil || len(page) != 3 || page[0].Number != 49 {
		t.Errorf("before 50: %d revisions, %v", len(page), err)
	}
	one, err := s.FrontendRevision(t.Context(), "c1", "f1", 77)
	if err != nil || one.Frontend.Name != "name 77" || !slices.Equal(one.Frontend.Routes, []Route{{Dest: "10.0.0.1:80"}}) {
		t.Errorf("got %+v, %v", one, err)
	}
	for _, number := range []uint64{0, 30, 131} {
		if _, err := s.FrontendRevision(t.Context(), "c1", "f1", number); !errors.Is(err, ErrNotFound) {
			t.Errorf("revision %d: got %v, want ErrNotFound", number, err)
		}
	}
	differ, err := SettingsDiffer(all[1].Frontend, all[0].Frontend)
	if err != nil || len(differ.Before) != 1 || string(differ.Before["name"]) != `"name 129"` || string(differ.After["name"]) != `"name 130"` {
		t.Errorf("got %+v, %v", differ, err)
	}
	if _, err := s.DeleteFrontend(t.Context(), "c1", "f1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.FrontendRevision(t.Context(), "c1", "f1", 130); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a deleted frontend: %v", err)
	}
	sweepAll(t, s)
	for _, k := range allKeys(t, b) {
		if strings.HasPrefix(k, "revision/") {
			t.Fatalf("%s is left of a deleted frontend", k)
		}
	}
}
